//go:build integration

package faults

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/rig"
)

// What calcdc may have resident at most, in MiB.
const (
	manyMembers = 200_000
	manyPeak    = 400 // with the index of 200,000 resources, and the names of the listing beside it
	hostilePeak = 200 // with answers of any size
)

// A listing of 200,000 members in one answer, first and then in a reset, needs memory for what is known of them, and
// no more.
func TestManyMembers(t *testing.T) {
	t.Parallel()
	cal := newCalendars(t, davserver.Options{}, "alice")
	cal.fill("alice", "work", manyMembers)
	in := newInstance(t, testenv.Env(t, testenv.EnvKafka), "events: {raw: false, before: key}\n", upstream{name: "work", cal: cal, users: []string{"alice"}})
	path := cal.Path("alice", "work")
	snapshots := func(n int) func() string {
		return func() string {
			in.run.Alive()
			in.catchUp()
			if s := in.stream("work", "alice", path); s == nil || len(s.Markers) < 2*n {
				return "the snapshot has not ended"
			}
			return ""
		}
	}
	in.start()
	began := time.Now()
	eventually(t, 5*time.Minute, "the snapshot", snapshots(1))
	t.Logf("%d members after %v, at most %d MiB resident", manyMembers, time.Since(began).Round(time.Second), in.run.Peak())
	cal.InvalidateTokens("alice", "work")
	cal.stir("alice", "work")
	eventually(t, 5*time.Minute, "the reset", snapshots(2))
	if n := len(in.stream("work", "alice", path).Rows); n != manyMembers {
		t.Errorf("%d rows", n)
	}
	t.Logf("with the reset after %v, at most %d MiB resident", time.Since(began).Round(time.Second), in.run.Peak())
	if peak := in.run.Peak(); peak > manyPeak {
		t.Errorf("%d MiB resident", peak)
	}
	in.run.Stop()
}

// hostile answers never end, or are larger than anything should be. Each is written after the beginning of a
// multistatus, until the client has enough.
var hostile = map[string]struct {
	begin, again string
	says         string // in the log
}{
	"a name without an end":       {"<", "endless", "malformed"},
	"an attribute without an end": {`<response a="`, "endless ", "malformed"},
	"depth without an end":        {"", "<a>", "malformed"},
	"a comment without an end":    {"<!-- ", "endless ", "the answer was cut"},
	"an href without an end":      {"<response><href>", "endless/", "the answer was cut"},
	"a token without an end":      {"<sync-token>", "endless", "the answer was cut"},
	"white space without an end":  {"", strings.Repeat(" ", 64), "the answer was cut"},
	"responses without an end":    {"", "<response/>", "more than 4000000 responses"},
	"an entity bomb":              {`<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><response><href>&b;`, "&b;", "the answer was cut"},
}

// most is how much of a hostile answer is sent; calcdc need not take it all.
const most = 128 << 20

// Answers of any size and shape end in an error within bounds of time and memory, and others go on.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	cal := newCalendars(t, davserver.Options{}, "alice")
	cal.fill("alice", "witness", 2)
	kinds := map[string]string{} // by calendar
	for kind := range hostile {
		name := strings.ReplaceAll(kind, " ", "-")
		kinds[name] = kind
		cal.fill("alice", name, 3)
	}
	cal.fill("alice", "giant", 3)
	var on atomic.Bool
	var sent atomic.Int64
	instead := func(w http.ResponseWriter, r *http.Request) bool {
		parts := strings.Split(r.URL.Path, "/")
		if !on.Load() || len(parts) < 5 || r.Method != "REPORT" {
			return false
		}
		if parts[3] == "giant" {
			return giant(cal, w, r)
		}
		h, ok := hostile[kinds[parts[3]]]
		if ok {
			sent.Add(flood(w, `<?xml version="1.0"?>`, `<multistatus xmlns="DAV:">`, h.begin, h.again))
		}
		return ok
	}
	cal.instead.Store(&instead)
	in := newInstance(t, testenv.Env(t, testenv.EnvKafka), "log: {format: json}\n", upstream{name: "work", cal: cal, users: []string{"alice"}})
	in.start()
	in.settle()
	on.Store(true)
	for _, name := range cal.Calendars("alice") {
		cal.stir("alice", name)
	}
	eventually(t, inTime, "what is beside goes on", func() string {
		in.catchUp()
		return behind(in, cal, "alice", "witness")
	})
	eventually(t, inTime, "each is refused", func() string {
		in.run.Alive()
		m := in.metrics()
		for name, kind := range kinds {
			failures, _ := m.Sum("calcdc_stream_failures_in_a_row", rig.Label("collection", cal.Path("alice", name)))
			if failures < 1 || !in.logged(cal.Path("alice", name), hostile[kind].says) {
				return kind
			}
		}
		if unread, _ := m.Sum("calcdc_stream_unread_resources", rig.Label("collection", cal.Path("alice", "giant"))); unread < 1 {
			return "giant"
		}
		return ""
	})
	t.Logf("%d MiB were sent, %d MiB resident at most", sent.Load()>>20, in.run.Peak())
	if peak := in.run.Peak(); peak > hostilePeak {
		t.Errorf("%d MiB resident", peak)
	}
	on.Store(false)
	in.settle()
	in.quiet()
	in.run.Stop()
}

// flood answers with parts, the last again and again, and returns how many bytes the client took.
func flood(w http.ResponseWriter, parts ...string) (sent int64) {
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	w.WriteHeader(http.StatusMultiStatus)
	last := len(parts) - 1
	n, err := io.WriteString(w, strings.Join(parts[:last], ""))
	again := []byte(strings.Repeat(parts[last], 1+(64<<10)/len(parts[last])))
	for sent = int64(n); err == nil && sent < most; sent += int64(n) {
		n, err = w.Write(again)
	}
	return sent
}

// giant answers a multiget with one body of 300 MiB; the others are as they are.
func giant(cal *calendars, w http.ResponseWriter, r *http.Request) bool {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	if !strings.Contains(string(body), "calendar-data") || strings.Contains(string(body), "sync-collection") {
		return false
	}
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	w.WriteHeader(http.StatusMultiStatus)
	_, _ = fmt.Fprint(w, `<?xml version="1.0"?><multistatus xmlns="DAV:">`)
	for name, text := range cal.List("alice", "giant") {
		_, _ = fmt.Fprintf(w, `<response><href>%s%s</href><propstat><prop><getetag>"x"</getetag><calendar-data xmlns="urn:ietf:params:xml:ns:caldav">%s`,
			cal.Path("alice", "giant"), name, strings.ReplaceAll(string(text), "\r", "&#13;"))
		if name == "0.ics" {
			line := strings.Repeat("endless ", 8<<10)
			for range 300 << 4 {
				_, _ = io.WriteString(w, line)
			}
		}
		_, _ = fmt.Fprint(w, `</calendar-data></prop><status>HTTP/1.1 200 OK</status></propstat></response>`)
	}
	_, _ = fmt.Fprint(w, `</multistatus>`)
	return true
}
