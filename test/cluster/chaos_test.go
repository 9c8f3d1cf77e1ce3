//go:build integration || soak

package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/rig"
)

// What a run is like where nothing else is asked for.
const (
	usualSeed    = 8
	usualWorkers = 3
	usualPhase   = 36 * time.Second
	usualPhases  = 2
	usualGap     = 3500 // milliseconds
)

// number is a variable of the environment, usual where it is not set.
func number(t testing.TB, name string, usual uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	switch text {
	case "":
		return usual
	case "random":
		return uint64(rand.Uint32())
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// kinds are those that are asked for, else all.
func kinds(t testing.TB) []kind {
	t.Helper()
	text := os.Getenv("CALCDC_CHAOS_ONLY")
	if text == "" {
		return everyKind()
	}
	var all []kind
	for name := range strings.SplitSeq(text, ",") {
		if _, known := where[kind(name)]; !known {
			t.Fatalf("CALCDC_CHAOS_ONLY: there is no %q; there are %v", name, everyKind())
		}
		all = append(all, kind(name))
	}
	return all
}

// Whatever befalls workers, brokers and connections, at every quiet moment and at the end the topics equal the calendars, no
// change was published twice, and epochs and markers are in order. CALCDC_CHAOS_SEED (a number, or random), CALCDC_CHAOS_MINUTES,
// CALCDC_CHAOS_WORKERS, CALCDC_CHAOS_GAP (milliseconds between faults) and CALCDC_CHAOS_ONLY (kinds of faults) ask for other runs;
// CALCDC_CHAOS_DIR is where configurations and logs of the workers stay.
func TestChaos(t *testing.T) {
	seed := number(t, "CALCDC_CHAOS_SEED", usualSeed)
	phases, length := usualPhases, usualPhase
	if minutes := number(t, "CALCDC_CHAOS_MINUTES", 0); minutes > 0 {
		phases, length = int(minutes), 50*time.Second
	}
	gap := time.Duration(number(t, "CALCDC_CHAOS_GAP", usualGap)) * time.Millisecond
	c := newCluster(t, options{seed: seed, workers: int(number(t, "CALCDC_CHAOS_WORKERS", usualWorkers)), most: 400, pace: 40 * time.Millisecond, level: "debug"})
	c.run(seed, phases, length, newPlanner(seed, len(c.workers), gap, kinds(t)))
	c.sameToAnother()
	out, errs, code := rig.Command(t.Context(), t, c.workers[0].config, "verify", "--wait", "0s")
	if code != 0 {
		t.Errorf("calcdc verify ended with code %d:\n%s%s", code, out, errs)
	}
	t.Log(strings.TrimSpace(out))
}

// run goes through phases, from the start of the workers to their end.
func (c *cluster) run(seed uint64, phases int, length time.Duration, plans *planner) {
	c.t.Helper()
	ctx, stop := context.WithCancel(c.t.Context())
	var sampling sync.WaitGroup
	sampling.Go(func() { c.sampler.run(ctx) })
	defer sampling.Wait()
	defer stop()
	c.start()
	c.phase(time.Second, nil)
	c.witness.forget() // how long the start took
	for range phases {
		c.phase(length, plans.phase(length))
	}
	c.stop()
	c.t.Log(c.report(seed))
}

// report sums a run up.
func (c *cluster) report(seed uint64) string {
	cuts := 0
	for _, l := range slices.Concat(c.lines...) {
		cuts += l.cuts
	}
	return fmt.Sprintf("seed %d, %d workers, %.0f s: %d faults, %d requests of transactions cut, %d transactions (%d failed), %d records, %d resets, "+
		"%d starts in vain\nquiet moments equal after %.1f\n%s", seed, len(c.workers), time.Since(c.began).Seconds(), c.witness.carrieds, cuts,
		c.sampler.sum("transactions"), c.sampler.sum("failed"), c.reader.Fold.Records, c.sampler.sum("resets"), c.early.Load(),
		seconds(c.quiets), c.witness.table())
}

func seconds(all []time.Duration) []float64 {
	var out []float64
	for _, d := range all {
		out = append(out, d.Seconds())
	}
	return out
}

// sameToAnother has another client (librdkafka's) read all from the beginning: it sees what the oracle saw while brokers came and went.
func (c *cluster) sameToAnother() {
	c.t.Helper()
	records, err := rig.Consume(c.t.Context(), testenv.Env(c.t, testenv.EnvPython), c.kafka.Addr(), c.topics()...)
	if err != nil {
		c.t.Fatal(err)
	}
	theirs := map[string]*digest{}
	for _, r := range records {
		add(theirs, r)
	}
	if len(records) != c.reader.Fold.Records || !reflect.DeepEqual(theirs, c.witness.digests) {
		c.t.Errorf("another client read %d records, the oracle %d, or they differ", len(records), c.reader.Fold.Records)
	}
}
