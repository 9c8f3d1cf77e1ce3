package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// world is a whole connector over one account, in fake time.
type world struct {
	t           *testing.T
	up          *upstream
	ledger      *memLedger
	obs         *recorder
	uncommitted int64 // Config.Uncommitted
	most        int   // Config.Collections
	guard       *Guard
	before      Before
	asked       *memSignals
	stop        context.CancelFunc
	ended       chan error
}

// recorder keeps the last status of each stream, and every condition it went through.
type recorder struct {
	mu     sync.Mutex
	last   map[Stream]Status
	path   map[Stream][]Condition
	resets int
	share  []int32
	left   []string
}

func (r *recorder) Stream(s Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last[s.Stream].Condition != s.Condition {
		r.path[s.Stream] = append(r.path[s.Stream], s.Condition)
	}
	r.last[s.Stream] = s
}
func (r *recorder) Published(Stream, map[string]int) {}
func (r *recorder) Reset(Stream, string)             { r.mu.Lock(); r.resets++; r.mu.Unlock() }
func (r *recorder) Account(string, string, error)    {}
func (r *recorder) Assigned(partitions []int32)      { r.mu.Lock(); r.share = partitions; r.mu.Unlock() }
func (r *recorder) Left(_, account string) {
	r.mu.Lock()
	r.left = append(r.left, account)
	r.mu.Unlock()
}

func (r *recorder) status(s Stream) Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[s]
}

const pollEvery = 10 * time.Second

func newWorld(t *testing.T) *world {
	return &world{t: t, up: newUpstream(), ledger: newMemLedger(), asked: &memSignals{}, obs: &recorder{last: map[Stream]Status{}, path: map[Stream][]Condition{}}}
}

// withWorld runs a test in a bubble's time, with a world that is ended after it.
func withWorld(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		test(t, w)
		w.end()
	})
}

func (w *world) start() {
	cfg := Config{Version: "test", TopicPrefix: "cal", Before: BeforeFull, Tombstones: true, Partitions: 1, Uncommitted: w.uncommitted, Collections: w.most,
		Guard: w.guard}
	if w.before != "" {
		cfg.Before = w.before
	}
	source := Source{Name: "work", Connector: "caldav", PollInterval: pollEvery, ReconcileInterval: 24 * time.Hour, Accounts: []Account{w.up}}
	c := New(cfg, []Source{source}, fixedTopics(3), w.obs, hclog.NewNullLogger())
	c.Heed(w.asked)
	ctx, stop := context.WithCancel(context.Background())
	w.stop, w.ended = stop, make(chan error, 1)
	go func() { w.ended <- c.Run(ctx, All(1), w.ledger.only) }()
	w.t.Cleanup(stop) // where a check has ended the test
}

func (w *world) end() {
	w.stop()
	if err := <-w.ended; err != nil {
		w.t.Fatal(err)
	}
}

// polls lets n poll intervals pass.
func (w *world) polls(n int) {
	time.Sleep(time.Duration(n)*pollEvery + pollEvery/2)
	synctest.Wait()
}

func (w *world) check(collections ...string) {
	w.t.Helper()
	for _, name := range collections {
		f := fold(w.t, w.ledger.records(), name)
		if want := w.up.rows(name); !maps.Equal(f.rows, want) {
			w.t.Fatalf("%s: fold %v, source %v\n%s", name, f.rows, want, strings.Join(f.ops, "\n"))
		}
	}
}

// calendars folds the rows of the calendars stream.
func (w *world) calendars() map[string]bool {
	rows := map[string]bool{}
	for _, r := range w.ledger.records() {
		if !strings.HasSuffix(r.Topic, ".calendars") || len(r.Headers) == 0 || r.Headers[0].Key != "calcdc.op" {
			continue
		}
		_, name, _ := strings.Cut(string(r.Key), `"collection":"`)
		name = strings.TrimSuffix(name, `"}`)
		rows[name] = string(r.Headers[0].Value) != opDelete
		if !rows[name] {
			delete(rows, name)
		}
	}
	return rows
}

func events(collection string) Stream { return Stream{"work", memAccount, collection, Events} }

func TestFollowsAnAccount(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		a, b := w.up.add("/a/"), w.up.add("/b/")
		w.up.put(a, "1", "=1")
		w.up.put(b, "1", "=1,x=2")
		w.start()
		w.polls(1)
		w.check("/a/", "/b/")
		w.up.put(a, "1", "=2")
		c := w.up.add("/c/")
		w.up.put(c, "1", "=1")
		w.polls(2)
		w.check("/a/", "/b/", "/c/")
		if got := w.calendars(); len(got) != 3 {
			t.Fatalf("calendars %v", got)
		}
	})
}

