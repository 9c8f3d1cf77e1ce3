//go:build integration

package faults

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/googleserver"
	"github.com/calcdc/calcdc/internal/oauthserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/cloud"
)

// long is an answer that is larger beside its items than any should be.
var long = `{"kind":"` + strings.Repeat("endless ", 1<<19)

// googleFaults are the ways in which Google's server fails.
var googleFaults = map[string]googleserver.Fault{
	"500":     {Error: googleserver.BackendError},
	"503":     {Error: googleserver.ServiceUnavailable},
	"403":     {Error: googleserver.UserRateLimitExceeded},
	"429":     {Error: &googleserver.Error{Code: 429, Domain: "usageLimits", Reason: "rateLimitExceeded", RetryAfter: retryAfter}},
	"cut":     {Cut: 60},
	"cutitem": {CutItem: 1},
	"html":    {Status: 200, Body: "<!doctype html><html><body>Please log in</body></html>"},
	"endless": {Status: 200, Body: long},
	"hang":    {Hang: true},
}

// googleRequest is a kind of request that calcdc makes of Google.
type googleRequest struct {
	name  string
	kind  googleserver.Kind
	delta bool // with a sync token
	page  bool // with a page token
	own   bool // concerns the account: each fault has one for itself
	fresh bool // the calendar appears while the fault lasts
	start bool // made after a start only
}

var googleRequests = []googleRequest{
	{name: "list", kind: googleserver.EventsList, fresh: true},
	{name: "page", kind: googleserver.EventsList, page: true, fresh: true},
	{name: "delta", kind: googleserver.EventsList, delta: true},
	{name: "deltapage", kind: googleserver.EventsList, delta: true, page: true},
	{name: "get", kind: googleserver.EventsGet},
	{name: "acllist", kind: googleserver.ACLList, fresh: true},
	{name: "acldelta", kind: googleserver.ACLList, delta: true},
	{name: "connect", kind: googleserver.CalendarListGet, own: true, start: true},
	{name: "calendars", kind: googleserver.CalendarListList, own: true, start: true},
	{name: "calendarsdelta", kind: googleserver.CalendarListList, delta: true, own: true},
	{name: "look", kind: googleserver.CalendarListGet, own: true},
	{name: "settings", kind: googleserver.SettingsList, delta: true, own: true},
}

// googleTrial is a fault at a kind of request.
type googleTrial struct {
	request        *googleRequest
	fault          string
	user, calendar string

	mu   sync.Mutex
	hits []time.Time
}

func (tr *googleTrial) String() string { return tr.request.name + " " + tr.fault }

func (tr *googleTrial) hit() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.hits = append(tr.hits, time.Now())
}

// forget forgets the hits and returns them.
func (tr *googleTrial) forget() []time.Time {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	hits := tr.hits
	tr.hits = nil
	return hits
}

func (tr *googleTrial) met() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.hits)
}

// is tells whether a request is the trial's.
func (tr *googleTrial) is(rq googleserver.Request) bool {
	q := rq.HTTP.URL.Query()
	return rq.Kind == tr.request.kind && q.Has("syncToken") == tr.request.delta && q.Has("pageToken") == tr.request.page &&
		(rq.Kind != googleserver.CalendarListGet || (rq.Calendar == "primary") == tr.request.start)
}

// googleCourse is all trials at once, in one process.
type googleCourse struct {
	t      *testing.T
	cloud  *cloud.Cloud
	in     *instance
	users  []string
	trials []*googleTrial
	by     map[[2]string]*googleTrial // by user and calendar; the latter is "" where the trial concerns the account
	on     atomic.Bool
	made   int
}

// Whatever Google answers, and to whichever request: nothing is deleted for it, nothing is reset, others go on, and when it
// is over the topics equal the calendars again.
func TestGoogleFaultAtEveryRequest(t *testing.T) {
	t.Parallel()
	c := newGoogleCourse(t)
	c.in.start()
	c.in.settle()
	c.on.Store(true)
	c.gap(func(tr *googleTrial) bool { return !tr.request.start })
	c.struck("while it runs", func(tr *googleTrial) bool { return !tr.request.start })
	c.others()
	c.in.run.Stop()
	c.patience()
	c.gap(func(tr *googleTrial) bool { return tr.request.start })
	c.in.start()
	c.struck("from the start", func(*googleTrial) bool { return true })
	c.others()
	c.patience()
	c.on.Store(false)
	c.cloud.Release()
	c.in.settle()
	c.in.quiet()
	for k, s := range c.in.reader.Fold.Streams {
		if len(s.Markers) > 2 {
			t.Errorf("%v was reset: %+v", k, s.Markers)
		}
	}
	c.in.run.Stop()
}

