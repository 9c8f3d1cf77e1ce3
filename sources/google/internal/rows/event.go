package rows

import (
	"slices"
	"strings"

	"github.com/calcdc/calcdc/connector"
)

// Event is one item of events.list. Fields that the item does not have are "".
type Event struct {
	ID               string
	ETag             string
	Status           string // confirmed, tentative, cancelled
	RecurringEventID string // as sent; see SeriesID
	ICalUID          string
	EventType        string // default, outOfOffice, focusTime, workingLocation, birthday, fromGmail
	ParseError       string // what could not be read

	row       connector.Event // without what Row adds
	changedMs int64
	sent      string
}

// Cancelled says that the event is a tombstone or, where SeriesID is set, a cancelled instance of a series.
func (e *Event) Cancelled() bool { return e.Status == "cancelled" }

// SeriesID is the id of the series that the event is an exception of: its recurringEventId or, of a cancelled event that has
// none, the series that its id names. "" where it stands alone.
func (e *Event) SeriesID() string {
	if e.row.SeriesID == nil {
		return ""
	}
	return *e.row.SeriesID
}

// Instance tells the series and the original start of an instance by an id of the form {series}_{yyyymmdd} or
// {series}_{yyyymmddThhmmssZ}; false where the id has another form.
func (e *Event) Instance() (series, start string, ok bool) { return instance(e.ID) }

func instance(id string) (series, start string, ok bool) {
	i := strings.LastIndexByte(id, '_')
	if i < 1 || !isOccurrence(id[i+1:]) {
		return "", "", false
	}
	return id[:i], id[i+1:], true
}

// Row is the event's row in a stream.
func (e *Event) Row(s connector.Stream, o Options) connector.Row {
	row := e.row
	row.Source, row.Account, row.Collection = s.Source, s.Account, s.Collection
	row.Raw, row.RawType = o.raw(e.sent)
	return row.Row(e.changedMs)
}

// builder makes an Event of an item.
type builder struct {
	Event
	reader
	seen  uint64 // bits of the fields that have been read
	slots [24]string
	used  int

	start, end, original moment
	endOpen              bool // endTimeUnspecified
	endValue             string
	originalValue        string
	hangoutLink          string
	video                string // the conference's video entry point
}

// ParseEvent reads one item of events.list. It never fails: what cannot be read is left out, and ParseError and the row's
// parse_error say so. Of a field that stands twice the first that can be read counts.
func ParseEvent(item []byte) *Event {
	b := &builder{}
	for ok := b.begin(item); ok && b.more(); {
		b.member(b.name())
	}
	b.finish()
	return &b.Event
}

var component = "VEVENT"

// finish fills the columns that depend on several fields.
func (b *builder) finish() {
	b.field = ""
	b.row.Component = &component
	b.kind()
	b.times()
	b.conference()
	if b.row.Busy == nil && b.start.given() {
		b.row.Busy = &yes // Google leaves out what is the default
	}
	slices.SortStableFunc(b.row.OtherProperties, func(x, y connector.Property) int { return strings.Compare(x.Name, y.Name) })
	b.row.ID, b.row.ETag = b.ID, b.opt(b.ETag)
	b.Status, b.ICalUID, b.EventType = deref(b.row.Status), deref(b.row.UID), deref(b.row.EventType)
	b.sent, b.ParseError = b.text, b.reader.end(b.ID)
	b.row.ParseError = b.opt(b.ParseError)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// kind tells a series from its exceptions and from an event that stands alone. A tombstone may name its series in its id only.
func (b *builder) kind() {
	series, start, ok := instance(b.ID)
	b.row.Kind = connector.Single
	switch {
	case b.RecurringEventID != "":
		b.row.SeriesID = &b.RecurringEventID
	case ok && deref(b.row.Status) == "cancelled" && len(b.row.Recurrence) == 0:
		b.row.SeriesID = &series
	case len(b.row.Recurrence) > 0:
		b.row.Kind = connector.Series
	}
	if b.row.SeriesID == nil {
		return
	}
	b.row.Kind = connector.Override
	b.row.RecurrenceID = b.opt(b.original.occurrence())
	if b.row.RecurrenceID == nil {
		b.row.RecurrenceID = b.opt(start)
	}
	if b.row.RecurrenceID == nil {
		b.add("nothing says which occurrence of its series this is")
	}
}
