package rows

import (
	"time"

	"github.com/calcdc/calcdc/connector"
)

// form tells the kinds of start and end apart.
type form int

const (
	date     form = iota + 1 // a day, of no zone
	floating                 // a wall time of no known instant
	instant
)

// moment is a start or end. The zero value is none.
type moment struct {
	form  form
	day   string    // of a date: 2026-06-02
	t     time.Time // of an instant
	local time.Time // whose clock shows the wall time
	tz    string    // as sent; an instant written with Z and without a zone is UTC's
}

func (m *moment) given() bool { return m.form != 0 }

func (m *moment) isDay() bool { return m.form == date }

// readTime reads start, end or originalStartTime; false where it says neither day nor time.
func (b *builder) readTime(to *moment) bool {
	var day, clock, tz string
	f := b.enter("", object)
	for f == given && b.more() {
		switch member := b.name(); member {
		case "date":
			b.into(member, &day)
		case "dateTime":
			b.into(member, &clock)
		case "timeZone":
			b.into(member, &tz)
		default:
			b.value()
		}
	}
	switch {
	case f != given || b.broken:
		return f == null
	case clock != "" && b.clock(to, clock, tz):
		return true
	case day == "" && clock == "":
		b.note("", "neither a day nor a time")
		return false
	case day == "":
		return false
	}
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		b.note("date", "not a day: "+cut(day))
		return false
	}
	*to = moment{form: date, day: day}
	return true
}

// clock understands a dateTime in a zone. A wall time that occurs twice in its zone is the first, one that is passed over takes the
// offset from before the gap (RFC 5545 3.3.5).
func (b *builder) clock(to *moment, s, tz string) bool {
	t, f := parseTime(s)
	if f == 0 {
		b.note("dateTime", "not a time: "+cut(s))
		return false
	}
	m := moment{form: f, t: t, local: t, tz: tz}
	loc := zone(tz)
	switch {
	case loc != nil && f == floating:
		m.t, m.form = inZone(t, loc), instant
	case loc != nil:
		m.local = t.In(loc)
	case f == floating:
		b.note("dateTime", "neither an offset nor a zone that is known: "+cut(s))
	case tz == "" && s[len(s)-1] == 'Z':
		m.tz = "UTC"
	}
	if !writable(m.local) || !writable(m.t.UTC()) {
		b.note("dateTime", "beyond the years 0 to 9999: "+cut(s))
		return false
	}
	*to = m
	return true
}

// writable says that a time's year has four digits.
func writable(t time.Time) bool { return t.Year() >= 0 && t.Year() <= 9999 }

// parseTime reads a time with its offset from UTC or without; the form is 0 where s is none.
func parseTime(s string) (time.Time, form) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, instant
	}
	if t, err := time.Parse(wall, s); err == nil {
		return t, floating
	}
	return time.Time{}, 0
}

// inZone is the instant of a wall time, given as if it were UTC.
func inZone(wall time.Time, loc *time.Location) time.Time {
	const day = 24 * time.Hour
	before, after := offset(wall.Add(-day), loc), offset(wall.Add(day), loc)
	t := wall.Add(-before)
	if offset(t, loc) != before && offset(wall.Add(-after), loc) == after {
		t = wall.Add(-after)
	}
	return t
}

func offset(t time.Time, loc *time.Location) time.Duration {
	_, seconds := t.In(loc).Zone()
	return time.Duration(seconds) * time.Second
}

// readEndOpen reads whether the end is given for form's sake only.
func (b *builder) readEndOpen() bool {
	b.flag("", &b.endOpen)
	return false
}

// The forms of an occurrence in ids and in recurrence_id.
const (
	basicDay = "20060102"
	basic    = "20060102T150405"
	basicUTC = "20060102T150405Z"
)

// occurrence writes the moment as its row's recurrence_id names it, "" for none.
func (m *moment) occurrence() string {
	switch m.form {
	case date:
		return m.day[0:4] + m.day[5:7] + m.day[8:10]
	case floating:
		return m.local.Format(basic)
	case instant:
		return m.t.UTC().Format(basicUTC)
	}
	return ""
}

// isOccurrence tells a day or a UTC time as ids have them.
func isOccurrence(s string) bool {
	form := basicUTC
	if len(s) == len(basicDay) {
		form = basicDay
	}
	if len(s) != len(form) {
		return false
	}
	_, err := time.Parse(form, s)
	return err == nil
}

// times fills the columns of start and end. An end that is not given, or for form's sake only, is the implied one
// (RFC 5545 3.6.1).
func (b *builder) times() {
	if b.row.Kind != connector.Override && b.originalValue != "" {
		b.other("originalStartTime", b.originalValue)
	}
	end := b.end
	if b.start.given() && (b.endOpen || !end.given()) {
		if b.endValue != "" {
			b.other("end", b.endValue)
		}
		end = b.start.implied()
	}
	b.row.AllDay = b.start.isDay() || !b.start.given() && end.isDay()
	if b.start.given() && end.isDay() != b.start.isDay() {
		b.add("one of start and end is a day, the other a time")
	}
	b.fill(&b.row.StartUTC, &b.row.StartLocal, &b.row.StartTZ, &b.start)
	b.fill(&b.row.EndUTC, &b.row.EndLocal, &b.row.EndTZ, &end)
}

// implied is the end of an event that begins at m.
func (m *moment) implied() moment {
	if !m.isDay() {
		return *m
	}
	day, _ := time.Parse(time.DateOnly, m.day)
	if day = day.AddDate(0, 0, 1); !writable(day) {
		return *m
	}
	return moment{form: date, day: day.Format(time.DateOnly)}
}

// fill writes a moment into its three columns.
func (b *builder) fill(utc, local, tz **string, m *moment) {
	switch {
	case !m.given():
		return
	case m.isDay():
		*local = b.ptr(m.day)
		return
	}
	var buf [40]byte
	*tz, *local = b.opt(m.tz), b.ptr(string(m.local.AppendFormat(buf[:0], time.RFC3339)[:len(wall)]))
	if m.form == instant {
		*utc = b.ptr(rfc3339(m.t))
	}
}

const wall = "2006-01-02T15:04:05"

// rfc3339 writes a time in UTC, to the second.
func rfc3339(t time.Time) string {
	var buf [40]byte
	return string(append(t.UTC().AppendFormat(buf[:0], time.RFC3339)[:len(wall)], 'Z'))
}

// stamp reads a time of the server's own, to the millisecond; ms is that since 1970.
func (b *builder) stamp(column **string, ms *int64) bool {
	s, f := b.readString("")
	if f != given {
		return f == null
	}
	t, form := parseTime(s)
	if form != instant || !writable(t.UTC()) {
		b.note("", "not a time: "+cut(s))
		return false
	}
	if t.Nanosecond() < int(time.Millisecond) {
		*column = b.ptr(rfc3339(t))
	} else {
		*column = b.ptr(t.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	if ms != nil {
		*ms = t.UnixMilli()
	}
	return true
}
