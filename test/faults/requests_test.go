//go:build integration

package faults

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/rig"
)

// fault is one way in which a server fails.
type fault struct {
	name string
	what davserver.Fault
	says []string // one of these stands in the log
}

const retryAfter = 3 * time.Second

var answers = []fault{
	{"401", davserver.Fault{Status: 401}, []string{": 401 "}},
	{"403", davserver.Fault{Status: 403}, []string{": 403 "}},
	{"404", davserver.Fault{Status: 404}, []string{": 404 "}},
	{"429", davserver.Fault{Status: 429, Header: http.Header{"Retry-After": {"3"}}}, []string{": 429 "}},
	{"500", davserver.Fault{Status: 500}, []string{": 500 ", "answers 500"}},
	{"503", davserver.Fault{Status: 503}, []string{": 503 "}},
	{"cut", davserver.Fault{Cut: 60}, []string{"the answer was cut"}},
	{"empty", davserver.Fault{Empty: true}, []string{"empty multistatus", "no sync-token", "not complete", ": 207 "}},
	{"malformed", davserver.Fault{Malformed: true}, []string{"malformed answer", "the answer was cut", "wanted a calendar object"}},
	{"html", davserver.Fault{Status: 200, Header: http.Header{"Content-Type": {"text/html"}},
		Body: "<!doctype html><html><body>Please log in<br></body></html>"}, []string{"text/html"}},
}

// request is a kind of request that calcdc makes.
type request struct {
	name  string
	match func(k davserver.Kind, r *http.Request, body string) bool
	plain bool   // of a server without sync-collection
	own   bool   // concerns the account: each fault has one for itself
	fresh bool   // the calendar appears while the fault lasts
	path  string // of the url
	// without are the faults that are no trouble, or mean something, with the reason.
	without map[string]string
}

func depth(want string) func(davserver.Kind, *http.Request, string) bool {
	return func(k davserver.Kind, r *http.Request, _ string) bool {
		return k == davserver.Collection && r.Header.Get("Depth") == want
	}
}

func is(want davserver.Kind) func(davserver.Kind, *http.Request, string) bool {
	return func(k davserver.Kind, _ *http.Request, _ string) bool { return k == want }
}

const (
	elsewhere = "another address is tried"
	byGet     = "the bodies are asked for by GET"
	noBody    = "a redirect needs none"
)

var requests = []request{
	{name: "wellknown", match: is(davserver.WellKnown), own: true, path: "nowhere/at/all/",
		without: map[string]string{"403": elsewhere, "404": elsewhere, "html": elsewhere, "cut": noBody, "malformed": noBody}},
	{name: "principal", match: is(davserver.Principal), own: true},
	{name: "home", match: is(davserver.Home), own: true},
	{name: "look", match: depth("0"), own: true,
		without: map[string]string{"404": "it is gone, then", "403": "it may be back within the hour"}},
	{name: "delta", match: is(davserver.Sync)},
	{name: "first", match: is(davserver.Sync), fresh: true},
	{name: "bodies", match: is(davserver.Multiget), without: map[string]string{"404": byGet, "empty": byGet}},
	{name: "firstbodies", match: is(davserver.Multiget), fresh: true, without: map[string]string{"404": byGet, "empty": byGet}},
	{name: "get", match: is(davserver.Get), without: map[string]string{"404": "gone again, it seems"}},
	{name: "list", match: depth("1"), plain: true},
	{name: "ctag", match: depth("0"), plain: true},
	{name: "sweep", plain: true, match: func(k davserver.Kind, _ *http.Request, body string) bool {
		return k == davserver.Multiget && !strings.Contains(body, "calendar-data")
	}, without: map[string]string{"404": byGet, "empty": byGet}},
}

// trial is a fault at a kind of request.
type trial struct {
	request        *request
	fault          *fault
	cal            *calendars
	source         string
	user, calendar string

	mu   sync.Mutex
	hits []time.Time
}

func (t *trial) String() string { return t.request.name + " " + t.fault.name }

func (t *trial) hit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hits = append(t.hits, time.Now())
}

// forget forgets the hits and returns them.
func (t *trial) forget() []time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	hits := t.hits
	t.hits = nil
	return hits
}

func (t *trial) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.hits)
}

// course is all trials at once, in one process.
type course struct {
	t      *testing.T
	in     *instance
	trials []*trial
	by     map[[2]string]*trial // by user and calendar; the latter is "" where the trial concerns the account
	on     sync.Map             // "" while the faults last
	before map[*trial][]string  // objects before the faults
}

