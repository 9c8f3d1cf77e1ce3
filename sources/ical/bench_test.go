package ical

import (
	"fmt"
	"strings"
	"testing"

	goical "github.com/emersion/go-ical"
)

// typical is an event of about 1 KiB as a groupware server sends it.
func typical() []byte {
	lines := []string{
		"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Example//Groupware 4.2//EN", "CALSCALE:GREGORIAN",
		"BEGIN:VTIMEZONE", "TZID:Europe/Berlin",
		"BEGIN:DAYLIGHT", "DTSTART:19810329T020000", "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU", "TZOFFSETFROM:+0100", "TZOFFSETTO:+0200", "END:DAYLIGHT",
		"BEGIN:STANDARD", "DTSTART:19961027T030000", "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU", "TZOFFSETFROM:+0200", "TZOFFSETTO:+0100", "END:STANDARD",
		"END:VTIMEZONE",
		"BEGIN:VEVENT", "UID:4c3f5e0a-9d51-4c0f-a2f1-7f1f4a0f0001@example.org", "DTSTAMP:20260601T080000Z", "CREATED:20260501T080000Z",
		"LAST-MODIFIED:20260601T080000Z", "SEQUENCE:2", "DTSTART;TZID=Europe/Berlin:20260602T100000", "DTEND;TZID=Europe/Berlin:20260602T110000",
		"SUMMARY:Planning of the next release", "LOCATION:Room 4\\, second floor", "STATUS:CONFIRMED", "TRANSP:OPAQUE",
		"DESCRIPTION:Bring the list of open questions and the figures of last month. We ",
		"  begin on time.\\nAgenda: budget\\, hiring\\, the new office.",
		"ORGANIZER;CN=Alice Example:mailto:alice@example.org",
		"ATTENDEE;CN=Bob Example;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED:mailto:bob@example.org",
		"END:VEVENT", "END:VCALENDAR", "",
	}
	return []byte(strings.Join(lines, "\r\n"))
}

// series is a master with n overrides.
func series(n int) []byte {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:s\r\nDTSTART;TZID=Europe/Berlin:20100101T100000\r\nRRULE:FREQ=DAILY\r\nSUMMARY:Daily\r\nEND:VEVENT\r\n")
	for i := range n {
		day := fmt.Sprintf("%04d%02d%02d", 2010+i/336, 1+i/28%12, 1+i%28)
		b.WriteString("BEGIN:VEVENT\r\nUID:s\r\nRECURRENCE-ID;TZID=Europe/Berlin:" + day + "T100000\r\nDTSTART;TZID=Europe/Berlin:" + day +
			"T113000\r\nDURATION:PT1H\r\nSUMMARY:Daily\\, later\r\nSEQUENCE:1\r\nEND:VEVENT\r\n")
	}
	b.WriteString("END:VCALENDAR\r\n")
	return []byte(b.String())
}

func BenchmarkRows(b *testing.B) {
	cases := []struct {
		name string
		body []byte
	}{
		{"event", typical()}, {"overrides=50", series(50)}, {"overrides=500", series(500)}, {"overrides=5000", series(5000)},
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				rows += len(Rows(object("a.ics"), c.body))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
		})
	}
}

// BenchmarkParse is the part of Rows before its rows are made, and go-ical's decoder on the same text.
func BenchmarkParse(b *testing.B) {
	body := string(typical())
	b.Run("calcdc", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			parse(body, []string{"VEVENT"})
		}
	})
	b.Run("go-ical", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := goical.NewDecoder(strings.NewReader(body)).Decode(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestLinear: memory a row does not grow with the number of overrides.
func TestLinear(t *testing.T) {
	allocs := func(n int) float64 {
		body := series(n)
		if got := len(Rows(object("a.ics"), body)); got != n+1 {
			t.Errorf("%d rows of %d overrides", got, n)
		}
		return testing.AllocsPerRun(3, func() { Rows(object("a.ics"), body) }) / float64(n)
	}
	if few, many := allocs(50), allocs(5000); many > few+1 {
		t.Errorf("%.1f allocations a row of 50, %.1f of 5,000", few, many)
	}
}

// BenchmarkEncode is the part of Rows that writes and hashes a row.
func BenchmarkEncode(b *testing.B) {
	body := typical()
	o := object("a.ics")
	r := reader{object: &o, name: o.Name}
	cal := parse(string(body), o.Components)
	e := r.events(&cal)[0]
	setRaw(&o, e, body, string(body))
	b.ReportAllocs()
	for b.Loop() {
		e.row.Row(0)
	}
}
