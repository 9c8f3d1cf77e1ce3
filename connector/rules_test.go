package connector

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestSuspicionBeginsAnewAfterAFind(t *testing.T) {
	r, c := newRig(t)
	c.silent = true
	r.up.put(c, "a", "=1")
	r.up.put(c, "b", "=1")
	r.mustPass()
	listings := func() (n int) {
		for _, q := range r.up.polls[1:] {
			if q.Token == "" {
				n++
			}
		}
		return n
	}
	for i := range 8 {
		if i == trustAfter-1 {
			r.up.del(c, "b")
		}
		r.up.forget(c)
		r.mustPass()
	}
	if got, want := listings(), trustAfter+trustAfter; got != want {
		t.Errorf("compared %d times, want %d", got, want)
	}
	r.check()
}

func TestRefusalsCountInARowOnly(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	for range 3 {
		r.up.put(c, "a", "=2")
		r.up.forbid["a"] = true
		for range giveUpAfter - 1 {
			if r.pass() == nil {
				t.Fatal("a body that is refused now and then holds the token each time")
			}
		}
		delete(r.up.forbid, "a")
		r.mustPass()
	}
	r.check()
}

func TestOneLookProvesNothing(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.up.put(w.up.add("/a/"), "1", "=1")
		w.start()
		w.polls(1)
		w.up.drop("/a/")
		looks := w.up.count("look")
		for w.up.count("look") == looks {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if f := fold(t, w.ledger.records(), "/a/"); len(f.rows) != 1 {
			t.Fatal("deleted after one look")
		}
		w.polls(4)
		w.check("/a/")
	})
}

func TestHintOfAMissedCollectionIsNotSeen(t *testing.T) {
	f := &follower{task: &task{unread: map[string]struct{}{}}, wake: make(chan struct{}, 1)}
	h := Hint{Value: "7"}
	f.show(h, time.Now(), "")
	before := f.sees()
	f.miss() // while a pass runs
	f.note(before)
	f.show(h, time.Now(), "")
	if f.note(before); !f.moved() {
		t.Fatal("it may be another collection")
	}
	f.note(f.sees())
	if f.moved() {
		t.Fatal("it has been looked at")
	}
}

// A collection that was missing for a moment is looked at, whatever its hint.
func TestMissedCollectionIsLookedAtAgain(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		c := w.up.add("/a/")
		w.up.put(c, "1", "=1")
		w.start()
		w.polls(1)
		w.up.drop("/a/")
		looks, lists := w.up.count("look"), w.up.count("list")
		for w.up.count("look") == looks {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		w.up.mu.Lock()
		w.up.collections["/a/"] = c
		w.up.mu.Unlock()
		w.polls(2)
		if w.up.count("list") != lists+1 {
			t.Errorf("looked at %d times", w.up.count("list")-lists)
		}
		w.check("/a/")
	})
}

func TestTokensAreTriedAgainAfterAStorm(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	for range 2 {
		r.up.forget(c)
		r.mustPass()
	}
	r.task.noTokens = time.Now().Add(-time.Second)
	r.mustPass()
	if q := r.up.polls[len(r.up.polls)-1]; q.Token == "" {
		t.Error("the token must be tried")
	}
	if r.task.status.Note != "" {
		t.Error("the status must no longer say that it is not")
	}
}

func TestTokenGoesWithItsRows(t *testing.T) {
	r, c := newRig(t)
	r.mustPass()
	r.up.put(c, "a", "=1")
	r.mustPass()
	if o := r.ledger.stream(r.task.cp.Stream).offset; o.Token != "1" {
		t.Fatalf("committed token %q", o.Token)
	}
}

func TestNullTokenIsARequestedReset(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	r.ledger.stream(r.task.cp.Stream).offset.Token = ""
	r.restart()
	r.mustPass()
	want(t, r.ops(n), "marker snapshot-reset 2 requested", "r a", "marker snapshot-end 2 requested")
}

