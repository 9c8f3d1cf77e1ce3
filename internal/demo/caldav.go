package demo

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/calcdc/calcdc/internal/davserver"
)

const (
	username = "alice"
	password = "demo"
)

// dav is a CalDAV server as the demo handles it.
type dav struct {
	*davserver.Server
	show func(line)
}

func newDAV(show func(line)) *dav {
	d := &dav{show: show}
	d.Server = davserver.New(davserver.Options{Users: map[string]string{username: password}, Seen: d.spectate})
	return d
}

func (d *dav) reach(url string, e *Endpoints) {
	e.Kind, e.URL, e.Username, e.Password = CalDAV, url+"/", username, password
}

func (d *dav) make(cal, name, color string) {
	d.MakeCalendar(username, cal, name)
	d.UpdateCalendar(username, cal, func(p *davserver.Properties) { p.Color = color })
}

func (d *dav) rename(cal, name string) { d.RenameCalendar(username, cal, name) }

func (d *dav) put(cal string, m *meeting) { d.Put(username, cal, m.file(), m.body()) }

func (d *dav) remove(cal string, m *meeting) { d.Delete(username, cal, m.file()) }

func (d *dav) moveOne(cal string, m *meeting, from, to time.Time) {
	m.moved = map[time.Time]time.Time{from: to}
	d.put(cal, m)
}

func (d *dav) down(yes bool) {
	if !yes {
		d.Fault(nil)
		return
	}
	d.Fault(func(davserver.Kind, *http.Request) davserver.Fault {
		return davserver.Fault{Status: http.StatusServiceUnavailable, Body: "restoring a backup"}
	})
}

func (d *dav) forget(cal string) (told string) {
	d.InvalidateTokens(username, cal)
	return "its tokens are void"
}

func (d *dav) more(*life) []step { return nil }

func (d *dav) name(collection string) string { return path.Base(collection) }

// held is the server's own listing, not one through CalDAV.
func (d *dav) held() map[object]string {
	held := map[object]string{}
	for _, name := range d.Calendars(username) {
		at := decoded(d.Path(username, name))
		properties, _ := d.Calendar(username, name)
		held[object{stream: "calendars", collection: at}] = properties.DisplayName
		for file, body := range d.List(username, name) {
			held[object{"events", at, file}] = string(body)
		}
	}
	return held
}

// objectOf takes the rows of one resource together; the text is on one of them. A calendar's says its name.
func (d *dav) objectOf(r record) (object, *string) {
	if r.stream == "calendars" {
		name := text(r.value.After.Name)
		return object{stream: r.stream, collection: r.key.Collection}, &name
	}
	file, _, _ := strings.Cut(r.key.ID, "#")
	return object{r.stream, r.key.Collection, decoded(file)}, r.value.After.Raw
}

// decoded reads a path, and a resource's name in an id, where # and % are escaped.
func decoded(escaped string) string {
	if name, err := url.PathUnescape(escaped); err == nil {
		return name
	}
	return escaped
}

// spectate tells of the changes that come through CalDAV: the connector only reads, and the demo's own do not.
func (d *dav) spectate(k davserver.Kind, r *http.Request, status int) {
	l := line{side: onCalendar, op: "~"}
	if where, file := path.Split(r.URL.Path); file != "" {
		l.where, l.what = path.Base(where), file
	} else {
		l.where, l.what = path.Base(where), "a calendar"
	}
	switch {
	case status >= 300, k != davserver.Put && k != davserver.Delete && k != davserver.Make:
		return
	case status == http.StatusCreated:
		l.op = "+"
	case k == davserver.Delete:
		l.op = "-"
	}
	l.what += ", by a CalDAV client"
	d.show(l)
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
