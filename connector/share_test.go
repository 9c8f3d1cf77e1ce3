package connector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// told is a Share that assigns what the test says.
type told struct {
	says chan []int32
	left time.Time // when it was given up
	fail chan error
}

func newTold() *told { return &told{says: make(chan []int32), fail: make(chan error)} }

func (s *told) Follow(ctx context.Context, assigned func([]int32)) error {
	for {
		select {
		case <-ctx.Done():
			s.left = time.Now()
			return nil
		case err := <-s.fail:
			return err
		case partitions := <-s.says:
			assigned(partitions)
		}
	}
}

// workers are processes of one name over the accounts of a team, each with a share of its own.
type workers struct {
	*team
	partitions []*memLedger
	opened     []int // how often an owner was made, by partition
	all        []*worker
	mu         sync.Mutex
}

type worker struct {
	share *told
	obs   *recorder
	stop  context.CancelFunc
	ended chan error
}

func newWorkers(t *testing.T, partitions int, names ...string) *workers {
	w := &workers{team: newTeam(t, names...), opened: make([]int, partitions)}
	for range partitions {
		w.partitions = append(w.partitions, newMemLedger())
	}
	for _, up := range w.ups {
		w.source.Accounts = append(w.source.Accounts, up)
		up.calendar("a", "owner")
		up.put(up.stream("a", Events), "e", "one", "")
	}
	return w
}

// join starts a worker.
func (w *workers) join() *worker {
	cfg := Config{Version: "test", TopicPrefix: "cal", Before: BeforeFull, Tombstones: true, Partitions: int32(len(w.partitions))}
	n := &worker{share: newTold(), obs: &recorder{last: map[Stream]Status{}, path: map[Stream][]Condition{}}, ended: make(chan error, 1)}
	c := New(cfg, []Source{w.source}, fixedTopics(3), n.obs, hclog.NewNullLogger())
	var ctx context.Context
	ctx, n.stop = context.WithCancel(context.Background())
	go func() { n.ended <- c.Run(ctx, n.share, w.open) }()
	w.all = append(w.all, n)
	w.t.Cleanup(n.stop)
	return n
}

func (w *workers) open(p int32) Ledger {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened[p]++
	return &lease{memLedger: w.partitions[p]}
}

func (w *workers) opens(p int32) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.opened[p]
}

// loads is how often a partition has been taken.
func (w *workers) loads(p int32) int {
	l := w.partitions[p]
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.loads
}

// fenced is how often an owner of a partition was told that it is one no longer.
func (w *workers) fenced(p int32) int {
	l := w.partitions[p]
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fenced
}

func (n *worker) assign(partitions ...int32) {
	n.share.says <- partitions
	synctest.Wait()
}

func (w *workers) end() {
	for _, n := range w.all {
		n.stop()
	}
	for _, n := range w.all {
		if err := <-n.ended; err != nil {
			w.t.Error(err)
		}
	}
}

// of is the first account in a partition.
func (w *workers) of(p int32) *feeds {
	i := slices.IndexFunc(w.ups, func(up *feeds) bool { return AccountPartition("team", up.name, int32(len(w.partitions))) == p })
	if i < 0 {
		w.t.Fatalf("no account in partition %d", p)
	}
	return w.ups[i]
}

// asked counts the polls of an account from now on.
func asked(up *feeds) (polls func() int) {
	up.mu.Lock()
	defer up.mu.Unlock()
	before := len(up.polls)
	return func() int {
		up.mu.Lock()
		defer up.mu.Unlock()
		return len(up.polls) - before
	}
}

// check compares what all partitions hold with the accounts.
func (w *workers) check() {
	w.t.Helper()
	for _, l := range w.partitions {
		w.ledger.log = append(w.ledger.log, l.records()...)
	}
	w.team.check()
	w.ledger.log = nil
}

var family = []string{"alice", "bob", "carol", "dave", "eve", "frank"}

func inWorkers(t *testing.T, partitions int, test func(t *testing.T, w *workers)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(t, partitions, family...)
		test(t, w)
		w.end()
	})
}

