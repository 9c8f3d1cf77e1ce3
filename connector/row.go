package connector

import "bytes"

// RowVersion counts changes of the rows' form between releases.
const RowVersion = 1

// Row is one calendar object as consumers see it, encoded.
type Row struct {
	ID        string
	ETag      string
	ChangedMs int64  // when the calendar says that it changed, ms since 1970; 0 where it does not say
	JSON      []byte // the object that stands as before and after
	Hash      Hash   // of JSON without its etag
}

// Event is a row of an events stream; field order is the contract's. Nil is null; lists are never null.
type Event struct {
	eventHead
	ETag *string
	eventTail
}

type eventHead struct {
	Source          string     `json:"source"`
	Account         string     `json:"account"`
	Collection      string     `json:"collection"`
	ID              string     `json:"id"`
	UID             *string    `json:"uid"`
	Kind            EventKind  `json:"kind"`
	SeriesID        *string    `json:"series_id"`     // id of the series' master row, on its overrides
	RecurrenceID    *string    `json:"recurrence_id"` // as in the id, on overrides
	Component       *string    `json:"component"`     // VEVENT, VTODO
	Status          *string    `json:"status"`
	Summary         *string    `json:"summary"`
	Description     *string    `json:"description"`
	Location        *string    `json:"location"`
	AllDay          bool       `json:"all_day"`
	StartUTC        *string    `json:"start_utc"`   // RFC 3339 with Z
	StartLocal      *string    `json:"start_local"` // 2026-06-02T10:00:00, or 2026-06-02
	StartTZ         *string    `json:"start_tz"`    // IANA name where it can be resolved
	EndUTC          *string    `json:"end_utc"`
	EndLocal        *string    `json:"end_local"`
	EndTZ           *string    `json:"end_tz"`
	DueUTC          *string    `json:"due_utc"`
	CompletedUTC    *string    `json:"completed_utc"`
	PercentComplete *int       `json:"percent_complete"`
	Priority        *int       `json:"priority"`
	Recurrence      []string   `json:"recurrence"` // unfolded property lines
	OrganizerEmail  *string    `json:"organizer_email"`
	OrganizerName   *string    `json:"organizer_name"`
	Attendees       []Attendee `json:"attendees"`
	Visibility      *string    `json:"visibility"`
	Busy            *bool      `json:"busy"`
	Sequence        int        `json:"sequence"`
	CreatedAt       *string    `json:"created_at"` // RFC 3339 with Z
	UpdatedAt       *string    `json:"updated_at"` // RFC 3339 with Z
	URL             *string    `json:"url"`
	ConferenceURL   *string    `json:"conference_url"`
	Categories      []string   `json:"categories"`
	EventType       *string    `json:"event_type"`
}

type eventTail struct {
	Href            *string    `json:"href"`
	OtherProperties []Property `json:"other_properties"`
	Raw             *string    `json:"raw"`
	RawType         *string    `json:"raw_type"`
	ParseError      *string    `json:"parse_error"`
}

// EventKind tells a row that stands alone from the master and the overrides of a series.
type EventKind string

// The kinds of events row.
const (
	Single   EventKind = "single"
	Series   EventKind = "series"
	Override EventKind = "override"
)

// Attendee is one of an event's attendees; words are Google's, in lower case as iCalendar allows them.
type Attendee struct {
	Email    *string `json:"email"`
	Name     *string `json:"name"`
	Role     *string `json:"role"`
	Type     *string `json:"type"`
	Response *string `json:"response"`
}

// Property is a property that has no column of its own.
type Property struct {
	Name       string            `json:"name"`
	Parameters map[string]string `json:"parameters"` // several values of one parameter are joined with commas
	Value      string            `json:"value"`
}

// Row encodes the event, hashing all but the etag: rows are compared without it. changedMs as in Row.
func (e *Event) Row(changedMs int64) Row {
	b, headEnd, tailStart := e.encode(make([]byte, 0, e.size()))
	row := Row{ID: e.ID, ChangedMs: changedMs, JSON: b, Hash: HashOf(b[:headEnd], b[tailStart:])}
	if e.ETag != nil {
		row.ETag = *e.ETag
	}
	return row
}

// Calendar is a row of a calendars stream: one collection.
type Calendar struct {
	Source      string   `json:"source"`
	Account     string   `json:"account"`
	Collection  string   `json:"collection"`
	Name        *string  `json:"name"`
	Description *string  `json:"description"`
	Color       *string  `json:"color"`
	Timezone    *string  `json:"timezone"`
	AccessRole  *string  `json:"access_role"` // owner, writer, reader, freeBusyReader
	Primary     bool     `json:"primary"`
	Components  []string `json:"components"`
	Sync        string   `json:"sync"` // how it is followed: sync-collection, ctag, etag; Google: sync-token, updated-min, full
	Href        *string  `json:"href"`
	Raw         *string  `json:"raw"`
}

// Row encodes the calendar; its id is the collection.
func (c *Calendar) Row() Row {
	if c.Components == nil {
		c.Components = []string{}
	}
	b := appendJSON(nil, c)
	return Row{ID: c.Collection, JSON: b, Hash: HashOf(b)}
}

// Rule is a row of an acl stream: one rule of a collection's access control list.
type Rule struct {
	Source     string  `json:"source"`
	Account    string  `json:"account"`
	Collection string  `json:"collection"`
	ID         string  `json:"id"`
	Role       *string `json:"role"`       // none, freeBusyReader, reader, writer, owner
	ScopeType  *string `json:"scope_type"` // default, user, group, domain
	ScopeValue *string `json:"scope_value"`
	Raw        *string `json:"raw"`
}

// Row encodes the rule.
func (r *Rule) Row() Row {
	b := appendJSON(nil, r)
	return Row{ID: r.ID, JSON: b, Hash: HashOf(b)}
}

// Setting is a row of a settings stream: one of the account's preferences.
type Setting struct {
	Source  string  `json:"source"`
	Account string  `json:"account"`
	ID      string  `json:"id"`
	Value   *string `json:"value"`
	Raw     *string `json:"raw"`
}

// Row encodes the setting.
func (s *Setting) Row() Row {
	b := appendJSON(nil, s)
	return Row{ID: s.ID, JSON: b, Hash: HashOf(b)}
}

// KeptRow is the row of a kind that JSON, as it was published, stands for.
func KeptRow(k Kind, id string, json []byte) Row {
	row := Row{ID: id, JSON: json, Hash: HashOf(json)}
	if k != Events {
		return row
	}
	// What comes before the etag is ours: no key in it, however deep, is the same.
	head, rest, _ := bytes.Cut(json, []byte(`,"etag":`))
	tail := bytes.IndexByte(rest, ',')
	if len(rest) > 0 && rest[0] == '"' {
		tail = 1 + closingQuote(rest[1:]) + 1
	}
	if tail <= 0 || tail >= len(rest) {
		return row
	}
	row.Hash = HashOf(head, rest[tail+1:])
	return row
}

// closingQuote is where a JSON string ends, of which b is the rest.
func closingQuote(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(b)
}
