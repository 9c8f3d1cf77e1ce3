package offsets

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calcdc/calcdc/connector"
)

func TestOvertaken(t *testing.T) {
	k := newFakeKafka()
	l, _ := newTestLedger(k)
	expect := func(when string, want bool) {
		t.Helper()
		if got, err := l.Overtaken(t.Context()); err != nil || got != want {
			t.Errorf("%s: %v, %v", when, got, err)
		}
	}
	load := func() {
		t.Helper()
		if _, err := l.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	expect("before the first load", false)
	load()
	expect("loaded", false)
	h := newHistory(rand.New(rand.NewPCG(1, 1)), alice)
	for range 5 {
		if err := l.Commit(t.Context(), []connector.Transaction{h.next()}); err != nil {
			t.Fatal(err)
		}
		expect("after a commit of our own", false)
	}
	k.part(Topic("team"), 0).next++ // a coordinator that moved has written the marker again
	expect("after a marker that was written twice", false)
	k.write(Topic("team"), `["other",{}]`, "")
	expect("after a record of an operator", false)
	loaded(t, k) // an offset tool becomes the owner for a moment
	expect("after another owner's load", true)
	load()
	expect("loaded again", false)
}

// slowEnd is a broker that takes a second to say where a log ends.
type slowEnd struct{ *fakeKafka }

func (k slowEnd) End(ctx context.Context, topic string, partition int32) (int64, error) {
	time.Sleep(time.Second)
	return k.fakeKafka.End(ctx, topic, partition)
}

// A commit that has to wait for a look can be given up, and lets time go on in a bubble.
func TestCommitWaitsForALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKafka()
		l, _ := newTestLedger(k)
		l.r = slowEnd{k}
		if _, err := l.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		h := newHistory(rand.New(rand.NewPCG(1, 1)), alice)
		go func() { _, _ = l.Overtaken(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		tx := h.next()
		if err := l.Commit(ctx, []connector.Transaction{tx}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("it did not wait, or did not give up: %v", err)
		}
		if err := l.Commit(t.Context(), []connector.Transaction{tx}); err != nil {
			t.Fatal(err)
		}
	})
}
