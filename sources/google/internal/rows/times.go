package rows

import (
	"time"

	"github.com/calcdc/calcdc/connector"
)

// dateTime is a start or end as it is sent: a day, or a time with an offset, a zone or both.
type dateTime struct {
	date, dateTime, timeZone string
}

func (d *dateTime) given() bool { return d.date != "" || d.dateTime != "" }

// isDay says that it is a day and no time.
func (d *dateTime) isDay() bool { return d.dateTime == "" && d.date != "" }

// readTime reads start, end or originalStartTime; false where it says neither day nor time.
func (b *builder) readTime(to *dateTime) bool {
	var d dateTime
	f := b.readObject("", func(member string) {
		switch member {
		case "date":
			b.into(member, &d.date)
		case "dateTime":
			b.into(member, &d.dateTime)
		case "timeZone":
			b.into(member, &d.timeZone)
		default:
			b.value()
		}
	})
	if f != given {
		return f == null
	}
	if d.date != "" {
		if _, err := time.Parse(time.DateOnly, d.date); err != nil {
			b.note("date", "not a day: "+shown(d.date))
			d.date = ""
		}
	}
	if d.dateTime != "" {
		if _, _, ok := parseTime(d.dateTime); !ok {
			b.note("dateTime", "not a time: "+shown(d.dateTime))
			d.dateTime = ""
		}
	}
	*to = d
	return d.given()
}

// readEndOpen reads whether the end is given for form's sake only.
func (b *builder) readEndOpen() bool {
	b.flag("", &b.endOpen)
	return false
}

const (
	wallForm  = "2006-01-02T15:04:05"
	utcForm   = "2006-01-02T15:04:05Z"
	basicForm = "20060102T150405Z"
	basicDay  = "20060102"
)

// parseTime reads a time with its offset from UTC, or without: then floating, and t is the wall time as if it were UTC.
func parseTime(s string) (t time.Time, floating, ok bool) {
	t, err := time.Parse(time.RFC3339, s)
	if err == nil {
		return t, false, true
	}
	t, err = time.Parse(wallForm, s)
	return t, true, err == nil
}

// isBasic tells a day or a UTC time as ids have them.
func isBasic(s string) bool {
	form := basicForm
	if len(s) == len(basicDay) {
		form = basicDay
	}
	if len(s) != len(form) {
		return false
	}
	_, err := time.Parse(form, s)
	return err == nil
}

// moment is a dateTime understood: the instant in its zone, or a wall time of no known instant.
type moment struct {
	t        time.Time // in its zone, or with its offset
	floating bool      // t is the wall time, as if it were UTC
	tz       string
}

// moment resolves the time. A wall time that occurs twice in its zone is the first, one that is passed over takes the offset from
// before the gap (RFC 5545 3.3.5).
func (d *dateTime) moment() moment {
	t, floating, _ := parseTime(d.dateTime)
	m := moment{t: t, floating: floating, tz: d.timeZone}
	loc := zone(d.timeZone)
	switch {
	case loc == nil && m.tz == "" && d.dateTime[len(d.dateTime)-1] == 'Z':
		m.tz = "UTC"
	case loc == nil:
	case floating:
		m.t, m.floating = inZone(t, loc), false
	default:
		m.t = t.In(loc)
	}
	return m
}

// inZone is the instant of a wall time, given as if it were UTC.
func inZone(wall time.Time, loc *time.Location) time.Time {
	offset := func(t time.Time) time.Duration {
		_, seconds := t.In(loc).Zone()
		return time.Duration(seconds) * time.Second
	}
	before, after := offset(wall.Add(-24*time.Hour)), offset(wall.Add(24*time.Hour))
	t := wall.Add(-before)
	if offset(t) != before && offset(wall.Add(-after)) == after {
		t = wall.Add(-after)
	}
	return t.In(loc)
}

// originalStart is which occurrence the event stands for, as its row names it; "" where that is not told.
func (b *builder) originalStart() string {
	d := &b.original
	switch {
	case !d.given():
		return ""
	case d.isDay():
		return d.date[0:4] + d.date[5:7] + d.date[8:10]
	}
	m := d.moment()
	if m.floating {
		return m.t.Format(basicForm[:len(basicForm)-1])
	}
	return m.t.UTC().Format(basicForm)
}

// times fills the columns of start and end. An end that is not given, or for form's sake only, is the implied one
// (RFC 5545 3.6.1).
func (b *builder) times() {
	if b.row.Kind != connector.Override && b.originalValue != "" {
		b.other("originalStartTime", b.originalValue)
	}
	if !b.start.given() {
		b.row.AllDay = b.end.isDay()
	} else {
		b.row.AllDay = b.start.isDay()
		if b.end.given() && b.end.isDay() != b.start.isDay() {
			b.add("one of start and end is a day, the other a time")
		}
	}
	end := b.end
	if b.start.given() && (b.endOpen || !end.given()) {
		if b.endValue != "" {
			b.other("end", b.endValue)
		}
		end = b.start.implied()
	}
	b.fill(&b.row.StartUTC, &b.row.StartLocal, &b.row.StartTZ, &b.start)
	b.fill(&b.row.EndUTC, &b.row.EndLocal, &b.row.EndTZ, &end)
}

// implied is the end of an event that begins at d.
func (d *dateTime) implied() dateTime {
	if !d.isDay() {
		return *d
	}
	day, _ := time.Parse(time.DateOnly, d.date)
	return dateTime{date: day.AddDate(0, 0, 1).Format(time.DateOnly)}
}

// fill writes a time into its three columns.
func (b *builder) fill(utc, local, tz **string, d *dateTime) {
	switch {
	case !d.given():
		return
	case d.isDay():
		*local = b.ptr(d.date)
		return
	}
	m := d.moment()
	*tz, *local = b.opt(m.tz), b.date(m.t, wallForm)
	if m.floating {
		b.add("a time without an offset or a zone that is known: " + shown(d.dateTime))
		return
	}
	*utc = b.date(m.t.UTC(), utcForm)
}

// date writes a time, nil where its year has not four digits.
func (b *builder) date(t time.Time, form string) *string {
	if y := t.Year(); y < 0 || y > 9999 {
		b.add("a time beyond the years 0 to 9999")
		return nil
	}
	return b.ptr(t.Format(form))
}

// stamp reads a time of the server's own, to the millisecond.
func (b *builder) stamp(column **string, ms *int64) bool {
	s, f := b.readString("")
	if f != given {
		return f == null
	}
	t, floating, ok := parseTime(s)
	if !ok || floating {
		b.note("", "not a time: "+shown(s))
		return false
	}
	t = t.UTC()
	form := utcForm
	if t.Nanosecond() >= int(time.Millisecond) {
		form = "2006-01-02T15:04:05.000Z"
	}
	*column = b.date(t, form)
	if ms != nil {
		*ms = t.UnixMilli()
	}
	return *column != nil
}
