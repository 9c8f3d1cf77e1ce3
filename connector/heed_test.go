package connector

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memSignals is the signal topic in memory.
type memSignals struct {
	mu   sync.Mutex
	recs []Committed
	cut  int64 // retention has deleted what stood before
	err  error
	slow time.Duration // until it answers
}

func (m *memSignals) write(key, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rec := Committed{Offset: int64(len(m.recs)), TimeMs: time.Now().UnixMilli()}
	rec.Key, rec.Value = []byte(key), []byte(value)
	m.recs = append(m.recs, rec)
}

// snapshot asks for one; more is further data.
func (m *memSignals) snapshot(topics, more string) {
	m.write("cal", fmt.Sprintf(`{"id":"%d","type":"execute-snapshot","data":{"data-collections":[%q]%s}}`, time.Now().UnixNano(), topics, more))
}

func (m *memSignals) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

var errOutOfRange = errors.New("out of range")

func (m *memSignals) End(ctx context.Context, _ string, _ int32) (int64, error) {
	sleep(ctx, m.slow)
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.recs)), m.err
}

func (m *memSignals) Read(_ context.Context, _ string, _ int32, from, until int64) iter.Seq2[Committed, error] {
	m.mu.Lock()
	recs, cut := slices.Clone(m.recs), m.cut
	m.mu.Unlock()
	return func(yield func(Committed, error) bool) {
		if from > 0 && from < cut {
			yield(Committed{}, errOutOfRange)
			return
		}
		for _, r := range recs {
			if r.Offset >= max(from, cut) && r.Offset < until && !yield(r, nil) {
				return
			}
		}
	}
}

// resets are the markers that a collection's events had, without the epoch's first snapshot.
func (w *world) resets(collection string) []string {
	w.t.Helper()
	var out []string
	for _, op := range fold(w.t, w.ledger.records(), collection).ops {
		if m, ok := strings.CutPrefix(op, "marker snapshot-"); ok && !strings.HasSuffix(m, initialSnapshot) {
			out = append(out, m)
		}
	}
	return out
}

const initialSnapshot = "1 initial"

// inWorld runs a test in a world of the collections /a/ and /b/, each with two members, which is settled.
func inWorld(t *testing.T, test func(t *testing.T, w *world, a, b *memCollection)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.up.add("/a/"), w.up.add("/b/")
		for _, c := range []*memCollection{a, b} {
			w.up.put(c, "1", "=1")
			w.up.put(c, "2", "=1,x=2")
		}
		w.start()
		w.polls(2)
		test(t, w, a, b)
		w.end()
	})
}

func TestSnapshotOnDemand(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, a, _ *memCollection) {
		n := len(fold(t, w.ledger.records(), "/a/").ops)
		w.up.mu.Lock()
		a.members["1"] = memMember{etag: a.members["1"].etag, body: "=5"} // nobody said so
		delete(a.members, "2")
		w.up.mu.Unlock()
		w.asked.snapshot("cal.work.events", `,"account":"alice","collection":"/a/"`)
		time.Sleep(2 * signalsEvery) // it does not wait for the next poll
		synctest.Wait()
		want(t, fold(t, w.ledger.records(), "/a/").ops[n:],
			"marker snapshot-reset 2 requested", "r 1", "d 2", "d 2#x", "marker snapshot-end 2 requested")
		w.check("/a/", "/b/")
		for range 3 {
			w.end()
			w.start()
			w.polls(3)
		}
		want(t, w.resets("/a/"), "reset 2 requested", "end 2 requested")
		want(t, w.resets("/b/"))
	})
}

