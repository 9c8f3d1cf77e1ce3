package ical

import "time"

// form tells the kinds of DATE and DATE-TIME apart (RFC 5545 3.3.4, 3.3.5).
type form int

const (
	date     form = iota + 1 // a day, of no zone
	floating                 // wall time of no zone
	instant                  // UTC
	zoned                    // wall time with a TZID
)

// when is a DATE or a DATE-TIME. The zero value is none.
type when struct {
	form form
	wall int64 // the wall time as if it were UTC, seconds since 1970
	utc  int64 // seconds since 1970, where known
	has  bool  // utc is known
	tz   string
	zone *tz // of a zoned one, nil where unknown
}

const day = 24 * 60 * 60

// The years that RFC 3339 and iCalendar can write.
var (
	firstSecond = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastSecond  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// parseWhen reads the form YYYYMMDD or YYYYMMDDTHHMMSS, with or without Z. A leap second is the one before it.
func parseWhen(s string) (when, bool) {
	if len(s) != 8 && len(s) != 15 && (len(s) != 16 || s[15] != 'Z') {
		return when{}, false
	}
	y, mo, d := digits(s[0:4]), digits(s[4:6]), digits(s[6:8])
	if y < 0 || mo < 1 || mo > 12 || d < 1 || d > daysIn(y, mo) {
		return when{}, false
	}
	if len(s) == 8 {
		return when{form: date, wall: unix(y, mo, d, 0, 0, 0)}, true
	}
	h, mi, sec := digits(s[9:11]), digits(s[11:13]), digits(s[13:15])
	if s[8] != 'T' || h < 0 || h > 23 || mi < 0 || mi > 59 || sec < 0 || sec > 60 {
		return when{}, false
	}
	w := when{form: floating, wall: unix(y, mo, d, h, mi, min(sec, 59))}
	if len(s) == 16 {
		w.form, w.utc, w.has, w.tz = instant, w.wall, true, "UTC"
	}
	return w, true
}

func unix(y, mo, d, h, mi, s int) int64 {
	return time.Date(y, time.Month(mo), d, h, mi, s, 0, time.UTC).Unix()
}

// digits is the number that s writes, -1 where it is none.
func digits(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

func daysIn(y, mo int) int {
	switch mo {
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// in places a floating time in a zone that the text calls name; z is nil where the zone is not known.
func (w when) in(z *tz, name string) when {
	w.form, w.zone, w.tz = zoned, z, name
	if z != nil {
		var o offsets
		o, w.tz = z.near(w.wall)
		w.utc, w.has = toUTC(o, w.wall), true
	}
	return w
}

// style says how a time is written.
type style struct {
	dash, t, colon, z string
	day               bool // without the clock
}

var (
	localDay   = style{dash: "-", day: true}
	localTime  = style{dash: "-", t: "T", colon: ":"}
	rfc3339    = style{dash: "-", t: "T", colon: ":", z: "Z"}
	basicDay   = style{day: true}
	basicLocal = style{t: "T"}
	basicUTC   = style{t: "T", z: "Z"}
)

// local writes the wall time, or the day; "" where its year has not four digits.
func (w when) local() string {
	if w.form == date {
		return write(w.wall, &localDay)
	}
	return write(w.wall, &localTime)
}

// instant writes the time in UTC as RFC 3339 has it, "" where it is not known.
func (w when) instant() string {
	if !w.has {
		return ""
	}
	return write(w.utc, &rfc3339)
}

// basic writes the time as a RECURRENCE-ID names its row: in UTC where it has an instant.
func (w when) basic() string {
	switch {
	case w.form == date:
		return write(w.wall, &basicDay)
	case w.has:
		return write(w.utc, &basicUTC)
	}
	return write(w.wall, &basicLocal)
}

// write writes seconds since 1970, "" where the year has not four digits.
func write(sec int64, s *style) string {
	if sec < firstSecond || sec > lastSecond {
		return ""
	}
	t := time.Unix(sec, 0).UTC()
	y, mo, d := t.Date()
	var buf [24]byte
	b := two(two(buf[:0], y/100), y%100)
	b = two(append(b, s.dash...), int(mo))
	b = two(append(b, s.dash...), d)
	if s.day {
		return string(b)
	}
	h, mi, sc := t.Clock()
	b = two(append(b, s.t...), h)
	b = two(append(b, s.colon...), mi)
	b = two(append(b, s.colon...), sc)
	return string(append(b, s.z...))
}

func two(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// duration is a DURATION (RFC 5545 3.3.6): days are nominal, seconds exact.
type duration struct {
	days    int64
	seconds int64
}

// parseDuration reads a DURATION; each number has at most 9 digits.
func parseDuration(s string) (duration, bool) {
	sign := int64(1)
	if s != "" && (s[0] == '-' || s[0] == '+') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	if len(s) < 2 || s[0] != 'P' {
		return duration{}, false
	}
	var d duration
	clock := false
	for s = s[1:]; s != ""; {
		if s[0] == 'T' && !clock {
			clock, s = true, s[1:]
		}
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		if n == 0 || n > 9 || n == len(s) || !d.add(sign*int64(digits(s[:n])), s[n], clock) {
			return duration{}, false
		}
		s = s[n+1:]
	}
	return d, true
}

// add adds n units; false where there is no such unit.
func (d *duration) add(n int64, unit byte, clock bool) bool {
	switch {
	case unit == 'W' && !clock:
		d.days += 7 * n
	case unit == 'D' && !clock:
		d.days += n
	case unit == 'H' && clock:
		d.seconds += 3600 * n
	case unit == 'M' && clock:
		d.seconds += 60 * n
	case unit == 'S' && clock:
		d.seconds += n
	default:
		return false
	}
	return max(d.days, -d.days) < maxDays && max(d.seconds, -d.seconds) < maxDays*day
}

// maxDays is longer than all years that can be written.
const maxDays = 1 << 23

// plus adds a duration: days on the calendar first, then exact time (RFC 5545 3.3.6). A day takes whole days only.
func (w when) plus(d duration) when {
	w.wall += d.days * day
	if w.form == date {
		w.wall += d.seconds / day * day
		return w
	}
	if w.form == zoned && w.zone != nil {
		if d.days != 0 {
			w.utc = w.zone.utc(w.wall)
		}
		if d.seconds != 0 {
			w.utc += d.seconds
			o, _ := w.zone.near(w.wall)
			w.wall = w.utc + int64(o.at(w.utc))
		}
		return w
	}
	w.wall += d.seconds
	w.utc += d.days*day + d.seconds
	return w
}
