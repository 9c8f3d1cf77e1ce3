package ical

import (
	"strconv"
	"strings"

	goical "github.com/emersion/go-ical"

	"github.com/calcdc/calcdc/connector"
)

// Properties that go-ical has no name for.
const propExceptionRule = "EXRULE" // RFC 2445

// builder makes an event of a component.
type builder struct {
	*event
	zones *zones
	comp  *component

	start, end, due when
	duration        *property
	conference      conference
}

// event reads a component. Of a property that may stand once the first that can be read counts; the others, and
// those that cannot be read, go to other_properties.
func (r *reader) event(c *component) *event {
	b := builder{event: r.bare(), zones: &r.zones, comp: c}
	b.notes = c.notes
	b.row.Component = &c.name
	for i := range c.props {
		if p := &c.props[i]; !b.take(p) {
			b.other(p)
		}
	}
	b.times()
	b.kind(r.name)
	b.row.ConferenceURL = b.opt(b.conference.find(&b.row))
	if c.name == goical.CompEvent && b.row.Busy == nil {
		b.row.Busy = &yes
	}
	return b.event
}

var yes, no = true, false

// take puts a property into its column; false where it has none, or the column is taken.
func (b *builder) take(p *property) bool {
	switch p.name {
	case goical.PropUID:
		return b.text(&b.row.UID, p)
	case goical.PropSummary:
		return b.text(&b.row.Summary, p)
	case goical.PropDescription:
		return b.text(&b.row.Description, p)
	case goical.PropLocation:
		return b.text(&b.row.Location, p)
	case goical.PropURL:
		return b.set(&b.row.URL, clean(p.value))
	case goical.PropStatus:
		return b.set(&b.row.Status, word(p.value))
	case goical.PropClass:
		return b.set(&b.row.Visibility, word(p.value))
	case goical.PropTransparency:
		return b.transparency(p)
	case goical.PropCategories:
		b.row.Categories = appendList(b.row.Categories, p.value)
		return true
	case goical.PropOrganizer:
		return b.organizer(p)
	case goical.PropAttendee:
		b.row.Attendees = append(b.row.Attendees, b.attendee(p))
		return true
	case goical.PropSequence, goical.PropPriority, goical.PropPercentComplete:
		return b.number(p)
	case goical.PropRecurrenceRule, goical.PropRecurrenceDates, goical.PropExceptionDates, propExceptionRule:
		b.row.Recurrence = append(b.row.Recurrence, clean(recurrenceLine(p)))
		return true
	}
	return b.takeTime(p) || b.conference.take(p)
}

// set fills a column that is empty.
func (b *builder) set(column **string, s string) bool {
	if *column != nil {
		return false
	}
	*column = b.ptr(s)
	return true
}

// text fills a column with a TEXT value.
func (b *builder) text(column **string, p *property) bool { return b.set(column, text(p.value)) }

func (b *builder) transparency(p *property) bool {
	if b.row.Busy != nil || b.comp.name != goical.CompEvent {
		return false
	}
	b.row.Busy = &yes
	if strings.EqualFold(strings.TrimSpace(p.value), "TRANSPARENT") {
		b.row.Busy = &no
	}
	return true
}

// number reads SEQUENCE, PRIORITY and PERCENT-COMPLETE.
func (b *builder) number(p *property) bool {
	n, err := strconv.ParseInt(strings.TrimSpace(p.value), 10, 32)
	if err != nil || n < 0 {
		b.notes.add(p.number, p.name+": not a number: "+shown(p.value))
		return false
	}
	v := int(n)
	switch {
	case p.name == goical.PropSequence:
		b.row.Sequence = v
	case p.name == goical.PropPriority && b.row.Priority == nil:
		b.row.Priority = &v
	case p.name == goical.PropPercentComplete && b.row.PercentComplete == nil:
		b.row.PercentComplete = &v
	default:
		return false
	}
	return true
}

// recurrenceLine is the property as Google has it: as written, with its name in upper case.
func recurrenceLine(p *property) string {
	if strings.HasPrefix(p.line, p.name) {
		return p.line
	}
	return p.name + p.line[len(p.name):]
}

// kind tells a master from an override and completes the id. A series' other rows may make a single one a series.
func (b *builder) kind(name string) {
	switch {
	case b.row.RecurrenceID != nil:
		b.row.Kind = connector.Override
		b.row.SeriesID = b.ptr(name)
		b.row.ID = name + "#" + *b.row.RecurrenceID
	case recurs(b.row.Recurrence):
		b.row.Kind = connector.Series
	}
}

func recurs(lines []string) bool {
	for _, line := range lines {
		if line[0] == 'R' { // RRULE, RDATE
			return true
		}
	}
	return false
}

// none is the parameters of a property without any.
var none = map[string]string{}

// other keeps a property that has no column.
func (b *builder) other(p *property) {
	params := none
	if len(p.params) > 0 {
		params = make(map[string]string, len(p.params))
		for _, one := range p.params {
			params[one.name] = clean(one.value)
		}
	}
	b.row.OtherProperties = append(b.row.OtherProperties, connector.Property{Name: p.name, Parameters: params, Value: clean(p.value)})
}