func newGoogleCourse(t *testing.T) *googleCourse {
	c := &googleCourse{t: t, cloud: cloud.New(t, googleserver.Options{PageLimit: 4, SparseInstances: true}), by: map[[2]string]*googleTrial{}}
	for i := range googleRequests {
		r := &googleRequests[i]
		for fault := range googleFaults {
			if fault == "cutitem" && strings.HasSuffix(string(r.kind), ".get") {
				continue // has no items
			}
			if fault == "cut" && r.name == "look" {
				continue // 404 is told by the status alone
			}
			tr := &googleTrial{request: r, fault: fault, user: r.name + "@example.org", calendar: r.name + fault + "@group.calendar.google.com"}
			if r.own || fault == "403" || fault == "429" { // which slow down all that is asked for the user
				tr.user = r.name + fault + "@example.org"
			}
			if r.own {
				c.by[[2]string{tr.user, ""}] = tr
			}
			c.by[[2]string{tr.user, tr.calendar}] = tr
			c.trials = append(c.trials, tr)
			if !slices.Contains(c.users, tr.user) {
				c.users = append(c.users, tr.user)
				c.must(c.cloud.AddUser(tr.user))
			}
			if !r.fresh {
				c.fill(tr)
			}
		}
	}
	c.cloud.Fault(func(rq googleserver.Request) googleserver.Fault {
		calendar := rq.Calendar
		if calendar == "primary" {
			calendar = ""
		}
		tr := c.by[[2]string{rq.User, calendar}]
		if !c.on.Load() || tr == nil || !tr.is(rq) {
			return googleserver.Fault{}
		}
		tr.hit()
		return googleFaults[tr.fault]
	})
	c.in = newInstance(t, testenv.Env(t, testenv.EnvKafka), "log: {format: json}\n", upstream{name: "main", cloud: c.cloud, users: c.users})
	return c
}

