package googleserver

import (
	"slices"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
)

// maxInstances bounds the instances of one series in a list that expands series.
const maxInstances = 1000

// rules reads a series' recurrence; nil where it has none that can be read.
func (f *facts) rules() *rrule.Set {
	if f.Start == nil || f.End == nil || len(f.Recurrence) == 0 {
		return nil
	}
	start := f.Start.time()
	lines := append([]string{"DTSTART:" + start.UTC().Format("20060102T150405Z")}, f.Recurrence...)
	set, err := rrule.StrSliceToRRuleSetInLoc(lines, start.Location())
	if err != nil {
		return nil
	}
	set.DTStart(start)
	return set
}

// endsAfter says whether an instance of the series ends after t.
func (f *facts) endsAfter(t time.Time) bool {
	set := f.rules()
	return set != nil && !set.After(t.Add(-f.End.time().Sub(f.Start.time())), false).IsZero()
}

// gather collects what a list shows that expands series, or that has an order of its own.
func (q *query) gather(l *list) []*version {
	if q.kind == EventsInstances {
		return q.instances(l)
	}
	expand := q.on("singleEvents")
	all, _, _ := l.after(0, len(l.order), func(v *version) bool {
		return q.wants(v) && (!expand || v.facts.Status != "cancelled" || q.on("showDeleted"))
	})
	if !expand {
		return all
	}
	var single []*version
	for _, v := range all {
		if len(v.facts.Recurrence) == 0 {
			single = append(single, v)
		} else if !v.gone {
			single = append(single, q.regular(l, v)...)
		}
	}
	return single
}

// instances are those of one series, in the order of their starts.
func (q *query) instances(l *list) []*version {
	all := q.regular(l, l.living(q.series))
	for id := range l.children[q.series] {
		v := l.living(id)
		if v != nil && (v.facts.Status != "cancelled" || q.on("showDeleted")) && q.inRange(v.facts) {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b *version) int { return strings.Compare(a.id, b.id) })
	return all
}

// regular are the instances of a series that are no exceptions.
func (q *query) regular(l *list, master *version) []*version {
	set := master.facts.rules()
	if set == nil {
		return nil
	}
	var all []*version
	length := master.facts.End.time().Sub(master.facts.Start.time())
	next := set.Iterator()
	for range maxInstances {
		start, ok := next()
		if !ok || (q.timeMax != nil && !start.Before(*q.timeMax)) {
			break
		}
		if l.living(InstanceID(master.id, start, master.facts.Start.Date != "")) != nil {
			continue
		}
		if v := master.instance(start, length); q.inRange(v.facts) {
			all = append(all, v)
		}
	}
	return all
}

// instance is one of a series that is no exception.
func (v *version) instance(start time.Time, length time.Duration) *version {
	at, end := v.facts.Start.at(start), v.facts.Start.at(start.Add(length))
	i := *v
	i.id = InstanceID(v.id, start, at.Date != "")
	f := *v.facts
	f.Recurrence, f.RecurringEventID, f.Start, f.End = nil, v.id, &at, &end
	i.facts = &f
	if o, err := parseObject(v.body); err == nil {
		i.body = o.without("recurrence").with("id", i.id).with("start", at).with("end", end).
			with("recurringEventId", v.id).with("originalStartTime", at).bytes()
	}
	return &i
}
