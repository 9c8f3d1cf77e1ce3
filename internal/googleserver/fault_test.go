package googleserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/googleserver"
)

// only lets f happen at requests of one kind.
func only(kind googleserver.Kind, f googleserver.Fault) func(googleserver.Request) googleserver.Fault {
	return func(rq googleserver.Request) googleserver.Fault {
		if rq.Kind == kind {
			return f
		}
		return googleserver.Fault{}
	}
}

func TestErrors(t *testing.T) {
	f := start(t, googleserver.Options{})
	for reason, e := range map[string]*googleserver.Error{
		"401 authError": googleserver.InvalidCredentials, "403 userRateLimitExceeded": googleserver.UserRateLimitExceeded,
		"403 rateLimitExceeded": googleserver.RateLimitExceeded, "403 quotaExceeded": googleserver.QuotaExceeded,
		"429 rateLimitExceeded": googleserver.TooManyRequests, "403 forbidden": googleserver.Forbidden,
		"404 notFound": googleserver.NotFound, "410 deleted": googleserver.Deleted, "500 backendError": googleserver.BackendError,
		"503 backendError": googleserver.ServiceUnavailable, "412 conditionNotMet": googleserver.PreconditionFailed,
		"410 updatedMinTooLongAgo": googleserver.UpdatedMinTooLongAgo,
	} {
		answer := *e
		answer.RetryAfter = 7 * time.Second
		f.Fault(only(googleserver.EventsList, googleserver.Fault{Error: &answer}))
		r := f.get(events)
		if got := fmt.Sprint(r.Status, " ", r.reason()); got != reason || r.Error.Code != r.Status || r.Error.Message == "" ||
			r.Header.Get("Retry-After") != "7" || r.Error.Errors[0].Message != r.Error.Message || r.Error.Errors[0].Domain == "" {
			t.Error(reason, r.Text)
		}
		if r := f.get(acl); r.Status != 200 {
			t.Error("another kind is not concerned:", r.Text)
		}
	}
}

func TestAuthentication(t *testing.T) {
	granted := []string{"https://www.googleapis.com/auth/calendar.readonly"}
	f := start(t, googleserver.Options{Scopes: func(*http.Request) []string { return granted }})
	for path, want := range map[string]int{events: 200, listPath: 200, settings: 200, acl: 403, "calendars/primary": 200} {
		r := f.get(path)
		if r.Status != want || (want == 403) != (r.reason() == "insufficientPermissions") {
			t.Error(path, r.Text)
		}
		if want == 403 && !strings.Contains(r.Header.Get("WWW-Authenticate"), "calendar.acls.readonly") {
			t.Error(r.Header)
		}
	}
	granted = []string{"https://www.googleapis.com/auth/calendar.acls.readonly"}
	if r := f.get(acl); r.Status != 200 {
		t.Error(r.Text)
	}
	for _, header := range []string{"", "Bearer nonsense", "Basic eDp5", "Bearer " + f.Token("nobody")} {
		if r, _ := f.try(events, http.Header{"Authorization": {header}}); r.Status != 401 || r.reason() != "authError" || r.Header.Get("WWW-Authenticate") == "" {
			t.Error(header, r.Text)
		}
	}
	f = start(t, googleserver.Options{Authenticate: func(r *http.Request) (string, bool) { return r.Header.Get("X-User"), true }})
	if r, _ := f.try(listPath, http.Header{"X-User": {bob}}); r.ids() != bob {
		t.Error(r.Text)
	}
}

func TestUnknownPaths(t *testing.T) {
	f := start(t, googleserver.Options{})
	for _, path := range []string{
		"", "calendars", "calendars/", "calendars/unknown", "calendars/unknown/events", "calendars/primary/events/unknown", "calendars/primary/other",
		"calendars/primary/acl/unknown", "users/you/settings", "users/me/other", "users/me/calendarList/unknown", "users/me/settings/unknown", "../x",
	} {
		if r := f.get(path); r.Status != 404 || r.reason() != "notFound" {
			t.Error(path, r.Status, r.Text)
		}
	}
	req, err := http.NewRequest("DELETE", f.url+events+"/event1", nil)
	f.must(err)
	req.Header.Set("Authorization", "Bearer "+f.Token(alice))
	resp, err := f.client.Do(req)
	f.must(err)
	resp.Body.Close()
	if resp.StatusCode != 405 {
		t.Error(resp.Status)
	}
}

