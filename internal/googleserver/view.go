package googleserver

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// Members of an event that are left where a user sees no more than when it is.
var (
	busyMembers = []string{
		"kind", "etag", "id", "status", "start", "end", "recurrence", "recurringEventId", "originalStartTime",
		"transparency", "iCalUID", "eventType",
	}
	privateMembers = append([]string{"htmlLink", "created", "updated", "visibility", "sequence"}, busyMembers...)
)

// view is an item's bytes as a user of that role gets them: the stored ones, unless the role or the query changes them.
func view(v *version, role Role, q *query, delta bool) []byte {
	body := v.body
	if delta && v.delta != nil {
		body = v.delta
	}
	if v.facts == nil || (!veiled(v, role) && !q.has("timeZone") && !q.has("maxAttendees")) {
		return body
	}
	o, err := parseObject(body)
	if err != nil {
		return body // PutRaw's
	}
	if veiled(v, role) {
		o = o.veil(role)
	}
	if q.has("maxAttendees") {
		o = o.limitAttendees(q.values.Get("maxAttendees"))
	}
	if q.has("timeZone") {
		o = o.inZone(q.values.Get("timeZone"))
	}
	return o.bytes()
}

// veiled says whether a role hides an event's details.
func veiled(v *version, role Role) bool {
	private := v.facts.Visibility == "private" || v.facts.Visibility == "confidential"
	return role == FreeBusyReader || (private && ranks[role] < ranks[Writer])
}

func (o object) veil(role Role) object {
	keep := privateMembers
	if role == FreeBusyReader {
		keep = busyMembers
	}
	var kept object
	for _, m := range o {
		if slices.Contains(keep, m.name) {
			kept = append(kept, m)
		}
	}
	return kept
}

// limitAttendees leaves the participant alone where there are more than so many.
func (o object) limitAttendees(limit string) object {
	n, _ := strconv.Atoi(limit) // checked with the query
	var all []json.RawMessage
	if json.Unmarshal(o.raw("attendees"), &all) != nil || len(all) <= n {
		return o
	}
	self := slices.DeleteFunc(all, func(raw json.RawMessage) bool {
		var a struct{ Self bool }
		return json.Unmarshal(raw, &a) != nil || !a.Self
	})
	return o.with("attendees", self).with("attendeesOmitted", true)
}

// inZone writes the event's times in another zone.
func (o object) inZone(name string) object {
	loc, err := time.LoadLocation(name)
	if err != nil {
		return o // checked with the query
	}
	for _, member := range []string{"start", "end", "originalStartTime"} {
		value, err := parseObject(o.raw(member))
		if err != nil {
			continue
		}
		if t, err := time.Parse(time.RFC3339, value.text("dateTime")); err == nil {
			value = value.with("dateTime", t.In(loc).Format(time.RFC3339))
			o = o.with(member, json.RawMessage(value.bytes()))
		}
	}
	return o
}

// selector is a partial response's fields: nil children take all of a member.
type selector map[string]selector

// parseFields reads the fields parameter: names with commas, sub-selectors as a/b and a(b,c), * for every name.
func parseFields(s string) (selector, bool) {
	sel, rest, ok := parseSelectors(s, 0)
	return sel, ok && rest == ""
}

const maxFieldDepth = 32

func parseSelectors(s string, depth int) (selector, string, bool) {
	sel := selector{}
	for depth < maxFieldDepth {
		n := 0
		for n < len(s) && !slices.Contains([]byte(",/()"), s[n]) {
			n++
		}
		name := s[:n]
		if s = s[n:]; name == "" {
			return nil, s, false
		}
		child, rest, ok := parseChildren(s, depth)
		if !ok {
			return nil, rest, false
		}
		sel[name] = merge(sel, name, child)
		if s = rest; s == "" || s[0] != ',' {
			return sel, s, true
		}
		s = s[1:]
	}
	return nil, s, false
}

// parseChildren reads what follows a name.
func parseChildren(s string, depth int) (selector, string, bool) {
	switch {
	case s == "" || s[0] == ',' || s[0] == ')':
		return nil, s, true
	case s[0] == '(':
		sel, rest, ok := parseSelectors(s[1:], depth+1)
		if !ok || rest == "" || rest[0] != ')' {
			return nil, rest, false
		}
		return sel, rest[1:], true
	default: // '/'
		n := 1
		for n < len(s) && !slices.Contains([]byte(",/()"), s[n]) {
			n++
		}
		if n == 1 || depth >= maxFieldDepth {
			return nil, s, false
		}
		child, rest, ok := parseChildren(s[n:], depth+1)
		return selector{s[1:n]: child}, rest, ok
	}
}

func merge(sel selector, name string, child selector) selector {
	old, ok := sel[name]
	if !ok || child == nil || old == nil {
		if ok {
			return nil // one of the two takes all
		}
		return child
	}
	for n, c := range child {
		old[n] = merge(old, n, c)
	}
	return old
}

// apply leaves of a JSON value what is selected.
func (sel selector) apply(b []byte) []byte {
	if sel == nil {
		return b
	}
	var all []json.RawMessage
	if json.Unmarshal(b, &all) == nil {
		for i, item := range all {
			all[i] = sel.apply(item)
		}
		return join(all)
	}
	o, err := parseObject(b)
	if err != nil {
		return b
	}
	var kept object
	for _, m := range o {
		child, ok := sel[m.name]
		if !ok {
			child, ok = sel["*"]
		}
		if ok {
			m.value = child.apply(m.value)
			kept = append(kept, m)
		}
	}
	return kept.bytes()
}

// join is the values as a JSON array.
func join(all []json.RawMessage) []byte {
	b := []byte{'['}
	for i, item := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, item...)
	}
	return append(b, ']')
}
