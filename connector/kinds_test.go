package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// team is a whole connector over accounts whose every stream has tokens, in fake time.
type team struct {
	t      *testing.T
	ups    []*feeds
	find   func(context.Context) ([]Account, error)
	ledger *memLedger
	obs    *recorder
	source Source
	asked  *memSignals
	stop   context.CancelFunc
	ended  chan error
	brief  bool // resets publish only what differs
}

func newTeam(t *testing.T, names ...string) *team {
	w := &team{t: t, ledger: newMemLedger(), asked: &memSignals{}, obs: &recorder{last: map[Stream]Status{}, path: map[Stream][]Condition{}}}
	w.source = Source{Name: "team", Connector: "google", PollInterval: pollEvery, ReconcileInterval: 24 * time.Hour,
		Streams: []Kind{Events, Calendars, ACL, Settings}}
	for _, name := range names {
		w.ups = append(w.ups, newFeeds(name))
	}
	return w
}

func (w *team) start() {
	cfg := Config{Version: "test", TopicPrefix: "cal", Before: BeforeFull, Tombstones: true, Partitions: 1, Changes: w.brief}
	source := w.source
	if source.Find = w.find; w.find == nil {
		for _, up := range w.ups {
			source.Accounts = append(source.Accounts, up)
		}
	}
	c := New(cfg, []Source{source}, fixedTopics(3), w.obs, hclog.NewNullLogger())
	c.Heed(w.asked)
	ctx, stop := context.WithCancel(context.Background())
	w.stop, w.ended = stop, make(chan error, 1)
	go func() { w.ended <- c.Run(ctx, All(1), w.ledger.only) }()
	w.t.Cleanup(stop)
}

func (w *team) end() {
	w.stop()
	if err := <-w.ended; err != nil {
		w.t.Fatal(err)
	}
}

func (w *team) polls(n int) {
	time.Sleep(time.Duration(n)*pollEvery + pollEvery/2)
	synctest.Wait()
}

// check compares what was published with what the accounts hold.
func (w *team) check() {
	w.t.Helper()
	want := map[string]string{}
	for _, up := range w.ups {
		maps.Copy(want, up.holds())
	}
	got := mirror(w.t, w.ledger.records())
	for key, text := range want {
		if got[key] != text {
			w.t.Errorf("%s: %q, want %q", key, got[key], text)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			w.t.Errorf("%s is left: %q", key, got[key])
		}
	}
}

// ops are the records since n, as "op kind id" or "marker kind type reason".
func (w *team) ops(n int) []string {
	var out []string
	for _, r := range w.ledger.records()[n:] {
		if len(r.Headers) == 0 {
			continue
		}
		kind := r.Topic[strings.LastIndexByte(r.Topic, '.')+1:]
		if r.Headers[0].Key == "calcdc.marker" {
			out = append(out, fmt.Sprintf("%s %s %s", r.Headers[0].Value, kind, r.Headers[2].Value))
			continue
		}
		id := string(r.Key[strings.LastIndexByte(string(r.Key[:len(r.Key)-2]), '"')+1 : len(r.Key)-2])
		out = append(out, fmt.Sprintf("%s %s %s", r.Headers[0].Value, kind, id))
	}
	return out
}

func (w *team) count() int { return len(w.ledger.records()) }

func inTeam(t *testing.T, names []string, test func(t *testing.T, w *team, up *feeds)) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeam(t, names...)
		test(t, w, w.ups[0])
		w.end()
	})
}

var alice = []string{"alice"}