func TestIdlePollIsOneRequest(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		for i := range 20 {
			w.up.put(w.up.add(fmt.Sprintf("/c%d/", i)), "1", "=1")
		}
		w.start()
		w.polls(2)
		home, list, commits := w.up.count("home"), w.up.count("list"), w.ledger.count()
		w.polls(100)
		if w.up.count("list") != list || w.ledger.count() != commits {
			t.Errorf("idle polls listed %d times and committed %d times", w.up.count("list")-list, w.ledger.count()-commits)
		}
		if n := w.up.count("home") - home; n < 95 || n > 110 {
			t.Errorf("%d home listings in 100 intervals", n)
		}
	})
}

func TestCollectionGoesAfterTwoLooks(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.up.put(w.up.add("/a/"), "1", "=1")
		w.up.put(w.up.add("/b/"), "1", "=1")
		w.start()
		w.polls(1)
		w.up.drop("/a/")
		looks := w.up.count("look")
		w.polls(5)
		w.check("/a/", "/b/")
		if got := w.calendars(); len(got) != 1 || !got["/b/"] {
			t.Fatalf("calendars %v", got)
		}
		if n := w.up.count("look") - looks; n != goneAfterPolls {
			t.Errorf("looked %d times", n)
		}
		if s := w.obs.status(events("/a/")); s.Condition != Vanished || s.Rows != 0 {
			t.Errorf("status %+v", s)
		}
		c := w.up.add("/a/")
		w.up.put(c, "2", "=1")
		w.polls(2)
		w.check("/a/")
		if s := w.obs.status(events("/a/")); s.Condition != Following || s.Epoch != 2 {
			t.Errorf("status %+v", s)
		}
	})
}

// A collection of which a look cannot tell whether it is gone does not keep another from being decided.
func TestUndecidedLookHoldsUpNoOther(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		for _, name := range []string{"/a/", "/b/", "/c/"} {
			w.up.put(w.up.add(name), "1", "=1")
		}
		w.start()
		w.polls(1)
		w.up.mu.Lock()
		w.up.lookAs["/a/"] = Failed
		w.up.mu.Unlock()
		w.up.drop("/a/")
		w.up.drop("/b/")
		w.polls(20)
		w.check("/b/")
		if f := fold(t, w.ledger.records(), "/a/"); len(f.rows) != 1 {
			t.Error("deleted without being known to be gone")
		}
		if s := w.obs.status(Stream{"work", memAccount, "", Calendars}); s.Condition != Failing {
			t.Errorf("status %+v", s)
		}
	})
}

func TestForbiddenCollectionGoesAfterAnHour(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.up.put(w.up.add("/a/"), "1", "=1")
		w.start()
		w.polls(1)
		w.up.mu.Lock()
		w.up.lookAs["/a/"] = Forbidden
		w.up.mu.Unlock()
		w.up.drop("/a/")
		time.Sleep(50 * time.Minute)
		if f := fold(t, w.ledger.records(), "/a/"); len(f.rows) != 1 {
			t.Fatal("deleted within the hour")
		}
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		w.check("/a/")
	})
}

func TestHomeThatFailsDeletesNothing(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		a := w.up.add("/a/")
		w.up.put(a, "1", "=1")
		w.start()
		w.polls(1)
		w.up.fail(func(kind string, _ int) error {
			if kind == "home" {
				return errors.New("404")
			}
			return nil
		})
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		w.check("/a/")
		if s := w.obs.status(Stream{"work", memAccount, "", Calendars}); s.Condition != Failing || s.Err == "" {
			t.Errorf("status %+v", s)
		}
		w.up.fail(nil)
		w.up.put(a, "2", "=1")
		w.polls(8)
		w.check("/a/")
	})
}

func TestOneStreamsTroubleIsItsOwn(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		a, b := w.up.add("/a/"), w.up.add("/b/")
		w.up.put(a, "1", "=1")
		w.up.forbid["bad"] = true
		w.up.put(b, "bad", "=1")
		w.start()
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		w.check("/a/")
		if s := w.obs.status(events("/b/")); s.Condition != Failing || s.Failures == 0 || s.RetryAt.IsZero() {
			t.Errorf("status %+v", s)
		}
	})
}

func TestUnknownOutcomeLoadsAgain(t *testing.T) {
	for _, applied := range []bool{true, false} {
		t.Run(fmt.Sprint(applied), func(t *testing.T) {
			withWorld(t, func(t *testing.T, w *world) {
				a := w.up.add("/a/")
				for i := range 20 {
					w.up.put(a, fmt.Sprint(i), "=1")
				}
				w.ledger.fault = func(n int) (bool, error) {
					if n%3 == 0 {
						return applied, errLost
					}
					return true, nil
				}
				w.start()
				w.polls(6)
				w.ledger.fail(nil)
				w.polls(10)
				w.check("/a/")
				if w.ledger.loads < 2 {
					t.Error("it must load again")
				}
			})
		})
	}
}

