package connector

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestFencedNowAndThenGoesOn(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		a := w.up.add("/a/")
		w.up.put(a, "1", "=1")
		w.start()
		for i := range 3 {
			w.polls(1)
			w.ledger.failNext(ErrFenced)
			w.up.put(a, "1", fmt.Sprintf("=%d", i+2))
			time.Sleep(2 * time.Minute)
		}
		w.polls(1)
		w.check("/a/")
	})
}

func TestBodyReadAgainIsNoLongerUnread(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	r.up.forget(c)
	r.up.hide["a"] = true
	r.mustPass()
	if len(r.task.unread) != 1 {
		t.Fatal("its version is unknown")
	}
	r.mustPass() // as it was, to the byte
	if s, _ := r.task.cp.Index.Resource("a"); s.Unknown || len(r.task.unread) != 0 {
		t.Fatal("it has been read")
	}
}

func TestMemberTwiceIsNoSuspect(t *testing.T) {
	r, c := newRig(t)
	r.task.account = repeats{r.up}
	r.up.put(c, "a", "=1")
	r.mustPass()
	r.up.put(c, "a", "=2")
	r.mustPass()
	if n := len(r.up.polls); n != 2 {
		t.Errorf("%d polls", n)
	}
}

func TestSnapshotFlagOfRecords(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.up.put(c, "b", "=1")
	r.mustPass()
	r.up.put(c, "a", "=2")
	r.up.put(c, "c", "=1")
	r.mustPass()
	r.up.del(c, "c")
	r.mustPass()
	r.up.del(c, "b")
	r.up.forget(c)
	r.mustPass()
	var got []string
	ids := map[string]bool{}
	for _, rec := range r.ledger.log {
		if len(rec.Headers) == 0 || rec.Headers[0].Key != "calcdc.op" {
			continue
		}
		got = append(got, fmt.Sprintf("%s %v", rec.Headers[0].Value, strings.Contains(string(rec.Value), `"snapshot":"true"`)))
		ids[string(rec.Headers[2].Value)] = true
	}
	want(t, got, "r true", "r true", "u false", "c false", "d false", "r true", "d true")
	if len(ids) != len(got) {
		t.Errorf("%d ids for %d changes", len(ids), len(got))
	}
	commit := int64(0)
	for _, tx := range r.ledger.txs {
		if tx.State == nil {
			continue
		}
		if commit++; tx.State.Commit != commit {
			t.Errorf("commit number %d, want %d", tx.State.Commit, commit)
		}
		if tx.Offset != nil && tx.Offset.Epoch != tx.State.Epoch {
			t.Errorf("the offset's epoch is %d, the state's %d", tx.Offset.Epoch, tx.State.Epoch)
		}
	}
}

func TestBeforeAsConfigured(t *testing.T) {
	for mode, before := range map[Before]string{
		BeforeNone: `{"before":null,`,
		BeforeKey:  `{"before":{"source":"work","account":"alice","collection":"/alice/work/","id":"a"},`,
	} {
		r, c := newRig(t)
		r.cfg.Before = mode
		r.restart()
		r.up.put(c, "a", "=1")
		r.mustPass()
		n := len(r.ledger.log)
		r.up.put(c, "a", "=2")
		r.mustPass()
		if v := string(r.ledger.log[n].Value); !strings.HasPrefix(v, before) {
			t.Errorf("%s: %.150s", mode, v)
		}
	}
}

func TestRefusedStreamPublishesNothing(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	r.restart()
	refused := errors.New("its state is short")
	r.task.cp.Refused = refused
	n, polls := len(r.ledger.log), len(r.up.polls)
	r.up.put(c, "a", "=2")
	if err := r.pass(); !errors.Is(err, refused) {
		t.Errorf("pass: %v", err)
	}
	if err := r.task.remove(context.Background()); !errors.Is(err, refused) {
		t.Errorf("remove: %v", err)
	}
	if len(r.ledger.log) != n || len(r.up.polls) != polls {
		t.Error("it must neither ask nor publish")
	}
}

// altered is an upstream whose answers are changed on their way; ok false ends the answer there.
type altered struct {
	*upstream
	page func(Page) (p Page, ok bool)
}

func (u altered) Poll(ctx context.Context, q Query) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		for page, err := range u.upstream.Poll(ctx, q) {
			page, ok := u.page(page)
			if !ok || !yield(page, err) {
				return
			}
		}
	}
}

func TestAnswersThatSayTooLittle(t *testing.T) {
	for name, alter := range map[string]func(Page) (Page, bool){
		"ends early": func(p Page) (Page, bool) { return p, !p.Last },
		"without the bodies": func(p Page) (Page, bool) {
			for i, res := range p.Resources {
				p.Resources[i] = Resource{ID: res.ID, Presence: Listed, ETag: res.ETag}
			}
			return p, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, c := newRig(t)
			r.up.put(c, "a", "=1")
			r.mustPass()
			r.up.forget(c)
			r.up.del(c, "a")
			r.up.put(c, "b", "=1")
			n := len(r.ledger.log)
			r.task.account = altered{r.up, alter}
			if r.pass() == nil {
				t.Error("the pass must fail")
			}
			for _, rec := range r.ledger.log[n:] {
				if len(rec.Headers) > 0 && string(rec.Headers[0].Value) == opDelete {
					t.Errorf("deleted %s", rec.Key)
				}
			}
			if r.task.cp.Offset.Token != "" {
				t.Errorf("token %q", r.task.cp.Offset.Token)
			}
			r.task.account = r.up
			r.mustPass()
			r.check()
		})
	}
}

