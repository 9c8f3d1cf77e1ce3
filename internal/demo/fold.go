package demo

import (
	"fmt"
	"sync"
)

// fold is what a consumer holds that keeps the last record of each key: what the calendars hold, if all is well.
type fold struct {
	truth truth

	mu     sync.Mutex
	rows   map[string]row  // by topic and key
	open   map[string]bool // streams in a snapshot, by topic and the key of their markers
	counts map[string]int  // records by op
	resets int
}

// row is a row as far as the fold compares it: of which object it is, and what it says of it, nil for nothing.
type row struct {
	object
	says *string
}

func newFold(t truth) *fold {
	return &fold{truth: t, rows: map[string]row{}, open: map[string]bool{}, counts: map[string]int{}}
}

// add takes a record in.
func (f *fold) add(r record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[r.op()]++
	key := r.stream + r.rawKey
	switch {
	case r.marker == "snapshot-end":
		delete(f.open, key)
	case r.marker != "":
		f.open[key] = true
		if r.marker == "snapshot-reset" {
			f.resets++
		}
	case r.value == nil || r.value.After == nil:
		delete(f.rows, key)
	default:
		o, says := f.truth.objectOf(r)
		f.rows[key] = row{o, says}
	}
}

// score is how the topics compare with the calendars; rows and objects are those of events.
type score struct {
	rows, objects int
	same          bool
}

func (s score) String() string {
	if !s.same {
		return fmt.Sprintf("… the topic, folded, is not yet the calendars (%s in %s)", plural(s.objects, "object"), plural(s.rows, "row"))
	}
	return fmt.Sprintf("✓ the topic, folded, is the calendars: %s in %s, byte for byte", plural(s.objects, "object"), plural(s.rows, "row"))
}

// compare holds the folded topics against what the calendar server holds.
func (f *fold) compare() score {
	held := f.truth.held()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := score{same: len(f.open) == 0 && f.holds(held)}
	for o := range held {
		if o.stream == "events" {
			s.objects++
		}
	}
	for _, r := range f.rows {
		if r.stream == "events" {
			s.rows++
		}
	}
	return s
}

// holds tells whether the rows say what is held, all of it, and those that say nothing belong to something.
func (f *fold) holds(held map[object]string) bool {
	said := map[object]bool{}
	for _, r := range f.rows {
		text, there := held[r.object]
		if !there || r.says != nil && *r.says != text {
			return false
		}
		said[r.object] = said[r.object] || r.says != nil
	}
	for o := range held {
		if !said[o] {
			return false
		}
	}
	return true
}

func (f *fold) agrees() bool { return f.compare().same }

// summary is what is said at the end.
func (s *stage) summary() string {
	sc := s.fold.compare()
	s.fold.mu.Lock()
	defer s.fold.mu.Unlock()
	c := s.fold.counts
	return fmt.Sprintf("Published: %d c, %d u, %d d, %d r; %s. In the end:\n%s", c["c"], c["u"], c["d"], c["r"], plural(s.fold.resets, "reset"), sc)
}
