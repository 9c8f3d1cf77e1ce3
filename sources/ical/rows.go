package ical

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/calcdc/calcdc/connector"
)

// Object names the resource and says what is wanted of it.
type Object struct {
	Source     string
	Account    string
	Collection string
	Name       string   // the resource's decoded name in its collection, with .ics
	Href       string   // as the server wrote it; "" is null
	ETag       string   // "" is null
	Components []string // that become rows: VEVENT, VTODO
	Raw        bool     // carry the body in raw (events.raw)
	MaxRaw     int      // bytes of a body that raw may hold (events.max_raw); < 0: any
}

// RawType is the raw_type of a body carried as text. Of one carried as base64 it is followed by ";base64" (the bytes
// are not UTF-8), of one left out because it is longer than MaxRaw by ";omitted" alone.
const RawType = "text/calendar"

// Rows returns the rows of a resource in id order. It never fails: what cannot be read is a row with parse_error. A
// calendar without any wanted component has no rows, unless something in it could not be read.
//
// Ids are Name, with # and % as %23 and %25, and for an override # and its RECURRENCE-ID. raw stands on the master's
// row, without a master on the first. ChangedMs is LAST-MODIFIED.
func Rows(o Object, body []byte) []connector.Row {
	text := string(body)
	r := reader{object: &o, name: escapeName(o.Name)}
	cal := parse(text, o.Components)
	defer cal.release()
	events := r.events(&cal)
	if len(events) == 0 {
		if cal.notes.empty() {
			return nil
		}
		events = []*event{r.bare()}
	}
	first := events[0]
	cal.notes.join(&first.notes)
	setRaw(&o, first, body, text)
	rows := make([]connector.Row, len(events))
	for i, e := range events {
		if !e.notes.empty() {
			e.row.ParseError = e.ptr(e.notes.String())
		}
		rows[i] = e.row.Row(e.changedMs)
	}
	return rows
}

// Unreadable is the one row that stands for a resource whose body could not be fetched; reason is its parse_error.
func Unreadable(o Object, reason string) connector.Row {
	r := reader{object: &o, name: escapeName(o.Name)}
	e := r.bare()
	e.row.ParseError = e.ptr(clean(strings.ToValidUTF8(reason, "\uFFFD")))
	return e.row.Row(0)
}

// reader makes events of one resource.
type reader struct {
	object *Object
	name   string // the id's name part
	zones  zones
}

// event is a row in the making.
type event struct {
	row       connector.Event
	changedMs int64
	order     int // of the component in the text
	notes     notes
	slots     [32]string
	used      int
}

// ptr returns a pointer to s; the first ones cost no allocation.
func (e *event) ptr(s string) *string {
	var p *string
	if e.used < len(e.slots) {
		p = &e.slots[e.used]
		e.used++
	} else {
		p = new(string)
	}
	*p = s
	return p
}

// opt is ptr, but nil for "".
func (e *event) opt(s string) *string {
	if s == "" {
		return nil
	}
	return e.ptr(s)
}

// bare is an event that says no more than which resource it is.
func (r *reader) bare() *event {
	e := &event{}
	o := r.object
	e.row.Source, e.row.Account, e.row.Collection = o.Source, o.Account, o.Collection
	e.row.ID = r.name
	e.row.Kind = connector.Single
	e.row.Href = e.opt(o.Href)
	e.row.ETag = e.opt(o.ETag)
	return e
}

// events reads the components and leaves one event an id, in id order; the kind of a master depends on them all.
func (r *reader) events(cal *calendar) []*event {
	r.zones.spans = cal.zones
	events := make([]*event, 0, len(cal.components))
	for i := range cal.components {
		e := r.event(&cal.components[i])
		e.order = i
		events = append(events, e)
	}
	events = distinct(events)
	if len(events) > 1 && events[0].row.RecurrenceID == nil {
		events[0].row.Kind = connector.Series
	}
	return events
}

// distinct sorts by id and keeps, of several with one id, that of the highest SEQUENCE, then the last in the text.
func distinct(events []*event) []*event {
	if len(events) < 2 {
		return events
	}
	slices.SortFunc(events, func(a, b *event) int {
		return cmp.Or(strings.Compare(a.row.ID, b.row.ID), b.row.Sequence-a.row.Sequence, b.order-a.order)
	})
	kept := events[:1]
	dropped := 0
	for _, e := range events[1:] {
		last := kept[len(kept)-1]
		if e.row.ID != last.row.ID {
			kept = append(kept, e)
			dropped = 0
			continue
		}
		dropped++
		last.notes.replace("components with this id", strconv.Itoa(dropped)+" more in the resource, of a lower SEQUENCE or earlier in the text")
	}
	return kept
}

// setRaw puts the body, or what stands for it, on the resource's first row.
func setRaw(o *Object, e *event, body []byte, text string) {
	switch {
	case !o.Raw:
	case o.MaxRaw >= 0 && len(body) > o.MaxRaw:
		e.row.RawType = e.ptr(RawType + ";omitted")
	case utf8.ValidString(text):
		e.row.Raw, e.row.RawType = e.ptr(text), e.ptr(RawType)
	default:
		e.row.Raw, e.row.RawType = e.ptr(base64.StdEncoding.EncodeToString(body)), e.ptr(RawType+";base64")
	}
}

// escapeName makes the name's part of an id: # and % escaped, so that the # before a RECURRENCE-ID is the only one; so
// are bytes that are not UTF-8, which JSON could not carry.
func escapeName(name string) string {
	if !strings.ContainsAny(name, "#%") && utf8.ValidString(name) {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		c, n := utf8.DecodeRuneInString(name[i:])
		if c == '#' || c == '%' || c == utf8.RuneError && n == 1 {
			const hex = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(hex[name[i]>>4])
			b.WriteByte(hex[name[i]&15])
		} else {
			b.WriteString(name[i : i+n])
		}
		i += n
	}
	return b.String()
}