func TestFollowsStreamsOfEveryKind(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("own", "owner")
		up.calendar("other", "reader")
		up.put(up.stream("own", Events), "e1", "one", "")
		up.put(up.stream("own", ACL), "user:bob", "reader", "")
		up.put(up.stream("other", Events), "e2", "two", "")
		up.put(up.stream("other", ACL), "user:eve", "owner", "") // not ours to see
		up.put(up.stream("", Settings), "locale", "de", "")
		w.start()
		w.polls(1)
		w.check()
		n := w.count()
		up.put(up.stream("own", ACL), "user:bob", "writer", "")
		up.put(up.stream("", Settings), "locale", "fr", "")
		up.calendar("other", "writer")
		w.polls(1)
		w.check()
		got := map[string]bool{}
		for _, op := range w.ops(n) {
			got[op] = true
		}
		for _, op := range []string{"u acl user:bob", "u settings locale", "u calendars other"} {
			if !got[op] || len(got) != 3 {
				t.Errorf("%v, want %s", got, op)
			}
		}
		if status := w.obs.status(up.stream("", Settings)); status.Condition != Following {
			t.Errorf("settings: %+v", status)
		}
	})
}

// The calendars stream has deltas: which collections there are is kept from poll to poll, and known again after a start.
func TestCollectionsAreKnownBetweenDeltas(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("a", "owner")
		up.calendar("b", "owner")
		w.start()
		w.polls(2)
		up.put(up.stream("a", Events), "e1", "one", "")
		w.polls(1)
		w.check()
		w.end()
		up.put(up.stream("b", Events), "e2", "two", "")
		w.start()
		w.polls(1)
		w.check()
		up.mu.Lock()
		first := len(up.polls)
		up.mu.Unlock()
		w.polls(5)
		up.mu.Lock()
		for _, q := range up.polls[first:] {
			if q.Token == "" {
				t.Errorf("%s was listed again", q.Stream)
			}
		}
		up.mu.Unlock()
	})
}

// A calendar that a delta of the calendarList reports removed is looked at, then its streams are emptied, then its row goes.
func TestRemovedByADelta(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("a", "owner")
		up.put(up.stream("a", Events), "e1", "one", "")
		up.put(up.stream("a", ACL), "user:bob", "reader", "")
		up.calendar("b", "owner")
		w.start()
		w.polls(1)
		n := w.count()
		looks := 0
		up.breaks(func(what string) error {
			if what == "look" {
				if looks++; looks <= 2 && w.count() != n {
					t.Errorf("deleted after %d looks: %q", looks-1, w.ops(n))
				}
			}
			return nil
		})
		up.drop("a")
		w.polls(5)
		ops := w.ops(n)
		if looks != 2 {
			t.Errorf("%d looks", looks)
		}
		if len(ops) != 3 || ops[2] != "d calendars a" {
			t.Errorf("%q", ops)
		}
		w.check()
		n = w.count()
		up.calendar("a", "owner")
		up.put(up.stream("a", Events), "e1", "one", "")
		w.polls(2)
		w.check()
		if ops := strings.Join(w.ops(n), ","); !strings.Contains(ops, "snapshot-begin events returned") {
			t.Error(ops)
		}
		looks, n = 0, w.count()
		up.drop("a")
		w.polls(5)
		w.check()
		if looks != 2 {
			t.Errorf("the second time: %d looks", looks)
		}
	})
}

// While the collections cannot be listed, those that were listed before are polled all the same, and no more often.
func TestCollectionsOutliveTheirList(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		s := up.stream("a", Events)
		polls := func() (n int) {
			up.mu.Lock()
			defer up.mu.Unlock()
			for _, q := range up.polls {
				if q.Stream == s {
					n++
				}
			}
			return n
		}
		up.calendar("a", "owner")
		w.start()
		w.polls(2)
		before := polls()
		up.breaks(func(what string) error {
			if what == "home" {
				return errLost
			}
			return nil
		})
		w.polls(2)
		if n := polls() - before; n < 1 || n > 3 {
			t.Errorf("%d polls in two intervals and a half", n)
		}
		up.put(s, "e", "one", "")
		up.put(up.stream("a", ACL), "user:bob", "reader", "")
		w.polls(20)
		w.check()
		up.breaks(nil)
	})
}

