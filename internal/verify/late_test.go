package verify

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// A collection that was made just before is given the time that a running calcdc may take to begin it, and is compared then.
func TestNotBegunYet(t *testing.T) {
	b := events
	b.Collection = "/b/"
	row := func(summary string) connector.Row {
		e := connector.Event{}
		e.Source, e.Account, e.Collection, e.ID, e.Kind, e.Summary = "work", "alice", "/b/", "z", connector.Single, &summary
		return e.Row(0)
	}
	mark := func(w *world, what string) {
		w.append(b, 1, "", nil, connector.Header{Key: "calcdc.marker", Value: []byte(what)},
			connector.Header{Key: "calcdc.epoch", Value: []byte("1")}, connector.Header{Key: "calcdc.count", Value: []byte("0")})
	}
	begin := func(w *world, phase connector.Phase, published ...string) {
		w.know(b, phase)
		w.known[b].State.Partition = 1
		mark(w, "snapshot-begin")
		for _, summary := range published {
			w.publish(b, 1, row(summary))
		}
		if phase == connector.Streaming {
			mark(w, "snapshot-end")
		}
	}
	for name, c := range map[string]struct {
		at      func(w *world, n int) // before what is committed is recalled for the nth time
		patient time.Duration
		want    string // differences
		why     string // it is not compared
		streams int
		took    time.Duration
	}{
		"begun at once":          {at: func(w *world, n int) { begin(w, connector.Streaming, "Z") }, streams: 3, took: soon},
		"begun at the next poll": {at: onceAt(3, func(w *world) { begin(w, connector.Streaming, "Z") }), streams: 3, took: soon + 38*time.Second},
		"begun, and ended a look later": {at: func(w *world, n int) {
			switch n {
			case 2:
				begin(w, connector.Snapshot)
			case 3:
				w.known[b].State.Phase = connector.Streaming
				w.publish(b, 1, row("Z"))
				mark(w, "snapshot-end")
			}
		}, streams: 3, took: soon + 38*time.Second},
		"begun, and no end of it":    {at: onceAt(2, func(w *world) { begin(w, connector.Snapshot, "Z") }), why: InSnapshot, streams: 2, took: soon + 76*time.Second},
		"begun with another row":     {at: onceAt(2, func(w *world) { begin(w, connector.Streaming, "other") }), want: `differs z summary is "other", must be "Z"`, streams: 3, took: soon + 38*time.Second},
		"begun without a row":        {at: onceAt(4, func(w *world) { begin(w, connector.Streaming) }), want: "missing z", streams: 3, took: soon + 3*38*time.Second},
		"never begun":                {at: onceAt(9, nil), why: NotBegun, streams: 2, took: soon + 76*time.Second},
		"never begun, and gone":      {at: onceAt(3, func(w *world) { w.looks["/b/"] = connector.Gone }), streams: 2, took: soon + 76*time.Second},
		"nobody is to be waited for": {at: onceAt(2, func(w *world) { begin(w, connector.Streaming, "Z") }), patient: -1, why: NotBegun, streams: 2},
	} {
		for _, returned := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, returned %t", name, returned), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					cal := calendar("/b/", "B")
					w.list(calendars, "/b/", cal)
					w.publish(calendars, 0, cal)
					w.list(b, "/b/z", row("Z"))
					w.looks["/b/"] = connector.Read
					if returned { // it was there before
						begin(w, connector.RemovedAll, "as it was")
						w.append(b, 1, "z", nil)
					}
					known, recalled := w.cfg.Known, 0
					w.cfg.Known = func(ctx context.Context) ([]Known, error) {
						if recalled++; recalled > 1 {
							c.at(w, recalled)
						}
						return known(ctx)
					}
					if c.patient < 0 {
						w.cfg.Patience = new(time.Duration)
					}
					began := time.Now()
					r := w.run(t)
					if took := time.Since(began); took != c.took || text(r) != c.want || r.Streams != c.streams || r.Moving > 0 {
						t.Errorf("%v: %q, %+v", took, text(r), r)
					}
					if i := slices.IndexFunc(r.NotCompared, func(a Apart) bool { return a.Stream == b && a.Why == c.why }); (i >= 0) != (c.why != "") || len(r.NotCompared) > 1 {
						t.Errorf("%+v", r.NotCompared)
					}
				})
			})
		}
	}
}

func onceAt(at int, do func(*world)) func(*world, int) {
	return func(w *world, n int) {
		if n == at {
			do(w)
		}
	}
}
