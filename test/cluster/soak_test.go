//go:build soak

package cluster

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calcdc/calcdc/test/rig"
)

// mild kinds are what happens to a cluster in its days. No worker ends, so that what it needs can be seen over time.
var mild = []kind{workerPause, brokerStop, rolling, leaders, lineCut, lineMute, lineSlow, lineCuts}

const (
	soakPhase  = 5 * time.Minute
	soakGap    = 45 * time.Second
	soakSample = 10 * time.Second
)

// Over an hour (or CALCDC_SOAK_MINUTES) of changes and now and then a fault, memory, goroutines and file descriptors of the workers do not grow.
func TestSoak(t *testing.T) {
	minutes, seed := number(t, "CALCDC_SOAK_MINUTES", 60), number(t, "CALCDC_CHAOS_SEED", usualSeed)
	c := newCluster(t, options{seed: seed, workers: int(number(t, "CALCDC_CHAOS_WORKERS", usualWorkers)), most: 60, pace: 150 * time.Millisecond, level: "info"})
	if err := c.sources.age(t.Context(), 200); err != nil {
		t.Fatal(err)
	}
	needs := &needs{c: c, begin: time.Now(), samples: map[*worker][]need{}}
	ctx, stop := context.WithCancel(t.Context())
	var sampling sync.WaitGroup
	sampling.Go(func() { needs.run(ctx) })
	phases := max(1, int(time.Duration(minutes)*time.Minute/soakPhase))
	c.run(seed, phases, time.Duration(minutes)*time.Minute/time.Duration(phases), newPlanner(seed, len(c.workers), soakGap, mild))
	stop()
	sampling.Wait()
	t.Log(needs.table(time.Duration(minutes) * time.Minute / 12))
	for _, grown := range needs.grown() {
		t.Error(grown)
	}
}

// need is what a worker needs at a time.
type need struct {
	at                                time.Duration
	resident, goroutines, descriptors int // MiB, and numbers
}

// needs are samples of all workers.
type needs struct {
	c       *cluster
	begin   time.Time
	mu      sync.Mutex
	samples map[*worker][]need
}

func (n *needs) run(ctx context.Context) {
	for ctx.Err() == nil {
		for _, w := range n.c.workers {
			n.sample(ctx, w)
		}
		wait(ctx, soakSample)
	}
}

// sample looks at a worker that answers; one that hangs does not.
func (n *needs) sample(ctx context.Context, w *worker) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	m, err := rig.Scrape(ctx, w.http)
	if err != nil {
		return
	}
	goroutines, _ := m.Sum("go_goroutines")
	resident, _ := m.Sum("process_resident_memory_bytes")
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.pid()))
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.samples[w] = append(n.samples[w], need{time.Since(n.begin), int(resident) >> 20, int(goroutines), len(descriptors)})
}

// within are the medians of a worker's samples of a time.
func (n *needs) within(w *worker, from, to time.Duration) (need, bool) {
	var of [3][]int
	for _, s := range n.samples[w] {
		if s.at >= from && s.at < to {
			of[0], of[1], of[2] = append(of[0], s.resident), append(of[1], s.goroutines), append(of[2], s.descriptors)
		}
	}
	if len(of[0]) == 0 {
		return need{}, false
	}
	median := func(all []int) int {
		slices.Sort(all)
		return all[len(all)/2]
	}
	return need{from, median(of[0]), median(of[1]), median(of[2])}, true
}

// table shows medians of so long each.
func (n *needs) table(each time.Duration) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s %9s %12s %11s %12s\n", "worker", "after", "resident", "goroutines", "descriptors")
	for _, w := range n.c.workers {
		for from := time.Duration(0); from < time.Since(n.begin); from += each {
			if s, ok := n.within(w, from, from+each); ok {
				fmt.Fprintf(&b, "%-10s %5.0f min %8d MiB %11d %12d\n", w.name, s.at.Minutes(), s.resident, s.goroutines, s.descriptors)
			}
		}
	}
	return b.String()
}

// grown tells of which a worker needs more in the last quarter than in the second.
func (n *needs) grown() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var found []string
	quarter := time.Since(n.begin) / 4
	for _, w := range n.c.workers {
		early, has := n.within(w, quarter, 2*quarter)
		late, still := n.within(w, 3*quarter, 4*quarter)
		if !has || !still {
			found = append(found, w.name+" was not seen often enough")
			continue
		}
		for _, m := range []struct {
			what               string
			early, late, slack int
		}{
			{"MiB resident", early.resident, late.resident, 10},
			{"goroutines", early.goroutines, late.goroutines, 10},
			{"file descriptors", early.descriptors, late.descriptors, 10},
		} {
			if m.late > m.early*11/10+m.slack {
				found = append(found, fmt.Sprintf("%s: %d %s, %d before", w.name, m.late, m.what, m.early))
			}
		}
	}
	return found
}