// A calendar whose last row goes in the very pass that begins the calendars stream anew is not carried into the new epoch.
func TestRemovedInAReset(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("a", "owner")
		up.put(up.stream("a", Events), "e1", "one", "")
		up.calendar("b", "owner")
		w.start()
		w.polls(1)
		w.end()
		time.Sleep(2 * time.Hour)
		w.start()
		w.polls(1)
		looks := 0
		up.breaks(func(what string) error {
			if what == "look" {
				if looks++; looks == 2 {
					up.forget(up.stream("", Calendars))
				}
			}
			return nil
		})
		n := w.count()
		up.drop("a")
		w.polls(5)
		w.check()
		want(t, w.ops(n), "d events e1", "snapshot-reset calendars token-invalid", "r calendars b", "d calendars a", "snapshot-end calendars token-invalid")
	})
}

// A removal cut short goes on after a start, and the calendars row outlives what is left.
func TestRemovalOfEveryKindGoesOn(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("a", "owner")
		up.put(up.stream("a", Events), "e1", "one", "")
		up.put(up.stream("a", ACL), "user:bob", "reader", "")
		w.start()
		w.polls(1)
		up.drop("a")
		var broken atomic.Bool
		w.ledger.fail(func(int) (bool, error) { return !broken.Load(), nil })
		w.polls(1)
		w.end()
		w.start()
		w.polls(5)
		w.check()
	})
}

func TestLostRoleEmptiesTheACL(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("a", "owner")
		up.put(up.stream("a", ACL), "user:bob", "reader", "")
		w.start()
		w.polls(1)
		up.calendar("a", "writer")
		w.polls(1)
		w.check()
		n := w.count()
		w.polls(3)
		if w.count() != n {
			t.Errorf("%q", w.ops(n))
		}
		w.end()
		w.start() // what the store knows of the acl is no reason to do it again
		w.polls(2)
		if w.count() != n {
			t.Errorf("after a start: %q", w.ops(n))
		}
		up.calendar("a", "owner")
		w.polls(2)
		w.check()
	})
}

// What the configuration no longer names is left as it stands, also where its calendar is gone.
func TestKindsThatAreNoLongerFollowed(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("a", "owner")
		up.calendar("b", "owner")
		up.put(up.stream("a", ACL), "user:bob", "reader", "")
		up.put(up.stream("a", Events), "e", "one", "")
		w.start()
		w.polls(1)
		w.end()
		w.source.Streams = []Kind{Events, Calendars}
		n := w.count()
		up.drop("a")
		w.start()
		w.polls(6)
		want(t, w.ops(n), "d events e", "d calendars a")
		up.breaks(func(what string) error {
			if what == "look" {
				t.Error("what is left as it stands is looked at")
			}
			return nil
		})
		w.polls(3)
		w.end()
		w.start()
		w.polls(3)
	})
}

func TestChildrenGoWithTheirParent(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("a", "owner")
		s := up.stream("a", Events)
		up.put(s, "s", "series", "")
		up.put(s, "s_1", "moved", "s")
		up.put(s, "s_2", "moved too", "s")
		up.put(s, "t", "another", "")
		up.put(s, "t_1", "another's", "t")
		w.start()
		w.polls(1)
		w.check()
		n := w.count()
		up.put(s, "s_3", "new", "s") // in the same delta
		up.del(s, "s")
		w.polls(1)
		w.check()
		want(t, w.ops(n), "d events s", "d events s_1", "d events s_2")
		if status := w.obs.status(s); status.Rows != 2 {
			t.Errorf("%d rows", status.Rows)
		}
		n = w.count()
		w.end()
		up.del(s, "t") // found by a delta after a start: the index knows the parent
		w.start()
		w.polls(1)
		w.check()
		want(t, w.ops(n), "d events t", "d events t_1")
	})
}

// A parent that is removed and shown again in one delta keeps its children.
func TestParentThatIsBack(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("a", "owner")
		s := up.stream("a", Events)
		up.put(s, "s", "series", "")
		up.put(s, "s_1", "moved", "s")
		w.start()
		w.polls(1)
		n := w.count()
		up.mu.Lock()
		up.ghost = map[string]bool{"s": true}
		up.mu.Unlock()
		up.put(s, "s", "again", "")
		w.polls(1)
		w.check()
		want(t, w.ops(n), "d events s", "c events s")
	})
}

