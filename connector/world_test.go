package connector

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Seeded histories of a whole account: collections come, go and come back, requests and commits fail, the process is
// started anew. What is published always folds to what the source holds.
func TestRandomAccounts(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { accountHistory(t, seed) })
		})
	}
}

var accountCollections = []string{"/a/", "/b/", "/c/"}

func accountHistory(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 11))
	w := newWorld(t)
	gone := map[string]*memCollection{}
	for _, name := range accountCollections {
		w.up.put(w.up.add(name), "a", "=1")
	}
	w.start()
	for range 80 {
		for range rnd.IntN(3) {
			unsettle(w, gone, rnd)
		}
		w.ledger.fail(ledgerTrouble(rnd))
		w.up.fail(upstreamTrouble(rnd))
		if rnd.IntN(8) == 0 {
			w.end()
			w.start()
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(2 * pollEvery))))
	}
	w.ledger.fail(nil)
	w.up.fail(nil)
	w.polls(20)
	time.Sleep(70 * time.Minute) // what is forbidden is gone after an hour
	w.polls(2)
	w.check(accountCollections...)
	rows := w.calendars()
	for _, name := range accountCollections {
		if _, there := w.up.collections[name]; there != rows[name] {
			t.Errorf("%s: there %v, row %v", name, there, rows[name])
		}
		m := w.ledger.stream(events(name))
		if resources, n := m.counts(); m.state != nil && (m.state.Resources != resources || m.state.Rows != n) {
			t.Errorf("%s: the state says %d resources and %d rows, there are %d and %d", name, m.state.Resources, m.state.Rows, resources, n)
		}
	}
	before := len(w.ledger.records())
	w.polls(5)
	if n := len(w.ledger.records()) - before; n != 0 {
		t.Errorf("%d records for nothing", n)
	}
	w.end()
}

// unsettle changes something at the source.
func unsettle(w *world, gone map[string]*memCollection, rnd *rand.Rand) {
	name := accountCollections[rnd.IntN(len(accountCollections))]
	w.up.mu.Lock()
	c, there := w.up.collections[name]
	w.up.mu.Unlock()
	id := string(rune('a' + rnd.IntN(5)))
	switch kind := rnd.IntN(14); {
	case !there && kind < 4: // back as it was
		w.up.mu.Lock()
		w.up.collections[name] = gone[name]
		w.up.mu.Unlock()
	case !there && kind < 6:
		c = w.up.add(name)
		n := gone[name].version + 1000 // no token of the old one is known
		c.version, c.oldest, c.log = n, n, make([]string, n)
		w.up.put(c, id, "=7")
	case !there:
	case kind < 5:
		w.up.put(c, id, fmt.Sprintf("=%d,x=%d", rnd.IntN(3), rnd.IntN(3)))
	case kind < 8:
		w.up.del(c, id)
	case kind == 8:
		w.up.forget(c)
	case kind == 9:
		w.up.mu.Lock()
		w.up.hide[id] = true
		w.up.mu.Unlock()
	case kind == 10:
		w.up.mu.Lock()
		w.up.lookAs[name] = []Presence{Gone, Forbidden}[rnd.IntN(2)]
		w.up.mu.Unlock()
	case kind < 13:
		gone[name] = c
		w.up.drop(name)
	}
}

func ledgerTrouble(rnd *rand.Rand) func(int) (bool, error) {
	if rnd.IntN(3) != 0 {
		return nil
	}
	left, apply := rnd.IntN(4), rnd.IntN(2) == 0
	return func(int) (bool, error) {
		if left--; left == 0 {
			return apply, errLost
		}
		return true, nil
	}
}

func upstreamTrouble(rnd *rand.Rand) func(string, int) error {
	if rnd.IntN(3) != 0 {
		return nil
	}
	kind := []string{"page", "fetch", "look", "list", "home", "connect"}[rnd.IntN(6)]
	var left atomic.Int64
	left.Store(rnd.Int64N(3))
	return func(k string, _ int) error {
		if k == kind && left.Add(-1) < 0 {
			return errLost
		}
		return nil
	}
}
