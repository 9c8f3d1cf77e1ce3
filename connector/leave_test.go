package connector

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// phase is the phase of a collection's events, as committed.
func (w *world) phase(collection string) Phase {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	if m := w.ledger.stream(events(collection)); m.state != nil {
		return m.state.Phase
	}
	return ""
}

// until waits for a phase.
func (w *world) until(collection string, p Phase) {
	w.t.Helper()
	for range 1000 {
		if w.phase(collection) == p {
			return
		}
		time.Sleep(pollEvery / 100)
		synctest.Wait()
	}
	w.t.Fatalf("%s is %q, not %q", collection, w.phase(collection), p)
}

// A collection that is back while it is being removed, is read anew, and goes again before the next poll, is removed again.
func TestCollectionBackForAMomentIsRemovedAgain(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		a := w.up.add("/a/")
		for i := range (lanePages + 3) * sweepPage { // removed in more than one commit
			w.up.put(a, fmt.Sprintf("%04d", i), "=1")
		}
		w.start()
		w.polls(1)
		w.up.drop("/a/")
		w.ledger.slow.Store(int64(3 * pollEvery / 2)) // a poll, at least, falls into each commit
		w.until("/a/", Removing)
		w.ledger.slow.Store(0) // from the commit on that follows the one under way
		w.up.mu.Lock()
		w.up.collections["/a/"] = a
		w.up.mu.Unlock()
		w.until("/a/", Streaming)
		w.up.drop("/a/")
		w.polls(4)
		w.check("/a/")
		if p := w.phase("/a/"); p != RemovedAll || w.calendars()["/a/"] {
			t.Errorf("%s, calendars %v", p, w.calendars())
		}
	})
}

// A collection that is gone is removed also where no row of the calendars stream tells of it, because that is lost: the store knows its
// streams.
func TestCollectionThatOnlyTheStoreKnowsIsRemoved(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.up.put(w.up.add("/a/"), "1", "=1")
		w.up.put(w.up.add("/b/"), "1", "=1")
		w.start()
		w.polls(1)
		w.end()
		w.up.drop("/a/")
		home := events("")
		home.Kind = Calendars
		w.ledger.mu.Lock()
		delete(w.ledger.streams, home)
		w.ledger.mu.Unlock()
		w.start()
		w.polls(4)
		w.check("/a/", "/b/")
		if p := w.phase("/a/"); p != RemovedAll {
			t.Errorf("/a/ is %s", p)
		}
	})
}
