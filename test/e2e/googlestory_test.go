//go:build integration

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/googleserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/oracle"
)

// clock is a server's.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time      { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) add(d time.Duration) { c.ahead.Add(int64(d)) }

// rows is how many rows of a stream there are, 0 where nothing was published.
func (in *googleInstance) rows(user, calendar, kind string) int {
	if s := in.reader.Fold.Streams[oracle.Stream{Source: "work", Account: user, Collection: calendar, Kind: connector.Kind(kind)}]; s != nil {
		return len(s.Rows)
	}
	return 0
}

// Access that is lost takes the rows with it, once it is certain; regained, the calendar begins anew. A refusal of one list
// deletes nothing. The rules go with the role of an owner and come back with it.
func TestGoogleAccess(t *testing.T) {
	t.Parallel()
	in := newGoogle(t, testenv.Env(t, testenv.EnvKafka), 5, googleserver.Options{}, "", alice, bob)
	subscribe := func() error {
		return errors.Join(in.cloud.Share(team, alice, googleserver.Reader), in.cloud.Subscribe(alice, team, googleserver.Entry{}))
	}
	in.must(in.cloud.AddCalendar(bob, team, googleserver.Calendar{Summary: "Team"}), subscribe())
	for i := range 5 {
		_, err := in.cloud.PutEvent(bob, team, item(fmt.Sprintf("e%d", i), "text"))
		in.must(err)
	}
	in.start()
	in.settle(settleTime)

	in.cloud.Fault(func(rq googleserver.Request) googleserver.Fault {
		if rq.User == alice && rq.Calendar == team && rq.Kind == googleserver.EventsList {
			return googleserver.Fault{Error: googleserver.Forbidden}
		}
		return googleserver.Fault{}
	})
	in.must(in.cloud.DeleteEvent(bob, team, "e0"))
	in.polls(3)
	in.catchUp(t.Context())
	if n := in.rows(alice, team, "events"); n != 5 {
		t.Fatalf("%d of 5 rows are left while the list is refused", n)
	}
	in.cloud.Fault(nil)
	in.settle(settleTime)

	in.must(in.cloud.Unshare(team, alice))
	in.settle(settleTime)
	s := in.stream(alice, team, "events")
	if s.Ops["d"] != 5 || len(s.Rows) != 0 || len(s.Markers) != 2 {
		t.Errorf("access lost: %v, markers %+v", s.Ops, s.Markers)
	}
	in.must(subscribe())
	in.settle(settleTime)
	if m := s.Markers[2:]; len(m) != 2 || m[0].Type != "snapshot-begin" || m[0].Reason != "returned" || len(s.Rows) != 4 {
		t.Errorf("access regained: %d rows, markers %+v", len(s.Rows), m)
	}

	for _, role := range []googleserver.Role{googleserver.Reader, googleserver.Owner} {
		in.stop()
		in.must(in.cloud.Share(team, bob, role)) // which no delta of the calendars shows, but the first poll after a start
		in.start()
		in.settle(settleTime)
		if n := in.rows(bob, team, "acl"); (n > 0) != (role == googleserver.Owner) {
			t.Errorf("%d rules are known to the %s", n, role)
		}
	}
	in.quiet()
	in.stop()
}

// What a role shows of an event changes with the role, and not the event's ETag; nor need the token live long enough for
// a reset each time.
func TestGoogleRoles(t *testing.T) {
	t.Parallel()
	in := newGoogle(t, testenv.Env(t, testenv.EnvKafka), 12, googleserver.Options{}, "", alice, bob)
	_, err := in.cloud.PutEvent(bob, bob, strings.Replace(item("private", "secret"), "{", `{"visibility":"private",`, 1))
	in.must(err, in.cloud.Share(bob, alice, googleserver.Writer), in.cloud.Subscribe(alice, bob, googleserver.Entry{}))
	in.start()
	in.settle(settleTime)
	for i := range 5 {
		role, want := googleserver.Reader, ""
		if i%2 == 1 {
			role, want = googleserver.Writer, "secret"
		}
		in.must(in.cloud.Share(bob, alice, role)) // which no delta of the calendars shows
		for began := time.Now(); in.stream(alice, bob, "events").Rows["private"].Text("summary") != want; in.catchUp(t.Context()) {
			if time.Since(began) > time.Minute {
				t.Fatalf("change %d: a %s sees %v", i, role, in.stream(alice, bob, "events").Rows["private"])
			}
			time.Sleep(pollInterval / 10)
		}
	}
	in.stop()
	in.start()
	in.settle(settleTime)
	in.stop()
}

