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
	for kind, rounds := range map[string]int{"radicale": 4, "davical": 1} {
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
			t.Logf("%d kills left something undone, %d of them a snapshot", k.cut, k.inSnapshot)
			if k.cut < rounds*2 {
				t.Errorf("only %d kills left anything undone: they come too late or too early", k.cut)
			}
		})
	}
}

// A snapshot of several pages goes on where it was cut short: no second marker, no row twice, no delete lost.
func TestKilledInALongSnapshot(t *testing.T) {
	t.Parallel()
	in := newInstance(t, testenv.NewRadicale(t), testenv.Env(t, testenv.EnvKafka))
	in.server.TrustETags = true // 600 bodies are read again and again
	k := &killer{in: in, rng: rand.New(rand.NewPCG(7, 7)), h: newHistory(in.server, in.dav, 33)}
	path, err := k.h.NewCollection(t.Context())
	k.must(t, err)
	for range 600 {
		k.must(t, k.h.Create(t.Context(), path))
	}
	for range 3 {
		k.cutShort(t, path)
		in.start()
		in.settle(settleTime)
		in.kill()
		k.must(t, k.h.Delete(t.Context(), path))
		k.must(t, in.dav.InvalidateTokens(t.Context(), path))
	}
	in.start()
	in.settle(settleTime)
	in.quiet()
	in.stop()
	t.Logf("%d kills left something undone, %d of them a snapshot", k.cut, k.inSnapshot)
	if s := in.stream(path); s.Epoch != 4 || len(s.Markers) != 8 {
		t.Errorf("epoch %d, markers %+v; want four snapshots", s.Epoch, s.Markers)
	}
}

// cutShort kills the process when the first page of a snapshot has been published, and again somewhere on the way.
// The last bodies of the first attempt never come. In between the collection changes.
func (k *killer) cutShort(t *testing.T, path string) {
	t.Helper()
	before := k.in.proxy.count("resources")
	k.in.proxy.watch(func(kind string, _ int) http.HandlerFunc {
		if kind == "multiget" && k.in.proxy.counts["resources"]-before > 520 { // a page is 500
			return hang
		}
		return nil
	})
	k.killAt(t, 1, time.Duration(k.rng.IntN(150))*time.Millisecond)
	k.in.proxy.watch(nil)
	k.look(t)
	k.must(t, k.h.Delete(t.Context(), path))
	k.must(t, k.h.Change(t.Context(), path))
	k.killAt(t, 1, time.Duration(k.rng.IntN(60))*time.Millisecond)
	k.look(t)
	k.must(t, k.h.Delete(t.Context(), path))
}

// killer prepares moments and kills in them.
type killer struct {
	in  *instance
	rng *rand.Rand
	h   *history.History
	// cut counts the kills that left something undone, inSnapshot those between a begin or reset and its end.
	cut, inSnapshot int
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
	k.in.proxy.watch(func(_ string, n int) http.HandlerFunc {
		if n == from+after {
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
	k.killAt(t, times, delay)
}

// killAt starts the process and kills it a while after records have reached the log so many times.
func (k *killer) killAt(t *testing.T, times int, delay time.Duration) {
	t.Helper()
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
	case err := <-k.in.ended:
		k.in.ended <- err
		k.in.alive()
	case <-time.After(20 * time.Second):
		t.Fatal("the moment has not come")
	}
	time.Sleep(delay)
	k.in.kill()
}

// look notes what the kill cut short.
func (k *killer) look(t *testing.T) {
	t.Helper()
	found := k.in.differences(t.Context())
	k.in.sound()
	if len(found) > 0 {
		k.cut++
	}
	for _, s := range k.in.reader.Fold.Streams {
		if s.InSnapshot() {
			k.inSnapshot++
			break
		}
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
