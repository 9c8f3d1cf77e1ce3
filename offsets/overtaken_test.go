package offsets

import (
	"math/rand/v2"
	"testing"

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