func TestFencedOnceGoesOn(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		a := w.up.add("/a/")
		w.up.put(a, "1", "=1")
		w.start()
		w.polls(1)
		w.ledger.failNext(ErrFenced)
		w.up.put(a, "2", "=1")
		w.polls(3)
		w.check("/a/")
	})
}

// A removal cut short by the end of the process goes on in the next, without looking twice again.
func TestRemovalGoesOnAfterARestart(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		a := w.up.add("/a/")
		for i := range (lanePages + 3) * sweepPage {
			w.up.put(a, fmt.Sprintf("%04d", i), "=1")
		}
		w.start()
		w.polls(1)
		w.up.drop("/a/")
		removals := 0
		w.ledger.fail(func(int) (bool, error) {
			if removals++; removals > 1 {
				return false, errLost
			}
			return true, nil
		})
		w.polls(3)
		w.end()
		w.ledger.fault = nil
		looks := w.up.count("look")
		w.start()
		w.polls(2)
		w.check("/a/")
		if len(w.calendars()) != 0 {
			t.Errorf("calendars %v", w.calendars())
		}
		if n := w.up.count("look") - looks; n != 0 {
			t.Errorf("looked %d times: the removal was decided", n)
		}
	})
}

func TestRetire(t *testing.T) {
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		w.t = t
		w.up.put(w.up.add("/a/"), "1", "=1,x=1")
		w.up.put(w.up.add("/b/"), "1", "=1")
		w.start()
		w.polls(1)
		w.end()
	})
	cfg := Config{TopicPrefix: "cal", Before: BeforeFull, Tombstones: true, Partitions: 1}
	c := New(cfg, nil, fixedTopics(3), noObserver{}, hclog.NewNullLogger())
	if err := c.Retire(context.Background(), w.ledger, events("/a/")); err != nil {
		t.Fatal(err)
	}
	if f := fold(t, w.ledger.records(), "/a/"); len(f.rows) != 0 {
		t.Errorf("rows %v", f.rows)
	}
	if f := fold(t, w.ledger.records(), "/b/"); len(f.rows) != 1 {
		t.Errorf("rows %v", f.rows)
	}
	if got := w.calendars(); len(got) != 1 || !got["/b/"] {
		t.Errorf("calendars %v", got)
	}
	if cp := w.ledger.Open(events("/a/")); cp.Offset != nil || cp.State.Phase != RemovedAll {
		t.Errorf("checkpoint %+v %+v", cp.Offset, cp.State)
	}
}

// An owner with nothing to commit notices that an offset tool has been there.
func TestIdleOwnerNoticesThatItWasOvertaken(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.up.put(w.up.add("/a/"), "1", "=1")
		w.start()
		w.polls(1)
		w.ledger.mu.Lock()
		w.ledger.stream(events("/a/")).offset = nil
		w.ledger.overtaken = true
		w.ledger.mu.Unlock()
		w.polls(2)
		f := fold(t, w.ledger.records(), "/a/")
		want(t, f.ops[3:], "marker snapshot-reset 2 requested", "r 1", "marker snapshot-end 2 requested")
	})
}

// An owner that commits nothing finds out too that what is committed is unknown, and loads again; trouble of another kind is no reason.
func TestIdleOwnerInDoubtLoadsAgain(t *testing.T) {
	for _, fault := range []error{fmt.Errorf("the local store has failed: %w", ErrDoubt), errLost} {
		withWorld(t, func(t *testing.T, w *world) {
			w.up.put(w.up.add("/a/"), "1", "=1")
			w.start()
			w.polls(1)
			w.ledger.mu.Lock()
			w.ledger.doubt = fault
			before := w.ledger.loads
			w.ledger.mu.Unlock()
			w.polls(2)
			w.ledger.mu.Lock()
			again := w.ledger.loads > before
			w.ledger.mu.Unlock()
			if again != errors.Is(fault, ErrDoubt) {
				t.Errorf("%v: loaded again: %v", fault, again)
			}
		})
	}
}

// Collections that hang hold up their source once, not at each retry.
func TestHangingCollectionsHoldUpNoOther(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.up.hang = map[string]time.Duration{}
		for i := range passesPerSource + 4 {
			name := fmt.Sprintf("/hangs%02d/", i)
			w.up.put(w.up.add(name), "1", "=1")
			w.up.hang[name] = 10 * time.Minute
		}
		z := w.up.add("/z/")
		w.up.put(z, "1", "=1")
		w.start()
		time.Sleep(25 * time.Minute) // each has hung once
		for range 30 {
			w.up.put(z, "1", fmt.Sprintf("=%d", time.Now().Unix()))
			w.polls(2)
			w.check("/z/")
		}
	})
}
