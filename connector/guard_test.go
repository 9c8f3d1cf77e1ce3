package connector

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const confirmAfter = 5 * time.Minute

// guarded runs a test in a world whose collection /a/ has the members 0 to 9, of which at most half may vanish at once.
func guarded(t *testing.T, test func(t *testing.T, w *world, a *memCollection)) {
	withWorld(t, func(t *testing.T, w *world) {
		w.guard = &Guard{MaxFraction: 0.5, AboveRows: 4, ConfirmAfter: confirmAfter}
		a := w.up.add("/a/")
		for i := range 10 {
			w.up.put(a, fmt.Sprint(i), "=1")
		}
		w.start()
		w.polls(2)
		test(t, w, a)
	})
}

// lose takes members away without a word, and the tokens with them; silent: the next delta lists everything in place of an error.
func (w *world) lose(c *memCollection, silent bool, ids ...string) {
	w.up.mu.Lock()
	for _, id := range ids {
		delete(c.members, id)
	}
	c.silent = silent
	w.up.mu.Unlock()
	w.up.forget(c)
}

// decide writes a decision about /a/.
func (w *world) decide(what SignalType) {
	w.asked.write("cal", fmt.Sprintf(`{"id":"1","type":%q,"data":{"data-collections":["cal.work.events"],"collection":"/a/"}}`, what))
}

// is fails the test unless /a/ is in the condition, with so many rows held, and so many published.
func (w *world) is(c Condition, held, rows int) {
	w.t.Helper()
	synctest.Wait()
	got := w.obs.status(events("/a/"))
	if n := len(fold(w.t, w.ledger.records(), "/a/").rows); got.Condition != c || got.Held != int64(held) || n != rows {
		w.t.Fatalf("%s with %d held of %d rows, want %s with %d of %d: %+v", got.Condition, got.Held, n, c, held, rows, got)
	}
}

func six() []string { return []string{"0", "1", "2", "3", "4", "5"} }

func TestTooManyDeletesOfAResetAreHeld(t *testing.T) {
	guarded(t, func(t *testing.T, w *world, a *memCollection) {
		w.lose(a, false, six()...)
		w.up.put(a, "9", "=2")
		w.polls(2)
		w.is(Holding, 6, 10)
		want(t, w.resets("/a/"), "reset 2 token-invalid")
		if m := w.ledger.stream(events("/a/")); m.offset.Token != "" || m.state.Phase != Snapshot {
			t.Errorf("offset %+v, state %+v", m.offset, m.state)
		}
		w.up.put(a, "8", "=3") // what is there is followed meanwhile
		time.Sleep(confirmAfter - time.Minute)
		w.is(Holding, 6, 10)
		if got := fold(t, w.ledger.records(), "/a/").rows; got["8"] != "3" || got["9"] != "2" {
			t.Errorf("got %v", got)
		}
		time.Sleep(2 * time.Minute)
		w.is(Following, 0, 4)
		want(t, w.resets("/a/"), "reset 2 token-invalid", "end 2 token-invalid")
		w.check("/a/")
	})
}

func TestTooManyDeletesOfAComparisonAreHeld(t *testing.T) {
	guarded(t, func(t *testing.T, w *world, a *memCollection) {
		token := w.ledger.stream(events("/a/")).offset.Token
		w.lose(a, true, six()...)
		w.polls(2)
		w.is(Holding, 6, 10)
		if o := w.ledger.stream(events("/a/")).offset; o.Token != token {
			t.Errorf("the token %s was committed", o.Token)
		}
		w.up.put(a, "x", "=1")
		time.Sleep(confirmAfter + time.Minute)
		w.is(Following, 0, 5)
		want(t, w.resets("/a/"))
		w.check("/a/")
	})
}

// A hold is of what there was before: rows that come with the same listing do not hide what goes.
func TestRowsThatComeDoNotHideThoseThatGo(t *testing.T) {
	for _, silent := range []bool{false, true} {
		guarded(t, func(t *testing.T, w *world, a *memCollection) {
			for i := range 20 {
				w.up.put(a, fmt.Sprint("new", i), "=1")
			}
			w.lose(a, silent, six()...)
			w.polls(2)
			w.is(Holding, 6, 30)
			w.end()
			w.start()
			time.Sleep(confirmAfter - time.Minute)
			w.is(Holding, 6, 30)
			time.Sleep(2 * time.Minute)
			w.is(Following, 0, 24)
			w.check("/a/")
		})
	}
}

