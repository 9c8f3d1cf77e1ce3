package demo

import (
	"fmt"
	"strings"
	"time"
)

// meeting is an object of a calendar, as people think of it.
type meeting struct {
	name, summary, place string
	start                time.Time // UTC
	long                 time.Duration
	weekly, allDay       bool
	sequence             int
	moved                map[time.Time]time.Time // instances of a series that are elsewhere, where they are part of it
}

func (l *life) calendar(name, display, color string) {
	l.calendars.make(name, display, color)
	l.meetings[name] = map[string]*meeting{}
}

func (l *life) put(cal string, m *meeting) {
	l.meetings[cal][m.name] = m
	l.calendars.put(cal, m)
}

// day is when the meeting is, in a week.
func (m *meeting) day() string {
	if m.allDay {
		return m.start.Format("Mon")
	}
	return m.start.Format("Mon 15:04")
}

func (l *life) plan(cal string, m *meeting) {
	l.put(cal, m)
	l.tell("+", cal, m.summary+", "+m.day())
}

func (l *life) move(cal, name string, to time.Time) {
	m := l.meetings[cal][name]
	from := m.start
	m.start = to
	m.sequence++
	l.put(cal, m)
	l.tell("~", cal, m.summary+": "+from.Format("Mon 15:04")+" → "+to.Format("15:04"))
}

// override moves the instance of a series that lies on the day of to.
func (l *life) override(cal, name string, to time.Time) {
	m := l.meetings[cal][name]
	from := to.Truncate(24 * time.Hour).Add(m.start.Sub(m.start.Truncate(24 * time.Hour)))
	m.sequence++
	l.calendars.moveOne(cal, m, from, to)
	l.tell("~", cal, m.summary+", only "+from.Format("2 Jan")+": → "+to.Format("15:04"))
}

func (l *life) cancel(cal, name string) {
	m := l.meetings[cal][name]
	delete(l.meetings[cal], name)
	l.calendars.remove(cal, m)
	l.tell("-", cal, m.summary+", "+m.day())
}

func (l *life) tell(op, cal, what string) {
	l.show(line{side: onCalendar, op: op, where: cal, what: what})
}

func (l *life) caption(what string) { l.show(line{side: onCaption, what: what}) }

// slug is a name for a file.
func slug(summary string, n int) string {
	word, _, _ := strings.Cut(strings.ToLower(summary), " ")
	return fmt.Sprintf("%s-%d", word, n)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