// Owners start and stop with what is assigned; those that stay are not disturbed; one that comes back loads anew.
func TestAssignmentStartsAndStopsOwners(t *testing.T) {
	inWorkers(t, 2, func(t *testing.T, w *workers) {
		n := w.join()
		zero, one := asked(w.of(0)), asked(w.of(1))
		w.polls(2)
		if zero()+one() != 0 {
			t.Error("polled without being assigned")
		}
		n.assign(0)
		w.polls(2)
		if zero() == 0 || one() != 0 {
			t.Errorf("%d and %d polls", zero(), one())
		}
		n.assign(1, 0)
		w.polls(2)
		w.check()
		n.assign(1)
		zero, one = asked(w.of(0)), asked(w.of(1))
		w.of(0).put(w.of(0).stream("a", Events), "e", "two", "")
		w.polls(10)
		if zero() != 0 || one() < 9 {
			t.Errorf("%d and %d polls", zero(), one())
		}
		if !slices.Contains(n.obs.left, w.of(0).name) || slices.Contains(n.obs.left, w.of(1).name) {
			t.Errorf("told that it has left %v", n.obs.left)
		}
		n.assign(0, 1)
		n.assign(1, 0)
		w.polls(2)
		w.check()
		if w.loads(0) != 2 || w.opens(0) != 2 || w.loads(1) != 1 || w.opens(1) != 1 {
			t.Errorf("loaded %d and %d times", w.loads(0), w.loads(1))
		}
	})
}

// A partition that is taken away and comes back while its last commit is under way waits for it; the others do not.
func TestPartitionThatReturnsWaitsForItsCommit(t *testing.T) {
	inWorkers(t, 2, func(t *testing.T, w *workers) {
		n := w.join()
		n.assign(0, 1)
		w.polls(2)
		w.partitions[0].slow.Store(int64(time.Minute))
		w.of(0).put(w.of(0).stream("a", Events), "e", "two", "")
		w.polls(1)
		n.assign(1)
		n.assign(1, 0)
		if w.opens(0) != 1 {
			t.Error("two owners at a time")
		}
		polls := asked(w.of(1))
		w.polls(3)
		if polls() < 3 {
			t.Error("another partition waits too")
		}
		time.Sleep(time.Minute)
		w.partitions[0].slow.Store(0)
		w.polls(8)
		if w.opens(0) != 2 {
			t.Errorf("%d owners", w.opens(0))
		}
		w.check()
	})
}

// What is being committed ends before the share is given up: else the next owner would be there too early.
func TestShareIsGivenUpLast(t *testing.T) {
	inWorkers(t, 1, func(t *testing.T, w *workers) {
		n := w.join()
		n.assign(0)
		w.polls(2)
		w.partitions[0].slow.Store(int64(20 * time.Second))
		w.of(0).put(w.of(0).stream("a", Events), "e", "two", "")
		w.polls(1)
		stopped := time.Now()
		n.stop()
		if err := <-n.ended; err != nil {
			t.Fatal(err)
		}
		n.ended <- nil
		if took := time.Since(stopped); took < 5*time.Second {
			t.Fatalf("stopped after %v: nothing was being committed", took)
		}
		if since := time.Since(n.share.left); since != 0 {
			t.Errorf("it went on for %v", since)
		}
	})
}

func TestShareThatFailsEndsTheRun(t *testing.T) {
	inWorkers(t, 1, func(t *testing.T, w *workers) {
		n := w.join()
		n.assign(0)
		w.polls(1)
		n.share.fail <- errLost
		if err := <-n.ended; !errors.Is(err, errLost) {
			t.Error(err)
		}
		n.ended <- nil
	})
}

// A worker whose partition somebody else has taken, as after a pause, is fenced and leaves the group the time to say so: it does not
// take back what is no longer its own.
func TestFencedAndGone(t *testing.T) {
	inWorkers(t, 1, func(t *testing.T, w *workers) {
		a, b := w.join(), w.join()
		a.assign(0)
		for range 20 {
			w.polls(2)
			fenced := w.fenced(0)
			b.assign(0)
			w.of(0).put(w.of(0).stream("a", Events), "e", time.Now().String(), "")
			loads := w.loads(0)
			for w.fenced(0) == fenced {
				time.Sleep(50 * time.Millisecond)
			}
			time.Sleep(1400 * time.Millisecond) // a heartbeat, and an answer
			a.assign()
			w.polls(6)
			if w.loads(0) != loads {
				t.Fatal("it took back what was no longer its own")
			}
			w.check()
			a, b = b, a
		}
	})
}

