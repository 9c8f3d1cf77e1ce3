package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// history is what an account's rows were, and when.
type history map[rowKey][]span

type rowKey struct {
	stream connector.Stream
	id     string
}

// span says that a row had a value from a moment on; it was absent where there is none.
type span struct {
	from  time.Time
	there bool
	value string
	veil  bool // absent only because the account may not see the collection
}

func (h history) add(k rowKey, s span) {
	s.from = time.Now()
	h[k] = append(h[k], s)
}

// hold notes that a member has become another.
func (h history) hold(s connector.Stream, id string, was, is member) { h.turn(s, id, was, is, false) }

func (h history) turn(s connector.Stream, id string, was, is member, veil bool) {
	after := rowsOf(id, is)
	for row := range rowsOf(id, was) {
		if _, still := after[row]; !still {
			h.add(rowKey{s, row}, span{veil: veil})
		}
	}
	for _, row := range slices.Sorted(maps.Keys(after)) {
		h.add(rowKey{s, row}, span{there: true, value: after[row]})
	}
}

// had tells whether the row ever had the value.
func (h history) had(k rowKey, value string) bool {
	return slices.ContainsFunc(h[k], func(s span) bool { return s.there && s.value == value })
}

// absent tells whether the row was absent at some moment from one time to another. One that was only forbidden counts once
// an hour of that has passed.
func (h history) absent(k rowKey, from, to time.Time) bool {
	spans := h[k]
	if len(spans) == 0 || spans[0].from.After(from) {
		return true
	}
	for i, s := range spans {
		ends := to
		if i+1 < len(spans) && spans[i+1].from.Before(to) {
			ends = spans[i+1].from
		}
		begins := s.from
		if s.veil {
			begins = begins.Add(time.Hour - time.Minute)
		}
		if !s.there && !begins.After(ends) && !ends.Before(from) {
			return true
		}
	}
	return false
}

// since tells whether the row was so at some moment since a time.
func (h history) since(k rowKey, t time.Time, row mirrored) bool {
	spans := h[k]
	if row.json == nil && (len(spans) == 0 || !spans[0].from.Before(t)) {
		return true
	}
	for i, s := range spans {
		if i+1 < len(spans) && spans[i+1].from.Before(t) {
			continue
		}
		if s.there == (row.json != nil) && s.value == row.value {
			return true
		}
	}
	return false
}
