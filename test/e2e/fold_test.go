//go:build integration

package e2e

import (
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/testenv"
)

// settleTime is enough for a busy machine; what takes longer is a fault.
const settleTime = 3 * time.Minute

// Whatever is done to the calendars, the folded topics equal what the server holds, and no change is told twice.
func TestFoldEqualsSource(t *testing.T) {
	t.Parallel()
	brokers := testenv.Env(t, testenv.EnvKafka)
	for kind, start := range servers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			var extra []string
			if kind == "davical" {
				// A token that it makes while a PUT is in work is later than that by the clock of its database, so that no delta shows
				// what was put: the next full comparison does.
				extra = append(extra, "    reconcile_interval: 1m\n")
			}
			in := newInstance(t, d, brokers, extra...)
			h := newHistory(in.server, d, 11)
			steps := func(n int) {
				t.Helper()
				if err := h.Steps(t.Context(), n); err != nil {
					t.Fatalf("%v\n%q", err, h.Log)
				}
			}
			steps(40) // before the first snapshot
			in.start()
			in.settle(settleTime)
			for range 4 {
				steps(25)
				in.settle(settleTime)
			}
			in.quiet()
			in.stop()
			steps(30) // while calcdc is down
			in.start()
			in.settle(settleTime)
			in.quiet()
			in.stop()
			in.verified()
			for k, s := range in.reader.Fold.Streams {
				if len(s.Markers) > 2 && !h.Deleted[k.Collection] {
					t.Errorf("%v was reset for no reason: %+v", k, s.Markers)
				}
			}
		})
	}
}
