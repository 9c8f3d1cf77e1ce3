package verify

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// What differs is looked at again, at the source and in the topic, before it is called a difference.
func TestLookingAgain(t *testing.T) {
	for name, c := range map[string]struct {
		// at is called before each poll of the events: 1 is the first listing, which comes after the topic was read.
		at              func(w *world, n int)
		want            string
		changed, moving int64
		polls           int
		least           time.Duration // that it takes
	}{
		"on its way": {at: func(w *world, n int) {
			if n == 1 {
				w.list(events, "/a/x", event("x", "new"))
				w.publish(events, 0, event("x", "new")) // committed after the topic was read
			}
		}, changed: 1, polls: 2, least: soon},
		"published late": {at: func(w *world, n int) {
			if n == 1 {
				w.list(events, "/a/x", event("x", "new"))
			}
			if n == 3 {
				w.publish(events, 0, event("x", "new"))
			}
		}, changed: 1, polls: 3, least: 35 * time.Second},
		"never published": {at: func(w *world, n int) { w.list(events, "/a/x", event("x", "new")) },
			want: `differs x summary is "as it was", must be "new"`, polls: 3, least: 38 * time.Second},
		"changed at the second look, and then not published": {at: func(w *world, n int) {
			if n <= 2 {
				w.list(events, "/a/x", event("x", fmt.Sprint("new ", n)))
			}
		}, want: `differs x summary is "as it was", must be "new 2"`, polls: 3, least: 38 * time.Second},
		"changed at the third look": {at: func(w *world, n int) {
			if n == 1 || n == 3 {
				w.list(events, "/a/x", event("x", fmt.Sprint("new ", n)))
			}
		}, want: `differs x summary is "as it was", must be "new 3"`, polls: 4, least: 76 * time.Second},
		"the topic is a look behind": {at: func(w *world, n int) {
			w.list(events, "/a/x", event("x", fmt.Sprint("new ", n)))
			if n == 2 {
				w.publish(events, 0, event("x", "new 1"))
			}
		}, changed: 1, polls: 2},
		"changing all the time": {at: func(w *world, n int) { w.list(events, "/a/x", event("x", fmt.Sprint("new ", n))) },
			moving: 1, polls: 1 + looks},
		"deleted, and its d on the way": {at: func(w *world, n int) {
			w.unlist(events, "/a/x")
			if n == 2 {
				w.append(events, 0, "x", nil)
			}
		}, changed: 1, polls: 2},
		"gone and back": {at: func(w *world, n int) {
			if n == 1 {
				w.unlist(events, "/a/x")
			} else {
				w.list(events, "/a/x", event("x", "as it was"))
			}
		}, changed: 1, polls: 2},
		"new, and then another resource besides": {at: func(w *world, n int) {
			w.list(events, "/a/z", event("z", "new"))
			if n == 2 {
				w.list(events, "/a/later", event("later", "not yet of interest"))
			}
		}, want: "missing z", polls: 3},
		"an override of a resource that was listed": {at: func(w *world, n int) {
			switch n {
			case 1:
				w.publish(events, 0, event("x#1", "moved")) // is in the topic by the second look, in no doubt
			case 2:
				w.list(events, "/a/x", event("x", "as it was"), event("x#1", "moved"))
			}
		}, polls: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.polled = func(s Stream, n int) {
				if s == events {
					c.at(w, n)
				}
			}
			began := time.Now()
			r := w.run(t)
			if took := time.Since(began); took < c.least || w.polls[events] != c.polls {
				t.Errorf("%s: %v and %d polls, want %v and %d", name, took, w.polls[events], c.least, c.polls)
			}
			if text(r) != c.want || r.Changed != c.changed || r.Moving != c.moving || r.OK() != (c.want == "") {
				t.Errorf("%s: %q, %+v", name, text(r), r)
			}
		})
	}
}