func TestFewDeletesAreNotHeld(t *testing.T) {
	guarded(t, func(t *testing.T, w *world, a *memCollection) {
		w.lose(a, false, six()[:5]...)
		w.polls(2)
		w.is(Following, 0, 5)
		w.lose(a, true, "5")
		w.polls(2)
		w.is(Following, 0, 4)
		w.lose(a, false, "6", "7", "8", "9") // of no more than AboveRows
		w.polls(2)
		w.is(Following, 0, 0)
	})
}

// What a delta itself reports removed is believed, however much it is.
func TestDeltasAreNotHeld(t *testing.T) {
	guarded(t, func(t *testing.T, w *world, a *memCollection) {
		for i := range 9 {
			w.up.del(a, fmt.Sprint(i))
		}
		w.polls(2)
		w.is(Following, 0, 1)
	})
}

// What reappears is not deleted; what is left by then may be few enough.
func TestWhatReappearsIsNotDeleted(t *testing.T) {
	guarded(t, func(t *testing.T, w *world, a *memCollection) {
		back := a.members["0"]
		w.lose(a, true, six()...)
		w.polls(2)
		w.is(Holding, 6, 10)
		w.up.mu.Lock()
		a.members["0"] = back
		w.up.mu.Unlock()
		time.Sleep(confirmAfter + time.Minute)
		w.is(Following, 0, 5)
		w.check("/a/")
	})
}

// More that vanishes than may at once is a hold of its own; few more are believed with the rest.
func TestMoreThatVanishes(t *testing.T) {
	guarded(t, func(t *testing.T, w *world, a *memCollection) {
		w.guard.MaxFraction = 0.3
		w.lose(a, true, six()[:4]...)
		w.polls(2)
		w.is(Holding, 4, 10)
		time.Sleep(confirmAfter / 2)
		w.lose(a, true, "4", "5", "6", "7")
		w.polls(2)
		w.up.mu.Lock()
		delete(a.members, "8")
		w.up.mu.Unlock()
		time.Sleep(confirmAfter - time.Minute)
		w.is(Holding, 8, 10)
		time.Sleep(2 * time.Minute)
		w.is(Following, 0, 1)
		w.check("/a/")
	})
}

// A worker that comes in between has not seen the first look: it looks twice.
func TestRestartBetweenTwoLooks(t *testing.T) {
	for _, silent := range []bool{false, true} {
		guarded(t, func(t *testing.T, w *world, a *memCollection) {
			w.lose(a, silent, six()...)
			w.polls(2)
			w.end()
			time.Sleep(2 * confirmAfter)
			w.start()
			w.polls(3)
			w.is(Holding, 6, 10)
			time.Sleep(confirmAfter)
			w.is(Following, 0, 4)
			w.check("/a/")
		})
	}
}

func TestApproval(t *testing.T) {
	for _, silent := range []bool{false, true} {
		for _, down := range []bool{false, true} {
			guarded(t, func(t *testing.T, w *world, a *memCollection) {
				w.decide(ApproveDeletes) // before anything is held: it means nothing
				w.polls(1)
				w.lose(a, silent, six()...)
				w.polls(2)
				w.is(Holding, 6, 10)
				if down {
					w.end()
				}
				w.decide(ApproveDeletes)
				if down {
					w.start()
				}
				time.Sleep(2 * signalsEvery)
				w.is(Following, 0, 4)
				w.check("/a/")
				for i := range 6 {
					w.up.put(a, fmt.Sprint("new", i), "=1")
				}
				w.polls(2)
				w.lose(a, silent, "new0", "new1", "new2", "new3", "new4", "new5")
				w.polls(2)
				w.is(Holding, 6, 10) // it was for what was held
			})
		}
	}
}