// The calendars row goes last: while rows of the collection are left, it stands.
func TestCalendarsRowOutlivesItsEvents(t *testing.T) {
	f, rules := &follower{gone: true}, &follower{gone: true}
	a := &upstream{account: memAccount}
	h := &household{source: &Source{Name: "work"}, account: a, leaving: map[string]bool{"/a/": true}}
	h.followers = map[Stream]*follower{events("/a/"): f, h.stream("/a/", ACL): rules}
	if h.departed("/a/") || h.departed("/b/") {
		t.Fatal("its rows have not been deleted yet")
	}
	f.emptied = true
	if h.departed("/a/") {
		t.Fatal("its rules have not been deleted yet")
	}
	rules.emptied = true
	if !h.departed("/a/") {
		t.Fatal("nothing is left but the row")
	}
}

// A calendars stream is reset while one collection is missing and not known to be gone: its row comes with the epoch.
func TestMissingCollectionsRowIsCarriedIntoTheEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.up.put(w.up.add("/a/"), "1", "=1")
		w.up.add("/b/")
		w.start()
		w.polls(1)
		w.end()
		w.ledger.stream(Stream{"work", memAccount, "", Calendars}).offset = nil
		w.up.drop("/a/")
		w.up.lookAs["/a/"] = Read
		n := len(w.ledger.records())
		w.start()
		w.polls(3)
		w.end()
		var read []string
		for _, r := range w.ledger.records()[n:] {
			if strings.HasSuffix(r.Topic, ".calendars") && len(r.Headers) > 0 && r.Headers[0].Key == "calcdc.op" {
				_, name, _ := strings.Cut(string(r.Key), `"collection":`)
				read = append(read, string(r.Headers[0].Value)+" "+string(r.Headers[1].Value)+" "+name)
			}
		}
		want(t, read, `r 2 "/b/"}`, `r 2 "/a/"}`)
		if f := fold(t, w.ledger.records(), "/a/"); len(f.rows) != 1 {
			t.Errorf("rows %v", f.rows)
		}
	})
}

func TestWithoutTombstones(t *testing.T) {
	r, c := newRig(t)
	r.cfg.Tombstones = false
	r.restart()
	r.up.put(c, "a", "=1")
	r.mustPass()
	r.up.del(c, "a")
	r.mustPass()
	for _, rec := range r.ledger.log {
		if rec.Value == nil && len(rec.Headers) == 0 {
			t.Errorf("a tombstone of %s", rec.Key)
		}
	}
}

// After a transaction that was refused, none of those prepared behind it is committed: they count on it.
func TestNothingFollowsARefusedTransaction(t *testing.T) {
	r, c := newRig(t)
	r.up.pageSize = 1
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		r.up.put(c, id, "=1")
	}
	once := true
	r.ledger.fault = func(n int) (bool, error) {
		if n > 1 && once {
			once = false
			return false, &RefusedError{Reason: "too large", Hint: "raise it"}
		}
		return true, nil
	}
	if r.pass() == nil {
		t.Fatal("the pass must fail")
	}
	r.mustPass()
	r.check()
}

// Streams are those that discovery lists and those that the store knows, also where the calendars row is not known.
func TestStreamThatOnlyTheStoreKnowsIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.up.put(w.up.add("/a/"), "1", "=1")
		w.start()
		w.polls(1)
		w.end()
		delete(w.ledger.streams, Stream{"work", memAccount, "", Calendars})
		w.up.drop("/a/")
		w.start()
		w.polls(4)
		w.check("/a/")
		w.end()
		looks := w.up.count("look")
		w.start() // what is gone is not asked for again
		w.polls(4)
		w.end()
		if n := w.up.count("look") - looks; n != 0 {
			t.Errorf("looked %d times for what is gone", n)
		}
	})
}

func TestPartitionIsForLife(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	r.task.owner.c.topics = fixedTopics(64)
	r.up.forget(c)
	r.mustPass()
	r.up.put(c, "b", "=1")
	r.mustPass()
	partition := r.task.cp.Stream.Partition(6)
	if partition == r.task.cp.Stream.Partition(64) {
		t.Fatal("choose other numbers")
	}
	for _, rec := range r.ledger.log {
		if strings.HasSuffix(rec.Topic, ".events") && rec.Partition != partition {
			t.Errorf("%s is in partition %d, not %d", rec.Key, rec.Partition, partition)
		}
	}
	if got := r.task.cp.State.Partition; got != partition {
		t.Errorf("the state says %d", got)
	}
}

