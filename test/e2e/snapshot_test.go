//go:build integration

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/oracle"
)

// A collection is read anew because somebody asks for it: once for a request, whoever dies meanwhile, and no other stream with it.
func TestSnapshotOnDemand(t *testing.T) {
	t.Parallel()
	in := newInstance(t, testenv.NewRadicale(t), testenv.Env(t, testenv.EnvKafka))
	h, path := filled(t, in, 51)
	other, err := h.NewCollection(t.Context())
	if err == nil {
		err = h.Create(t.Context(), other)
	}
	if err != nil {
		t.Fatal(err)
	}
	in.start()
	in.settle(settleTime)
	ask := func(code int, args ...string) string {
		t.Helper()
		args = append([]string{"snapshot", "--source", "work", "--account", in.dav.User, "--collection", path}, args...)
		out, got := in.command(t.Context(), args...)
		if got != code {
			t.Fatalf("calcdc %q ended with %d: %s", args, got, out)
		}
		return out
	}

	// While a worker runs.
	var answer struct {
		Streams []struct {
			Epoch, Rows   int64
			State, Reason string
		}
	}
	if err := json.Unmarshal([]byte(ask(0, "--json", "--timeout", "60s")), &answer); err != nil {
		t.Fatal(err)
	}
	if s := answer.Streams; len(s) != 1 || s[0].Epoch != 2 || s[0].State != "done" || s[0].Reason != "requested" {
		t.Errorf("answer %+v", answer)
	}
	in.settle(settleTime)
	in.quiet()
	s := in.stream(path)
	if got := s.Markers[2:]; s.Epoch != 2 || len(got) != 2 || got[0].Type != "snapshot-reset" || got[0].Reason != "requested" ||
		got[1].Type != "snapshot-end" || got[1].Count != answer.Streams[0].Rows {
		t.Errorf("epoch %d, markers %+v", s.Epoch, s.Markers)
	}
	in.stop()

	// While none does, twice, and the worker that comes is killed on its way.
	k := &killer{in: in, rng: rand.New(rand.NewPCG(6, 1)), h: h}
	for round := range 2 {
		ask(0, "--no-wait")
		ask(0, "--no-wait")
		k.killAtRequest(t, fmt.Sprintf("round %d", round))
		k.killAtRecords(t, fmt.Sprintf("round %d", round))
	}
	in.start()
	in.awaitOffset(path, func(s offsetState) bool { return s.Signal.Offset == 4 && s.Phase == "streaming" }) // the last of five
	in.settle(settleTime)
	in.quiet()
	in.stop()
	if s := in.stream(path); s.Epoch < 3 || s.Epoch > 4 { // a worker may die before it has begun
		t.Errorf("epoch %d after twice two requests", s.Epoch)
	}
	for _, m := range in.stream(path).Markers[2:] {
		if m.Reason != "requested" {
			t.Errorf("marker %+v", m)
		}
	}
	if s := in.stream(other); s.Epoch != 1 {
		t.Errorf("the other collection is in epoch %d", s.Epoch)
	}
	if s := in.state(oracle.Stream{Source: "work", Account: in.dav.User, Kind: "calendars"}); s.Epoch != 1 {
		t.Errorf("the calendars are in epoch %d", s.Epoch)
	}
}

// offsetState is what calcdc offsets get shows of a stream's state.
type offsetState struct {
	Phase  string
	Signal struct{ Offset int64 }
	Hold   *struct {
		Rows int64
		Kept bool
	}
}

// awaitOffset waits until a collection's state is as wanted.
func (in *instance) awaitOffset(path string, wanted func(offsetState) bool) {
	in.t.Helper()
	var v struct{ State offsetState }
	for begin := time.Now(); time.Since(begin) < settleTime; time.Sleep(pollInterval / 2) {
		in.alive()
		out, code := in.command(in.t.Context(), "offsets", "get", "--collection", path)
		v.State = offsetState{}
		if code == 0 && json.Unmarshal([]byte(out), &v) == nil && wanted(v.State) {
			return
		}
	}
	in.t.Fatalf("after %v the state is %+v", settleTime, v.State)
}

// Most of a collection vanishes while nobody looks: nothing is deleted until somebody has said so, also not by the worker that comes after
// one that was killed.
func TestHeldDeletes(t *testing.T) {
	t.Parallel()
	in := newInstance(t, testenv.NewRadicale(t), testenv.Env(t, testenv.EnvKafka), "deletes: {above_rows: 5, confirm_after: 1h}\n")
	h, path := filled(t, in, 52)
	in.start()
	in.settle(settleTime)
	in.stop()
	rows := len(in.stream(path).Rows)
	for range 18 {
		if err := h.Delete(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.dav.InvalidateTokens(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	in.start()
	in.awaitOffset(path, func(s offsetState) bool { return s.Hold != nil && s.Phase == "snapshot" })
	if v, lines := in.verify(); len(lines) > 0 || len(v.NotCompared) != 1 || v.NotCompared[0].Why != "held" {
		t.Errorf("verify, while they are held: %+v", v)
	}
	in.kill()
	in.start()
	decide := func(what string) {
		t.Helper()
		if out, code := in.command(t.Context(), "deletes", what, "--source", "work", "--collection", path); code != 0 {
			t.Fatalf("calcdc deletes %s ended with %d: %s", what, code, out)
		}
	}
	decide("refuse")
	in.awaitOffset(path, func(s offsetState) bool { return s.Hold != nil && s.Hold.Kept && s.Phase == "streaming" })
	in.catchUp(t.Context())
	if s := in.stream(path); len(s.Rows) != rows || s.Ops["d"] != 0 || s.Markers[len(s.Markers)-1].Type != "snapshot-end" {
		t.Errorf("%d of %d rows, ops %v, markers %+v", len(s.Rows), rows, s.Ops, s.Markers)
	}
	v, lines := in.verify()
	if v.Held == 0 || v.Held != v.Total || len(v.NotCompared) > 0 || slices.ContainsFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "held ") }) {
		t.Errorf("verify, when they are refused: %+v", v)
	}
	decide("approve")
	in.settle(settleTime)
	in.quiet()
	in.stop()
	if s := in.stream(path); s.Ops["d"] != v.Held || s.Epoch != 2 {
		t.Errorf("epoch %d, ops %v, %d were held", s.Epoch, s.Ops, v.Held)
	}
	in.verified()
}
