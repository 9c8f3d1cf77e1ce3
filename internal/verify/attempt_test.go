package verify

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// patientError is a source's wish to be left alone for a while.
type patientError struct{ time.Duration }

func (patientError) Error() string               { return "503" }
func (e patientError) RetryAfter() time.Duration { return e.Duration }

// A source that fails a few times is asked again, and what it showed before it failed is not counted twice, nor as seen.
func TestAskingAgain(t *testing.T) {
	for name, c := range map[string]struct {
		stream connector.Stream
		spoil  func(*world)
		err    error
		fails  int // polls that fail, from the first on
		after  int // resources that a failing poll shows first
		want   string
		ok     bool
		least  time.Duration // that it takes
	}{
		"the home":             {stream: calendars, err: errors.New("cut"), fails: 2, ok: true},
		"a listing":            {stream: events, err: errors.New("cut"), fails: 2, ok: true},
		"a listing cut":        {stream: events, err: errors.New("cut"), fails: 1, after: 1, ok: true},
		"one with a change":    {stream: events, err: errors.New("cut"), fails: 2, after: 2, spoil: func(w *world) { w.list(events, "/a/x", event("x", "new")) }, want: `differs x summary is "as it was", must be "new"`},
		"the second look":      {stream: events, err: errors.New("cut"), fails: -2, spoil: func(w *world) { w.list(events, "/a/x", event("x", "new")) }, want: `differs x summary is "as it was", must be "new"`},
		"no deleted row":       {stream: events, err: errors.New("cut"), fails: 1, after: 2, spoil: func(w *world) { w.unlistAfter(events, "/a/y", 1) }, want: "extra y"},
		"the server's wish":    {stream: events, err: patientError{20 * time.Second}, fails: 1, ok: true, least: 20 * time.Second},
		"an unbounded wish":    {stream: events, err: patientError{20 * time.Hour}, fails: 1, ok: true, least: time.Minute},
		"for as long as it is": {stream: events, err: errors.New("cut"), fails: 9},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			if c.spoil != nil {
				c.spoil(w)
			}
			w.cutAfter = c.after
			spoiled := w.polled
			w.polled = func(s Stream, n int) {
				if spoiled != nil {
					spoiled(s, n)
				}
				if s != c.stream {
					return
				}
				delete(w.fails, s)
				if n <= c.fails || c.fails < 0 && n > 1 && n <= 1-c.fails {
					w.fails[s] = c.err
				}
			}
			began := time.Now()
			r := w.run(t)
			if took := time.Since(began); took < c.least || c.least > 0 && took > c.least+5*time.Second {
				t.Errorf("%s: it took %v", name, took)
			}
			if c.fails > 8 {
				if w.polls[events] != tries || r.OK() || len(r.NotCompared) != 1 || r.NotCompared[0].Why != Failing {
					t.Errorf("%s: %d polls, %+v", name, w.polls[events], r)
				}
				return
			}
			if r.OK() != c.ok || text(r) != c.want || len(r.NotCompared) > 0 || c.ok && r.Rows != 3 {
				t.Errorf("%s: %q, %+v", name, text(r), r)
			}
		})
	}
}
