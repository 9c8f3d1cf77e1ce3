//go:build integration

package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/googleserver"
	"github.com/calcdc/calcdc/test/oracle"
)

// The same for Google: kills in the middle of what a user sees of another's calendar.
func TestGoogleKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	g := newGateOnKafka(t)
	in := newGoogle(t, g.Addr(), 11, googleserver.Options{PageLimit: listPage, NoGzip: true}, "", alice)
	cal := newLargeGoogle(in)
	for range members {
		cal.create()
	}
	m := &middle{in: in.runner, cal: cal, stream: oracle.Stream{Source: "work", Account: alice, Collection: team, Kind: "events"}}
	m.run(t, g, 21)
}

const (
	team     = "team@group.calendar.google.com"
	listPage = 600 // items in a page of a list
)

// largeGoogle is a calendar of bob's that alice reads, with thousands of events: every tenth is a series with one exception,
// moved or cancelled.
type largeGoogle struct {
	in      *googleInstance
	order   []string // events, exceptions aside, as the server lists them: by their first
	made    int
	version int
}

func newLargeGoogle(in *googleInstance) *largeGoogle {
	in.must(in.cloud.AddUser(bob), in.cloud.AddCalendar(bob, team, googleserver.Calendar{Summary: "Team"}))
	l := &largeGoogle{in: in}
	l.show()
	return l
}

func (l *largeGoogle) create() {
	l.made++
	id := fmt.Sprintf("m%05d", l.made)
	l.order = append(l.order, id)
	l.put(id)
	if !strings.HasSuffix(id, "0") {
		return
	}
	day := l.in.h.Base().AddDate(0, 0, 3)
	var err error
	if strings.HasSuffix(id, "00") {
		_, err = l.in.cloud.CancelInstance(bob, team, id, day)
	} else {
		_, err = l.in.cloud.MoveInstance(bob, team, id, day, day.Add(time.Hour))
	}
	l.in.must(err)
}

func (l *largeGoogle) put(id string) {
	l.version++
	text := item(id, fmt.Sprintf("text %d", l.version))
	if strings.HasSuffix(id, "0") {
		text = strings.Replace(text, "{", `{"recurrence":["RRULE:FREQ=DAILY;COUNT=5"],`, 1)
	}
	_, err := l.in.cloud.PutEvent(bob, team, text)
	l.in.must(err)
}

func (l *largeGoogle) remove(id string) {
	l.order = slices.DeleteFunc(l.order, func(o string) bool { return o == id })
	l.in.must(l.in.cloud.DeleteEvent(bob, team, id))
}

func (l *largeGoogle) some(rng *rand.Rand, n int, is func(string) bool) []string {
	return some(l.order, rng, n, is)
}

func (l *largeGoogle) size() int { return len(l.order) }

func (l *largeGoogle) invalidate() {
	l.in.must(l.in.cloud.Forget(googleserver.EventsList, "", team, googleserver.ByFullSync))
}

func (l *largeGoogle) hide() { l.in.must(l.in.cloud.Unshare(team, alice)) }

func (l *largeGoogle) show() {
	l.in.must(errors.Join(l.in.cloud.Share(team, alice, googleserver.Reader), l.in.cloud.Subscribe(alice, team, googleserver.Entry{})))
}

// stopAfter serves so many pages of the events' list from now on; within: and the beginning of the next, else nothing of it.
func (l *largeGoogle) stopAfter(pages int, within bool) upstream {
	return func() func() {
		var served atomic.Int64
		l.in.cloud.Fault(func(rq googleserver.Request) googleserver.Fault {
			switch {
			case rq.Kind != googleserver.EventsList || rq.Calendar != team || served.Add(1) <= int64(pages):
				return googleserver.Fault{}
			case within:
				return googleserver.Fault{Pace: 8 << 10, Pause: time.Hour}
			default:
				return googleserver.Fault{Hang: true}
			}
		})
		return func() { l.in.cloud.Fault(nil) }
	}
}

func (l *largeGoogle) answer(rng *rand.Rand, of int) (stop upstream, records int) {
	pages := max(2, of/2/listPage)
	return l.stopAfter(pages, rng.IntN(2) == 0), page * (1 + rng.IntN(pages-1)) // in a reset, the first answer is 410
}

func (l *largeGoogle) behind(rng *rand.Rand, s *oracle.State) upstream {
	first := 0
	for first < len(l.order) && s.Published(l.order[first]) {
		first++
	}
	pages := (first+first/10)/listPage + 2
	return l.stopAfter(min(pages, (len(l.order)-100)/listPage), rng.IntN(2) == 0)
}

func (l *largeGoogle) late() upstream { return l.stopAfter(2400/listPage, true) }
