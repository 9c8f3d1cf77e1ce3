//go:build integration || soak

package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/calcdc/calcdc/test/rig"
)

// sampler scrapes the workers' metrics as Prometheus would, and adds up what they count over all processes.
type sampler struct {
	workers []*worker

	mu   sync.Mutex
	last map[*worker]map[string]float64
	sums map[string]float64
}

// counted are the counters that are added up; a process that is killed takes those of its last second with it.
var counted = map[string][]string{
	"transactions": {"calcdc_transaction_duration_seconds_count", rig.Label("result", "committed")},
	"failed":       {"calcdc_transaction_duration_seconds_count", rig.Label("result", "failed")},
	"resets":       {"calcdc_resets_total"},
}

func newSampler(workers []*worker) *sampler {
	return &sampler{workers: workers, last: map[*worker]map[string]float64{}, sums: map[string]float64{}}
}

// run samples each second until ctx ends.
func (s *sampler) run(ctx context.Context) {
	for ctx.Err() == nil {
		for _, w := range s.workers {
			s.sample(ctx, w)
		}
		wait(ctx, time.Second)
	}
}

func (s *sampler) sample(ctx context.Context, w *worker) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	m, err := rig.Scrape(ctx, w.http)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, now := s.last[w], map[string]float64{}
	for name, series := range counted {
		now[name], _ = m.Sum(series[0], series[1:]...)
	}
	for name, v := range now {
		if now["transactions"] >= before["transactions"] { // the same process
			v = max(0, v-before[name]) // series of streams that another worker has now are gone
		}
		s.sums[name] += v
	}
	s.last[w] = now
}

func (s *sampler) sum(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.sums[name])
}
