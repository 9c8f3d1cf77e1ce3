//go:build integration

package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"google.golang.org/api/calendar/v3"
)

var (
	people = []string{"Ada Novak", "Björn Åkesson", "Chen Wei", "Dana Okafor", "Elif Kaya", "Farid Haddad", "Greta Lindqvist", "Hugo Martín"}
	topic  = []string{"Budget review", "Design crit: onboarding", "1:1", "Sprint planning", "Café Müller, lunch", "Dentist", "Release retrospective", "Interview & debrief"}
	places = []string{"Room 4.12, North wing", "Building 7, 2nd floor", "Café Müller", "Phone", "Room Grace Hopper"}
)

// sampleItems are the items of events.list that one entry of a calendar comes to, of about 1.2 KiB as Google sends them: a
// meeting with people and a conference; one in twenty lasts all day, one is a series, and one a series with an exception. The same
// arguments always give the same items, with the same ids whatever the seed.
func sampleItems(seed uint64, i int) []*calendar.Event {
	r := rand.New(rand.NewPCG(seed, uint64(i)))
	start := time.Date(2026, 1, 5, 7, 0, 0, 0, time.UTC).AddDate(0, 0, r.IntN(500)).Add(time.Duration(r.IntN(40)) * 15 * time.Minute)
	e := meeting(r, start)
	e.Id = "ev" + strconv.FormatInt(int64(i)+1<<30, 32)
	e.ICalUID = e.Id + "@google.com"
	switch i % 20 {
	case 7:
		e.Start, e.End = &calendar.EventDateTime{Date: start.Format(time.DateOnly)}, &calendar.EventDateTime{Date: start.AddDate(0, 0, 1).Format(time.DateOnly)}
	case 11:
		e.Recurrence = []string{"RRULE:FREQ=WEEKLY;COUNT=12"}
	case 17:
		e.Recurrence = []string{"RRULE:FREQ=WEEKLY;COUNT=12"}
		of := start.AddDate(0, 0, 7)
		moved := meeting(r, of.Add(time.Hour))
		moved.Id, moved.ICalUID, moved.RecurringEventId = e.Id+"_"+of.Format("20060102T150405Z"), e.ICalUID, e.Id
		moved.OriginalStartTime = at(of)
		return []*calendar.Event{e, moved}
	}
	return []*calendar.Event{e}
}

func at(t time.Time) *calendar.EventDateTime {
	return &calendar.EventDateTime{DateTime: t.Format(time.RFC3339), TimeZone: "Europe/Berlin"}
}

func meeting(r *rand.Rand, start time.Time) *calendar.Event {
	summary, code := topic[r.IntN(len(topic))], fmt.Sprintf("%06x", r.IntN(1<<24))
	e := &calendar.Event{
		Summary: summary, Location: places[r.IntN(len(places))],
		Description: fmt.Sprintf("Agenda for %s\nnotes: https://wiki.example.org/p/%d?a=1&b=<2>", summary, r.IntN(1e6)),
		Start:       at(start), End: at(start.Add(time.Duration(1+r.IntN(4)) * 30 * time.Minute)), Sequence: int64(r.IntN(4)),
		HangoutLink: "https://meet.google.com/" + code,
		ConferenceData: &calendar.ConferenceData{
			ConferenceId:       code,
			ConferenceSolution: &calendar.ConferenceSolution{Key: &calendar.ConferenceSolutionKey{Type: "hangoutsMeet"}, Name: "Google Meet"},
			EntryPoints:        []*calendar.EntryPoint{{EntryPointType: "video", Uri: "https://meet.google.com/" + code, Label: "meet.google.com/" + code}},
		},
	}
	first := r.IntN(len(people))
	for n := range 2 + r.IntN(2) {
		who := (first + n) % len(people)
		e.Attendees = append(e.Attendees, &calendar.EventAttendee{
			Email: fmt.Sprintf("p%d@example.org", who), DisplayName: people[who], Organizer: n == 0,
			ResponseStatus: []string{"accepted", "needsAction", "declined"}[r.IntN(3)],
		})
	}
	return e
}
