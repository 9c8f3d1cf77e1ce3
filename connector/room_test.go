package connector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(10 * roomUnit)
		units, err := r.take(t.Context(), 9*roomUnit)
		if err != nil || units != 10 {
			t.Fatalf("%d units, %v", units, err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if units, err := r.take(ctx, 1); !errors.Is(err, errLost) || units != 0 {
				t.Errorf("%d units, %v", units, err)
			}
		})
		synctest.Wait()
		cancel(errLost)
		wg.Wait()
		wg.Go(func() {
			if units, err := r.take(t.Context(), 1000*roomUnit); err != nil || units != 10 { // more than there is: all of it
				t.Errorf("%d units, %v", units, err)
			}
		})
		r.give(9)
		synctest.Wait()
		r.give(1)
		wg.Wait()
		r.give(10)
		if len(r.units) != 0 {
			t.Errorf("%d units are out", len(r.units))
		}
	})
}

// Of large transactions fewer are held at once than their bytes alone would have room for.
func TestLargeTransactionsWeighMore(t *testing.T) {
	for mib, most := range map[int]int{4: 15, 8: 7, 9: 1, 30: 1, 1000: 1} {
		synctest.Test(t, func(t *testing.T) {
			r, held := newRoom(defaultRoom), 0
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					if _, err := r.take(ctx, mib<<20); err != nil {
						return
					}
					held++
				}
			})
			synctest.Wait()
			if held != most {
				t.Errorf("%d of %d MiB, want %d", held, mib, most)
			}
			cancel()
			wg.Wait()
		})
	}
}

// While commits take long, more streams are read than may be read at once, since those that wait for Kafka ask nothing more of
// the source; but no more than there is room for.
func TestSlowCommits(t *testing.T) {
	const collections = 4 * passesPerSource
	tests := map[string]struct {
		room, least, most int
	}{
		"room for all": {64 << 20, collections, collections},
		"room for few": {3 * roomUnit, passesPerSource, passesPerSource + 3}, // a delta takes one or two
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			withWorld(t, func(t *testing.T, w *world) {
				w.uncommitted = int64(tt.room)
				var all []string
				for i := range collections {
					all = append(all, fmt.Sprintf("/c%02d/", i))
					w.up.put(w.up.add(all[i]), "1", "=1")
				}
				w.start()
				w.polls(3)
				for _, id := range all {
					w.up.put(w.up.collections[id], "1", "=2")
				}
				before := w.up.count("list")
				w.ledger.slow.Store(int64(time.Hour))
				w.polls(3)
				if n := w.up.count("list") - before; n < tt.least || n > tt.most {
					t.Errorf("%d of %d were read", n, collections)
				}
				w.ledger.slow.Store(0)
				time.Sleep(2 * time.Hour)
				w.polls(3)
				w.check(all...)
			})
		})
	}
}

func TestAnAccountOfTooManyCollections(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.most = 2
		for _, id := range []string{"/a/", "/b/", "/c/"} {
			w.up.put(w.up.add(id), "1", "=1")
		}
		w.start()
		w.polls(3)
		calendars := Stream{Source: "work", Account: w.up.Name(), Kind: Calendars}
		if s := w.obs.status(calendars); !strings.Contains(s.Err, "raise limits.collections") || len(w.ledger.records()) > 0 {
			t.Errorf("%+v, %d records", s, len(w.ledger.records()))
		}
		w.up.drop("/c/")
		w.polls(10)
		w.check("/a/", "/b/")
	})
}
