package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/calcdc/calcdc/internal/davserver"
)

// meeting is an object of a calendar, as people think of it.
type meeting struct {
	name, summary, place string
	start                time.Time // UTC
	long                 time.Duration
	weekly               bool
	sequence             int
	moved                map[time.Time]time.Time // instances of a series that are elsewhere
}

// body is the meeting as iCalendar.
func (m *meeting) body() []byte {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//calcdc//demo//EN\r\n")
	m.component(&b, m.start, time.Time{})
	for from, to := range m.moved {
		m.component(&b, to, from)
	}
	b.WriteString("END:VCALENDAR\r\n")
	return []byte(b.String())
}

func (m *meeting) component(b *strings.Builder, start, instead time.Time) {
	const utc = "20060102T150405Z"
	line := func(format string, a ...any) { fmt.Fprintf(b, format+"\r\n", a...) }
	line("BEGIN:VEVENT")
	line("UID:%s@demo.calcdc", m.name)
	line("DTSTAMP:%s", time.Now().UTC().Format(utc))
	line("DTSTART:%s", start.Format(utc))
	line("DTEND:%s", start.Add(m.long).Format(utc))
	if !instead.IsZero() {
		line("RECURRENCE-ID:%s", instead.Format(utc))
	} else if m.weekly {
		line("RRULE:FREQ=WEEKLY;COUNT=20")
	}
	line("SUMMARY:%s", strings.ReplaceAll(m.summary, ",", `\,`))
	if m.place != "" {
		line("LOCATION:%s", m.place)
	}
	line("SEQUENCE:%d", m.sequence)
	line("END:VEVENT")
}

func (m *meeting) file() string { return m.name + ".ics" }

func (l *life) calendar(name, display, color string) {
	l.dav.MakeCalendar(username, name, display)
	l.dav.UpdateCalendar(username, name, func(p *davserver.Properties) { p.Color = color })
	l.meetings[name] = map[string]*meeting{}
}

func (l *life) put(cal string, m *meeting) {
	l.meetings[cal][m.name] = m
	l.dav.Put(username, cal, m.file(), m.body())
}

func (l *life) plan(cal string, m *meeting) {
	l.put(cal, m)
	l.tell("+", cal, m.summary+", "+m.start.Format("Mon 15:04"))
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
	m.moved = map[time.Time]time.Time{from: to}
	m.sequence++
	l.put(cal, m)
	l.tell("~", cal, m.summary+", only "+from.Format("2 Jan")+": → "+to.Format("15:04"))
}

func (l *life) cancel(cal, name string) {
	m := l.meetings[cal][name]
	delete(l.meetings[cal], name)
	l.dav.Delete(username, cal, m.file())
	l.tell("-", cal, m.summary+", "+m.start.Format("Mon 15:04"))
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