// Nothing that is written there stops the signals that follow, and what is not meant for a stream does not touch it.
func TestSignalsThatAreNone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, _, _ *memCollection) {
		for _, value := range []string{"", "x", "null", "{}", strings.Repeat("x", maxSignal+1), `{"type":"log","data":{"message":"hello"}}`,
			`{"type":"execute-snapshot","data":{"data-collections":["(.*"]}}`} {
			w.asked.write("cal", value)
		}
		w.asked.change(func() {
			w.asked.recs = append(w.asked.recs, Committed{Offset: int64(len(w.asked.recs)), Record: Record{Key: []byte("cal")}},
				Committed{Offset: int64(len(w.asked.recs)) + 1})
		})
		w.asked.write("other", `{"type":"execute-snapshot","data":{"data-collections":["cal.work.events"]}}`)
		w.asked.snapshot("cal.work.events", `,"account":"bob"`)
		w.asked.snapshot("cal.team.events", "")
		w.asked.snapshot("cal.work.events", `,"collection":"/c/"`)
		w.polls(2)
		want(t, w.resets("/a/"))
		w.asked.snapshot("cal.work.events", "")
		w.polls(2)
		for _, name := range []string{"/a/", "/b/"} {
			want(t, w.resets(name), "reset 2 requested", "end 2 requested")
		}
	})
}

// What is asked for while nobody works is carried out by who comes, once, however often it was asked for.
func TestSignalWaitsForAWorker(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, _, _ *memCollection) {
		w.end()
		w.asked.snapshot("cal.work.events", `,"collection":"/a/"`)
		w.asked.snapshot("cal.work.events", "")
		w.asked.snapshot("cal.work.events", `,"collection":"/a/"`)
		w.start()
		w.polls(2)
		want(t, w.resets("/a/"), "reset 2 requested", "end 2 requested")
		want(t, w.resets("/b/"), "reset 2 requested", "end 2 requested")
		w.check("/a/", "/b/")
	})
}

// A snapshot that is asked for in the middle of another follows it.
func TestSignalInTheMiddleOfASnapshot(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, a, _ *memCollection) {
		w.up.pageSize = 1
		w.up.fail(func(kind string, _ int) error {
			if kind == "page" {
				time.Sleep(3 * signalsEvery)
			}
			return nil
		})
		w.up.forget(a)
		w.up.put(a, "3", "=1")
		for len(w.resets("/a/")) == 0 {
			time.Sleep(signalsEvery)
		}
		want(t, w.resets("/a/"), "reset 2 token-invalid")
		w.asked.snapshot("cal.work.events", `,"collection":"/a/"`)
		w.end() // cut short, it goes on and ends first
		w.start()
		w.polls(5)
		want(t, w.resets("/a/"), "reset 2 token-invalid", "end 2 token-invalid", "reset 3 requested", "end 3 requested")
		w.check("/a/", "/b/")
	})
}

// What is asked for while a listing is under way is not done by it: what it has shown may be older.
func TestSignalDuringAListing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, _, _ *memCollection) {
		w.up.fail(func(kind string, _ int) error {
			if kind == "page" {
				time.Sleep(4 * signalsEvery)
			}
			return nil
		})
		w.asked.snapshot("cal.work.events", `,"collection":"/a/"`)
		time.Sleep(2 * signalsEvery)
		want(t, w.resets("/a/"))
		w.asked.snapshot("cal.work.events", `,"collection":"/a/"`)
		w.polls(5)
		want(t, w.resets("/a/"), "reset 2 requested", "end 2 requested", "reset 3 requested", "end 3 requested")
	})
}

// A collection that is gone, or not yet there, is read from its begin when it comes; that is what was asked for.
func TestSignalForWhatIsNotThere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, a, _ *memCollection) {
		w.up.drop("/a/")
		w.polls(4)
		w.asked.snapshot("cal.work.events", "")
		w.polls(2)
		want(t, w.resets("/a/"))
		want(t, w.resets("/b/"), "reset 2 requested", "end 2 requested")
		w.up.mu.Lock()
		w.up.collections["/a/"] = a
		w.up.mu.Unlock()
		w.up.put(w.up.add("/c/"), "1", "=1")
		w.polls(3)
		want(t, w.resets("/a/"), "begin 2 returned", "end 2 returned")
		want(t, w.resets("/c/"))
		w.check("/a/", "/b/", "/c/")
	})
}

// Streams that begin wait for the signals that stood there before: these are not for them.
func TestBeginHeedsWhatWasAskedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.up.put(w.up.add("/a/"), "1", "=1")
		w.asked.snapshot("cal.work.events", "")
		w.asked.slow = signalsWait / 2
		w.start()
		w.polls(5)
		w.end()
		want(t, w.resets("/a/"))
		w.check("/a/")
	})
}

