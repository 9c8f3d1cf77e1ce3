//go:build integration || soak

package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/test/history"
	"github.com/calcdc/calcdc/test/oracle"
	"github.com/calcdc/calcdc/test/rig"
)

const (
	password = "secret"
	beating  = "beat" // a calendar of each user, in which one event changes all the time
)

// sources are calendars in the test's process, and what happens to them.
type sources struct {
	*davserver.Server
	url       string
	users     []string
	histories []*history.History
	rng       *rand.Rand
	turn      int
	pace      time.Duration // between two changes
	client    *http.Client
}

// newSources makes calendars of the accounts.
func newSources(t testing.TB, o options) *sources {
	t.Helper()
	s := &sources{rng: rand.New(rand.NewPCG(o.seed, 0x50)), pace: o.pace, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2}}}
	served := davserver.Options{Users: map[string]string{}}
	for i := range accounts {
		user := fmt.Sprintf("user%02d", i)
		s.users = append(s.users, user)
		served.Users[user] = password
	}
	s.Server = davserver.New(served)
	front := httptest.NewServer(s.Server)
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		front.CloseClientConnections()
		front.Close()
	})
	s.url = front.URL + "/"
	for i, user := range s.users {
		s.MakeCalendar(user, beating, "beats")
		server := &oracle.Server{URL: front.URL, User: user, Password: password, Home: "/" + user + "/calendars/", Client: s.client}
		h := history.New(server, o.seed+uint64(i))
		h.OddNames, h.Most = []string{"a b %d.ics", "ü-%d.ics", "x@y+%d.ics", "h#%d.ics"}, o.most
		s.histories = append(s.histories, h)
	}
	return s
}

// live lets things happen until ctx ends.
func (s *sources) live(ctx context.Context) error {
	tick := time.NewTicker(s.pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s.turn++
		s.Put(s.users[s.turn%len(s.users)], beating, "beat.ics", beat(s.turn))
		if s.turn%2 > 0 {
			continue
		}
		at := s.rng.IntN(len(s.users))
		if err := s.histories[at].Steps(context.WithoutCancel(ctx), 1); err != nil {
			return fmt.Errorf("the history of %s: %w", s.users[at], err)
		}
		if s.rng.IntN(150) == 0 {
			user := s.users[s.rng.IntN(len(s.users))]
			all := s.Calendars(user)
			s.InvalidateTokens(user, all[s.rng.IntN(len(all))])
		}
	}
}

// age lets each history do so many steps, so that there are as many calendars and events as there will be from then on.
func (s *sources) age(ctx context.Context, steps int) error {
	for i, h := range s.histories {
		if err := h.Steps(ctx, steps); err != nil {
			return fmt.Errorf("the history of %s: %w", s.users[i], err)
		}
	}
	return nil
}

// differences are those between the calendars and the fold.
func (s *sources) differences(f *oracle.Fold) []string {
	var found []string
	for _, user := range s.users {
		found = append(found, oracle.Compare(f, "work", user, rig.Listed(s.Server, user))...)
	}
	return found
}

// source are the lines of the configuration.
func (s *sources) source() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sources:\n  - name: work\n    poll_interval: 1s\n    caldav:\n      url: %s\n      components: [VEVENT, VTODO]\n      accounts:\n", s.url)
	for _, user := range s.users {
		fmt.Fprintf(&b, "      - {username: %s, password: %s}\n", user, password)
	}
	return b.String()
}

func beat(n int) []byte {
	return []byte(strings.ReplaceAll(`BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//calcdc//cluster//EN
BEGIN:VEVENT
UID:beat
DTSTAMP:20260101T000000Z
DTSTART:20260602T080000Z
DTEND:20260602T090000Z
SUMMARY:beat `+fmt.Sprint(n)+`
END:VEVENT
END:VCALENDAR
`, "\n", "\r\n"))
}