// A worker that was fenced and hears from the group that the partition is its own waits no longer.
func TestFencedAndConfirmed(t *testing.T) {
	inWorkers(t, 1, func(t *testing.T, w *workers) {
		a, b := w.join(), w.join()
		for range 20 {
			a.assign(0)
			w.polls(6)
			b.assign(0)
			fenced, loads := w.fenced(0), w.loads(0)
			for w.fenced(0) == fenced {
				time.Sleep(10 * time.Millisecond)
			}
			b.assign()
			a.assign(0)
			time.Sleep(100 * time.Millisecond) // less than any pause
			synctest.Wait()
			if w.loads(0) != loads+1 {
				t.Fatal("it waits for what it knows")
			}
		}
	})
}

// Two that both take themselves for the owner, e.g. while the group is away, fence each other every few seconds at most;
// each publishes, and nothing twice.
func TestTwoOwnersDoNotFenceEachOtherInALoop(t *testing.T) {
	inWorkers(t, 1, func(t *testing.T, w *workers) {
		w.source.PollInterval = pollEvery / 20
		a, b := w.join(), w.join()
		a.assign(0)
		b.assign(0)
		began := time.Now()
		for i := range 20 {
			w.of(0).put(w.of(0).stream("a", Events), "e", fmt.Sprint(i), "")
			w.polls(1)
		}
		if n, most := w.loads(0), int(time.Since(began)/(4*time.Second)); n > most {
			t.Errorf("%d loads in %v", n, time.Since(began))
		}
		a.assign()
		w.polls(2 + int(2*longFencedPause/pollEvery))
		w.check()
	})
}

// The longer they do so, the rarer; once one has been the owner for a while, others are taken for guests again, a few in a row.
func TestTwoOwnersFenceEachOtherEverMoreRarely(t *testing.T) {
	inWorkers(t, 1, func(t *testing.T, w *workers) {
		a, b := w.join(), w.join()
		a.assign(0)
		b.assign(0)
		time.Sleep(2 * time.Minute)
		before := w.loads(0)
		time.Sleep(30 * time.Minute)
		if n := w.loads(0) - before; n > 90 || n < 20 {
			t.Errorf("%d loads in half an hour", n)
		}
		a.assign()
		time.Sleep(lastingTerm + time.Minute)
		for range guestsInARow { // offset tools, one after the other
			before = w.loads(0)
			w.partitions[0].mu.Lock()
			w.partitions[0].terms++
			w.partitions[0].mu.Unlock()
			time.Sleep(watchEvery + 2*fencedPause)
			if n := w.loads(0) - before; n != 1 {
				t.Errorf("%d loads after a tool", n)
			}
		}
	})
}

// Seeded histories of three workers whose shares change at random, overlap, or leave partitions to nobody for a while, that are
// stopped and started, with commits and requests that fail: what is published folds to what the accounts hold.
func TestRandomShares(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorkers(t, 3, func(t *testing.T, w *workers) { sharesHistory(t, w, seed) })
		})
	}
}

func sharesHistory(t *testing.T, w *workers, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 41))
	for range 3 {
		w.join()
	}
	running := slices.Clone(w.all)
	for range 60 {
		for range rnd.IntN(6) {
			stir(w.ups[rnd.IntN(len(w.ups))], rnd)
		}
		l := w.partitions[rnd.IntN(3)]
		l.mu.Lock()
		l.fault = ledgerTrouble(rnd)
		l.mu.Unlock()
		l.slow.Store(rnd.Int64N(int64(2 * time.Second)))
		w.ups[rnd.IntN(len(w.ups))].breaks(feedTrouble(rnd))
		i := rnd.IntN(3)
		switch rnd.IntN(4) {
		case 0:
			running[i].stop()
			running[i] = w.join()
		default:
			var some []int32
			for p := range int32(3) {
				if rnd.IntN(3) > 0 {
					some = append(some, p)
				}
			}
			running[i].assign(some...)
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(2 * pollEvery))))
	}
	for i, l := range w.partitions {
		l.mu.Lock()
		l.fault = nil
		l.mu.Unlock()
		l.slow.Store(0)
		running[i].assign(int32(i))
	}
	for _, up := range w.ups {
		up.breaks(nil)
	}
	time.Sleep(10 * time.Minute)
	w.check()
	for _, up := range w.ups {
		for _, c := range []string{"a", "b", "c"} {
			fold(t, w.published(up), c)
		}
	}
}

// published are the records of an account.
func (w *workers) published(up *feeds) []Record {
	all := w.partitions[AccountPartition("team", up.name, int32(len(w.partitions)))].records()
	return slices.DeleteFunc(all, func(r Record) bool { return !strings.Contains(string(r.Key), `"account":"`+up.name+`"`) })
}