// What is decided while a worker starts, before it has read so, is about the hold that it takes over.
func TestDecisionDuringAStart(t *testing.T) {
	guarded(t, func(t *testing.T, w *world, a *memCollection) {
		w.lose(a, false, six()...)
		w.polls(2)
		w.is(Holding, 6, 10)
		w.end()
		w.up.fail(func(kind string, _ int) error {
			if kind == "list" {
				time.Sleep(signalsEvery / 2)
			}
			return nil
		})
		w.start()
		time.Sleep(signalsEvery / 4)
		w.decide(ApproveDeletes)
		time.Sleep(5 * signalsEvery)
		w.is(Following, 0, 4)
		w.check("/a/")
	})
}

// A decision that names what it is about decides nothing else, however it is addressed.
func TestADecisionNamesWhatItIsAbout(t *testing.T) {
	guarded(t, func(t *testing.T, w *world, a *memCollection) {
		about := func(what SignalType, sinceMs int64) {
			s := Signal{Type: what, Topics: []string{"cal.work.events"}, Held: sinceMs}
			w.asked.write("cal", string(s.Value()))
			time.Sleep(2 * signalsEvery)
		}
		since := func() int64 { return w.ledger.stream(events("/a/")).state.Hold.SinceMs }
		w.lose(a, true, six()...)
		w.polls(2)
		w.is(Holding, 6, 10)
		first := since()
		about(ApproveDeletes, first-1)
		w.is(Holding, 6, 10)
		about(RefuseDeletes, first)
		w.is(Following, 6, 10)
		about(ApproveDeletes, first)
		w.is(Following, 0, 4)
		for i := range 6 {
			w.up.put(a, fmt.Sprint("new", i), "=1")
		}
		w.polls(2)
		w.lose(a, true, "new0", "new1", "new2", "new3", "new4", "new5")
		w.polls(2)
		w.is(Holding, 6, 10)
		about(ApproveDeletes, first)
		w.is(Holding, 6, 10)
		about(ApproveDeletes, since())
		w.is(Following, 0, 4)
		w.check("/a/")
	})
}

// A decision about something else, which is taken in with one that is meant, or later, hides nothing.
func TestADecisionAboutSomethingElse(t *testing.T) {
	for _, other := range []SignalType{ApproveDeletes, RefuseDeletes} {
		for _, down := range []bool{false, true} {
			guarded(t, func(t *testing.T, w *world, a *memCollection) {
				w.lose(a, true, six()...)
				w.polls(2)
				w.is(Holding, 6, 10)
				if down {
					w.end()
				}
				since := w.ledger.stream(events("/a/")).state.Hold.SinceMs
				for _, s := range []Signal{{Type: RefuseDeletes, Held: since}, {Type: ApproveDeletes, Held: since}, {Type: other, Held: since - 1}} {
					s.Topics = []string{"cal.work.events"}
					w.asked.write("cal", string(s.Value()))
				}
				if down {
					w.start()
				}
				time.Sleep(2 * signalsEvery)
				w.is(Following, 0, 4)
				w.check("/a/")
			})
		}
	}
}

// Who has approved of six has not approved of ten.
func TestApprovalIsOfWhatWasSeen(t *testing.T) {
	for _, down := range []bool{false, true} {
		guarded(t, func(t *testing.T, w *world, a *memCollection) {
			w.guard.MaxFraction = 0.3
			w.lose(a, true, six()...)
			w.polls(2)
			w.is(Holding, 6, 10)
			if down {
				w.end()
			}
			w.up.mu.Lock()
			clear(a.members)
			w.up.mu.Unlock()
			w.decide(ApproveDeletes)
			if down {
				w.start()
			}
			time.Sleep(2 * signalsEvery)
			w.is(Holding, 10, 10)
			w.decide(ApproveDeletes)
			time.Sleep(2 * signalsEvery)
			w.is(Following, 0, 0)
		})
	}
}

