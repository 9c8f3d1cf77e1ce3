package connector

import (
	"strings"
	"testing"
)

// newBriefRig is a rig whose resets publish only what differs.
func newBriefRig(t *testing.T) (*rig, *memCollection) {
	r, c := newRig(t)
	r.cfg.Changes = true
	r.restart()
	return r, c
}

func TestResetOfChangesOnly(t *testing.T) {
	r, c := newBriefRig(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		r.up.put(c, id, "=1")
	}
	r.up.put(c, "e", "=1,x=1")
	r.mustPass()
	want(t, r.ops(0), "marker snapshot-begin 1 initial", "r a", "r b", "r c", "r d", "r e", "r e#x", "marker snapshot-end 1 initial")
	n, log := len(r.ops(0)), len(r.ledger.log)
	r.up.del(c, "b")
	r.up.put(c, "c", "=2")
	r.up.put(c, "d", "=1") // another ETag
	r.up.put(c, "e", "=1,y=1")
	r.up.put(c, "f", "=1")
	r.up.forget(c)
	r.mustPass()
	want(t, r.ops(n), "marker snapshot-reset 2 token-invalid", "u c", "c e#y", "d e#x", "c f", "d b", "marker snapshot-end 2 token-invalid")
	r.check()
	for _, rec := range r.ledger.log[log:] {
		value := string(rec.Value)
		if inside := strings.Contains(value, `"snapshot":"true"`); inside != strings.Contains(value, `"op":"d"`) {
			t.Errorf("a d of a reset is part of the snapshot, a c or u is not: %s", value)
		}
	}
	n = len(r.ops(0))
	r.mustPass()
	want(t, r.ops(n))
}

// A reset cut short goes on where it was: no second marker, no body is fetched again, and what changes meanwhile is told once.
func TestResetOfChangesOnlyGoesOn(t *testing.T) {
	r, c := newBriefRig(t)
	r.up.pageSize = 1
	for _, id := range []string{"a", "b", "c"} {
		r.up.put(c, id, "=1")
	}
	r.mustPass()
	n := len(r.ops(0))
	r.up.put(c, "a", "=2")
	r.up.forget(c)
	pages := r.up.count("page")
	r.up.fail(func(kind string, at int) error {
		if kind == "page" && at == pages+3 {
			return errLost
		}
		return nil
	})
	if r.pass() == nil {
		t.Fatal("the listing was not cut")
	}
	r.up.fail(nil)
	r.restart()
	r.up.del(c, "c")
	fetched := r.up.fetches
	r.mustPass()
	want(t, r.ops(n), "marker snapshot-reset 2 token-invalid", "u a", "d c", "marker snapshot-end 2 token-invalid")
	if r.up.fetches != fetched {
		t.Errorf("%d bodies were fetched again", r.up.fetches-fetched)
	}
	r.check()
}

// What was lost cannot be told by differences: after it every row is read again.
func TestLossesReadEverything(t *testing.T) {
	for due, reason := range map[string]string{"": reasonRequested, StateLost: StateLost, TopicLost: TopicLost} {
		r, c := newBriefRig(t)
		r.up.put(c, "a", "=1")
		r.mustPass()
		n := len(r.ops(0))
		m := r.ledger.stream(r.task.cp.Stream)
		m.offset, m.state.Due = nil, due
		r.restart()
		r.mustPass()
		if due == "" {
			want(t, r.ops(n), "marker snapshot-reset 2 "+reason, "marker snapshot-end 2 "+reason)
			continue
		}
		want(t, r.ops(n), "marker snapshot-reset 2 "+reason, "r a", "marker snapshot-end 2 "+reason)
	}
}

// A collection that is back is read in full.
func TestReturnedIsReadInFull(t *testing.T) {
	r, c := newBriefRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	if err := r.task.remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.mustPass()
	want(t, r.ops(n), "d a", "marker snapshot-begin 2 returned", "r a", "marker snapshot-end 2 returned")
}

// Rows whose form has changed, as a release or the configuration does it, though the bytes of their resource have not, are published anew
// by such a reset, once; outside of one they wait for their next change.
func TestResetOfChangesOnlyGivesRowsTheirNewForm(t *testing.T) {
	bytes, old, form := HashOf([]byte("bytes")), HashOf([]byte("old")), HashOf([]byte("new"))
	res := Resource{ID: "a", Hash: bytes, Rows: []Row{{ID: "a", Hash: form}}}
	for _, c := range []struct {
		name  string
		row   Hash
		brief bool
		epoch int64
		want  string
	}{
		{"a pass", old, false, 1, ""},
		{"a reset", old, true, 2, opUpdate},
		{"a reset of rows that have the form", form, true, 2, ""},
		{"a reset that goes on", old, true, 1, ""},
	} {
		v := view{known: ResourceState{Hash: bytes, Epoch: 1, Rows: []string{"a"}}, ok: true, brief: c.brief, epoch: c.epoch,
			row: func(string) (Hash, bool) { return c.row, true }}
		out := diffRead(v, res)
		got := ""
		for _, ch := range out.changes {
			got += ch.op
		}
		if got != c.want || out.state.Epoch != c.epoch {
			t.Errorf("%s: %q in epoch %d, and not %q in %d", c.name, got, out.state.Epoch, c.want, c.epoch)
		}
	}
}