// An extra row comes to be the source's: it is found in a resource that was listed before, and has another ETag now.
func TestAnExtraRowComesToBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.publish(events, 0, event("x#1", "moved"))
		w.polled = func(s Stream, n int) {
			if s == events && n == 2 {
				w.list(events, "/a/x", event("x", "as it was"), event("x#1", "moved"))
			}
		}
		if r := w.run(t); !r.OK() || r.Changed != 1 {
			t.Errorf("%+v", r)
		}
		if slices.Contains(w.asked, "/a/y") {
			t.Error("a body that is in no doubt was asked for again")
		}
	})
}

// No look is waited for where nothing differs, or where nobody is to be waited for.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		began := time.Now()
		w.run(t)
		w.list(events, "/a/x", event("x", "new"))
		none := time.Duration(0)
		w.cfg.Patience = &none
		if r := w.run(t); r.Total != 1 || time.Since(began) > 0 {
			t.Errorf("%+v after %v", r, time.Since(began))
		}
	})
}

// A reset that begins while a stream is looked at makes its rows no differences.
func TestResetWhileLooking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.list(events, "/a/x", event("x", "new"))
		w.polled = func(s Stream, n int) {
			if s == events && n == 2 {
				w.mark(events, "snapshot-reset", "2")
			}
		}
		if r := w.run(t); r.Total != 0 || len(r.NotCompared) != 1 || r.NotCompared[0].Why != InSnapshot {
			t.Errorf("%+v", r)
		}
	})
}

// A collection that has just gone, and whose deletes come as they should, is no difference; one that stays is.
func TestGoneWhileLooking(t *testing.T) {
	for name, c := range map[string]struct {
		before bool                  // the run begins
		at     func(w *world, n int) // the nth poll of the calendars: the home, the listing, the looks
		why    string
		polls  int // of the calendars
	}{
		"and its rows deleted": {true, func(w *world, n int) {
			switch n {
			case 4:
				w.append(events, 0, "x", nil)
				w.append(events, 0, "y", nil)
			case 5:
				w.append(calendars, 0, "/a/", nil)
			}
		}, "", 5},
		"while its account was looked at": {false, func(w *world, n int) {
			switch n {
			case 2:
				w.goes()
			case 4:
				w.append(events, 0, "x", nil)
				w.append(events, 0, "y", nil)
				w.append(calendars, 0, "/a/", nil)
			}
		}, "", 4},
		"and some of its rows left": {true, func(w *world, n int) {
			if n == 4 {
				w.append(events, 0, "x", nil)
			}
		}, Leaving, 5},
		"and nobody deletes": {true, func(*world, int) {}, Leaving, 5},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			if c.before {
				w.goes()
			}
			w.polled = func(s Stream, n int) {
				if s == calendars {
					c.at(w, n)
				}
			}
			r := w.run(t)
			if r.OK() != (c.why == "") || r.Total > 0 || r.Moving > 0 || w.polls[calendars] != c.polls {
				t.Errorf("%s: %+v after %d polls", name, r, w.polls[calendars])
			}
			for _, a := range r.NotCompared {
				if a.Why != c.why {
					t.Errorf("%s: %+v, want %s", name, a, c.why)
				}
			}
			if c.why == "" && r.Streams != 2 || c.why != "" && r.Streams != 1 {
				t.Errorf("%s: %d streams", name, r.Streams)
			}
		})
	}
}

// goes takes the collection away.
func (w *world) goes() {
	w.unlist(calendars, "/a/")
	w.looks["/a/"] = connector.Gone
	w.fails[events] = connector.ErrGone
}

// A collection that goes while its rows are looked at again is told of as gone.
func TestGoneAtTheSecondLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.list(events, "/a/x", event("x", "new"))
		w.polled = func(s Stream, n int) {
			if s == events && n == 2 {
				w.goes()
			}
		}
		if r := w.run(t); r.Total > 0 || r.Moving > 0 || len(r.NotCompared) != 1 || r.NotCompared[0].Why != Leaving || r.NotCompared[0].Rows != 1 || r.Streams != 1 {
			t.Errorf("%+v", r)
		}
	})
}
