//go:build integration

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/oracle"
)

// large is a calendar with thousands of members, in a server of this process that sends bodies with its answers to
// sync-collection where it is asked to.
type large struct {
	*davserver.Server
	dav     *testenv.DAV
	path    string
	order   []string // members as the server lists them: by their last change
	made    int
	version int
	proxy   *proxy // before it
}

const (
	owner    = testenv.User
	calendar = "large"
)

func newLarge(t testing.TB, members int) *large {
	t.Helper()
	l := &large{Server: davserver.New(davserver.Options{
		Users: map[string]string{owner: testenv.Password}, InlineData: true,
	})}
	front := httptest.NewServer(l.Server)
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})
	l.dav = &testenv.DAV{
		Kind: "davserver", URL: front.URL + "/", User: owner, Password: testenv.Password, Home: "/" + owner + "/calendars/", Tokens: true,
	}
	l.MakeCalendar(owner, calendar, "Large")
	l.path = l.Path(owner, calendar)
	l.MakeCalendar(owner, "small", "Small") // which nothing happens to
	l.Put(owner, "small", "a.ics", member("a", 1, false))
	for range members {
		l.create()
	}
	return l
}

func (l *large) create() {
	l.made++
	l.put(fmt.Sprintf("m%05d.ics", l.made))
}

// put makes or changes a member; every tenth is a series with an override, which every other change leaves as it is.
func (l *large) put(name string) {
	l.version++
	l.forget(name)
	l.order = append(l.order, name)
	l.Put(owner, calendar, name, member(name, l.version, strings.HasSuffix(name, "0.ics")))
}

func (l *large) remove(name string) {
	l.forget(name)
	l.Delete(owner, calendar, name)
}

func (l *large) forget(name string) {
	if i := slices.Index(l.order, name); i >= 0 {
		l.order = slices.Delete(l.order, i, i+1)
	}
}

func (l *large) some(rng *rand.Rand, n int, is func(string) bool) []string {
	return some(l.order, rng, n, is)
}

// some picks n different members, of those for which is holds.
func some(members []string, rng *rand.Rand, n int, is func(string) bool) []string {
	var all []string
	for _, name := range members {
		if is(name) {
			all = append(all, name)
		}
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

var memberName = regexp.MustCompile(`m\d{5}\.ics`)

func (l *large) size() int { return len(l.order) }

func (l *large) invalidate() { l.InvalidateTokens(owner, calendar) }

func (l *large) hide() { l.Hide(owner, calendar, http.StatusNotFound) }

func (l *large) show() { l.Hide(owner, calendar, 0) }

// watch has the proxy ask seen at each request until it is released.
func (l *large) watch(seen func(asked) http.HandlerFunc) upstream {
	return func() func() {
		l.proxy.watch(seen)
		return func() { l.proxy.watch(nil) }
	}
}

func (l *large) answer(rng *rand.Rand, of int) (stop upstream, records int) {
	n, more := 750+rng.IntN(of/2-750), rng.IntN(400)
	stop = l.watch(func(q asked) http.HandlerFunc {
		if q.kind == "sync" && strings.Contains(q.body, "calendar-data") {
			return l.proxy.stopAfter(n, more)
		}
		return nil
	})
	return stop, page * (1 + rng.IntN((n-200)/page))
}

func (l *large) behind(rng *rand.Rand, s *oracle.State) upstream {
	first := 0
	for first < len(l.order) && s.Published(l.order[first]) {
		first++
	}
	late := map[string]bool{}
	for _, name := range l.order[min(first+750+rng.IntN(300), len(l.order)-100):] {
		late[name] = true
	}
	return l.watch(func(q asked) http.HandlerFunc {
		if q.kind == "multiget" && slices.ContainsFunc(memberName.FindAllString(q.body, -1), func(n string) bool { return late[n] }) {
			return hang
		}
		return nil
	})
}

func (l *large) late() upstream {
	return l.watch(func(q asked) http.HandlerFunc {
		if q.kind == "sync" {
			return l.proxy.stopAfter(3*page+200, 0) // the first attempt came to two pages at most
		}
		return nil
	})
}

func member(uid string, version int, series bool) []byte {
	event := "BEGIN:VEVENT\nUID:" + uid + "\nDTSTAMP:20260101T000000Z\nDTSTART:20260602T080000Z\nDTEND:20260602T090000Z\n"
	rule, override := "", ""
	if series {
		rule = "RRULE:FREQ=DAILY;COUNT=5\n"
		override = event + fmt.Sprintf("RECURRENCE-ID:20260603T080000Z\nSUMMARY:moved %d\nEND:VEVENT\n", version%2)
	}
	return []byte(strings.ReplaceAll("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//calcdc//e2e//EN\n"+
		event+rule+fmt.Sprintf("SUMMARY:text %d\nEND:VEVENT\n", version)+override+"END:VCALENDAR\n", "\n", "\r\n"))
}