func TestRefusalOfAReset(t *testing.T) {
	guarded(t, func(t *testing.T, w *world, a *memCollection) {
		w.lose(a, false, six()...)
		w.polls(2)
		w.decide(RefuseDeletes)
		time.Sleep(2 * signalsEvery)
		w.is(Following, 6, 10)
		want(t, w.resets("/a/"), "reset 2 token-invalid", "end 2 token-invalid")
		reads := 0
		for _, op := range fold(t, w.ledger.records(), "/a/").ops {
			if op == "r 0" {
				reads++
			}
		}
		if reads != 2 {
			t.Errorf("what is kept was read %d times: it belongs to the new epoch", reads)
		}
		w.up.put(a, "9", "=5")
		w.up.del(a, "8")
		w.polls(2)
		w.is(Following, 6, 9)
		for range 2 {
			w.end()
			w.start()
			w.lose(a, false)
			time.Sleep(2 * confirmAfter)
			w.is(Following, 6, 9)
		}
		w.decide(ApproveDeletes)
		time.Sleep(2 * signalsEvery)
		w.is(Following, 0, 3)
		w.check("/a/")
	})
}

// What is refused is kept until a listing shows all of it again.
func TestRefusalEndsWhenAllIsBack(t *testing.T) {
	guarded(t, func(t *testing.T, w *world, a *memCollection) {
		gone := map[string]memMember{}
		for _, id := range six() {
			gone[id] = a.members[id]
		}
		w.lose(a, true, six()...)
		w.polls(2)
		w.decide(RefuseDeletes)
		time.Sleep(2 * signalsEvery)
		w.is(Following, 6, 10)
		back := func(ids ...string) {
			w.up.mu.Lock()
			for _, id := range ids {
				a.members[id] = gone[id]
			}
			w.up.mu.Unlock()
			w.lose(a, true)
			w.polls(2)
		}
		back("0", "1", "2", "3", "4")
		w.is(Following, 1, 10)
		back("5")
		w.is(Following, 0, 10)
		w.check("/a/")
		w.lose(a, true, "5")
		w.polls(2)
		w.is(Following, 0, 9)
	})
}

// Rows whose bodies are not kept cannot be read again into the epoch of a reset: it stays open.
func TestRefusalOfAResetWithoutBodies(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.guard, w.before = &Guard{MaxFraction: 0.5, AboveRows: 4, ConfirmAfter: confirmAfter}, BeforeNone
		a := w.up.add("/a/")
		for i := range 10 {
			w.up.put(a, fmt.Sprint(i), "=1")
		}
		w.start()
		w.polls(2)
		w.lose(a, false, six()...)
		w.polls(2)
		w.decide(RefuseDeletes)
		time.Sleep(2 * confirmAfter)
		m := w.ledger.stream(events("/a/"))
		if s := w.obs.status(events("/a/")); s.Condition != Holding || s.Rows != 10 || m.state.Phase != Snapshot || !m.state.Hold.Kept {
			t.Fatalf("status %+v, state %+v", s, m.state)
		}
		lists := w.up.count("list")
		w.polls(10)
		if w.up.count("list") != lists {
			t.Error("it is listed again and again")
		}
		w.decide(ApproveDeletes)
		time.Sleep(2 * signalsEvery)
		synctest.Wait()
		if s := w.obs.status(events("/a/")); s.Condition != Following || s.Rows != 4 {
			t.Errorf("status %+v", s)
		}
	})
}

// A hold goes with its collection, and does not keep it from going.
func TestAHoldGoesWithItsCollection(t *testing.T) {
	guarded(t, func(t *testing.T, w *world, a *memCollection) {
		w.lose(a, false, six()...)
		w.polls(2)
		w.decide(RefuseDeletes)
		w.polls(1)
		w.up.drop("/a/")
		w.polls(5)
		w.check("/a/")
		if m := w.ledger.stream(events("/a/")); m.state.Phase != RemovedAll || m.state.Hold != nil {
			t.Errorf("state %+v", m.state)
		}
	})
}

