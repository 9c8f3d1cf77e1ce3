//go:build integration

package faults

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/calcdc/calcdc/internal/davserver"
)

const password = "secret"

// calendars is a calendar server in the test's process.
type calendars struct {
	*davserver.Server
	url string
	// instead, where set, may answer a request in the server's stead; it returns false where it does not.
	instead atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	written int
}

// newCalendars serves calendars of users.
func newCalendars(t testing.TB, o davserver.Options, users ...string) *calendars {
	t.Helper()
	o.Users = map[string]string{}
	for _, u := range users {
		o.Users[u] = password
	}
	c := &calendars{Server: davserver.New(o)}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := c.instead.Load(); f == nil || !(*f)(w, r) {
			c.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})
	c.url = front.URL + "/"
	return c
}

// fill makes a calendar with n events: 0.ics, 1.ics …
func (c *calendars) fill(user, name string, n int) {
	c.MakeCalendar(user, name, "calendar "+name)
	for i := range n {
		c.write(user, name, fmt.Sprintf("%d.ics", i))
	}
}

// write puts an event that differs from all others.
func (c *calendars) write(user, calendar, name string) {
	c.written++
	c.Put(user, calendar, name, event(name, fmt.Sprintf("text %d", c.written)))
}

// stir changes 0.ics, deletes 1.ics, and adds one.
func (c *calendars) stir(user, calendar string) {
	c.write(user, calendar, "0.ics")
	c.Delete(user, calendar, "1.ics")
	c.write(user, calendar, fmt.Sprintf("new%d.ics", c.written))
}

func event(uid, summary string) []byte {
	return []byte(strings.ReplaceAll(`BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//calcdc//faults//EN
BEGIN:VEVENT
UID:`+uid+`
DTSTAMP:20260101T000000Z
DTSTART:20260602T080000Z
DTEND:20260602T090000Z
SUMMARY:`+summary+`
END:VEVENT
END:VCALENDAR
`, "\n", "\r\n"))
}