func (c *googleCourse) must(errs ...error) {
	c.t.Helper()
	for _, err := range errs {
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

// put writes an event that differs from all others.
func (c *googleCourse) put(user, calendar, id string) {
	c.t.Helper()
	c.made++
	rule := ""
	if id == "series" {
		rule = `"recurrence":["RRULE:FREQ=DAILY;COUNT=9"],`
	}
	_, err := c.cloud.PutEvent(user, calendar, fmt.Sprintf(`{"id":%q,%s"summary":"text %d","start":{"dateTime":"2026-06-02T08:00:00Z"},`+
		`"end":{"dateTime":"2026-06-02T09:00:00Z"}}`, id, rule, c.made))
	c.must(err)
}

// fill makes the trial's calendar.
func (c *googleCourse) fill(tr *googleTrial) {
	c.t.Helper()
	c.must(c.cloud.AddCalendar(tr.user, tr.calendar, googleserver.Calendar{Summary: tr.String()}))
	for _, id := range []string{"e0", "e1", "e2", "e3", "series", "e5"} {
		c.put(tr.user, tr.calendar, id)
	}
}

// gap makes changes that calcdc asks for in the trials' ways.
func (c *googleCourse) gap(which func(*googleTrial) bool) {
	c.t.Helper()
	for _, tr := range c.trials {
		switch {
		case !which(tr):
			continue
		case tr.request.fresh:
			c.fill(tr)
			continue
		}
		c.put(tr.user, tr.calendar, "e0")
		for i := range 5 {
			c.put(tr.user, tr.calendar, fmt.Sprintf("new%d", i))
		}
		_, err := c.cloud.CancelInstance(tr.user, tr.calendar, "series", time.Date(2026, time.June, 4, 8, 0, 0, 0, time.UTC))
		c.must(err, c.cloud.DeleteEvent(tr.user, tr.calendar, "e1"),
			c.cloud.PutRule(tr.calendar, "group:g@example.org", googleserver.Reader), c.cloud.PutSetting(tr.user, "locale", tr.fault),
			c.cloud.Rename(tr.user, tr.calendar, "renamed"))
		if tr.request.name == "look" {
			c.must(c.cloud.Unsubscribe(tr.user, tr.calendar))
		}
	}
}

// struck waits until each fault has been met, twice where the answer comes to an end.
func (c *googleCourse) struck(when string, which func(*googleTrial) bool) {
	c.t.Helper()
	began, last := time.Now(), ""
	defer func() {
		c.t.Logf("each fault is met, %s, after %v; last %s", when, time.Since(began).Round(time.Millisecond), last)
	}()
	eventually(c.t, inTime, "each fault is met, "+when, func() string {
		c.in.run.Alive()
		var spared []string
		for _, tr := range c.trials {
			enough := 2
			if tr.fault == "hang" {
				enough = 1
			}
			if n := tr.met(); which(tr) && n < enough {
				spared = append(spared, fmt.Sprintf("%v (%d)", tr, n))
			}
		}
		if len(spared) > 0 {
			last = strings.Join(spared[:min(len(spared), 3)], ", ")
		}
		return strings.Join(spared, ", ")
	})
	c.keeps()
}

// keeps demands that the rows of what was and is on the server are there: nothing was deleted but e1.
func (c *googleCourse) keeps() {
	c.t.Helper()
	c.in.catchUp()
	c.in.sound()
	for _, tr := range c.trials {
		s := c.in.stream("main", tr.user, tr.calendar)
		for _, id := range []string{"e0", "e2", "e3", "series", "e5"} {
			if !tr.request.fresh && s.Rows[id] == nil {
				c.t.Errorf("%v: %s was deleted, and it is there", tr, id)
			}
		}
	}
}

// others demands that changes go through in the primary calendars beside the faulty ones.
func (c *googleCourse) others() {
	c.t.Helper()
	var beside []string
	for _, tr := range c.trials {
		if !tr.request.own && !slices.Contains(beside, tr.user) {
			beside = append(beside, tr.user)
			c.put(tr.user, tr.user, "witness")
		}
	}
	want := c.made
	eventually(c.t, inTime, "what is beside the faulty goes on", func() string {
		c.in.catchUp()
		for i, user := range beside {
			s := c.in.stream("main", user, user)
			if text := fmt.Sprintf("text %d", want-len(beside)+1+i); s == nil || s.Rows["witness"].Text("summary") != text {
				return user
			}
		}
		return ""
	})
}

// patience demands that Retry-After is heeded, and forgets what was met.
func (c *googleCourse) patience() {
	c.t.Helper()
	for _, tr := range c.trials {
		hits := tr.forget()
		for i := 1; i < len(hits) && tr.fault == "429"; i++ {
			if gap := hits[i].Sub(hits[i-1]); gap < retryAfter-50*time.Millisecond {
				c.t.Errorf("%v: asked again after %v", tr, gap)
			}
		}
	}
}

// Whatever the server of tokens answers at a start, calcdc asks again, and goes on where it was.
func TestGoogleTokenFaults(t *testing.T) {
	t.Parallel()
	const user = "alice@example.org"
	c := &googleCourse{t: t, cloud: cloud.New(t, googleserver.Options{})}
	c.must(c.cloud.AddUser(user))
	c.put(user, user, "one")
	c.in = newInstance(t, testenv.Env(t, testenv.EnvKafka), "", upstream{name: "main", cloud: c.cloud, users: []string{user}})
	c.in.start()
	c.in.settle()
	for name, f := range map[string]oauthserver.Fault{
		"500": {Status: http.StatusInternalServerError, Body: `{"error":"internal_failure"}`}, "503": {Status: http.StatusServiceUnavailable},
		"403": {Status: http.StatusForbidden, Body: `{"error":"rate_limit_exceeded"}`}, "429": {Status: http.StatusTooManyRequests, RetryAfter: "1"},
		"html": {Status: http.StatusOK, Body: "<html>"}, "empty": {Status: http.StatusOK, Body: "{}"}, "hang": {Hang: true},
		"grant": {Status: http.StatusBadRequest, Body: `{"error":"invalid_grant"}`},
	} {
		c.in.run.Stop()
		var met atomic.Int64
		c.cloud.Tokens.Fault(func(oauthserver.Kind, *http.Request) oauthserver.Fault {
			met.Add(1)
			return f
		})
		c.put(user, user, "one")
		c.in.start()
		eventually(t, inTime, name+" is met", func() string {
			c.in.run.Alive()
			if n := met.Load(); n < 2 && name != "hang" || n < 1 {
				return fmt.Sprintf("%d times", n)
			}
			return ""
		})
		if c.in.catchUp() > 0 {
			t.Errorf("%s: something was published", name)
		}
		c.cloud.Tokens.Fault(nil)
		if name == "hang" {
			c.in.run.Kill()
			c.in.start()
		}
		c.in.settle()
	}
	c.in.quiet()
	c.in.run.Stop()
	if s := c.in.stream("main", user, user); len(s.Markers) != 2 || s.Ops["u"] != 8 {
		t.Errorf("%v, markers %+v", s.Ops, s.Markers)
	}
}
