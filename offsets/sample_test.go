package offsets

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/calcdc/calcdc/connector"
)

// words are what the made-up events of the tests consist of.
var words = strings.Fields(`planning review budget quarter sync weekly team release customer interview travel
	dentist school pickup roadmap incident retrospective lunch birthday flight hotel contract legal design onboarding
	with about before after from the and for please bring notes agenda follow up open questions decisions owner next steps
	Müller Østergård résumé naïve Straße 会议 Besprechung Rechnung Angebot Lieferung Termin Ausschuss Protokoll`)

func text(r *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String()
}

func ptr[T any](v T) *T { return &v }

// sampleEvent is a made-up event of about 1 KiB of iCalendar, whose row is about 2.5 KB of JSON.
func sampleEvent(i int) *connector.Event {
	r := rand.New(rand.NewPCG(uint64(i), 7))
	uid := fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64N(1<<48))
	day, hour := 1+r.IntN(28), 7+r.IntN(11)
	month := 1 + r.IntN(12)
	summary, loc, desc := text(r, 20+r.IntN(25)), text(r, 15), text(r, 150+r.IntN(300))
	names := []string{"alice", "bob", "carol", "dave", "erin", "frank"}
	var raw strings.Builder
	fmt.Fprintf(&raw, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Mozilla.org/NONSGML Mozilla Calendar V1.1//EN\r\nBEGIN:VEVENT\r\nUID:%s\r\n", uid)
	fmt.Fprintf(&raw, "DTSTAMP:2026%02d%02dT%02d%02d%02dZ\r\nSUMMARY:%s\r\nLOCATION:%s\r\nDESCRIPTION:%s\r\n", month, day, hour, r.IntN(60), r.IntN(60), summary, loc, desc)
	fmt.Fprintf(&raw, "DTSTART;TZID=Europe/Berlin:2026%02d%02dT%02d0000\r\nDTEND;TZID=Europe/Berlin:2026%02d%02dT%02d0000\r\n", month, day, hour, month, day, hour+1)
	fmt.Fprintf(&raw, "ORGANIZER;CN=Alice Example:mailto:alice@example.org\r\n")
	var attendees []connector.Attendee
	for range 1 + r.IntN(4) {
		n := names[r.IntN(len(names))]
		fmt.Fprintf(&raw, "ATTENDEE;CN=%s;PARTSTAT=ACCEPTED;ROLE=REQ-PARTICIPANT:mailto:%s@example.org\r\n", n, n)
		attendees = append(attendees, connector.Attendee{Email: ptr(n + "@example.org"), Name: ptr(n), Role: ptr("req-participant"), Response: ptr("accepted")})
	}
	raw.WriteString("SEQUENCE:1\r\nSTATUS:CONFIRMED\r\nTRANSP:OPAQUE\r\nCATEGORIES:Work\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
	return buildEvent(uid, raw.String(), summary, loc, desc, month, day, hour, attendees)
}

func buildEvent(uid, raw, summary, loc, desc string, month, day, hour int, attendees []connector.Attendee) *connector.Event {
	e := &connector.Event{}
	date := fmt.Sprintf("2026-%02d-%02dT", month, day)
	e.Source, e.Account, e.Collection, e.ID, e.UID = "work", "alice", "/alice/work/", uid, ptr(uid)
	e.Kind, e.Component, e.Status, e.Busy, e.Sequence = connector.Single, ptr("VEVENT"), ptr("confirmed"), ptr(true), 1
	e.Summary, e.Location, e.Description = ptr(summary), ptr(loc), ptr(desc)
	e.StartUTC, e.StartLocal, e.StartTZ = ptr(fmt.Sprintf("%s%02d:00:00Z", date, hour-1)), ptr(fmt.Sprintf("%s%02d:00:00", date, hour)), ptr("Europe/Berlin")
	e.EndUTC, e.EndLocal, e.EndTZ = ptr(fmt.Sprintf("%s%02d:00:00Z", date, hour)), ptr(fmt.Sprintf("%s%02d:00:00", date, hour+1)), ptr("Europe/Berlin")
	e.OrganizerEmail, e.OrganizerName, e.Attendees = ptr("alice@example.org"), ptr("Alice Example"), attendees
	e.UpdatedAt, e.Categories = e.StartUTC, []string{"Work"}
	e.ETag, e.Href = ptr(`"`+uid[:8]+`-1"`), ptr("/alice/work/"+uid+".ics")
	e.Raw, e.RawType = ptr(raw), ptr("text/calendar")
	return e
}

// sampleRow is the row of sampleEvent.
func sampleRow(i int) connector.Row { return sampleEvent(i).Row(0) }
