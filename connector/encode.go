package connector

import (
	"slices"
	"strconv"
	"unicode/utf8"
)

// Events are written by hand: it is what a snapshot spends most of its time on, and takes a third of what
// encoding/json does. TestEventEncoding holds the two to the same bytes.

// encode appends e as a JSON object and returns where its head ends and its tail begins, between which stands the etag.
func (e *Event) encode(b []byte) (out []byte, headEnd, tailStart int) {
	w := rowWriter{b: append(b, '{')}
	e.writeHead(&w)
	headEnd = len(w.b)
	w.opt("etag", e.ETag)
	w.b = append(w.b, ',')
	tailStart = len(w.b)
	e.writeTail(&w)
	return append(w.b, '}'), headEnd, tailStart
}

// size is about what e takes as JSON.
func (e *Event) size() int {
	n := 1216 + 160*len(e.Attendees) + 96*len(e.OtherProperties)
	for _, s := range []*string{e.Raw, e.Description, e.Summary, e.Location} {
		if s != nil {
			n += len(*s) + len(*s)/12
		}
	}
	return n
}

func (e *Event) writeHead(w *rowWriter) {
	w.text("source", e.Source)
	w.text("account", e.Account)
	w.text("collection", e.Collection)
	w.text("id", e.ID)
	w.opt("uid", e.UID)
	w.text("kind", string(e.Kind))
	w.opt("series_id", e.SeriesID)
	w.opt("recurrence_id", e.RecurrenceID)
	w.opt("component", e.Component)
	w.opt("status", e.Status)
	w.opt("summary", e.Summary)
	w.opt("description", e.Description)
	w.opt("location", e.Location)
	w.truth("all_day", &e.AllDay)
	w.opt("start_utc", e.StartUTC)
	w.opt("start_local", e.StartLocal)
	w.opt("start_tz", e.StartTZ)
	w.opt("end_utc", e.EndUTC)
	w.opt("end_local", e.EndLocal)
	w.opt("end_tz", e.EndTZ)
	w.opt("due_utc", e.DueUTC)
	w.opt("completed_utc", e.CompletedUTC)
	w.number("percent_complete", e.PercentComplete)
	w.number("priority", e.Priority)
	w.list("recurrence", e.Recurrence)
	w.opt("organizer_email", e.OrganizerEmail)
	w.opt("organizer_name", e.OrganizerName)
	w.attendees("attendees", e.Attendees)
	w.opt("visibility", e.Visibility)
	w.truth("busy", e.Busy)
	w.number("sequence", &e.Sequence)
	w.opt("created_at", e.CreatedAt)
	w.opt("updated_at", e.UpdatedAt)
	w.opt("url", e.URL)
	w.opt("conference_url", e.ConferenceURL)
	w.list("categories", e.Categories)
	w.opt("event_type", e.EventType)
}

func (e *Event) writeTail(w *rowWriter) {
	w.opt("href", e.Href)
	w.properties("other_properties", e.OtherProperties)
	w.opt("raw", e.Raw)
	w.opt("raw_type", e.RawType)
	w.opt("parse_error", e.ParseError)
}

// rowWriter appends the fields of an object; nil is null, a nil list is empty.
type rowWriter struct{ b []byte }

func (w *rowWriter) name(name string) {
	if last := w.b[len(w.b)-1]; last != '{' && last != ',' {
		w.b = append(w.b, ',')
	}
	w.b = append(append(append(w.b, '"'), name...), '"', ':')
}

func (w *rowWriter) text(name, s string) {
	w.name(name)
	w.b = appendString(w.b, s)
}

func (w *rowWriter) opt(name string, s *string) {
	if s != nil {
		w.text(name, *s)
		return
	}
	w.name(name)
	w.b = append(w.b, "null"...)
}

func (w *rowWriter) truth(name string, v *bool) {
	w.name(name)
	if v == nil {
		w.b = append(w.b, "null"...)
		return
	}
	w.b = strconv.AppendBool(w.b, *v)
}

func (w *rowWriter) number(name string, v *int) {
	w.name(name)
	if v == nil {
		w.b = append(w.b, "null"...)
		return
	}
	w.b = strconv.AppendInt(w.b, int64(*v), 10)
}

func (w *rowWriter) list(name string, list []string) {
	w.name(name)
	w.b = append(w.b, '[')
	for i, s := range list {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = appendString(w.b, s)
	}
	w.b = append(w.b, ']')
}

func (w *rowWriter) attendees(name string, list []Attendee) {
	w.name(name)
	w.b = append(w.b, '[')
	for i := range list {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		a := &list[i]
		w.b = append(w.b, '{')
		w.opt("email", a.Email)
		w.opt("name", a.Name)
		w.opt("role", a.Role)
		w.opt("type", a.Type)
		w.opt("response", a.Response)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

func (w *rowWriter) properties(name string, list []Property) {
	w.name(name)
	w.b = append(w.b, '[')
	for i := range list {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		p := &list[i]
		w.b = append(w.b, '{')
		w.text("name", p.Name)
		w.parameters("parameters", p.Parameters)
		w.text("value", p.Value)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

// parameters writes a map in the order of its names.
func (w *rowWriter) parameters(name string, m map[string]string) {
	w.name(name)
	if m == nil {
		w.b = append(w.b, "null"...)
		return
	}
	w.b = append(w.b, '{')
	names := make([]string, 0, 8)
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	for i, k := range names {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(appendString(w.b, k), ':')
		w.b = appendString(w.b, m[k])
	}
	w.b = append(w.b, '}')
}

// plain marks the bytes that stand in a JSON string as they are: ASCII but for controls, quote and backslash.
var plain = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendString appends s as a JSON string in the form of encoding/json without its escaping for HTML: what is not
// UTF-8 is U+FFFD, and U+2028 and U+2029 are escaped.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		if s[i] < utf8.RuneSelf {
			b = appendEscaped(append(b, s[start:i]...), s[i])
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(append(b, s[start:i]...), `\ufffd`...)
			start = i + n
		case r == '\u2028' || r == '\u2029':
			b = append(append(b, s[start:i]...), `\u202`...)
			b = append(b, "0123456789abcdef"[r&15])
			start = i + n
		}
		i += n
	}
	return append(append(b, s[start:]...), '"')
}

// appendEscaped appends an ASCII character that a JSON string cannot hold as it is.
func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