// Whatever a server answers, and to whichever request: nothing is deleted for it, others go on, log and metrics say
// why, and when it is over the topics equal the calendars again.
func TestEveryFaultAtEveryRequest(t *testing.T) {
	t.Parallel()
	c := newCourse(t, testenv.Env(t, testenv.EnvKafka))
	c.in.start()
	c.in.settle()
	c.begin()
	c.stir("2.ics", func(tr *trial) bool { return !tr.request.fresh })
	c.struck("while it runs", func(tr *trial) bool { return tr.request.name != "principal" && tr.request.name != "wellknown" })
	c.others()
	c.in.run.Stop()
	for _, tr := range c.trials {
		tr.forget()
	}
	c.in.start()
	c.stir("3.ics", func(*trial) bool { return true })
	c.struck("from the start", func(*trial) bool { return true })
	c.said()
	c.others()
	c.patience()
	c.on.Delete("")
	c.in.settle()
	c.in.quiet()
	c.noReset()
	c.in.run.Stop()
}

func newCourse(t *testing.T, brokers string) *course {
	c := &course{t: t, by: map[[2]string]*trial{}, before: map[*trial][]string{}}
	var users [2][]string
	sources := map[string]*upstream{}
	for i := range requests {
		r := &requests[i]
		for j := range answers {
			tr := &trial{request: r, fault: &answers[j], user: r.name, calendar: "cal" + answers[j].name, source: "main"}
			if r.own {
				tr.user = r.name + answers[j].name
			}
			if r.plain {
				tr.source = "plain"
			} else if r.path != "" {
				tr.source = r.name
			}
			if sources[tr.source] == nil {
				sources[tr.source] = &upstream{name: tr.source, path: r.path}
			}
			u := sources[tr.source]
			if !slices.Contains(u.users, tr.user) {
				u.users = append(u.users, tr.user)
			}
			if r.name == "look" && tr.fault.name == "404" {
				continue // means that it is gone
			}
			c.trials = append(c.trials, tr)
		}
	}
	for name, u := range sources {
		side := 0
		if name == "plain" {
			side = 1
		}
		users[side] = append(users[side], u.users...)
	}
	servers := [2]*calendars{newCalendars(t, davserver.Options{}, users[0]...), newCalendars(t, davserver.Options{NoSync: true}, users[1]...)}
	var from []upstream
	for name, u := range sources {
		u.cal = servers[0]
		if name == "plain" {
			u.cal = servers[1]
		}
		for _, user := range u.users {
			u.cal.fill(user, "witness", 2)
		}
		from = append(from, *u)
	}
	for _, tr := range c.trials {
		tr.cal = sources[tr.source].cal
		if tr.request.own {
			c.by[[2]string{tr.user, ""}] = tr
		}
		c.by[[2]string{tr.user, tr.calendar}] = tr
		if !tr.request.fresh {
			tr.cal.fill(tr.user, tr.calendar, 6)
		}
	}
	for _, s := range servers {
		s.Fault(c.hook)
	}
	c.in = newInstance(t, brokers, "log: {format: json}\n", from...)
	return c
}