// Every commit between a hold and its end fails in turn, seen or unseen: nothing is deleted before two looks or an approval, and
// all of it afterwards.
func TestAHoldWhateverDies(t *testing.T) {
	for at := 1; at <= 8; at++ {
		for _, apply := range []bool{false, true} {
			for _, rule := range []SignalType{"", ApproveDeletes, RefuseDeletes} {
				t.Run(fmt.Sprint(at, apply, rule), func(t *testing.T) {
					guarded(t, func(t *testing.T, w *world, a *memCollection) {
						w.up.pageSize = 2
						left := at
						w.ledger.fail(func(int) (bool, error) {
							if left--; left == 0 {
								return apply, errLost
							}
							return true, nil
						})
						w.lose(a, at%2 == 0, six()...)
						w.polls(3)
						w.is(Holding, 6, 10)
						rows := 4
						switch rule {
						case ApproveDeletes:
							w.decide(rule)
							w.polls(3)
						case RefuseDeletes:
							w.decide(rule)
							w.polls(3)
							rows = 10
						default:
							time.Sleep(3 * confirmAfter)
						}
						w.is(Following, rows-4, rows)
						m := w.ledger.stream(events("/a/"))
						if resources, n := m.counts(); m.state.Resources != resources || m.state.Rows != n {
							t.Errorf("the state says %d resources and %d rows, there are %d and %d", m.state.Resources, m.state.Rows, resources, n)
						}
					})
				})
			}
		}
	}
}

// Seeded histories with a guard: what is published folds to what the source holds once everything is approved.
func TestRandomHolds(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			guarded(t, func(t *testing.T, w *world, a *memCollection) { holdHistory(t, w, a, rand.New(rand.NewPCG(seed, 5))) })
		})
	}
}

func holdHistory(t *testing.T, w *world, a *memCollection, rnd *rand.Rand) {
	for range 25 {
		id := fmt.Sprint(rnd.IntN(10))
		switch rnd.IntN(8) {
		case 0, 1:
			n := 1 + rnd.IntN(8)
			w.lose(a, rnd.IntN(2) == 0, slices.Clone([]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"})[:n]...)
		case 2, 3:
			w.up.put(a, id, fmt.Sprintf("=%d", rnd.IntN(3)))
		case 4:
			w.up.del(a, id)
		case 5:
			w.decide([]SignalType{ApproveDeletes, RefuseDeletes}[rnd.IntN(2)])
		case 6:
			w.end()
			w.start()
		}
		w.ledger.fail(ledgerTrouble(rnd))
		w.up.fail(upstreamTrouble(rnd))
		time.Sleep(time.Duration(rnd.Int64N(int64(confirmAfter))))
	}
	w.ledger.fail(nil)
	w.up.fail(nil)
	time.Sleep(3 * time.Minute)
	for range 3 {
		w.decide(ApproveDeletes)
		time.Sleep(time.Minute)
	}
	w.lose(a, false)
	time.Sleep(2 * time.Minute)
	w.decide(ApproveDeletes)
	time.Sleep(time.Minute)
	synctest.Wait()
	w.check("/a/")
	if s := w.obs.status(events("/a/")); s.Condition != Following || s.Held != 0 {
		t.Errorf("status %+v\n%s", s, strings.Join(fold(t, w.ledger.records(), "/a/").ops, "\n"))
	}
}

// A comparison by schedule that is held is not made again at every poll: the next one is the look that confirms it. Deltas go on meanwhile.
func TestAHeldComparisonIsMadeTwice(t *testing.T) {
	guarded(t, func(t *testing.T, w *world, a *memCollection) {
		time.Sleep(23 * time.Hour)
		w.up.mu.Lock()
		for _, id := range six() {
			delete(a.members, id)
		}
		before := len(w.up.polls)
		w.up.mu.Unlock()
		for w.obs.status(events("/a/")).Condition != Holding {
			time.Sleep(pollEvery)
		}
		w.up.put(a, "8", "=3")
		time.Sleep(confirmAfter / 2)
		w.is(Holding, 6, 10)
		if got := fold(t, w.ledger.records(), "/a/").rows; got["8"] != "3" {
			t.Errorf("got %v", got)
		}
		time.Sleep(confirmAfter)
		w.is(Following, 0, 4)
		listings := 0
		w.up.mu.Lock()
		for _, q := range w.up.polls[before:] {
			if q.Stream.Kind == Events && q.Token == "" {
				listings++
			}
		}
		w.up.mu.Unlock()
		if listings != 2 {
			t.Errorf("%d listings", listings)
		}
		w.check("/a/")
	})
}
