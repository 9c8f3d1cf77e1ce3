package connector

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"context"
	"iter"
	"math"
)

// A collection that was gone for as long as it took to delete its rows, and is back with the hint that it had.
func TestCollectionBackWithItsOldHint(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		c := w.up.add("/a/")
		w.up.put(c, "1", "=1")
		w.start()
		w.polls(1)
		w.up.drop("/a/")
		for range 1000 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if w.obs.status(events("/a/")).Rows == 0 {
				break
			}
		}
		if w.obs.status(events("/a/")).Rows != 0 {
			t.Fatal("not removed")
		}
		w.up.mu.Lock()
		w.up.collections["/a/"] = c
		w.up.mu.Unlock()
		w.polls(3)
		w.check("/a/")
	})
}

// A body that is missing in a reset where rows are not kept: its row is deleted, and comes back with the body.
func TestUnkeptRowComesBackWithItsBody(t *testing.T) {
	for _, how := range []string{"missing", "refused"} {
		t.Run(how, func(t *testing.T) {
			r, c := newRig(t)
			r.cfg.Before = BeforeKey
			r.restart()
			r.up.put(c, "a", "=1")
			r.mustPass()
			r.up.forget(c)
			if how == "missing" {
				r.up.hide["a"] = true
				r.mustPass()
			} else {
				r.up.forbid["a"] = true
				for range giveUpAfter {
					_ = r.pass()
				}
				delete(r.up.forbid, "a")
			}
			r.mustPass()
			if h, ok := r.task.cp.Index.Row("a"); !ok || h != memRow(r.task.cp.Stream, "a", "", "1").Hash {
				t.Fatalf("the row is not what the source holds: %v", ok)
			}
		})
	}
}

// A snapshot that goes on in another process tells its end in the stream's partition of the notifications.
func TestNotificationsKeepTheirPartition(t *testing.T) {
	r, c := newRig(t)
	r.up.pageSize = 1
	r.up.put(c, "x", "=1")
	r.up.put(c, "y", "=1")
	r.up.before = func(kind string, n int) error {
		if kind == "page" && n == 2 {
			return errLost
		}
		return nil
	}
	_ = r.pass()
	r.restart()
	r.mustPass()
	seen := 0
	for _, rec := range r.ledger.log {
		if strings.HasSuffix(rec.Topic, ".notifications") {
			seen++
			if want := r.task.cp.Stream.Partition(6); rec.Partition != want {
				t.Errorf("%s went to partition %d, not %d", rec.Key, rec.Partition, want)
			}
		}
	}
	if seen != 2 {
		t.Errorf("%d notifications", seen)
	}
}

// repeats is an upstream whose deltas say everything twice in one page.
type repeats struct{ *upstream }

func (u repeats) Poll(ctx context.Context, q Query) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		for page, err := range u.upstream.Poll(ctx, q) {
			page.Resources = append(page.Resources[:len(page.Resources):len(page.Resources)], page.Resources...)
			if !yield(page, err) {
				return
			}
		}
	}
}

func TestResourceTwiceInOnePage(t *testing.T) {
	r, c := newRig(t)
	r.task.account = repeats{r.up}
	r.up.put(c, "a", "=1")
	r.up.put(c, "b", "=1")
	r.mustPass()
	r.check()
	r.up.put(c, "a", "=2")
	r.up.del(c, "b")
	r.mustPass()
	r.check()
}

// An hour of 403 counts only while the account is well.
func TestForbiddenHourStartsAnewWhenTheAccountFails(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		c := w.up.add("/a/")
		w.up.put(c, "1", "=1")
		w.start()
		w.polls(1)
		w.up.mu.Lock()
		w.up.lookAs["/a/"] = Forbidden
		w.up.mu.Unlock()
		w.up.drop("/a/")
		w.polls(2)
		w.up.fail(func(kind string, _ int) error {
			if kind == "home" {
				return errLost
			}
			return nil
		})
		time.Sleep(2 * time.Hour)
		w.up.fail(nil)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if f := fold(t, w.ledger.records(), "/a/"); len(f.rows) != 1 {
			t.Fatal("deleted, though the account was not well for an hour")
		}
	})
}

// However many bodies are refused, the error stays short.
func TestManyRefusedBodiesMakeOneShortError(t *testing.T) {
	r, c := newRig(t)
	for i := range 3000 {
		id := fmt.Sprintf("m%04d", i)
		r.up.put(c, id, "=1")
		r.up.forbid[id] = true
	}
	err := r.pass()
	if err == nil || len(err.Error()) > 4096 {
		t.Fatalf("an error of %d bytes", len(err.Error()))
	}
	if !strings.Contains(err.Error(), "3000") {
		t.Errorf("it does not say how many: %v", err)
	}
}

// A calendar's own word on when it changed may be any year.
func TestChangeTimeBeyondNanoseconds(t *testing.T) {
	e := envelope{now: time.Unix(1000, 0)}
	for _, ms := range []int64{253402300799000, -62135596800000, math.MaxInt64, math.MinInt64} {
		if v := string(e.value(change{op: opRead, row: Row{JSON: []byte("{}"), ChangedMs: ms}}, nil, false)); strings.Count(v, `"ts_ms":1000000,`) != 2 {
			t.Errorf("%d: %s", ms, v)
		}
	}
}

// shortLook answers of fewer than it is asked for.
type shortLook struct{ *upstream }

func (shortLook) Look(context.Context, Stream, []string) ([]Presence, error) { return nil, nil }

func TestLookThatDoesNotAnswerDeletesNothing(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	r.up.forget(c)
	r.task.account = shortLook{r.up}
	delete(c.members, "a")
	if err := r.pass(); err == nil {
		t.Fatal("the pass must fail")
	}
	if f := fold(t, r.ledger.log, work); len(f.rows) != 1 {
		t.Fatalf("rows %v", f.rows)
	}
}

// What a removal deletes stands in transactions that are bounded in bytes too.
func TestRemovalsTransactionsAreBounded(t *testing.T) {
	for _, how := range []string{"sweep", "removal"} {
		t.Run(how, func(t *testing.T) {
			r, c := newRig(t)
			for i := range 40 {
				r.up.put(c, fmt.Sprintf("m%04d", i), "="+strings.Repeat("x", 1<<20))
			}
			r.up.pageSize = 2
			r.mustPass()
			at := len(r.ledger.txs)
			if how == "sweep" {
				clear(c.members)
				r.up.forget(c)
				r.mustPass()
			} else if err := r.task.remove(context.Background()); err != nil {
				t.Fatal(err)
			}
			for _, tx := range r.ledger.txs[at:] {
				size := 0
				for _, rec := range tx.Records {
					size += len(rec.Value)
				}
				if size > 8<<20 {
					t.Errorf("a transaction of %d MiB", size>>20)
				}
			}
		})
	}
}