func TestQuota(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	f := start(t, googleserver.Options{
		Now: func() time.Time { return now }, Quota: googleserver.Quota{PerUser: 3, PerProject: 5, RetryAfter: 9 * time.Second},
	})
	ask := func(user string, params ...string) string {
		r := f.as(user).get(settings, params...)
		return fmt.Sprint(r.Status, r.reason(), r.Header.Get("Retry-After"))
	}
	expect := func(got, want string) {
		t.Helper()
		if got != want {
			t.Error(got, "instead of", want)
		}
	}
	for range 3 {
		expect(ask(alice), "200")
		now = now.Add(10 * time.Second)
	}
	expect(ask(alice), "403userRateLimitExceeded9")
	expect(ask(bob), "200")
	expect(ask(bob), "200")
	expect(ask(bob), "403rateLimitExceeded9")
	now = now.Add(30 * time.Second) // a minute after the first: the window slides by one
	expect(ask(alice), "200")
	expect(ask(alice), "403userRateLimitExceeded9")
	f.SetQuota(googleserver.Quota{PerUser: 3, Status: 429})
	expect(ask(alice), "429rateLimitExceeded")
	expect(ask(alice, "quotaUser", "x"), "200")
	f.SetQuota(googleserver.Quota{})
	expect(ask(alice), "200")
}

func TestSpoiltBodies(t *testing.T) {
	f := start(t, googleserver.Options{})
	for i := range 5 {
		f.put(event(fmt.Sprintf("event%d", i)))
	}
	whole := f.compact(events)
	for name, c := range map[string]struct {
		fault googleserver.Fault
		check func(r reply, err error) bool
	}{
		"cut": {googleserver.Fault{Cut: 50}, func(r reply, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF)
		}},
		"cut after the last byte": {googleserver.Fault{Cut: 1 << 20}, func(r reply, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF)
		}},
		"cut before the first byte": {googleserver.Fault{Cut: -1}, func(r reply, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF) && r.Text == ""
		}},
		"cut inside an item": {googleserver.Fault{CutItem: 3}, func(r reply, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF) && strings.Contains(r.Text, `"id":"event2"`) && !strings.Contains(r.Text, `"id":"event3"`)
		}},
		"not JSON": {googleserver.Fault{Status: 200, Body: "<html>"}, func(r reply, err error) bool {
			return err == nil && r.Status == 200 && r.Text == "not JSON: <html>"
		}},
		"mangled": {googleserver.Fault{Mangle: func([]byte) []byte { return []byte(`17`) }}, func(r reply, err error) bool {
			return err == nil && strings.Contains(r.Text, `"items":[17,17,17,17,17]`)
		}},
		"dropped": {googleserver.Fault{Drop: []string{"event2"}}, func(r reply, err error) bool {
			return err == nil && r.ids() == "event0 event1 event3 event4" && r.NextSyncToken != ""
		}},
		"tokenless": {googleserver.Fault{Tokenless: true}, func(r reply, err error) bool {
			return err == nil && len(r.Items) == 5 && r.NextSyncToken == "" && r.NextPageToken == ""
		}},
		"slow": {googleserver.Fault{Pause: time.Microsecond, Pace: 500}, func(r reply, err error) bool {
			return err == nil && len(r.Text) == len(whole) && r.ids() == "event0 event1 event2 event3 event4"
		}},
		"loop": {googleserver.Fault{Loop: true}, func(r reply, err error) bool {
			return err == nil && r.NextPageToken != "" && f.get(events, "prettyPrint", "false", "pageToken", r.NextPageToken).ids() == r.ids()
		}},
	} {
		f.Fault(only(googleserver.EventsList, c.fault))
		if r, err := f.try(events, nil, "prettyPrint", "false"); !c.check(r, err) {
			t.Error(name, err, r.Text)
		}
	}
	f.Fault(only(googleserver.EventsList, googleserver.Fault{Malformed: true}))
	if r, err := f.try(events, http.Header{"Accept-Encoding": {"identity"}}); err != nil || !strings.HasPrefix(r.Text, "not JSON") || r.Status != 200 {
		t.Error(err, r.Text)
	}
}

func TestHangsAndEndlessBodies(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.put(event("event1"))
	for _, fault := range []googleserver.Fault{{Hang: true}, {Delay: time.Hour}, {Pause: time.Hour}} {
		f.Fault(only(googleserver.EventsList, fault))
		f.client.Timeout = 50 * time.Millisecond
		if r, err := f.try(events, nil); err == nil {
			t.Errorf("%+v: %s", fault, r.Text)
		}
	}
	f.client.Timeout = 0
	f.Fault(only(googleserver.EventsList, googleserver.Fault{Endless: true}))
	req, err := http.NewRequest("GET", f.url+events, nil)
	f.must(err)
	req.Header.Set("Authorization", "Bearer "+f.Token(alice))
	resp, err := f.client.Do(req)
	f.must(err)
	n, err := io.CopyN(io.Discard, resp.Body, 10<<20)
	resp.Body.Close()
	if err != nil || n != 10<<20 {
		t.Error(n, err)
	}
}

