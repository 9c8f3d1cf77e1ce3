package rows

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/api/calendar/v3"

	"github.com/calcdc/calcdc/connector"
)

// typical is an event of about 1.5 KB as Google sends it.
var typical = []byte(`{"kind":"calendar#event","etag":"\"3562345678901000\"","id":"4q7v1n3s8k2m5t9b0c6d","status":"confirmed",` +
	`"htmlLink":"https://www.google.com/calendar/event?eid=NHE3djFuM3M4azJtNXQ5YjBjNmQgYWxpY2VAZXhhbXBsZS5vcmc","created":"2026-05-01T08:00:00.000Z",` +
	`"updated":"2026-06-01T08:00:00.123Z","summary":"Planning of the next release","description":"Bring the list of open questions and the figures of last ` +
	`month. We begin on time.\nAgenda: budget, hiring, the new office.","location":"Room 4, second floor","creator":{"email":"alice@example.org","self":true},` +
	`"organizer":{"email":"alice@example.org","displayName":"Alice Example","self":true},"start":{"dateTime":"2026-06-02T10:00:00+02:00","timeZone":"Europe/Berlin"},` +
	`"end":{"dateTime":"2026-06-02T11:00:00+02:00","timeZone":"Europe/Berlin"},"recurrence":["RRULE:FREQ=WEEKLY;BYDAY=TU"],"iCalUID":"4q7v1n3s8k2m5t9b0c6d@google.com",` +
	`"sequence":2,"attendees":[{"email":"bob@example.org","displayName":"Bob Example","responseStatus":"accepted"},{"email":"alice@example.org","organizer":true,` +
	`"self":true,"responseStatus":"accepted"},{"email":"room4@resource.calendar.google.com","displayName":"Room 4","resource":true,"responseStatus":"accepted"}],` +
	`"hangoutLink":"https://meet.google.com/abc-defg-hij","conferenceData":{"entryPoints":[{"entryPointType":"video","uri":"https://meet.google.com/abc-defg-hij",` +
	`"label":"meet.google.com/abc-defg-hij"}],"conferenceSolution":{"key":{"type":"hangoutsMeet"},"name":"Google Meet"},"conferenceId":"abc-defg-hij"},` +
	`"guestsCanModify":true,"reminders":{"useDefault":true},"eventType":"default"}`)

var stream = connector.Stream{Source: "team", Account: "alice@example.org", Collection: "alice@example.org", Kind: connector.Events}

func BenchmarkEvent(b *testing.B) {
	b.SetBytes(int64(len(typical)))
	b.ReportAllocs()
	for b.Loop() {
		ParseEvent(typical).Row(stream, Options{Raw: true, MaxRaw: 1 << 20})
	}
}

// BenchmarkParse is the part of BenchmarkEvent before the row is encoded.
func BenchmarkParse(b *testing.B) {
	b.SetBytes(int64(len(typical)))
	b.ReportAllocs()
	for b.Loop() {
		ParseEvent(typical)
	}
}

// BenchmarkTokens is the floor: jsontext going through the item's tokens.
func BenchmarkTokens(b *testing.B) {
	var d jsontext.Decoder
	b.SetBytes(int64(len(typical)))
	for b.Loop() {
		d.Reset(bytes.NewBuffer(typical), lenient...)
		for {
			if _, err := d.ReadToken(); err != nil {
				break
			}
		}
	}
}

// BenchmarkTyped is what Google's client does with an item.
func BenchmarkTyped(b *testing.B) {
	b.SetBytes(int64(len(typical)))
	for b.Loop() {
		var e calendar.Event
		if err := json.Unmarshal(typical, &e); err != nil {
			b.Fatal(err)
		}
	}
}