// hook is asked at each request what shall go wrong.
func (c *course) hook(k davserver.Kind, r *http.Request) davserver.Fault {
	user, _, _ := r.BasicAuth()
	if user == "get" && k == davserver.Multiget {
		return davserver.Fault{Status: http.StatusMethodNotAllowed}
	}
	if _, on := c.on.Load(""); !on {
		return davserver.Fault{}
	}
	calendar := ""
	if parts := strings.Split(r.URL.Path, "/"); len(parts) > 4 { // "", user, "calendars", calendar, …
		calendar = parts[3]
	}
	tr := c.by[[2]string{user, calendar}]
	if tr == nil {
		return davserver.Fault{}
	}
	if tr.request.name == "look" && k == davserver.Home {
		return davserver.Fault{Drop: []string{tr.calendar}}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || !tr.request.match(k, r, string(body)) {
		return davserver.Fault{}
	}
	tr.hit()
	return tr.fault.what
}

// begin lets the faults begin; the fresh calendars appear.
func (c *course) begin() {
	c.on.Store("", true)
	for _, tr := range c.trials {
		if tr.request.fresh {
			tr.cal.fill(tr.user, tr.calendar, 6)
			continue
		}
		for name := range tr.cal.List(tr.user, tr.calendar) {
			c.before[tr] = append(c.before[tr], name)
		}
	}
}

func (c *course) stir(also string, which func(*trial) bool) {
	for _, tr := range c.trials {
		if which(tr) {
			tr.cal.stir(tr.user, tr.calendar)
			tr.cal.Delete(tr.user, tr.calendar, also)
		}
	}
}

// struck waits until each fault has been met twice.
func (c *course) struck(when string, which func(*trial) bool) {
	c.t.Helper()
	eventually(c.t, inTime, "each fault is met, "+when, func() string {
		c.in.run.Alive()
		var spared []string
		for _, tr := range c.trials {
			enough := 2
			if tr.request.without[tr.fault.name] != "" {
				enough = 1
			}
			if n := tr.count(); which(tr) && n < enough {
				spared = append(spared, fmt.Sprintf("%v (%d)", tr, n))
			}
		}
		return strings.Join(spared, ", ")
	})
	c.keeps()
}

// keeps demands that the rows of what was and is on the servers are there.
func (c *course) keeps() {
	c.t.Helper()
	c.in.catchUp()
	c.in.sound()
	for tr, names := range c.before {
		there := tr.cal.List(tr.user, tr.calendar)
		s := c.in.stream(tr.source, tr.user, tr.cal.Path(tr.user, tr.calendar))
		for _, name := range names {
			if _, ok := there[name]; ok && s.Rows[name] == nil {
				c.t.Errorf("%v: %s was deleted, and it is there", tr, name)
			}
		}
	}
}

// others demands that changes go through in the calendars beside the faulty ones.
func (c *course) others() {
	c.t.Helper()
	var beside []*trial
	for _, tr := range c.trials {
		if !tr.request.own && !slices.ContainsFunc(beside, func(b *trial) bool { return b.user == tr.user }) {
			beside = append(beside, tr)
			tr.cal.stir(tr.user, "witness")
		}
	}
	eventually(c.t, inTime, "what is beside the faulty goes on", func() string {
		c.in.catchUp()
		for _, tr := range beside {
			path := tr.cal.Path(tr.user, "witness")
			s := c.in.stream(tr.source, tr.user, path)
			for name, body := range tr.cal.List(tr.user, "witness") {
				row := s.Rows[name]
				if row == nil || row.Text("raw") != string(body) {
					return fmt.Sprintf("%s%s", path, name)
				}
			}
		}
		return ""
	})
}

// said demands that log and metrics tell of each fault.
func (c *course) said() {
	c.t.Helper()
	var silent []*trial
	for _, tr := range c.trials {
		if tr.request.without[tr.fault.name] == "" {
			silent = append(silent, tr)
		}
	}
	eventually(c.t, inTime, "log and metrics say why", func() string {
		m := c.in.metrics()
		silent = slices.DeleteFunc(silent, func(tr *trial) bool { return c.tells(m, tr) })
		return fmt.Sprint(silent)[1:max(1, len(fmt.Sprint(silent))-1)]
	})
}

func (c *course) tells(m rig.Metrics, tr *trial) bool {
	source, account := rig.Label("source", tr.source), rig.Label("account", tr.user)
	path := tr.cal.Path(tr.user, tr.calendar)
	subject, metered := `"stream":"`+tr.source+"/"+tr.user+"/events "+path+`"`, false
	if tr.request.own {
		subject = `"account":"` + tr.source + "/" + tr.user + `"`
		up, n := m.Sum("calcdc_account_up", source, account)
		metered = n == 1 && up == 0
	} else {
		failures, _ := m.Sum("calcdc_stream_failures_in_a_row", source, account, rig.Label("collection", path))
		unread, _ := m.Sum("calcdc_stream_unread_resources", source, account, rig.Label("collection", path))
		metered = failures+unread > 0
	}
	return metered && slices.ContainsFunc(tr.fault.says, func(text string) bool { return c.in.logged(subject, text) })
}

// patience demands that Retry-After is heeded.
func (c *course) patience() {
	c.t.Helper()
	for _, tr := range c.trials {
		if tr.fault.name != "429" {
			continue
		}
		hits := tr.forget()
		for i := 1; i < len(hits); i++ {
			if gap := hits[i].Sub(hits[i-1]); gap < retryAfter-50*time.Millisecond {
				c.t.Errorf("%v: asked again after %v", tr, gap)
			}
		}
	}
}

// noReset: errors say nothing of tokens, except those that are servers' ways to say so.
func (c *course) noReset() {
	c.t.Helper()
	for _, tr := range c.trials {
		s := c.in.stream(tr.source, tr.user, tr.cal.Path(tr.user, tr.calendar))
		allowed := 2
		if tr.request.name == "delta" && (tr.fault.name == "403" || tr.fault.name == "500") {
			allowed = 4 // the fault may end between the delta and the listing that it led to
		}
		if len(s.Markers) > allowed {
			c.t.Errorf("%v: %+v", tr, s.Markers)
		}
	}
}