// A user whose quota is used up is slowed down alone, and loses nothing.
func TestGoogleQuota(t *testing.T) {
	t.Parallel()
	in := newGoogle(t, testenv.Env(t, testenv.EnvKafka), 7, googleserver.Options{}, "", alice, bob)
	for i := range 20 {
		in.must(in.cloud.AddCalendar(alice, fmt.Sprintf("c%d@group.calendar.google.com", i), googleserver.Calendar{Summary: "C"}))
	}
	in.start()
	in.settle(settleTime)
	for i, status := range []int{http.StatusForbidden, http.StatusTooManyRequests} {
		// A poll of alice's is some 45 requests, one of bob's 5.
		in.cloud.SetQuota(googleserver.Quota{PerUser: 70, Window: 10 * time.Second, Status: status, RetryAfter: time.Duration(i) * time.Second})
		began, refused := time.Now(), 0
		for n := 0; time.Since(began) < 8*time.Second; n++ {
			id := fmt.Sprintf("e%d-%d", status, n)
			in.put(alice, item(id, "text"))
			in.put(bob, item(id, "text"))
			in.must(in.cloud.DeleteEvent(bob, bob, id))
			in.put(bob, item("last", id))
			in.soon(bob, 8*time.Second)
		}
		for _, rq := range in.cloud.Requests(0) {
			if rq.Status == status && !rq.Time.Before(began) {
				refused++
				if rq.User != alice {
					t.Errorf("%s was refused %s", rq.User, rq.HTTP.URL.Path)
				}
			}
		}
		if refused == 0 {
			t.Errorf("%d: nothing was refused", status)
		}
		in.cloud.SetQuota(googleserver.Quota{})
		in.settle(settleTime)
	}
	in.quiet()
	in.stop()
	for k, s := range in.reader.Fold.Streams {
		if k.Account == alice && (s.Ops["d"] > 0 || len(s.Markers) != 2) {
			t.Errorf("%v: %v, markers %+v", k, s.Ops, s.Markers)
		}
	}
}

// soon waits until the rows of one user are what the user can list.
func (in *googleInstance) soon(user string, within time.Duration) {
	in.t.Helper()
	for began := time.Now(); ; {
		in.alive()
		if _, err := in.reader.CatchUp(in.t.Context()); err != nil {
			in.t.Fatal(err)
		}
		found := in.cloud.Differences(in.t, in.reader.Fold, "work", user)
		if len(found) == 0 {
			return
		}
		if time.Since(began) > within {
			in.t.Fatalf("%s: not after %v: %q\n%s", user, within, head(found), in.tail())
		}
		time.Sleep(pollInterval / 10)
	}
}

// A token that ends in the middle of a listing is got anew, and the listing goes on with the page that it was at.
func TestGoogleTokenEndsInMidPage(t *testing.T) {
	t.Parallel()
	in := newGoogle(t, testenv.Env(t, testenv.EnvKafka), 9, googleserver.Options{PageLimit: 10}, "", alice)
	in.must(in.h.Create(alice, 55))
	var once sync.Once
	in.cloud.Answered = func(rq googleserver.Request) {
		if rq.Kind == googleserver.EventsList && rq.Calendar == alice && rq.HTTP.URL.Query().Has("pageToken") {
			once.Do(func() { in.cloud.Tokens.RevokeAll(alice) })
		}
	}
	in.start()
	in.settle(settleTime)
	in.quiet()
	in.stop()
	first, refused := 0, 0
	for _, rq := range in.cloud.Requests(0) {
		if q := rq.HTTP.URL.Query(); rq.Kind == googleserver.EventsList && rq.Calendar == alice && !q.Has("pageToken") && !q.Has("syncToken") {
			first++
		}
		if rq.Status == http.StatusUnauthorized {
			refused++
		}
	}
	if s := in.stream(alice, alice, "events"); first != 1 || refused == 0 || len(s.Markers) != 2 {
		t.Errorf("listed %d times, %d requests refused, markers %+v", first, refused, s.Markers)
	}
}

// A full comparison finds what no delta has said.
func TestGoogleReconciles(t *testing.T) {
	t.Parallel()
	in := newGoogle(t, testenv.Env(t, testenv.EnvKafka), 10, googleserver.Options{QuietRenames: true, QuietUnshare: true}, "", alice, bob, carol)
	in.edit("    poll_interval:", "    reconcile_interval: 1m\n    poll_interval:")
	in.must(in.h.Steps(100))
	in.start()
	in.settle(settleTime)
	in.polls(2)
	in.h.Quiet, in.h.Lost = true, true
	in.must(in.h.Steps(120))
	in.must(in.cloud.DropSetting(alice, "format24HourTime"))
	in.settle(settleTime)
	in.stop()
	if s := in.stream(alice, "", "settings"); len(s.Markers) != 2 || s.Ops["d"] == 0 {
		t.Errorf("settings: %v, markers %+v", s.Ops, s.Markers)
	}
}
