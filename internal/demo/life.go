package demo

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// life is what happens in the calendars: first a story that shows each kind of change, then more of the like.
type life struct {
	calendars diary
	show      func(line)
	meetings  map[string]map[string]*meeting // by calendar and name
	monday    time.Time
	dice      *rand.Rand
	invented  int
}

// newLife fills the calendars with what was there before calcdc came.
func newLife(calendars diary, show func(line)) *life {
	today := time.Now().UTC().Truncate(24 * time.Hour)
	l := &life{
		calendars: calendars, show: show, meetings: map[string]map[string]*meeting{},
		monday: today.AddDate(0, 0, 8-int(today.Weekday())), dice: rand.New(rand.NewPCG(1, 2)),
	}
	l.calendar("work", "Work", "#1f77b4")
	l.calendar("home", "Home", "#2ca02c")
	l.put("work", &meeting{name: "standup", summary: "Stand-up", start: l.at(0, 9, 15), long: 15 * time.Minute, weekly: true})
	l.put("work", &meeting{name: "budget", summary: "Budget review", start: l.at(1, 14, 0), long: time.Hour, place: "Room 4.12"})
	l.put("work", &meeting{name: "ada", summary: "1:1 with Ada", start: l.at(2, 11, 0), long: 30 * time.Minute})
	l.put("work", &meeting{name: "release", summary: "Release party", start: l.at(3, 16, 0), long: 2 * time.Hour})
	l.put("work", &meeting{name: "lunch", summary: "Lunch with Chen", start: l.at(4, 12, 30), long: time.Hour, place: "Café Müller"})
	l.put("home", &meeting{name: "dentist", summary: "Dentist", start: l.at(1, 8, 30), long: 45 * time.Minute})
	l.put("home", &meeting{name: "choir", summary: "Choir", start: l.at(3, 18, 0), long: 90 * time.Minute, weekly: true})
	return l
}

// tellStory lets the story happen, one step each pace at most, and each only after the topic has caught up with the
// last. It returns false where ctx ended before.
func (l *life) tellStory(ctx context.Context, pace time.Duration, agrees func() bool) bool {
	for _, cal := range slices.Sorted(maps.Keys(l.meetings)) {
		l.tell("·", cal, plural(len(l.meetings[cal]), "object")+", from before")
	}
	l.caption("What is there is read once: snapshot-begin, an r for each row, snapshot-end.")
	for _, step := range l.story() {
		if !l.pause(ctx, pace, agrees) {
			return false
		}
		l.caption(step.caption)
		step.do(ctx)
	}
	return l.pause(ctx, pace, agrees)
}

// goOn lets more of the like happen until ctx ends.
func (l *life) goOn(ctx context.Context, pace time.Duration, agrees func() bool) {
	l.caption("Life goes on.")
	for n := 1; ctx.Err() == nil; n++ {
		if n%8 == 0 {
			l.forget(ctx, pace)
		} else {
			l.happen()
		}
		l.pause(ctx, pace, agrees)
	}
}

// pause waits for pace, and then until the topic agrees, but not for ever: the spectator shall see if it never does.
func (l *life) pause(ctx context.Context, pace time.Duration, agrees func() bool) bool {
	look := time.NewTicker(min(pace, 50*time.Millisecond))
	defer look.Stop()
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return false
		case <-look.C:
		}
		if since := time.Since(began); since >= pace && agrees() || since > 10*time.Second+10*pace {
			return true
		}
	}
}

type step struct {
	caption string
	do      func(context.Context)
}

// story shows each kind of change once.
func (l *life) story() []step {
	all := []step{
		{"A meeting is planned: c.", func(context.Context) {
			l.plan("work", &meeting{name: "design", summary: "Design review", start: l.at(2, 15, 0), long: time.Hour, place: "Room 4.12"})
		}},
		{"One is moved: u, with the row before and after.", func(context.Context) { l.move("home", "dentist", l.at(1, 10, 0)) }},
		{"One is cancelled: d, and a tombstone for Kafka's compaction.", func(context.Context) { l.cancel("work", "lunch") }},
		{"One day of a series is moved: an override, a row of its own.", func(context.Context) { l.override("work", "standup", l.at(7, 10, 30)) }},
	}
	return append(append(all, l.calendars.more(l)...), l.turns()...)
}

// turns are the rest of the story, when it is not single events that change.
func (l *life) turns() []step {
	return []step{
		{"The server loses its sync tokens while things change: snapshot-reset, every row again, and the d that was missed.", func(ctx context.Context) { l.forget(ctx, time.Second) }},
		{"A calendar appears: it has its own snapshot.", func(context.Context) {
			l.calendar("trip", "Lisbon", "#d62728")
			l.plan("trip", &meeting{name: "flight", summary: "Flight TP 533", start: l.at(12, 7, 5), long: 3 * time.Hour})
			l.plan("trip", &meeting{name: "hotel", summary: "Check in", start: l.at(12, 15, 0), long: 30 * time.Minute})
		}},
		{"A calendar gets another name: u in the calendars topic.", func(context.Context) {
			l.calendars.rename("home", "Family")
			l.tell("~", "home", "now called Family")
		}},
	}
}

// forget is the hard case: the server is away, two things change, and when it is back its tokens are void.
func (l *life) forget(ctx context.Context, away time.Duration) {
	l.calendars.down(true)
	defer l.calendars.down(false)
	l.tell("!", "", "server down: 503")
	wait(ctx, away/2)
	for len(l.names("work")) < 2 {
		l.plan("work", l.invent())
	}
	names := l.names("work")
	moved, gone := names[0], names[len(names)-1]
	l.move("work", moved, l.meetings["work"][moved].start.Add(time.Hour))
	l.cancel("work", gone)
	told := l.calendars.forget("work")
	wait(ctx, away/2)
	l.tell("!", "", "server up, "+told)
}

// happen is some change.
func (l *life) happen() {
	calendars := slices.Sorted(maps.Keys(l.meetings))
	cal := calendars[l.dice.IntN(len(calendars))]
	names := l.names(cal)
	dice := l.dice.IntN(3)
	switch {
	case len(names) < 3, dice == 0 && len(names) < 8:
		l.plan(cal, l.invent())
	case dice == 1:
		l.cancel(cal, names[l.dice.IntN(len(names))])
	default:
		name := names[l.dice.IntN(len(names))]
		l.move(cal, name, l.meetings[cal][name].start.Add(30*time.Minute))
	}
}

var topics = []string{"Interview", "Retrospective", "Coffee with Björn", "Planning", "Call with Elif", "Demo", "Security review", "Piano lesson"}

func (l *life) invent() *meeting {
	l.invented++
	return &meeting{
		name: slug(topics[l.invented%len(topics)], l.invented), summary: topics[l.invented%len(topics)],
		start: l.at(l.dice.IntN(5), 8+l.dice.IntN(10), 0), long: time.Hour,
	}
}

// names lists what is in a calendar that is at one time of one day, in order.
func (l *life) names(cal string) []string {
	var all []string
	for name, m := range l.meetings[cal] {
		if !m.weekly && !m.allDay {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func (l *life) at(day, hour, minute int) time.Time {
	return l.monday.AddDate(0, 0, day).Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// beforeEnd ends early enough before Options.For is over that the topic can catch up.
func beforeEnd(ctx context.Context, o Options) context.Context {
	end, ok := ctx.Deadline()
	if !ok {
		return ctx
	}
	early, cancel := context.WithDeadline(ctx, end.Add(-min(2*time.Second, o.For/4)))
	context.AfterFunc(ctx, cancel)
	return early
}
