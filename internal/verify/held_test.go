package verify

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/calcdc/calcdc/connector"
)

// hold makes the deletes of some resources held.
func (w *world) hold(kept bool, ids ...string) {
	w.known[events].State.Hold = &connector.Hold{Rows: int64(len(ids)), Of: 9, Kept: kept}
	for _, id := range ids {
		w.unlist(events, "/a/"+id)
		w.resources[events] = append(w.resources[events], connector.ResourceChange{ID: "/a/" + id, State: &connector.ResourceState{Rows: []string{id}}})
	}
}

// A row whose delete is held has a reason of its own; another that the source does not have is extra, hold or not.
func TestHeld(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*world)
		held  int64
		want  string
	}{
		"held":    {func(w *world) { w.hold(false, "x", "y") }, 2, "held x\nheld y"},
		"refused": {func(w *world) { w.hold(true, "x") }, 1, "held x"},
		"held, and extra beside it": {func(w *world) {
			w.hold(false, "x")
			w.publish(events, 0, event("never", "known"))
		}, 1, "extra never\nheld x"},
		"a resource that the state has lost since": {func(w *world) {
			w.hold(false, "x")
			w.resources[events] = append(w.resources[events], connector.ResourceChange{ID: "/a/x"})
		}, 0, "extra x"},
		"no hold": {func(w *world) {
			w.hold(false, "x")
			w.known[events].State.Hold = nil
		}, 0, "extra x"},
		"a hold that begins meanwhile": {func(w *world) {
			w.polled = func(s Stream, n int) {
				if s == events && n == 2 {
					w.hold(false, "x")
				}
			}
			w.unlist(events, "/a/x")
		}, 1, "held x"},
		"held, and deleted meanwhile": {func(w *world) {
			w.hold(false, "x")
			w.polled = func(s Stream, n int) {
				if s == events && n == 2 {
					w.append(events, 0, "x", nil)
				}
			}
		}, 0, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			c.spoil(w)
			r := w.run(t)
			if text(r) != c.want || r.Held != c.held || r.OK() != (c.want == "") || int(r.Total) != len(r.Differences) || len(r.NotCompared) > 0 {
				t.Errorf("%s: found %q (%+v), want %q", name, text(r), r, c.want)
			}
			for _, d := range r.Differences {
				if d.What == Held && strings.Contains(d.Detail, "refused, until") != (name == "refused") {
					t.Errorf("%s: %s", name, d.Detail)
				}
			}
		})
	}
}

// A reset that is held open says so: it does not end by itself.
func TestHeldReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.mark(events, "snapshot-reset", "2")
		w.known[events].State.Phase = connector.Snapshot
		w.hold(false, "x")
		if r := w.run(t); r.OK() || r.Total > 0 || len(r.NotCompared) != 1 || r.NotCompared[0].Why != Held {
			t.Errorf("%+v", r)
		}
	})
}

// What is held takes no room from what differs otherwise.
func TestLimitOfHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var held []string
		for i := range 20 {
			id := fmt.Sprint("held", i)
			w.publish(events, 0, event(id, "held"))
			held = append(held, id)
		}
		w.hold(false, held...)
		for i := range 3 {
			w.list(events, fmt.Sprint("/a/", i), event(fmt.Sprint(i), "missing"))
		}
		w.cfg.Limit = 5
		r := w.run(t)
		if r.Total != 23 || r.Held != 20 || len(r.Differences) != 5 || strings.Count(text(r), "missing") != 3 {
			t.Errorf("%+v", r)
		}
	})
}
