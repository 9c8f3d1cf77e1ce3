package rows

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/api/calendar/v3"

	"github.com/calcdc/calcdc/sources/ical"
)

// TestAlike: one event as Google's API lists it and as Google exports it as iCalendar gives rows that say the same.
func TestAlike(t *testing.T) {
	cases := []struct{ name, item, lines string }{
		{"meeting", `"start":{"dateTime":"2026-06-02T04:00:00-04:00","timeZone":"Europe/Berlin"},"end":{"dateTime":"2026-06-02T05:00:00-04:00","timeZone":"Europe/Berlin"},
			"status":"tentative","visibility":"private","sequence":3,"description":"Line\nline, two","location":"Room 4; second floor","recurrence":["RRULE:FREQ=WEEKLY;BYDAY=TU"],
			"created":"2026-05-01T08:00:00.000Z","updated":"2026-06-01T08:00:00.000Z","organizer":{"email":"alice@example.org","displayName":"Alice"},
			"attendees":[{"email":"bob@example.org","displayName":"Bob, jr.","responseStatus":"needsAction"},{"email":"c@example.org","optional":true,"responseStatus":"declined"}]`,
			"DTSTART;TZID=Europe/Berlin:20260602T100000|DTEND;TZID=Europe/Berlin:20260602T110000|STATUS:TENTATIVE|CLASS:PRIVATE|SEQUENCE:3|DESCRIPTION:Line\\nline\\, two|" +
				"LOCATION:Room 4\\; second floor|RRULE:FREQ=WEEKLY;BYDAY=TU|CREATED:20260501T080000Z|LAST-MODIFIED:20260601T080000Z|ORGANIZER;CN=Alice:mailto:alice@example.org|" +
				"ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;CN=\"Bob, jr.\":mailto:bob@example.org|ATTENDEE;ROLE=OPT-PARTICIPANT;PARTSTAT=DECLINED:mailto:c@example.org"},
		{"all-day", `"start":{"date":"2026-06-02"},"end":{"date":"2026-06-04"},"transparency":"transparent","status":"confirmed"`,
			"DTSTART;VALUE=DATE:20260602|DTEND;VALUE=DATE:20260604|TRANSP:TRANSPARENT|STATUS:CONFIRMED"},
		{"UTC", `"start":{"dateTime":"2026-06-02T10:00:00Z"},"end":{"dateTime":"2026-06-02T11:00:00Z"},"transparency":"opaque"`,
			"DTSTART:20260602T100000Z|DTEND:20260602T110000Z|TRANSP:OPAQUE"},
		{"no end", `"start":{"dateTime":"2026-06-02T10:00:00Z"},"end":{"dateTime":"2026-06-02T11:00:00Z"},"endTimeUnspecified":true`, "DTSTART:20260602T100000Z"},
		{"no end of a day", `"start":{"date":"2026-06-02"}`, "DTSTART;VALUE=DATE:20260602"},
		{"ambiguous", `"start":{"dateTime":"2026-10-25T02:30:00","timeZone":"Europe/Berlin"},"end":{"dateTime":"2026-10-25T02:45:00","timeZone":"Europe/Berlin"}`,
			"DTSTART;TZID=Europe/Berlin:20261025T023000|DTEND;TZID=Europe/Berlin:20261025T024500"},
		{"passed over", `"start":{"dateTime":"2026-03-29T02:30:00","timeZone":"Europe/Berlin"},"end":{"dateTime":"2026-03-29T04:00:00","timeZone":"Europe/Berlin"}`,
			"DTSTART;TZID=Europe/Berlin:20260329T023000|DTEND;TZID=Europe/Berlin:20260329T040000"},
		{"exception", `"recurringEventId":"a","originalStartTime":{"dateTime":"2026-06-02T10:00:00+02:00","timeZone":"Europe/Berlin"},"status":"cancelled",
			"start":{"dateTime":"2026-06-02T10:00:00+02:00","timeZone":"Europe/Berlin"},"end":{"dateTime":"2026-06-02T11:00:00+02:00","timeZone":"Europe/Berlin"}`,
			"RECURRENCE-ID;TZID=Europe/Berlin:20260602T100000|STATUS:CANCELLED|DTSTART;TZID=Europe/Berlin:20260602T100000|DTEND;TZID=Europe/Berlin:20260602T110000"},
		{"exception of a day", `"recurringEventId":"a","originalStartTime":{"date":"2026-06-02"},"start":{"date":"2026-06-03"},"end":{"date":"2026-06-04"}`,
			"RECURRENCE-ID;VALUE=DATE:20260602|DTSTART;VALUE=DATE:20260603|DTEND;VALUE=DATE:20260604"},
	}
	for _, c := range cases {
		got, fault := event(t, `{"id":"a","kind":"calendar#event","summary":"Planning","iCalUID":"u@google.com",`+c.item+`}`)
		if fault != "" {
			t.Errorf("%s: %s", c.name, fault)
		}
		body := "BEGIN:VCALENDAR|VERSION:2.0|BEGIN:VEVENT|UID:u@google.com|SUMMARY:Planning|" + c.lines + "|END:VEVENT|END:VCALENDAR|"
		rows := ical.Rows(ical.Object{Source: stream.Source, Account: stream.Account, Collection: stream.Collection, Name: "a", Components: []string{"VEVENT"}},
			[]byte(strings.ReplaceAll(body, "|", "\r\n")))
		if len(rows) != 1 {
			t.Fatalf("%s: %d rows", c.name, len(rows))
		}
		want := fields(t, rows[0])
		delete(got, "id")
		delete(want, "id")
		delete(got, "other_properties")
		delete(want, "other_properties")
		for k := range want {
			if !reflect.DeepEqual(got[k], want[k]) {
				t.Errorf("%s: %s is %v of Google's item, %v of its iCalendar", c.name, k, got[k], want[k])
			}
		}
	}
}