func TestLooksMustAgreeTwiceRunning(t *testing.T) {
	h := &household{absent: map[string]int{}, forbidden: map[string]time.Time{}}
	for i, at := range []Presence{Gone, Read, Gone, Forbidden, Gone} {
		if h.gone("/a/", at) {
			t.Fatalf("gone after look %d", i)
		}
	}
	if !h.gone("/a/", Gone) {
		t.Fatal("gone twice running")
	}
}

func TestAbsenceEndsWhenListedAgain(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		c := w.up.add("/a/")
		w.up.put(c, "1", "=1")
		w.start()
		w.polls(1)
		for range 4 { // absent in one poll, there in the next
			w.up.drop("/a/")
			looks := w.up.count("look")
			for w.up.count("look") == looks {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			w.up.mu.Lock()
			w.up.collections["/a/"] = c
			w.up.mu.Unlock()
			w.polls(1)
		}
		w.check("/a/")
		for _, op := range fold(t, w.ledger.records(), "/a/").ops {
			if op == "d 1" {
				t.Fatal("deleted, though it was never absent twice running")
			}
		}
	})
}

func TestCollectionBackWhileItsRowsAreDeleted(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	f := newFollower(r.task, newSlots(1), newSlots(1))
	f.vanish()
	r.ledger.fault = func(int) (bool, error) {
		f.show(Hint{Value: "1"}, time.Now(), r.up.hash)
		return true, nil
	}
	if err := f.leave(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.ledger.fault = nil
	if f.isEmptied() || f.next() == nil {
		t.Fatal("it is there, and must be read")
	}
	if err := f.next()(context.Background()); err != nil {
		t.Fatal(err)
	}
	want(t, r.ops(2), "marker snapshot-end 1 initial", "d a", "marker snapshot-begin 2 returned", "r a", "marker snapshot-end 2 returned")
}

func TestCollectionBackInMidRemovalBeginsAnew(t *testing.T) {
	r, c := newRig(t)
	for i := range sweepPage + 1 {
		r.up.put(c, fmt.Sprintf("m%04d", i), "=1")
	}
	r.mustPass()
	state := *r.ledger.stream(r.task.cp.Stream).state
	state.Phase = Removing
	m := r.ledger.stream(r.task.cp.Stream)
	m.state, m.offset = &state, nil
	r.restart()
	n := len(r.ops(0))
	r.mustPass()
	if got := r.ops(n)[0]; got != "marker snapshot-begin 2 returned" {
		t.Errorf("it begins with %s", got)
	}
}

// sized is an upstream that keeps the sizes of the looks it is asked for.
type sized struct {
	*upstream
	most *int
}

func (u sized) Look(ctx context.Context, s Stream, ids []string) ([]Presence, error) {
	*u.most = max(*u.most, len(ids))
	return u.upstream.Look(ctx, s, ids)
}

func TestLooksAreBounded(t *testing.T) {
	r, c := newRig(t)
	for i := range 250 {
		r.up.put(c, fmt.Sprintf("m%04d", i), "=1")
	}
	r.mustPass()
	for id := range c.members {
		r.up.del(c, id)
	}
	r.up.forget(c)
	most := 0
	r.task.account = sized{r.up, &most}
	r.mustPass()
	r.check()
	if most != 100 {
		t.Errorf("looked at %d in one request", most)
	}
}

func TestPassesAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 3 * passesPerSource {
			w.up.put(w.up.add(fmt.Sprintf("/c%02d/", i)), "1", "=1")
		}
		var mu sync.Mutex
		running, most := 0, 0
		count := func(by int) {
			mu.Lock()
			defer mu.Unlock()
			running += by
			most = max(most, running)
		}
		w.up.fail(func(kind string, _ int) error {
			if kind == "list" {
				count(1)
				time.Sleep(time.Second)
				count(-1)
			}
			return nil
		})
		w.start()
		w.polls(2)
		w.up.fail(nil)
		w.end()
		if most != passesPerSource {
			t.Errorf("%d at once", most)
		}
	})
}

func TestFailingStreamIsTriedWithBackoff(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.up.put(w.up.add("/a/"), "1", "=1")
		w.up.fail(func(kind string, _ int) error {
			if kind == "list" {
				return errLost
			}
			return nil
		})
		w.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := w.up.count("list"); n < 50 || n > 110 {
			t.Errorf("tried %d times in an hour", n)
		}
		w.up.fail(nil)
		w.polls(10)
		w.check("/a/")
		seen := w.obs.status(events("/a/")).LastPoll
		w.polls(3)
		if !w.obs.status(events("/a/")).LastPoll.After(seen) {
			t.Error("a quiet poll is a good poll")
		}
	})
}

// gated refuses its first commit once it is told to.
type gated struct {
	*memLedger
	entered, release chan struct{}
	calls            int
}

func (g *gated) Commit(context.Context, []Transaction) error {
	if g.calls++; g.calls > 1 {
		return nil
	}
	close(g.entered)
	<-g.release
	return &RefusedError{Reason: "too large", Hint: "raise it"}
}

func TestLaneCommitsNothingBehindAFailure(t *testing.T) {
	g := &gated{memLedger: newMemLedger(), entered: make(chan struct{}), release: make(chan struct{})}
	l, ctx := openLane(t.Context(), g, newRoom(defaultRoom), func(Transaction) {})
	if err := l.submit(ctx, Transaction{}, 0); err != nil {
		t.Fatal(err)
	}
	<-g.entered
	if err := l.submit(ctx, Transaction{}, 0); err != nil { // waits behind it
		t.Fatal(err)
	}
	close(g.release)
	var refused *RefusedError
	if err := l.flush(); !errors.As(err, &refused) {
		t.Errorf("flush: %v", err)
	}
	if err := l.close(); !errors.As(err, &refused) {
		t.Errorf("close: %v", err)
	}
	if g.calls != 1 {
		t.Errorf("%d commits", g.calls)
	}
}
