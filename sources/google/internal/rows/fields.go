package rows

import (
	"strconv"
	"strings"

	"github.com/calcdc/calcdc/connector"
)

// field says how a field of the item is read; read returns false where the value has no column.
type field struct {
	bit  uint64
	read func(b *builder) bool
}

// columns are the fields that have a column, or part in one.
var columns = numbered(map[string]field{
	"kind":               {read: (*builder).readKind},
	"id":                 {read: func(b *builder) bool { return b.id(&b.ID) }},
	"etag":               {read: func(b *builder) bool { return b.id(&b.ETag) }},
	"recurringEventId":   {read: func(b *builder) bool { return b.id(&b.RecurringEventID) }},
	"iCalUID":            {read: func(b *builder) bool { return b.column(&b.row.UID) }},
	"status":             {read: func(b *builder) bool { return b.column(&b.row.Status) }},
	"summary":            {read: func(b *builder) bool { return b.column(&b.row.Summary) }},
	"description":        {read: func(b *builder) bool { return b.column(&b.row.Description) }},
	"location":           {read: func(b *builder) bool { return b.column(&b.row.Location) }},
	"visibility":         {read: func(b *builder) bool { return b.column(&b.row.Visibility) }},
	"htmlLink":           {read: func(b *builder) bool { return b.column(&b.row.URL) }},
	"eventType":          {read: func(b *builder) bool { return b.column(&b.row.EventType) }},
	"created":            {read: func(b *builder) bool { return b.stamp(&b.row.CreatedAt, nil) }},
	"updated":            {read: func(b *builder) bool { return b.stamp(&b.row.UpdatedAt, &b.changedMs) }},
	"start":              {read: func(b *builder) bool { return b.readTime(&b.start) }},
	"end":                {read: func(b *builder) bool { return b.readTime(&b.end) }},
	"originalStartTime":  {read: func(b *builder) bool { return b.readTime(&b.original) }},
	"endTimeUnspecified": {read: (*builder).readEndOpen},
	"recurrence":         {read: (*builder).readRecurrence},
	"organizer":          {read: (*builder).readOrganizer},
	"attendees":          {read: (*builder).readAttendees},
	"transparency":       {read: (*builder).readTransparency},
	"sequence":           {read: (*builder).readSequence},
	"hangoutLink":        {read: (*builder).readHangoutLink},
	"conferenceData":     {read: (*builder).readConference},
})

func numbered(fields map[string]field) map[string]field {
	n := 0
	for name, f := range fields {
		f.bit = 1 << n
		fields[name] = f
		n++
	}
	return fields
}

// member reads one field of the item; what has no column is one of the other properties.
func (b *builder) member(name string) {
	b.field = name
	begin := b.dec.InputOffset()
	f := columns[name]
	taken := false
	switch {
	case b.broken:
	case f.read == nil:
		b.value()
	case b.seen&f.bit != 0:
		if b.value(); !b.broken {
			b.note("", "stands twice")
		}
	default:
		if taken = f.read(b); taken {
			b.seen |= f.bit
		}
	}
	if b.broken {
		return
	}
	v := b.since(begin)
	switch {
	case !taken:
		b.other(name, v)
	case name == "end":
		b.endValue = v
	case name == "originalStartTime":
		b.originalValue = v
	}
}

// other keeps a field that has no column: a string as itself, anything else as compact JSON.
func (b *builder) other(name, v string) {
	if v[0] == '"' {
		b.keep(name, unquote(v))
	} else {
		b.keep(name, compact(v))
	}
}

func (b *builder) keep(name, v string) {
	if !b.charge(64 + len(name) + len(v)) {
		b.add(cut(name) + ": left out, too long")
		return
	}
	if b.row.OtherProperties == nil {
		b.row.OtherProperties = make([]connector.Property, 0, 6)
	}
	b.row.OtherProperties = append(b.row.OtherProperties, connector.Property{Name: name, Parameters: none, Value: v})
}

// none is the parameters of a property: JSON has none.
var none = map[string]string{}

// ptr returns a pointer to s; the first ones cost no allocation.
func (b *builder) ptr(s string) *string {
	var p *string
	if b.used < len(b.slots) {
		p = &b.slots[b.used]
		b.used++
	} else {
		p = new(string)
	}
	*p = s
	return p
}

// opt is ptr, but nil for "".
func (b *builder) opt(s string) *string {
	if s == "" {
		return nil
	}
	return b.ptr(s)
}

// column reads a string into its column.
func (b *builder) column(to **string) bool {
	s, f := b.readString("")
	if f == given {
		*to = b.ptr(s)
	}
	return f != wrong
}

// id reads a string that outlives the event: it is no part of the item's text, which would be kept with it.
func (b *builder) id(to *string) bool {
	s, f := b.readString("")
	if f == given {
		*to = strings.Clone(s)
	}
	return f != wrong
}

// readKind reads the type of the resource, which the column component says.
func (b *builder) readKind() bool {
	s, f := b.readString("")
	return f == given && s == "calendar#event"
}

func (b *builder) readSequence() bool {
	if b.dec.PeekKind() != '0' {
		return b.mismatch("", "a number") == null
	}
	v := b.value()
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 0 {
		b.note("", "not a sequence number: "+cut(v))
		return false
	}
	b.row.Sequence = int(n)
	return true
}

var yes, no = true, false

func (b *builder) readTransparency() bool {
	s, f := b.readString("")
	if f != given {
		return f == null
	}
	b.row.Busy = &yes
	if s == "transparent" {
		b.row.Busy = &no
	}
	return s == "transparent" || s == "opaque"
}

func (b *builder) readRecurrence() bool {
	f := b.enter("", list)
	for f == given && b.element() {
		if s, f := b.readString(""); f == given {
			b.row.Recurrence = append(b.row.Recurrence, s)
		}
	}
	return f != wrong
}