// Children that the same delta has shown go if a look does not find them, however long their commit takes.
func TestChildrenOfTheSameDelta(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("a", "owner")
		s := up.stream("a", Events)
		up.put(s, "s", "series", "")
		up.put(s, "s_1", "moved", "s")
		w.start()
		w.polls(1)
		w.ledger.slow.Store(int64(time.Second))
		n := w.count()
		up.del(s, "s")
		up.put(s, "s_2", "of a series that is gone", "s")
		up.put(s, "s_3", "outlives its series", "s")
		up.breaks(func(what string) error {
			if what == "look" {
				up.mu.Lock()
				delete(up.lists[s].items, "s_2")
				up.mu.Unlock()
			}
			return nil
		})
		w.polls(1)
		want(t, w.ops(n), "d events s", "c events s_2", "c events s_3", "d events s_1", "d events s_2")
		w.check()
	})
}

// A delta that may show again what is known is not suspect.
func TestOverlapIsNotSuspect(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("a", "owner")
		s := up.stream("a", Events)
		up.put(s, "e", "one", "")
		w.start()
		w.polls(1)
		up.mu.Lock()
		up.lists[s].log = append(up.lists[s].log, "e") // listed as changed; it has not
		up.polls = nil
		up.mu.Unlock()
		w.polls(2)
		up.mu.Lock()
		defer up.mu.Unlock()
		for _, q := range up.polls {
			if q.Stream == s && q.Token == "" {
				t.Error("everything was compared")
			}
		}
	})
}

func TestDeadTokensOfEveryKind(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("a", "owner")
		up.put(up.stream("a", ACL), "user:bob", "reader", "")
		up.put(up.stream("", Settings), "locale", "de", "")
		up.calendar("gone", "reader")
		w.start()
		w.polls(1)
		w.end()
		time.Sleep(2 * time.Hour)
		n := w.count()
		up.drop("gone")
		for s := range up.lists {
			up.forget(s)
		}
		w.start()
		w.polls(6)
		w.check()
		resets := map[string]int{}
		for _, op := range w.ops(n) {
			if strings.HasPrefix(op, markReset) {
				resets[op]++
			}
		}
		for _, k := range []Kind{Events, Calendars, ACL, Settings} {
			if resets[markReset+" "+string(k)+" token-invalid"] != 1 {
				t.Errorf("%s: %v", k, resets)
			}
		}
	})
}

// A calendars stream that has deltas is compared fully by schedule: they leave out read-only changes.
func TestCalendarsAreReconciled(t *testing.T) {
	inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
		up.calendar("a", "reader")
		w.start()
		w.polls(2)
		up.mu.Lock()
		l := up.lists[up.stream("", Calendars)]
		l.items["a"] = feedItem{text: "renamed", version: 77} // and no delta tells
		up.mu.Unlock()
		w.polls(5)
		if mirror(t, w.ledger.records())[`calendars {"source":"team","account":"alice","collection":"a"}`] != "reader" {
			t.Error("it was found without a comparison")
		}
		time.Sleep(27 * time.Hour)
		w.check()
	})
}

func TestAccountsAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeam(t, "alice", "bob")
		for _, up := range w.ups {
			up.calendar("a", "owner")
			up.put(up.stream("a", Events), "e", "one", "")
		}
		var found atomic.Pointer[[]Account]
		w.find = func(context.Context) ([]Account, error) {
			if all := found.Load(); all != nil {
				return *all, nil
			}
			return nil, errors.New("the directory is down")
		}
		w.start()
		w.polls(1)
		if w.count() > 0 {
			t.Error("records of nobody")
		}
		found.Store(&[]Account{w.ups[0], w.ups[0]})
		time.Sleep(2 * time.Minute)
		if w.count() == 0 {
			t.Error("the directory is up again, and was not asked")
		}
		all := []Account{w.ups[0], w.ups[1]}
		found.Store(&all)
		time.Sleep(findEvery + time.Minute)
		w.check()
		one := []Account{w.ups[0]}
		found.Store(&one)
		time.Sleep(findEvery + time.Minute)
		n := w.count()
		w.ups[1].calendar("a", "reader")
		w.polls(3)
		if w.count() != n {
			t.Errorf("bob has left: %q", w.ops(n))
		}
		w.ups[1].drop("a")
		found.Store(&all)
		time.Sleep(findEvery + time.Minute)
		w.check()
		time.Sleep(3 * findEvery)
		w.ups[0].mu.Lock()
		w.ups[0].polls = nil
		w.ups[0].mu.Unlock()
		w.polls(10)
		w.ups[0].mu.Lock()
		polls := 0
		for _, q := range w.ups[0].polls {
			if q.Stream.Kind == Calendars {
				polls++
			}
		}
		w.ups[0].mu.Unlock()
		if polls > 12 {
			t.Errorf("alice is polled %d times in 10 intervals", polls)
		}
		w.end()
	})
}

// Each partition's owner runs the accounts that map to it, and no others.
func TestAccountsHaveTheirPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeam(t, "alice", "bob", "carol", "dave", "eve", "frank")
		source, ledgers := w.source, []*memLedger{newMemLedger(), newMemLedger()}
		for _, up := range w.ups {
			source.Accounts = append(source.Accounts, up)
		}
		cfg := Config{Version: "test", TopicPrefix: "cal", Partitions: 2}
		c := New(cfg, []Source{source}, fixedTopics(3), w.obs, hclog.NewNullLogger())
		ctx, stop := context.WithTimeout(context.Background(), pollEvery)
		defer stop()
		if err := c.Run(ctx, All(2), func(p int32) Ledger { return ledgers[p] }); err != nil {
			t.Fatal(err)
		}
		seen := 0
		for p, l := range ledgers {
			for s := range l.streams {
				if seen++; AccountPartition(s.Source, s.Account, 2) != int32(p) {
					t.Errorf("%s is in partition %d", s, p)
				}
			}
		}
		if seen != 2*len(w.ups) {
			t.Errorf("%d streams", seen)
		}
	})
}

// An account whose requests hang holds up no other, though its streams are many.
func TestAnAccountsPassesAreItsOwn(t *testing.T) {
	inTeam(t, []string{"alice", "bob"}, func(t *testing.T, w *team, up *feeds) {
		w.source.PassesPerAccount = 4
		for i := range 50 {
			up.calendar(fmt.Sprint("c", i), "owner")
		}
		bob := w.ups[1]
		bob.calendar("b", "owner")
		w.start()
		w.polls(1)
		release := make(chan struct{})
		up.breaks(func(what string) error {
			if what == "page" {
				<-release
			}
			return nil
		})
		w.polls(2)
		bob.put(bob.stream("b", Events), "e", "one", "")
		w.polls(1)
		if got := mirror(t, w.ledger.records()); got["events "+string(bob.stream("b", Events).Key("e"))] != "one" {
			t.Error("bob waits for alice")
		}
		up.breaks(nil)
		close(release)
	})
}

// Seeded histories of two accounts with streams of every kind, calendars that come and go, roles, series with exceptions,
// tokens that die, requests and commits that fail, and starts: what is published folds to what the accounts hold.
func TestRandomKinds(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { kindsHistory(t, seed) })
		})
	}
}

func kindsHistory(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 29))
	w := newTeam(t, "alice", "bob")
	w.brief = seed%3 == 0
	for _, up := range w.ups {
		up.calendar("a", "owner")
		up.calendar("b", "reader")
	}
	w.start()
	for range 60 {
		for range rnd.IntN(4) {
			stir(w.ups[rnd.IntN(2)], rnd)
		}
		w.ledger.fail(ledgerTrouble(rnd))
		w.ups[rnd.IntN(2)].breaks(feedTrouble(rnd))
		if rnd.IntN(8) == 0 {
			w.end()
			w.start()
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(2 * pollEvery))))
	}
	w.ledger.fail(nil)
	for _, up := range w.ups {
		up.breaks(nil)
	}
	time.Sleep(5 * time.Minute)
	w.check()
	n := w.count()
	w.polls(5)
	if w.count() != n {
		t.Errorf("records for nothing: %q", w.ops(n))
	}
	w.end()
}