// A source that cannot be read holds a request up, and does not lose it.
func TestSignalWhileTheSourceIsAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, _, _ *memCollection) {
		w.up.fail(func(string, int) error { return errLost })
		w.asked.snapshot(`cal\.work\..*`, "")
		w.polls(5)
		w.end()
		w.start()
		w.polls(5)
		want(t, w.resets("/a/"))
		w.up.fail(nil)
		time.Sleep(2 * time.Minute)
		want(t, w.resets("/a/"), "reset 2 requested", "end 2 requested")
		if s := w.obs.status(Stream{"work", memAccount, "", Calendars}); s.Epoch != 2 {
			t.Errorf("the calendars stream: %+v", s)
		}
	})
}

// The signal topic is out of reach, is cut by retention, is made anew: what comes is heeded, what was heeded is not again.
func TestSignalTopicInTrouble(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, _, _ *memCollection) {
		epoch := 1
		ask := func() {
			t.Helper()
			w.asked.snapshot("cal.work.events", "")
			epoch++
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			if s := w.obs.status(events("/a/")); s.Epoch != int64(epoch) || s.Condition != Following {
				t.Fatalf("status %+v, want epoch %d", s, epoch)
			}
		}
		ask()
		ask()
		w.asked.change(func() { w.asked.err = errLost })
		time.Sleep(5 * time.Minute)
		w.asked.change(func() { w.asked.err = nil })
		ask()
		w.asked.change(func() { w.asked.cut = int64(len(w.asked.recs)) })
		ask()
		w.asked.change(func() { w.asked.recs, w.asked.cut = nil, 0 })
		time.Sleep(time.Minute)
		ask()
		ask()
		short := slices.Clone(w.asked.recs[:1]) // a deposed leader shows its old log
		long := w.asked.recs
		w.asked.change(func() { w.asked.recs = short })
		time.Sleep(time.Minute)
		w.asked.change(func() { w.asked.recs = long })
		time.Sleep(time.Minute)
		ask()
		w.end()
		w.asked.change(func() { w.asked.recs = nil })
		for range epoch + 2 { // as long as it was, before anybody looks
			w.asked.write("cal", "x")
		}
		w.start()
		ask()
		w.end()
		w.start()
		w.polls(5)
		if s := w.obs.status(events("/a/")); s.Epoch != int64(epoch) {
			t.Errorf("status %+v, want epoch %d", s, epoch)
		}
	})
}

// A worker that has read the signals less far than the last one does not lead a stream back.
func TestSignalsReadLessFar(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	asks := func(p Position) {
		s := &Signal{Type: ExecuteSnapshot, Topics: []string{"cal.work.events"}, At: p}
		r.task.owner.c.board.show([]*Signal{s}, &Committed{Offset: p.Offset, TimeMs: p.TimeMs})
	}
	n := len(r.ops(0))
	asks(Position{3, 100})
	asks(Position{7, 200})
	r.mustPass()
	want(t, r.ops(n), "marker snapshot-reset 2 requested", "r a", "marker snapshot-end 2 requested")
	r.restart()
	asks(Position{3, 100})
	r.up.forget(c)
	n = len(r.ops(0))
	r.mustPass()
	want(t, r.ops(n), "marker snapshot-reset 3 token-invalid", "r a", "marker snapshot-end 3 token-invalid")
	asks(Position{7, 200})
	n = len(r.ops(0))
	r.mustPass()
	want(t, r.ops(n))
}

// Every commit around a request fails in turn, seen or unseen: it is carried out once all the same.
func TestSignalIsHeededOnceWhateverDies(t *testing.T) {
	for at := 1; at <= 6; at++ {
		for _, apply := range []bool{false, true} {
			t.Run(fmt.Sprint(at, apply), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world, a, b *memCollection) {
					w.up.pageSize = 1
					left := at
					w.ledger.mu.Lock()
					w.ledger.fault = func(int) (bool, error) {
						if left--; left == 0 {
							return apply, errLost
						}
						return true, nil
					}
					w.ledger.mu.Unlock()
					w.asked.snapshot("cal.work.events", `,"collection":"/a/"`)
					w.polls(6)
					w.end()
					w.start()
					w.polls(3)
					want(t, w.resets("/a/"), "reset 2 requested", "end 2 requested")
					want(t, w.resets("/b/"))
					w.check("/a/", "/b/")
				})
			})
		}
	}
}

