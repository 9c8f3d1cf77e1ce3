package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/calcdc/calcdc/internal/googleserver"
)

const (
	owner     = "alice@example.org"
	colleague = "bob@example.org"
	secondary = "@group.calendar.google.com" // ends the ids of calendars that are not somebody's primary one
)

// google is a Google Calendar server as the demo handles it. "home" is the primary calendar.
type google struct {
	*googleserver.Server
	show func(line)
}

func newGoogle(show func(line)) (*google, error) {
	g := &google{googleserver.New(googleserver.Options{}), show}
	return g, g.AddUser(owner)
}

// note shows what cannot happen, should it happen.
func (g *google) note(err error) {
	if err != nil {
		g.show(line{side: onCalendar, op: "!", what: err.Error()})
	}
}

func (g *google) reach(url string, e *Endpoints) {
	e.Kind, e.URL, e.Token = Google, googleserver.Endpoint(url), g.Token(owner)
}

func (g *google) id(cal string) string {
	if cal == "home" {
		return owner
	}
	return cal + secondary
}

func (g *google) name(collection string) string {
	if collection == owner {
		return "home"
	}
	name, _, _ := strings.Cut(collection, "@")
	return name
}

func (g *google) make(cal, name, color string) {
	if id := g.id(cal); id != owner {
		g.note(g.AddCalendar(owner, id, googleserver.Calendar{Summary: name}))
	} else {
		g.note(g.Rename(owner, id, name))
	}
	g.note(g.Subscribe(owner, g.id(cal), googleserver.Entry{BackgroundColor: color, Selected: true}))
}

func (g *google) rename(cal, name string) { g.note(g.Rename(owner, g.id(cal), name)) }

func (g *google) put(cal string, m *meeting) {
	_, err := g.PutEvent(owner, g.id(cal), m.event())
	g.note(err)
}

func (g *google) remove(cal string, m *meeting) {
	g.note(g.DeleteEvent(owner, g.id(cal), m.eventID()))
}

func (g *google) moveOne(cal string, m *meeting, from, to time.Time) {
	_, err := g.MoveInstance(owner, g.id(cal), m.eventID(), from, to)
	g.note(err)
}

func (g *google) down(yes bool) {
	if !yes {
		g.Fault(nil)
		return
	}
	g.Fault(func(r googleserver.Request) googleserver.Fault {
		if _, own := r.HTTP.Context().Value(ownRequest{}).(bool); own {
			return googleserver.Fault{}
		}
		return googleserver.Fault{Error: googleserver.ServiceUnavailable}
	})
}

func (g *google) forget(cal string) (told string) {
	g.note(g.Forget(googleserver.EventsList, owner, g.id(cal), googleserver.ByFullSync))
	return "410 to its sync token"
}

// more is what CalDAV does not have, or not as a resource of its own.
func (g *google) more(l *life) []step {
	return []step{
		{"Another day of it is cancelled: a row as well, for as long as the series lives.", func(context.Context) {
			day := l.at(14, 9, 15)
			_, err := g.CancelInstance(owner, g.id("work"), "standup", day)
			g.note(err)
			l.tell("-", "work", "Stand-up, only "+day.Format("2 Jan"))
		}},
		{"A whole day is taken off.", func(context.Context) {
			l.plan("home", &meeting{name: "vacation", summary: "Vacation", start: l.at(4, 0, 0), long: 24 * time.Hour, allDay: true})
		}},
		{"A calendar is shared: c in the acl topic.", func(context.Context) {
			g.note(g.Share(g.id("work"), colleague, googleserver.Reader))
			l.tell("+", "work", "shared with "+colleague)
		}},
		{"A setting is changed: u in the settings topic.", func(context.Context) {
			g.note(g.PutSetting(owner, "timezone", "Europe/Lisbon"))
			l.tell("~", "", "the time zone: Europe/Lisbon")
		}},
	}
}

// event is the meeting as Google has it.
func (m *meeting) event() *calendar.Event {
	e := &calendar.Event{Id: m.eventID(), Summary: m.summary, Location: m.place, Sequence: int64(m.sequence)}
	e.Start, e.End = m.when(m.start), m.when(m.start.Add(m.long))
	if m.weekly {
		e.Recurrence = []string{"RRULE:FREQ=WEEKLY;COUNT=20"}
	}
	return e
}

func (m *meeting) when(t time.Time) *calendar.EventDateTime {
	if m.allDay {
		return &calendar.EventDateTime{Date: t.Format(time.DateOnly)}
	}
	return &calendar.EventDateTime{DateTime: t.Format(time.RFC3339), TimeZone: "UTC"}
}

// eventID is the meeting's name in the letters that Google allows in ids: those of base32hex.
func (m *meeting) eventID() string {
	id := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'v' {
			return r
		}
		return -1
	}, m.name)
	return id + strings.Repeat("0", max(0, 5-len(id)))
}

// held is what the server lists to any client.
func (g *google) held() map[object]string {
	held := map[object]string{}
	g.list("users/me/settings", func(id, item string) { held[object{stream: "settings", id: id}] = item })
	g.list("users/me/calendarList", func(cal, item string) {
		held[object{stream: "calendars", collection: cal}] = item
		at := "calendars/" + url.PathEscape(cal)
		g.list(at+"/events", func(id, item string) { held[object{"events", cal, id}] = item })
		g.list(at+"/acl", func(id, item string) { held[object{"acl", cal, id}] = item })
	})
	return held
}

// objectOf compares the items byte for byte.
func (g *google) objectOf(r record) (object, *string) {
	raw := text(r.value.After.Raw)
	return object{r.stream, r.key.Collection, r.key.ID}, &raw
}

// ownRequest marks the demo's own requests: the server answers them even when it is down.
type ownRequest struct{}

// list asks the server itself for a list, which fits on one page. What is no list is something that nothing equals.
func (g *google) list(what string, each func(id, item string)) {
	items, err := g.items(what)
	if err != nil {
		each("", err.Error())
	}
	for _, item := range items {
		var named struct{ ID string }
		_ = json.Unmarshal(item, &named) // without an id it equals nothing
		each(named.ID, string(item))
	}
}

// asSent asks for items as clients of the API get them, for whom nothing is indented.
const asSent = "?prettyPrint=false"

func (g *google) items(what string) ([]json.RawMessage, error) {
	ctx := context.WithValue(context.Background(), ownRequest{}, true)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, googleserver.Endpoint("http://demo")+what+asSent, nil)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", what, err)
	}
	r.Header.Set("Authorization", "Bearer "+g.Token(owner))
	a := answer{header: http.Header{}, status: http.StatusOK}
	g.ServeHTTP(&a, r)
	var page struct{ Items []json.RawMessage }
	if err := json.Unmarshal(a.body.Bytes(), &page); err != nil || a.status != http.StatusOK {
		return nil, fmt.Errorf("listing %s: %d", what, a.status)
	}
	return page.Items, nil
}

// answer takes an answer in.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
