//go:build integration

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/internal/testenv"
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

// some picks n different members, of those for which is holds.
func (l *large) some(rng *rand.Rand, n int, is func(string) bool) []string {
	var all []string
	for _, name := range l.order {
		if is(name) {
			all = append(all, name)
		}
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

var memberName = regexp.MustCompile(`m\d{5}\.ics`)

// behind returns a test of requests: whether one asks for a member that is listed at cut or later.
func (l *large) behind(cut int) func(asked) bool {
	late := map[string]bool{}
	for _, name := range l.order[cut:] {
		late[name] = true
	}
	return func(q asked) bool {
		return q.kind == "multiget" && slices.ContainsFunc(memberName.FindAllString(q.body, -1), func(n string) bool { return late[n] })
	}
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
