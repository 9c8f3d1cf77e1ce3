package connector

import (
	"errors"
	"testing"
)

// A server that refuses everything for a while is no server whose tokens die young: what counts is how many tokens
// have died, not how often one was found dead.
func TestOneDeadTokenIsNoStorm(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	down := errors.New("down")
	r.up.forget(c)
	r.up.fail(func(string, int) error {
		if r.up.polls[len(r.up.polls)-1].Token == "" { // the listing after the delta
			return down
		}
		return nil
	})
	for range 4 {
		if err := r.pass(); !errors.Is(err, down) {
			t.Fatalf("the listing must fail: %v", err)
		}
	}
	r.up.fail(nil)
	r.mustPass()
	want(t, r.ops(n), "marker snapshot-reset 2 token-invalid", "r a", "marker snapshot-end 2 token-invalid")
	if r.task.status.Note != "" {
		t.Errorf("no storm: %s", r.task.status.Note)
	}
}
