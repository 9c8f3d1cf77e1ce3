package connector

import (
	"testing"
)

// Another configuration, as when discovery finds another principal, is a reset at the next poll, though the home's sign stays what it was.
func TestAnotherConfigurationWhileItRuns(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.up.put(w.up.add("/a/"), "1", "=1")
		w.start()
		w.polls(2)
		w.up.mu.Lock()
		w.up.hash = "h2"
		w.up.mu.Unlock()
		w.polls(2)
		f := fold(t, w.ledger.records(), "/a/")
		want(t, f.ops[3:], "marker snapshot-reset 2 configuration", "r 1", "marker snapshot-end 2 configuration")
	})
}
