//go:build integration

package e2e

import (
	"maps"
	"syscall"
	"testing"

	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/history"
)

// gap brings an instance to where its token for a collection is dead while changes and deletions wait, and lets it
// go on. It returns what was known before.
func gap(t *testing.T, in *instance, h *history.History, path string, alive bool) (ops map[string]int, rows, epoch int64) {
	t.Helper()
	in.start()
	in.settle(settleTime)
	in.polls(2) // the token of the last change is committed too
	s := in.stream(path)
	ops, rows, epoch = maps.Clone(s.Ops), int64(len(s.Rows)), s.Epoch
	if alive {
		in.signal(syscall.SIGSTOP)
	} else {
		in.stop()
	}
	for _, step := range []func() error{
		func() error { return h.Change(t.Context(), path) },
		func() error { return h.Delete(t.Context(), path) },
		func() error { return h.Delete(t.Context(), path) },
		func() error { return h.Create(t.Context(), path) },
		func() error { return h.Delete(t.Context(), path) },
		func() error { return in.dav.InvalidateTokens(t.Context(), path) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if alive {
		in.signal(syscall.SIGCONT)
	} else {
		in.start()
	}
	in.settle(settleTime)
	in.quiet()
	return ops, rows, epoch
}

func filled(t *testing.T, in *instance, seed uint64) (*history.History, string) {
	t.Helper()
	h := newHistory(in.server, in.dav, seed)
	path, err := h.NewCollection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := h.Create(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	return h, path
}

// A dead token with changes and deletions in the gap: one reset and one end, the epoch up by one, every row again as
// r, the deletes, then nothing.
func TestInvalidToken(t *testing.T) {
	t.Parallel()
	brokers := testenv.Env(t, testenv.EnvKafka)
	for _, kind := range []string{"radicale", "xandikos"} {
		for name, alive := range map[string]bool{"while it runs": true, "while it is down": false} {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				in := newInstance(t, servers[kind](t), brokers)
				h, path := filled(t, in, 3)
				ops, rows, epoch := gap(t, in, h, path, alive)
				s := in.stream(path)
				if s.Epoch != epoch+1 || len(s.Markers) != 4 || s.Markers[2].Type != "snapshot-reset" ||
					s.Markers[2].Reason != "token-invalid" || s.Markers[3].Type != "snapshot-end" {
					t.Errorf("epoch %d after %d, markers %+v; want one reset and one end", s.Epoch, epoch, s.Markers)
				}
				deleted := int64(s.Ops["d"] - ops["d"])
				if read := s.Ops["r"] - ops["r"]; read != len(s.Rows) || deleted < 1 || s.Ops["c"] != ops["c"] || s.Ops["u"] != ops["u"] {
					t.Errorf("the reset of %d rows to %d published %v over %v", rows, len(s.Rows), s.Ops, ops)
				}
			})
		}
	}
}

// With events.resnapshot: changes the same reset publishes what differs and no more.
func TestInvalidTokenOfChangesOnly(t *testing.T) {
	t.Parallel()
	in := newInstance(t, servers["radicale"](t), testenv.Env(t, testenv.EnvKafka), "events: {resnapshot: changes}\n")
	in.reader.Fold.Brief = true
	h, path := filled(t, in, 4)
	ops, rows, epoch := gap(t, in, h, path, true)
	s := in.stream(path)
	if s.Epoch != epoch+1 || len(s.Markers) != 4 || s.Markers[2].Type != "snapshot-reset" || s.Markers[3].Type != "snapshot-end" {
		t.Errorf("epoch %d after %d, markers %+v; want one reset and one end", s.Epoch, epoch, s.Markers)
	}
	made, deleted := int64(s.Ops["c"]-ops["c"]), int64(s.Ops["d"]-ops["d"])
	if s.Ops["r"] != ops["r"] || deleted < 1 || rows+made-deleted != int64(len(s.Rows)) || made+deleted >= rows {
		t.Errorf("the reset of %d rows to %d published %v over %v", rows, len(s.Rows), s.Ops, ops)
	}
}

// A server that forgets silently, or has no tokens, leads to c, u and d without a marker.
func TestSilentForgetting(t *testing.T) {
	t.Parallel()
	brokers := testenv.Env(t, testenv.EnvKafka)
	for name, alive := range map[string]bool{"while it runs": true, "while it is down": false} {
		t.Run("davical "+name, func(t *testing.T) {
			t.Parallel()
			in := newInstance(t, servers["davical"](t), brokers)
			h, path := filled(t, in, 5)
			ops, _, epoch := gap(t, in, h, path, alive)
			s := in.stream(path)
			if s.Epoch != epoch || len(s.Markers) != 2 || s.Ops["r"] != ops["r"] || s.Ops["d"] == ops["d"] {
				t.Errorf("epoch %d after %d, markers %+v, ops %v over %v; want c, u, d and no marker", s.Epoch, epoch, s.Markers, s.Ops, ops)
			}
		})
	}
}

// A full comparison finds what a silent server has not said: a collection that was deleted and made again between two
// polls has lost its members, and its new token says nothing of them.
func TestReconcile(t *testing.T) {
	t.Parallel()
	in := newInstance(t, servers["davical"](t), testenv.Env(t, testenv.EnvKafka), "    reconcile_interval: 1m\n")
	h, path := filled(t, in, 9)
	in.start()
	in.settle(settleTime)
	in.polls(2)
	s := in.stream(path)
	epoch := s.Epoch
	in.signal(syscall.SIGSTOP)
	for _, step := range []func() error{
		func() error { return h.DeleteCollection(t.Context(), path) },
		func() error { return h.Remake(t.Context(), path) },
		func() error { return h.Create(t.Context(), path) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	in.signal(syscall.SIGCONT)
	in.settle(2 * settleTime)
	in.quiet()
	if s.Epoch != epoch || len(s.Markers) != 2 {
		t.Errorf("epoch %d after %d, markers %+v; want none", s.Epoch, epoch, s.Markers)
	}
}