// What a quiet home does not ask for: a body that could not be had, a token that waits, a comparison that is due.
func TestQuietCollectionIsLookedAtForItsOwnReasons(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		c := w.up.add("/a/")
		w.up.hide["1"] = true
		w.up.put(c, "1", "=1")
		w.up.put(c, "2", "=1")
		w.start()
		w.polls(3)
		w.check("/a/") // unread
		w.up.put(c, "x", "=1")
		w.up.del(c, "x")
		w.polls(2)
		offset := func() Offset {
			w.ledger.mu.Lock()
			defer w.ledger.mu.Unlock()
			return *w.ledger.stream(events("/a/")).offset
		}
		if o := offset(); o.Token == "4" {
			t.Fatal("the token has not waited")
		}
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if o := offset(); o.Token != "4" {
			t.Errorf("committed token %q", o.Token)
		}
		w.up.mu.Lock()
		delete(c.members, "2") // without a trace in the log
		w.up.mu.Unlock()
		time.Sleep(27 * time.Hour)
		synctest.Wait()
		w.check("/a/")
	})
}

// picky is an upstream with a collection that the configuration does not follow.
type picky struct {
	*upstream
	not []string
}

func (u picky) Poll(ctx context.Context, q Query) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		for page, err := range u.upstream.Poll(ctx, q) {
			for i, r := range page.Resources {
				if q.Stream.Kind == Calendars && slices.Contains(u.not, r.ID) {
					page.Resources[i] = Resource{ID: r.ID, Presence: Ignored, Hint: r.Hint}
				}
			}
			if !yield(page, err) {
				return
			}
		}
	}
}

// What the configuration no longer names is left as it stands, its offset kept; what it never named is no row.
func TestWhatIsNotFollowedIsLeftAsItStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.up.add("/a/")
		w.up.put(a, "1", "=1")
		w.up.add("/b/")
		w.start()
		w.polls(1)
		w.end()
		n := len(w.ledger.records())
		w.up.put(a, "2", "=1")
		w.up.put(w.up.add("/c/"), "1", "=1")
		cfg := Config{TopicPrefix: "cal", Before: BeforeFull, Tombstones: true, Partitions: 1}
		source := Source{Name: "work", PollInterval: pollEvery, Accounts: []Account{picky{w.up, []string{"/a/", "/c/"}}}}
		c := New(cfg, []Source{source}, fixedTopics(3), w.obs, hclog.NewNullLogger())
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx, All(1), w.ledger.only) }()
		w.polls(5)
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if got := w.ledger.records()[n:]; len(got) != 0 {
			t.Errorf("published %s", got[0].Key)
		}
		if got := w.calendars(); len(got) != 2 || !got["/a/"] {
			t.Errorf("calendars %v", got)
		}
		if o := w.ledger.Open(events("/a/")).Offset; o == nil || o.Token != "1" {
			t.Errorf("offset %+v", o)
		}
	})
}

// wish is an error with the server's own wish.
type wish struct{ time.Duration }

func (wish) Error() string               { return "429" }
func (w wish) RetryAfter() time.Duration { return w.Duration }

func TestRetryAfterIsHeeded(t *testing.T) {
	r, _ := newRig(t)
	for _, c := range []struct{ asked, least, most time.Duration }{
		{5 * time.Minute, 5 * time.Minute, 6 * time.Minute},
		{20 * time.Hour, 59 * time.Minute, time.Hour},
	} {
		at := r.task.settle(errors.Join(errLost, wish{c.asked}), newBackOff(time.Millisecond, time.Minute))
		if wait := time.Until(at); wait < c.least-time.Second || wait > c.most {
			t.Errorf("asked for %s, waits %s", c.asked, wait)
		}
	}
}

// The home's sign counts as seen only when the pass begun after it has ended: what it shows during one calls for another.
func TestHintThatMovesDuringAPass(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		c := w.up.add("/a/")
		w.up.put(c, "1", "=1")
		first := true
		w.up.fail(func(kind string, _ int) error {
			if kind == "page" && first {
				first = false
				w.up.put(c, "2", "=1") // the listing has been made
				time.Sleep(3 * pollEvery)
			}
			return nil
		})
		w.start()
		w.polls(6)
		w.check("/a/")
	})
}