// TestTyped compares rows with what Google's own client reads, of items made at random.
func TestTyped(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	words := []string{"", "word", "Grüße 🎉", `"quoted" \ back`, "line\nnext", "<b>&amp;</b>", "\u2028"}
	word := func() string { return words[rnd.IntN(len(words))] }
	for range 400 {
		e := calendar.Event{Id: fmt.Sprint("a", rnd.IntN(100)), Etag: word(), Status: word(), Summary: word(), Description: word(), Location: word(), ICalUID: word(),
			EventType: word(), HtmlLink: word(), HangoutLink: word(), Visibility: word(), Sequence: rnd.Int64N(5), ColorId: word(), Locked: rnd.IntN(2) == 0}
		for range rnd.IntN(4) {
			e.Attendees = append(e.Attendees, &calendar.EventAttendee{Email: word(), DisplayName: word(), ResponseStatus: word(), Optional: rnd.IntN(2) == 0, Comment: word()})
		}
		for range rnd.IntN(3) {
			e.Recurrence = append(e.Recurrence, word())
		}
		item, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		if rnd.IntN(2) == 0 {
			if item, err = json.MarshalIndent(&e, "\t", "  "); err != nil {
				t.Fatal(err)
			}
		}
		got := ParseEvent(item)
		if got.ParseError != "" {
			t.Fatalf("%s: %s", item, got.ParseError)
		}
		row := fields(t, got.Row(stream, Options{}))
		for column, want := range map[string]string{
			"id": e.Id, "etag": e.Etag, "status": e.Status, "summary": e.Summary, "description": e.Description, "location": e.Location, "uid": e.ICalUID,
			"event_type": e.EventType, "url": e.HtmlLink, "conference_url": e.HangoutLink, "visibility": e.Visibility,
		} {
			if s, _ := row[column].(string); s != want {
				t.Errorf("%s: %s is %q, want %q", item, column, s, want)
			}
		}
		checkLists(t, row, &e)
	}
}

func checkLists(t *testing.T, row map[string]any, e *calendar.Event) {
	t.Helper()
	attendees, recurrence := row["attendees"].([]any), row["recurrence"].([]any)
	if len(attendees) != len(e.Attendees) || len(recurrence) != len(e.Recurrence) || row["sequence"] != float64(e.Sequence) {
		t.Fatalf("%d attendees of %d, %d lines of %d, sequence %v of %d", len(attendees), len(e.Attendees), len(recurrence), len(e.Recurrence), row["sequence"], e.Sequence)
	}
	for i, a := range e.Attendees {
		m := attendees[i].(map[string]any)
		for column, want := range map[string]string{"email": a.Email, "name": a.DisplayName, "response": a.ResponseStatus} {
			if s, _ := m[column].(string); s != want {
				t.Errorf("attendee's %s is %q, want %q", column, s, want)
			}
		}
		if (m["role"] == "opt-participant") != a.Optional {
			t.Errorf("attendee's role is %v, optional %t", m["role"], a.Optional)
		}
	}
	for i, line := range e.Recurrence {
		if recurrence[i] != line {
			t.Errorf("recurrence has %v, want %q", recurrence[i], line)
		}
	}
}