func TestPagesThatShift(t *testing.T) {
	f := start(t, googleserver.Options{})
	for i := range 6 {
		f.put(event(fmt.Sprintf("event%d", i)))
	}
	for shift, want := range map[int]string{-1: "event2 event3 event4", 1: "event4 event5", 0: "event3 event4 event5", 10: ""} {
		next := f.get(events, "maxResults", "3").NextPageToken
		f.Fault(only(googleserver.EventsList, googleserver.Fault{Shift: shift}))
		if r := f.get(events, "maxResults", "3", "pageToken", next); r.ids() != want {
			t.Error(shift, r.ids())
		}
		f.Fault(nil)
	}
}

func TestGzip(t *testing.T) {
	for _, off := range []bool{false, true} {
		f := start(t, googleserver.Options{NoGzip: off})
		f.put(event("event1"))
		r, err := f.try(events, http.Header{"Accept-Encoding": {"gzip"}}) // so that the transport does not undo it
		f.must(err)
		if (r.Header.Get("Content-Encoding") == "gzip") == off || strings.Contains(r.Text, "\x1f\x8b") == off {
			t.Error(r.Header)
		}
		if r := f.get(events); r.ids() != "event1" {
			t.Error(r.Text)
		}
	}
}

func TestCountsAndLog(t *testing.T) {
	var seen []string
	var mu sync.Mutex
	f := start(t, googleserver.Options{Seen: func(r googleserver.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprint(r.Kind, " ", r.Calendar, r.ID, " ", r.User, " ", r.Status, r.Reason))
	}})
	f.get(events)
	f.get(events, "syncToken", "x")
	f.as(bob).get("calendars/primary/events/unknown")
	want := []string{"events.list " + team + " " + alice + " 200", "events.list " + team + " " + alice + " 400invalid", "events.get primaryunknown " + bob + " 404notFound"}
	if len(f.Log()) != 3 || f.Log()[1].URL.Query().Get("syncToken") != "x" {
		t.Error(f.Log())
	}
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Error(seen)
	}
	n := f.Traffic()[googleserver.By{User: alice, Kind: googleserver.EventsList}]
	if n.Requests != 2 || n.Errors != 1 || n.Bytes == 0 || f.Requests()[googleserver.EventsGet] != 1 {
		t.Errorf("%+v", f.Traffic())
	}
}

func TestRawItems(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.put(event("event1"))
	f.must(f.PutRaw("", team, "event1", []byte(`{"id":5}`)))
	if text := f.compact(events); !strings.Contains(text, `"items":[{"id":5}]`) {
		t.Error(text)
	}
	if text := f.compact(events, "timeZone", "UTC", "q", "x", "orderBy", "updated"); !strings.Contains(text, `"items":[]`) {
		t.Error(text)
	}
	f.must(f.DeleteEvent("", team, "event1"))
	if r := f.get(events); r.ids() != "" {
		t.Error(r.Text)
	}
}

// A client that folds listings and deltas must hold what the server does, whatever is written meanwhile.
func TestDeltasUnderWritersAreWhole(t *testing.T) {
	f := start(t, googleserver.Options{EmptyPages: 1, PageLimit: 7})
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for range 400 {
				id := fmt.Sprintf("event%d", r.IntN(60))
				if r.IntN(3) == 0 {
					_ = f.DeleteEvent("", team, id) // may be gone
				} else if _, err := f.PutEvent("", team, event(id)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	held, token := map[string]bool{}, ""
	fold := func() {
		var params []string
		if token != "" {
			params = []string{"syncToken", token}
		}
		r := f.all(events, params...)
		for _, id := range strings.Fields(r.ids()) {
			held[strings.TrimPrefix(id, "-")] = !strings.HasPrefix(id, "-")
		}
		token = r.NextSyncToken
	}
	for running := true; running; {
		fold()
		select {
		case <-done:
			running = false
		case <-ctx.Done():
			<-done
			running = false
		default:
		}
	}
	fold()
	full := map[string]bool{}
	for _, id := range strings.Fields(f.all(events).ids()) {
		full[id] = true
	}
	for id, there := range held {
		if there != full[id] {
			t.Errorf("%s: held %v, there %v", id, there, full[id])
		}
	}
	if len(full) == 0 {
		t.Error("nothing left to compare")
	}
}

// A page of 2,500 of 50,000 events, as a client without gzip reads it.
func BenchmarkPages(b *testing.B) {
	f := start(b, googleserver.Options{NoGzip: true})
	for i := range 50000 {
		f.put(event(fmt.Sprintf("event%05d", i)))
	}
	b.ResetTimer()
	for range b.N {
		req, err := http.NewRequest("GET", f.url+events+"?maxResults=2500&prettyPrint=false", nil)
		f.must(err)
		req.Header.Set("Authorization", "Bearer "+f.Token(alice))
		resp, err := f.client.Do(req)
		f.must(err)
		n, err := io.Copy(io.Discard, resp.Body)
		f.must(err)
		resp.Body.Close()
		b.SetBytes(n)
	}
}
