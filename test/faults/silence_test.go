//go:build integration

package faults

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/rig"
)

// patience is how long calcdc waits for a server that says nothing.
const patience = 2 * time.Minute

// silence is what a request gets: no answer, or half of one.
type silence struct {
	user, calendar string
	request        func(k davserver.Kind, r *http.Request, body string) bool
	half           bool
}

var silences = []silence{
	{"principal", "cal", is(davserver.Principal), false},
	{"home", "cal", is(davserver.Home), false},
	{"alice", "delta", is(davserver.Sync), false},
	{"alice", "first", is(davserver.Sync), false},
	{"alice", "half", is(davserver.Sync), true},
	{"alice", "bodies", is(davserver.Multiget), false},
	{"alice", "halfbodies", is(davserver.Multiget), true},
	{"get", "cal", is(davserver.Get), false},
}

// A server that falls silent, before its answer or within it, is given up after two minutes; meanwhile and afterwards
// everything is as with other faults.
func TestSilence(t *testing.T) {
	t.Parallel()
	cal := newCalendars(t, davserver.Options{}, "principal", "home", "alice", "get")
	in := newInstance(t, testenv.Env(t, testenv.EnvKafka), "log: {format: json}\n",
		upstream{name: "work", cal: cal, users: []string{"principal", "home", "alice", "get"}})
	cal.fill("alice", "witness", 2)
	for _, s := range silences {
		if s.calendar != "first" {
			cal.fill(s.user, s.calendar, 4)
		}
	}
	var silent atomic.Bool
	release := make(chan struct{})
	cal.Fault(func(k davserver.Kind, r *http.Request) davserver.Fault {
		user, _, _ := r.BasicAuth()
		if user == "get" && k == davserver.Multiget {
			return davserver.Fault{Status: http.StatusMethodNotAllowed}
		}
		return davserver.Fault{}
	})
	instead := func(w http.ResponseWriter, r *http.Request) bool {
		return silent.Load() && keepSilent(cal, w, r, release)
	}
	cal.instead.Store(&instead)
	in.start()
	in.settle()
	in.run.Stop()

	silent.Store(true)
	cal.fill("alice", "first", 4)
	for _, s := range silences {
		cal.stir(s.user, s.calendar)
	}
	in.start()
	began := time.Now()
	for time.Since(began) < patience-10*time.Second {
		cal.stir("alice", "witness")
		eventually(t, inTime, "what is beside the silent goes on", func() string {
			in.run.Alive()
			in.catchUp()
			return behind(in, cal, "alice", "witness")
		})
		time.Sleep(5 * time.Second) // a change now and then, while the others hang
	}
	in.sound()
	saysSilence(t, in, cal)
	silent.Store(false)
	close(release)
	in.settle()
	in.quiet()
	for _, s := range silences {
		if st := in.stream("work", s.user, cal.Path(s.user, s.calendar)); len(st.Markers) != 2 {
			t.Errorf("%s %s: %+v", s.user, s.calendar, st.Markers)
		}
	}
	in.run.Stop()
}

// saysSilence waits for log and metrics to tell of each.
func saysSilence(t *testing.T, in *instance, cal *calendars) {
	t.Helper()
	eventually(t, patience/2, "log and metrics tell of the silence", func() string {
		m := in.metrics()
		for _, s := range silences {
			path := cal.Path(s.user, s.calendar)
			failures, _ := m.Sum("calcdc_stream_failures_in_a_row", rig.Label("account", s.user), rig.Label("collection", path))
			subject := `"stream":"work/` + s.user + "/events " + path + `"`
			if s.user == "principal" || s.user == "home" {
				up, _ := m.Sum("calcdc_account_up", rig.Label("account", s.user))
				subject, failures = `"account":"work/`+s.user+`"`, 1-up
			}
			text := "did not answer in time"
			if s.half {
				text = "fell silent in the middle"
			}
			if failures < 1 || !in.logged(subject, text) {
				return s.user + " " + s.calendar
			}
		}
		return ""
	})
}

// keepSilent holds a request until release, or sends the first half of its answer and then nothing.
func keepSilent(cal *calendars, w http.ResponseWriter, r *http.Request, release chan struct{}) bool {
	user, _, _ := r.BasicAuth()
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	calendar := ""
	if parts := strings.Split(r.URL.Path, "/"); len(parts) > 4 {
		calendar = parts[3]
	}
	kind := kindOf(r, string(body))
	i := slices.IndexFunc(silences, func(s silence) bool {
		return s.user == user && (calendar == "" || s.calendar == calendar) && s.request(kind, r, string(body))
	})
	if i < 0 {
		return false
	}
	if silences[i].half {
		w.Header().Set("Content-Type", "application/xml; charset=utf-8")
		w.WriteHeader(http.StatusMultiStatus)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><multistatus xmlns="DAV:"><response><href>`+cal.Path(user, calendar)+"0.ics")
		w.(http.Flusher).Flush()
	}
	select {
	case <-release:
	case <-r.Context().Done():
	}
	panic(http.ErrAbortHandler)
}

// kindOf is the kind of the requests that these tests keep unanswered.
func kindOf(r *http.Request, body string) davserver.Kind {
	switch parts := strings.Count(strings.Trim(r.URL.Path, "/"), "/"); {
	case strings.Contains(body, "sync-collection") && r.Method == "REPORT":
		return davserver.Sync
	case strings.Contains(body, "calendar-multiget"):
		return davserver.Multiget
	case r.Method == http.MethodGet:
		return davserver.Get
	case r.Method == "PROPFIND" && parts == 0:
		return davserver.Principal
	case r.Method == "PROPFIND" && parts == 1:
		return davserver.Home
	}
	return davserver.Other
}