// Streams of every kind heed, each its own.
func TestSnapshotOfEveryKind(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("own", "owner")
		up.put(up.stream("own", Events), "e1", "one", "")
		up.put(up.stream("own", ACL), "user:bob", "reader", "")
		up.put(up.stream("", Settings), "locale", "de", "")
		w.start()
		w.polls(2)
		for _, kind := range []Kind{Events, Calendars, ACL, Settings} {
			n := w.count()
			w.asked.snapshot("cal.team."+string(kind), "")
			time.Sleep(2 * signalsEvery) // it does not wait for the next poll
			synctest.Wait()
			got := w.ops(n)
			if len(got) != 3 || got[0] != "snapshot-reset "+string(kind)+" requested" || !strings.HasPrefix(got[1], "r "+string(kind)) ||
				got[2] != "snapshot-end "+string(kind)+" requested" {
				t.Errorf("%s: %q", kind, got)
			}
		}
		n := w.count()
		w.asked.snapshot(`cal\.team\..*`, "")
		w.polls(2)
		if got := w.ops(n); len(got) != 12 {
			t.Errorf("all: %q", got)
		}
		w.check()
	})
}

// Seeded histories with requests: as many resets are carried out as were asked for apart, and no stream that was not asked.
func TestRandomSignals(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world, a, _ *memCollection) {
				signalHistory(t, w, a, rand.New(rand.NewPCG(seed, 3)))
			})
		})
	}
}

func signalHistory(t *testing.T, w *world, a *memCollection, rnd *rand.Rand) {
	asked := 0
	for range 12 {
		switch rnd.IntN(5) {
		case 0:
			w.end()
			w.start()
		case 1:
			w.up.put(a, string(rune('a'+rnd.IntN(3))), fmt.Sprintf("=%d", rnd.IntN(3)))
		default:
			asked++
			w.asked.snapshot("cal.work.events", `,"collection":"/a/"`)
		}
		w.ledger.mu.Lock()
		w.ledger.fault = ledgerTrouble(rnd)
		w.ledger.mu.Unlock()
		w.up.fail(upstreamTrouble(rnd))
		time.Sleep(time.Duration(rnd.Int64N(int64(pollEvery))))
		if rnd.IntN(2) == 0 {
			w.ledger.mu.Lock()
			w.ledger.fault = nil
			w.ledger.mu.Unlock()
			w.up.fail(nil)
			time.Sleep(3 * time.Minute)
			synctest.Wait()
		}
	}
	w.ledger.mu.Lock()
	w.ledger.fault = nil
	w.ledger.mu.Unlock()
	w.up.fail(nil)
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	w.check("/a/", "/b/")
	got := w.resets("/a/")
	resets := 0
	for i, m := range got {
		if strings.HasPrefix(m, "reset") {
			resets++
			if i+1 == len(got) || got[i+1] != strings.Replace(m, "reset", "end", 1) {
				t.Errorf("no end follows: %q", got)
			}
		}
	}
	if resets > asked || asked > 0 && resets == 0 {
		t.Errorf("%d resets for %d requests: %q", resets, asked, got)
	}
	want(t, w.resets("/b/"))
}

// A reset that has begun goes on after its pass has failed, though the home says nothing new.
func TestResetThatFailsGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, _, _ *memCollection) {
		w.up.mu.Lock()
		w.up.pageSize = 1
		w.up.mu.Unlock()
		pages := 0
		w.up.fail(func(kind string, _ int) error {
			if kind != "page" {
				return nil
			}
			if pages++; pages == 2 {
				return errLost
			}
			return nil
		})
		w.asked.snapshot("cal.work.events", `,"account":"alice","collection":"/a/"`)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got, want := w.resets("/a/"), []string{"reset 2 requested", "end 2 requested"}; pages < 3 || !slices.Equal(got, want) {
			t.Errorf("after %d pages: %v, not %v", pages, got, want)
		}
		w.check("/a/")
	})
}
