package davserver

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// SampleName is the name under which SampleEvent(seed, i) is best stored.
func SampleName(seed uint64, i int) string { return sampleUID(seed, i) + ".ics" }

func sampleUID(seed uint64, i int) string {
	r := rand.New(rand.NewPCG(seed, ^uint64(i)))
	return fmt.Sprintf("%08X-%04X-4%03X-A%03X-%012X", r.Uint32(), r.Uint32()&0xffff, r.Uint32()&0xfff, r.Uint32()&0xfff, i)
}

// berlin is a time zone as clients send it along.
const berlin = "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\n" +
	"BEGIN:DAYLIGHT\r\nTZNAME:CEST\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nDTSTART:19810329T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\n" +
	"BEGIN:STANDARD\r\nTZNAME:CET\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nDTSTART:19961027T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\n" +
	"END:VTIMEZONE\r\n"

var (
	samplePeople = []string{"Ada Novak", "Björn Åkesson", "Chen Wei", "Dana Okafor", "Elif Kaya", "Farid Haddad", "Greta Lindqvist", "Hugo Martín"}
	sampleTopics = []string{"Budget review", "Design crit: onboarding", "1:1", "Sprint planning", "Café Müller, lunch", "Dentist", "Release retrospective", "Interview & debrief"}
	samplePlaces = []string{"Room 4.12, North wing", "https://meet.example.org/j/8417", "Café Müller", "Phone", "Room Grace Hopper"}
)

// SampleEvent is an iCalendar object of about 1 KiB, as a client would have stored it: a meeting with people and an
// alarm, now and then one of a series, one with an override, or one that lasts all day. The same arguments always
// give the same bytes.
func SampleEvent(seed uint64, i int) []byte {
	r := rand.New(rand.NewPCG(seed, uint64(i)))
	start := time.Date(2026, 1, 5, 7, 0, 0, 0, time.UTC).AddDate(0, 0, r.IntN(500)).Add(time.Duration(r.IntN(40)) * 15 * time.Minute)
	var b strings.Builder
	b.Grow(1500)
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//calcdc//sample//EN\r\nCALSCALE:GREGORIAN\r\n")
	kind := r.IntN(20)
	allDay := kind == 0
	if !allDay {
		b.WriteString(berlin)
	}
	summary := pick(r, sampleTopics)
	event := sampleEvent{uid: sampleUID(seed, i), summary: summary, start: start, allDay: allDay}
	if kind == 1 || kind == 2 {
		event.rrule = "FREQ=WEEKLY;COUNT=12"
	}
	event.write(&b, r)
	if kind == 2 {
		moved := sampleEvent{uid: event.uid, summary: summary + " (moved)", start: start.AddDate(0, 0, 7).Add(time.Hour), of: start.AddDate(0, 0, 7)}
		moved.write(&b, r)
	}
	b.WriteString("END:VCALENDAR\r\n")
	return []byte(b.String())
}

type sampleEvent struct {
	uid, summary, rrule string
	start               time.Time
	of                  time.Time // the instance that it overrides
	allDay              bool
}

func (e sampleEvent) write(b *strings.Builder, r *rand.Rand) {
	const local, day, utc = "20060102T150405", "20060102", "20060102T150405Z"
	line := func(format string, a ...any) { fold(b, fmt.Sprintf(format, a...)) }
	stamp := e.start.AddDate(0, 0, -1-r.IntN(60)).Format(utc)
	line("BEGIN:VEVENT")
	line("UID:%s", e.uid)
	line("DTSTAMP:%s", stamp)
	line("CREATED:%s", stamp)
	line("LAST-MODIFIED:%s", stamp)
	if e.allDay {
		line("DTSTART;VALUE=DATE:%s", e.start.Format(day))
		line("DTEND;VALUE=DATE:%s", e.start.AddDate(0, 0, 1+r.IntN(3)).Format(day))
	} else {
		line("DTSTART;TZID=Europe/Berlin:%s", e.start.Format(local))
		line("DTEND;TZID=Europe/Berlin:%s", e.start.Add(time.Duration(1+r.IntN(4))*30*time.Minute).Format(local))
	}
	if !e.of.IsZero() {
		line("RECURRENCE-ID;TZID=Europe/Berlin:%s", e.of.Format(local))
	}
	if e.rrule != "" {
		line("RRULE:%s", e.rrule)
	}
	line("SUMMARY:%s", text(e.summary))
	line("LOCATION:%s", text(pick(r, samplePlaces)))
	line("DESCRIPTION:%s", text(fmt.Sprintf("Agenda for %s\nnotes: https://wiki.example.org/p/%d?a=1&b=<2>", e.summary, r.IntN(1e6))))
	line("STATUS:%s", pick(r, []string{"CONFIRMED", "CONFIRMED", "TENTATIVE"}))
	line("SEQUENCE:%d", r.IntN(4))
	writePeople(b, r)
	line("BEGIN:VALARM")
	line("ACTION:DISPLAY")
	line("DESCRIPTION:Reminder")
	line("TRIGGER:-PT15M")
	line("END:VALARM")
	line("END:VEVENT")
}

func writePeople(b *strings.Builder, r *rand.Rand) {
	first, count := r.IntN(len(samplePeople)), 2+r.IntN(2)
	for i := range count {
		name := samplePeople[(first+i)%len(samplePeople)]
		mail := fmt.Sprintf("p%d@example.org", (first+i)%len(samplePeople))
		if i == 0 {
			fold(b, fmt.Sprintf("ORGANIZER;CN=%s:mailto:%s", name, mail))
			continue
		}
		answer := pick(r, []string{"ACCEPTED", "NEEDS-ACTION", "DECLINED"})
		fold(b, fmt.Sprintf("ATTENDEE;CN=%s;PARTSTAT=%s:mailto:%s", name, answer, mail))
	}
}

// text escapes a TEXT value (RFC 5545 3.3.11).
func text(s string) string {
	return strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\n", `\n`).Replace(s)
}

// fold writes a content line in pieces of at most 75 bytes, between characters (RFC 5545 3.1).
func fold(b *strings.Builder, line string) {
	room := 75
	for _, c := range line {
		n := len(string(c))
		if room < n {
			b.WriteString("\r\n ")
			room = 74
		}
		b.WriteRune(c)
		room -= n
	}
	b.WriteString("\r\n")
}

func pick(r *rand.Rand, of []string) string { return of[r.IntN(len(of))] }