// Only after the home has been listed again, a look may clear the doubt: the one before may have seen the same.
func TestHintThatIsOutrun(t *testing.T) {
	f := &follower{task: &task{unread: map[string]struct{}{}}, wake: make(chan struct{}, 1)}
	h := Hint{Value: "7"}
	asked := time.Now()
	f.show(h, asked, "")
	f.outrun()
	for range 2 {
		f.note(f.sees())
		if !f.moved() {
			t.Fatal("the home has not been asked since")
		}
		f.show(h, asked.Add(-time.Second), "") // it was asked before the pass ended
	}
	f.show(h, time.Now().Add(time.Second), "")
	f.note(f.sees())
	if f.moved() {
		t.Fatal("it has been looked at")
	}
}

// A pass that has published what the hint does not stand for, and then failed, leaves nothing to publish for the next, which is good.
func TestHintThatAFailedPassHasOutrun(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.up.hashed = true
		c := w.up.add("/a/")
		w.up.put(c, "1", "=1")
		failed := 0
		w.up.fail(func(kind string, n int) error {
			switch {
			case kind == "list" && n == 2:
				w.up.put(c, "2", "=1") // the home has been listed
			case kind == "end" && n == 2:
				failed = w.up.count("home")
				return errLost
			case kind == "home" && failed > 0 && n == failed+1:
				w.up.del(c, "2")
			}
			return nil
		})
		w.start()
		w.polls(10)
		if failed == 0 {
			t.Error("no pass has failed")
		}
		w.check("/a/")
	})
}

// What was written shows a little later than the time says: one look, however long after the home was listed, is not enough.
func TestCoarseHintIsLookedAtOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &follower{task: &task{unread: map[string]struct{}{}}}
		f.show(Hint{Value: "1000", Coarse: time.Second}, time.Now(), "")
		time.Sleep(time.Minute) // for a place among the passes
		f.note(f.sees())
		if !f.moved() {
			t.Fatal("one more look at the next poll")
		}
		f.note(f.sees())
		if f.moved() {
			t.Fatal("then it is quiet")
		}
	})
}

// The home's sign may be a time (SOGo): it stays as it is while more happens within its unit, whenever the polls come.
func TestCoarseHint(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.up.coarse = 3 * pollEvery
		c := w.up.add("/a/")
		w.up.put(c, "1", "=1")
		w.up.fail(func(kind string, n int) error {
			if kind == "home" && n == 3 {
				w.up.put(c, "2", "=1")
			}
			return nil
		})
		w.start()
		w.polls(6)
		w.check("/a/")
		lists := w.up.count("list")
		w.polls(5)
		if n := w.up.count("list") - lists; n > 0 {
			t.Errorf("a quiet collection was looked at %d times", n)
		}
	})
}

// The home's sign may be a hash of what the collection holds (Xandikos). What a pass has seen beyond it, and is taken back, leaves the sign
// that was.
func TestHintThatComesAgain(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.up.hashed = true
		c := w.up.add("/a/")
		w.up.put(c, "1", "=1")
		w.up.fail(func(kind string, n int) error {
			switch {
			case kind == "list" && n == 1: // the home has been listed
				w.up.put(c, "2", "=1")
			case kind == "home" && n == 2:
				w.up.del(c, "2")
			}
			return nil
		})
		w.start()
		w.polls(5)
		w.check("/a/")
		lists := w.up.count("list")
		w.polls(5)
		if n := w.up.count("list") - lists; n > 0 {
			t.Errorf("a quiet collection was looked at %d times", n)
		}
	})
}

func TestOldTokensThatDieAreNoStorm(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	for range 3 {
		r.task.cp.Offset.CommittedMs -= (2 * time.Hour).Milliseconds()
		r.up.forget(c)
		r.mustPass()
	}
	want(t, r.ops(n), "marker snapshot-reset 2 token-invalid", "r a", "marker snapshot-end 2 token-invalid",
		"marker snapshot-reset 3 token-invalid", "r a", "marker snapshot-end 3 token-invalid",
		"marker snapshot-reset 4 token-invalid", "r a", "marker snapshot-end 4 token-invalid")
}

func TestTokenThatLivedEndsTheCount(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	for range 3 {
		r.up.forget(c)
		r.mustPass()
		r.mustPass() // the token is good
	}
	if got := r.ops(n); len(got) != 9 {
		t.Errorf("published %v", got)
	}
}
