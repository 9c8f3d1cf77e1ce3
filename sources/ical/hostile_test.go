package ical

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// calendarOf wraps lines in a VCALENDAR.
func calendarOf(lines ...string) []byte {
	return []byte("BEGIN:VCALENDAR\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VCALENDAR\r\n")
}

func eventOf(lines ...string) string {
	return "BEGIN:VEVENT\r\nDTSTART:20260602T100000Z\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VEVENT"
}

// times4M repeats s to about 4 MiB.
func times4M(s string) string { return strings.Repeat(s, 4<<20/len(s)) }

// TestHostile bounds the time and memory that crafted bodies of some MiB take, and asks for a parse_error that tells
// what was left out.
func TestHostile(t *testing.T) {
	zones := func(rule string) []byte {
		var b strings.Builder
		for i := range 200 {
			fmt.Fprintf(&b, "BEGIN:VTIMEZONE\r\nTZID:Z%d\r\n", i)
			b.WriteString(strings.Repeat("BEGIN:STANDARD\r\nDTSTART:16010101T000000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0123\r\nRRULE:"+rule+"\r\nEND:STANDARD\r\n", 50))
			b.WriteString("END:VTIMEZONE\r\n")
		}
		for i := range 200 {
			fmt.Fprintf(&b, "BEGIN:VEVENT\r\nRECURRENCE-ID;TZID=Z%d:20260101T000000\r\nDTSTART:20260602T100000Z\r\nEND:VEVENT\r\n", i)
		}
		return calendarOf(strings.TrimSuffix(b.String(), "\r\n"))
	}
	cases := []struct {
		name string
		body []byte
		want string // in the first row's parse_error
	}{
		{"one endless line", []byte("BEGIN:VCALENDAR\r\n" + times4M("x")), "no colon"},
		{"an endless property", calendarOf(eventOf("DESCRIPTION:" + times4M("x"))), "4194316 bytes, left out"},
		{"endless folds", calendarOf(eventOf("DESCRIPTION:x" + times4M("\r\n x"))), "bytes, left out"},
		{"blank folds", calendarOf(eventOf("DESCRIPTION:x" + times4M("\r\n "))), ""},
		{"blank lines", calendarOf(eventOf(times4M("\r\n"))), ""},
		{"many properties", calendarOf(eventOf(times4M("X-A:1\r\n") + "X-B:1")), "properties left out"},
		{"many attendees", calendarOf(eventOf(times4M("ATTENDEE;CN=x:mailto:a@b\r\n") + "X-B:1")), "properties left out"},
		{"many parameters", calendarOf(eventOf("X-A" + strings.Repeat(";A=1", 60_000) + ":1")), "too many parameters"},
		{"a parameter of many values", calendarOf(eventOf("X-A;A=" + strings.Repeat(`"a",`, 60_000) + "b:1")), ""},
		{"quotes", calendarOf(eventOf("X-A;A=" + strings.Repeat(`"`, 200_000) + ":1")), ""},
		{"an unterminated quote", calendarOf(eventOf(times4M("X-A;A=\"\r\n") + "X-B:1")), "more"},
		{"deep nesting", []byte("BEGIN:VCALENDAR\r\n" + times4M("BEGIN:X\r\n")), "END:X is missing"},
		{"deep nesting, closed", []byte("BEGIN:VCALENDAR\r\n" + strings.Repeat("BEGIN:X\r\n", 200_000) + strings.Repeat("END:X\r\n", 200_000) + "END:VCALENDAR"), ""},
		{"calendars", []byte(times4M("BEGIN:VCALENDAR\r\n")), "END:VCALENDAR is missing"},
		{"ends", calendarOf(eventOf() + times4M("\r\nEND:VEVENT")), "without its BEGIN"},
		{"many components", calendarOf(times4M("BEGIN:VEVENT\r\nEND:VEVENT\r\n")), "more than 20000"},
		{"many overrides", calendarOf(manyOverrides(30_000)), "10000 components left out"},
		{"a body too large", calendarOf(strings.Repeat("X-A:1\r\n", MaxBody/7+1)), "more than are read"},
		{"bare colons", calendarOf(eventOf("DESCRIPTION:" + strings.Repeat("://", 80_000))), ""},
		{"links", calendarOf(eventOf("DESCRIPTION:" + strings.Repeat("https://a/", 25_000))), ""},
		{"backslashes", calendarOf(eventOf("DESCRIPTION:" + strings.Repeat(`\`, 250_000))), ""},
		{"commas", calendarOf(eventOf("CATEGORIES:" + strings.Repeat(",", 250_000))), ""},
		{"a long TZID", calendarOf(eventOf("RECURRENCE-ID;TZID=" + strings.Repeat("/a", 100_000) + ":20260101T000000")), "time zone"},
		{"a rule every second", calendarOf(eventOf("RRULE:FREQ=SECONDLY")), ""},
		{"zones by the second", zones("FREQ=SECONDLY"), ""},
		{"zones with empty rules", zones("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), ""},
		{"zones that change daily", zones("FREQ=YEARLY;BYMONTH=1,2,3,4,5,6,7,8,9,10,11,12;BYDAY=MO,TU,WE,TH,FR,SA,SU"), ""},
		{"zones with rare rules", zones("FREQ=YEARLY;INTERVAL=9999;COUNT=9999999"), ""},
		{"zones on odd days", zones("FREQ=YEARLY;BYYEARDAY=366;BYDAY=53MO;BYSETPOS=366"), ""},
		{"many RDATEs", calendarOf("BEGIN:VTIMEZONE", "TZID:Z", "BEGIN:STANDARD", "DTSTART:19700101T000000", "TZOFFSETFROM:+0100", "TZOFFSETTO:+0123",
			"RDATE:"+strings.Repeat("20200101T000000,", 15_000)+"20210101T000000", "END:STANDARD", "END:VTIMEZONE", eventOf("RECURRENCE-ID;TZID=Z:20260101T000000")), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			rows := Rows(object("a.ics"), c.body)
			spent := time.Since(begin)
			runtime.ReadMemStats(&after)
			t.Logf("%d bytes: %s, %d MiB allocated, %d rows", len(c.body), spent, (after.TotalAlloc-before.TotalAlloc)>>20, len(rows))
			if spent > 10*time.Second {
				t.Errorf("took %s for %d bytes", spent, len(c.body))
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 512<<20 {
				t.Errorf("allocated %d MiB for %d bytes", got>>20, len(c.body))
			}
			if c.want == "" {
				return
			}
			if len(rows) == 0 {
				t.Fatal("no row")
			}
			for _, r := range rows {
				if len(r.JSON) > 8<<20 {
					t.Errorf("row %s has %d bytes", r.ID, len(r.JSON))
				}
			}
			if why, _ := fields(t, rows[0])["parse_error"].(string); !strings.Contains(why, c.want) || len(why) > 4096 {
				t.Errorf("parse_error is %.4096q, want %q in it", why, c.want)
			}
		})
	}
}

func manyOverrides(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "BEGIN:VEVENT\r\nRECURRENCE-ID:2026%02d%02dT%02d%02d%02dZ\r\nDTSTART:20260602T100000Z\r\nEND:VEVENT\r\n", 1+i%12, 1+i/12%28, i/336%24, i/8064%60, 0)
	}
	return strings.TrimSuffix(b.String(), "\r\n")
}
