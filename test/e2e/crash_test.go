//go:build integration

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/history"
)

// A killed process leaves nothing lost and nothing twice, whenever it dies.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	brokers := testenv.Env(t, testenv.EnvKafka)
	for kind, rounds := range map[string]int{"radicale": 2, "davical": 1} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			in := newInstance(t, servers[kind](t), brokers)
			k := &killer{in: in, rng: rand.New(rand.NewPCG(42, uint64(len(kind)))), h: newHistory(in.server, in.dav, 21)}
			for round := range rounds {
				for _, prepare := range []func(*testing.T) string{k.snapshot, k.delta, k.removal, k.reset} {
					what := prepare(t)
					k.run(t, fmt.Sprintf("round %d, %s", round, what))
				}
			}
			in.start()
			in.settle(settleTime)
			in.quiet()
			in.stop()
			if k.cut < rounds*2 {
				t.Errorf("only %d kills left anything undone: they come too late or too early", k.cut)
			}
		})
	}
}

// killer prepares moments and kills in them.
type killer struct {
	in  *instance
	rng *rand.Rand
	h   *history.History
	cut int // kills that left something undone
}

// run kills the process twice on its way, then lets it finish and judges.
func (k *killer) run(t *testing.T, what string) {
	t.Helper()
	for _, kill := range []func(*testing.T, string){k.killAtRecords, k.killAtRequest} {
		kill(t, what)
		k.look(t)
	}
	k.in.start()
	k.in.settle(settleTime)
	k.in.kill()
}

// killAtRequest starts the process and kills it after a number of requests and a delay, both random.
func (k *killer) killAtRequest(t *testing.T, what string) {
	t.Helper()
	after, delay := 1+k.rng.IntN(12), time.Duration(k.rng.IntN(60))*time.Millisecond
	t.Logf("%s: killed %v after request %d", what, delay, after)
	reached, from := make(chan struct{}), k.in.proxy.count("")
	k.in.proxy.watch(func(q asked) http.HandlerFunc {
		if q.n == from+after {
			close(reached)
		}
		return nil
	})
	defer k.in.proxy.watch(nil)
	k.in.start()
	k.killAfter(t, reached, delay)
}

// killAtRecords starts the process and kills it when records have reached the log for the first or second
// time, committed or not: between a produce and its commit, or soon after.
func (k *killer) killAtRecords(t *testing.T, what string) {
	t.Helper()
	times, delay := 1+k.rng.IntN(2), time.Duration(k.rng.IntN(9))*time.Millisecond
	t.Logf("%s: killed %v after records came %d times", what, delay, times)
	if _, err := k.in.reader.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second) // what is done already makes no records
	defer cancel()
	reached := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		defer close(reached)
		if err := k.in.reader.Arrivals(ctx, times); err != nil {
			t.Error(err)
		}
	})
	k.in.start()
	k.killAfter(t, reached, delay)
	cancel()
	watching.Wait()
}

// killAfter kills the process a while after reached is closed.
func (k *killer) killAfter(t *testing.T, reached <-chan struct{}, delay time.Duration) {
	t.Helper()
	select {
	case <-reached:
	case <-k.in.process.Ended:
		k.in.alive()
	case <-time.After(time.Minute):
		t.Fatal("the moment has not come")
	}
	time.Sleep(delay)
	k.in.kill()
}

// look notes what the kill cut short.
func (k *killer) look(t *testing.T) {
	t.Helper()
	found := k.in.catchUp(t.Context())
	k.in.sound()
	if len(found) > 0 {
		k.cut++
	}
}

func (k *killer) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v\n%q", err, k.h.Log)
	}
}

// snapshot makes a new collection with resources.
func (k *killer) snapshot(t *testing.T) string {
	path, err := k.h.NewCollection(t.Context())
	k.must(t, err)
	for range 12 {
		k.must(t, k.h.Create(t.Context(), path))
	}
	return "snapshot of " + path
}

// delta changes resources here and there.
func (k *killer) delta(t *testing.T) string {
	for range 12 {
		path := k.any()
		k.must(t, k.h.Change(t.Context(), path))
		k.must(t, k.h.Delete(t.Context(), path))
		k.must(t, k.h.Create(t.Context(), path))
	}
	return "delta"
}

// removal deletes a collection.
func (k *killer) removal(t *testing.T) string {
	path := k.any()
	k.must(t, k.h.DeleteCollection(t.Context(), path))
	return "removal of " + path
}

// reset kills the tokens of a collection, with changes and deletions in the gap.
func (k *killer) reset(t *testing.T) string {
	if len(k.h.Collections()) == 0 {
		k.snapshot(t)
		k.in.start()
		k.in.settle(settleTime)
		k.in.kill()
	}
	path := k.any()
	for range 3 {
		k.must(t, k.h.Delete(t.Context(), path))
		k.must(t, k.h.Change(t.Context(), path))
	}
	k.must(t, k.in.dav.InvalidateTokens(t.Context(), path))
	return "reset of " + path
}

func (k *killer) any() string {
	all := k.h.Collections()
	return all[k.rng.IntN(len(all))]
}
