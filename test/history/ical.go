package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// berlin is the zone of timed events, as clients send it.
const berlin = `BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:DAYLIGHT
DTSTART:19810329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
TZNAME:CEST
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
BEGIN:STANDARD
DTSTART:19961027T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
TZNAME:CET
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
END:VTIMEZONE
`

// text is the resource as iCalendar.
func (r *resource) text() string {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//calcdc//test//EN\n")
	if !r.allDay && r.kind == "VEVENT" {
		b.WriteString(berlin)
	}
	r.component(&b, "", 0, r.summary)
	for _, day := range slices.Sorted(maps.Keys(r.overrides)) {
		id := fmt.Sprintf("RECURRENCE-ID;TZID=Europe/Berlin:202606%02dT100000\n", day)
		if r.allDay {
			id = fmt.Sprintf("RECURRENCE-ID;VALUE=DATE:202606%02d\n", day)
		}
		r.component(&b, id, day, r.overrides[day])
	}
	b.WriteString("END:VCALENDAR\n")
	return strings.ReplaceAll(b.String(), "\n", "\r\n")
}

// component writes the master (day 0) or the override of a day.
func (r *resource) component(b *strings.Builder, recurrenceID string, day int, summary string) {
	fmt.Fprintf(b, "BEGIN:%s\nUID:%s\nDTSTAMP:20260101T000000Z\nSEQUENCE:%d\nSUMMARY:%s\n", r.kind, r.uid, r.sequence,
		strings.NewReplacer(",", `\,`, ";", `\;`).Replace(summary))
	b.WriteString(recurrenceID)
	day = max(day, 1)
	switch {
	case r.kind == "VTODO":
		b.WriteString("DUE:20260620T100000Z\n")
	case r.allDay:
		fmt.Fprintf(b, "DTSTART;VALUE=DATE:202606%02d\nDTEND;VALUE=DATE:202606%02d\n", day, day+1)
	default:
		fmt.Fprintf(b, "DTSTART;TZID=Europe/Berlin:202606%02dT100000\nDTEND;TZID=Europe/Berlin:202606%02dT110000\n", day, day)
	}
	if r.repeats && recurrenceID == "" {
		b.WriteString("RRULE:FREQ=DAILY;COUNT=10\n")
	}
	fmt.Fprintf(b, "END:%s\n", r.kind)
}