func stir(up *feeds, rnd *rand.Rand) {
	c := string(rune('a' + rnd.IntN(3)))
	events, id := up.stream(c, Events), fmt.Sprint("e", rnd.IntN(4))
	switch rnd.IntN(12) {
	case 0:
		up.calendar(c, []string{"owner", "reader"}[rnd.IntN(2)])
	case 1:
		up.drop(c)
	case 2, 3, 4:
		up.put(events, id, fmt.Sprint(rnd.IntN(3)), "")
	case 5, 6:
		up.mu.Lock()
		l := up.lists[events]
		alive := l != nil && l.items[id].version > 0
		up.mu.Unlock()
		if alive {
			up.put(events, fmt.Sprint(id, "_", rnd.IntN(3)), fmt.Sprint(rnd.IntN(3)), id)
		}
	case 7:
		up.del(events, id)
	case 8:
		up.put(up.stream(c, ACL), "user:"+id, fmt.Sprint(rnd.IntN(3)), "")
	case 9:
		up.del(up.stream(c, ACL), "user:"+id)
	case 10:
		up.put(up.stream("", Settings), id, fmt.Sprint(rnd.IntN(3)), "")
	case 11:
		kinds := []Kind{Events, ACL, Settings, Calendars}
		if k := kinds[rnd.IntN(4)]; k == Events || k == ACL {
			up.forget(up.stream(c, k))
		} else {
			up.forget(up.stream("", k))
		}
	}
}

func feedTrouble(rnd *rand.Rand) func(string) error {
	if rnd.IntN(3) != 0 {
		return nil
	}
	what := []string{"page", "look", "connect", "home"}[rnd.IntN(4)]
	var left atomic.Int64
	left.Store(rnd.Int64N(4))
	return func(w string) error {
		if w == what && left.Add(-1) < 0 {
			return errLost
		}
		return nil
	}
}

// Streams that are retired are published as what they were, whatever the configuration says now.
func TestRetiredStreamsKeepTheirConnector(t *testing.T) {
	for was, want := range map[string]string{"google": "google", "caldav": "caldav", "": "caldav"} {
		inTeam(t, alice, func(t *testing.T, w *team, up *feeds) {
			up.calendar("a", "owner")
			up.put(up.stream("a", ACL), "user:bob", "reader", "")
			w.start()
			w.polls(1)
			w.end()
			w.ledger.stream(up.stream("a", ACL)).state.Connector = was
			n := w.count()
			c := New(Config{Version: "test", TopicPrefix: "cal", Partitions: 1}, nil, fixedTopics(3), noObserver{}, hclog.NewNullLogger())
			if err := c.Retire(t.Context(), w.ledger, up.stream("a", ACL)); err != nil {
				t.Fatal(err)
			}
			if r := w.ledger.records()[n]; !strings.Contains(string(r.Value), `"connector":"`+want+`"`) {
				t.Errorf("%q: %s", was, r.Value)
			}
			w.start()
		})
	}
}

// Keys of events and of rules look alike: a rule that goes with the event of its name is another change.
func TestChangesOfTwoKindsHaveTwoIDs(t *testing.T) {
	s := Stream{Source: "work", Account: "alice", Collection: "/a/"}
	ids := map[string]Kind{}
	for _, s.Kind = range []Kind{Events, ACL} {
		e := envelope{stream: s, commit: 7}
		id := string(e.changeID(s.Key("x"), change{op: opDelete, id: "x"}))
		if other, twice := ids[id]; twice {
			t.Errorf("%s has the id of %s", s.Kind, other)
		}
		ids[id] = s.Kind
	}
}
