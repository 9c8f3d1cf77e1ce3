package offsets

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/calcdc/calcdc/connector"
)

// filled is a log with a stream of resources a and b, one row each, published and followed.
func filled(t *testing.T, phase connector.Phase, format string) *fakeKafka {
	t.Helper()
	k := newFakeKafka()
	l, _ := loaded(t, k)
	for commit := range int64(2) { // two, because a data end is known one commit later
		rows := []connector.RowChange{{ID: "a", Hash: connector.HashOf([]byte("a"))}, {ID: "b", Body: sampleRow(1).JSON}}
		tx := connector.Transaction{
			Stream:  alice,
			Records: []connector.Record{{Topic: dataTopic(alice), Partition: 2, Key: []byte("a")}},
			State: &connector.StreamState{Epoch: 4, Phase: phase, Partition: 2, Commit: commit + 1, Resources: 2, Rows: 2,
				RowVersion: connector.RowVersion, KeyFormat: format},
			Resources: []connector.ResourceChange{
				{ID: "/a.ics", State: &connector.ResourceState{Epoch: 4, Rows: []string{"a"}}},
				{ID: "/b.ics", State: &connector.ResourceState{Epoch: 4, Rows: []string{"b"}}},
			},
			Rows:   rows,
			Offset: &connector.Offset{Token: "t", Epoch: 4, CommittedMs: 1},
		}
		if err := l.Commit(t.Context(), []connector.Transaction{tx}); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func stateKeyOf(e entity, id string) string {
	if e == streamEntity {
		return string(streamKey(alice))
	}
	return string(idKey(statePrefix(e, alice), id))
}

var dataPartition = topicPartition{"cal.work.events", 2}

var refusals = []struct {
	name   string
	phase  connector.Phase
	format string
	damage func(k *fakeKafka)
	want   string // in the refusal; "" for none
	after  connector.StreamState
}{
	{name: "whole", damage: func(*fakeKafka) {}},
	{name: "forgotten", damage: func(k *fakeKafka) { k.write("team-offsets", string(offsetKey("team", alice)), "") }},
	{
		name: "record missing", want: "its record in the state is missing",
		damage: func(k *fakeKafka) { k.write("team-state", stateKeyOf(streamEntity, ""), "") },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: alice.Partition(6), Resources: 2, Rows: 2},
	},
	{
		name: "all of the state missing", want: "its offset is there, but its record in the state is missing",
		damage: func(k *fakeKafka) { delete(k.parts, topicPartition{"team-state", 0}) },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: alice.Partition(6)},
	},
	{
		name: "record and offset missing", want: "2 resources and 2 rows are there, but its record",
		damage: func(k *fakeKafka) {
			k.write("team-state", stateKeyOf(streamEntity, ""), "")
			k.write("team-offsets", string(offsetKey("team", alice)), "")
		},
		after: connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: alice.Partition(6), Resources: 2, Rows: 2},
	},
	{
		name: "a row missing", want: "holds 1 rows, its record says 2",
		damage: func(k *fakeKafka) { k.write("team-state", stateKeyOf(rowEntity, "a"), "") },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2, Commit: 2, Resources: 2, Rows: 1},
	},
	{
		name: "a row missing in a snapshot", phase: connector.Snapshot, want: "holds 1 rows, its record says 2",
		damage: func(k *fakeKafka) { k.write("team-state", stateKeyOf(rowEntity, "a"), "") },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2, Commit: 2, Resources: 2, Rows: 1},
	},
	{
		name: "a resource missing in a removal", phase: connector.Removing, want: "holds 1 resources, its record says 2",
		damage: func(k *fakeKafka) { k.write("team-state", stateKeyOf(resourceEntity, "/a.ics"), "") },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Removing, Partition: 2, Commit: 2, Resources: 1, Rows: 2},
	},
	{
		name: "epoch of the offset higher", want: "holds 1 rows",
		damage: func(k *fakeKafka) {
			k.write("team-state", stateKeyOf(rowEntity, "a"), "")
			k.write("team-offsets", string(offsetKey("team", alice)), `{"epoch":9}`)
		},
		after: connector.StreamState{Epoch: 9, Phase: connector.Streaming, Partition: 2, Commit: 2, Resources: 2, Rows: 1},
	},
	{
		name: "data topic made anew", want: "cal.work.events, partition 2, ends at 0, but was 1 long",
		damage: func(k *fakeKafka) { delete(k.parts, dataPartition) },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2, Commit: 2, Resources: 2, Rows: 2},
	},
	{
		name: "data topic deleted", want: "cal.work.events no longer exists",
		damage: func(k *fakeKafka) { k.ends[dataPartition] = []int64{-1} },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2, Commit: 2, Resources: 2, Rows: 2},
	},
	{name: "a deposed leader's end at first", damage: func(k *fakeKafka) { k.ends[dataPartition] = []int64{0, 1, 4} }},
	{name: "key format", format: "json_schemas", want: `its keys are of the format "json_schemas"`, damage: func(*fakeKafka) {}},
}

// TestRefusals holds what a stream is refused for, and that a reset lets it go on: above every epoch known, from
// what the fold holds.
func TestRefusals(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.phase == "" {
					tt.phase = connector.Streaming
				}
				if tt.format == "" {
					tt.format = keyFormat
				}
				k := filled(t, tt.phase, tt.format)
				tt.damage(k)
				l, all := loaded(t, k)
				cp := all[alice]
				if tt.want == "" {
					if cp == nil || cp.Refused != nil {
						t.Fatalf("refused: %+v", cp)
					}
					return
				}
				if cp == nil || cp.Refused == nil || !strings.Contains(cp.Refused.Error(), tt.want) {
					t.Fatalf("got %+v, want %q", cp, tt.want)
				}
				if tt.format != keyFormat {
					if err := l.Reset(t.Context(), alice); err == nil {
						t.Error("a reset cannot change the keys' format")
					}
					return
				}
				if !strings.Contains(cp.Refused.Error(), "calcdc offsets reset") {
					t.Errorf("%q does not say what to do", cp.Refused)
				}
				tt.after.Due = connector.StateLost
				if strings.HasPrefix(tt.name, "data topic") {
					tt.after.Due = connector.TopicLost
				}
				testReset(t, k, l, tt.after)
			})
		})
	}
}

func testReset(t *testing.T, k *fakeKafka, l *Ledger, want connector.StreamState) {
	t.Helper()
	before := imageOf(t, l.Open(alice))
	if err := l.Reset(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	if k.ends[dataPartition] != nil {
		delete(k.ends, dataPartition) // the connector makes the topic anew
		delete(k.parts, dataPartition)
	}
	_, all := loaded(t, k)
	for _, cp := range []*connector.Checkpoint{l.Open(alice), all[alice]} {
		if cp.Refused != nil || cp.Offset != nil || cp.State == nil {
			t.Fatalf("after the reset: %+v", cp)
		}
		got := *cp.State
		if want.Commit == 0 && got.Commit < 1e9 {
			t.Errorf("commit numbers begin again at %d", got.Commit)
		}
		want.RowVersion, want.KeyFormat = connector.RowVersion, keyFormat
		if want.Commit == 0 {
			got.Commit = 0
		}
		if got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		after := imageOf(t, cp)
		before.State, before.Offset, after.State = nil, nil, nil
		equal(t, "index after the reset", after, before)
	}
}

func TestResetOfAWholeStream(t *testing.T) {
	k := filled(t, connector.Streaming, keyFormat)
	l, all := loaded(t, k)
	want := *all[alice].State
	if err := l.Reset(t.Context(), alice, connector.Stream{Source: "x", Account: "y", Kind: connector.Events}); err == nil {
		t.Error("a stream that is not there was reset")
	}
	if l.Open(alice).Offset == nil {
		t.Error("a reset was done in part")
	}
	if err := l.Reset(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	_, all = loaded(t, k)
	if cp := all[alice]; cp.Offset != nil || *cp.State != want || cp.Refused != nil {
		t.Errorf("got %+v", cp)
	}
}

// TestResetOfUnknownOutcome: a reset that did not take place leaves the stream refused.
func TestResetOfUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := filled(t, connector.Streaming, keyFormat)
		delete(k.parts, dataPartition)
		l, p := newTestLedger(k)
		for _, what := range []outcome{lost, committedAndError} {
			if _, err := l.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			if l.Open(alice).Refused == nil {
				t.Fatal("not refused")
			}
			p.next = func([]connector.Record) outcome { return what }
			if err := l.Reset(t.Context(), alice); err == nil {
				t.Fatal("no error")
			}
			p.next = nil
		}
		all, err := l.Load(t.Context())
		if err != nil || all[alice].Refused != nil || all[alice].Offset != nil {
			t.Errorf("got %+v, %v", all[alice], err)
		}
	})
}

// TestRemovedStreamOutlivesItsTopic: a stream that is gone has no rows that a topic could lose.
func TestRemovedStreamOutlivesItsTopic(t *testing.T) {
	k := filled(t, connector.Streaming, keyFormat)
	l, all := loaded(t, k)
	state := *all[alice].State
	state.Phase, state.Rows, state.Resources = connector.RemovedAll, 0, 0
	tx := connector.Transaction{
		Stream: alice, State: &state, Forget: true,
		Resources: []connector.ResourceChange{{ID: "/a.ics"}, {ID: "/b.ics"}},
		Rows:      []connector.RowChange{{ID: "a", Deleted: true}, {ID: "b", Deleted: true}},
	}
	if err := l.Commit(t.Context(), []connector.Transaction{tx}); err != nil {
		t.Fatal(err)
	}
	delete(k.parts, dataPartition)
	l, all = loaded(t, k)
	if err := all[alice].Refused; err != nil {
		t.Fatal(err)
	}
	h := newHistory(rand.New(rand.NewPCG(1, 1)), alice) // it comes back, into the new topic
	h.partition = 2
	for range 3 {
		if err := l.Commit(t.Context(), []connector.Transaction{h.next()}); err != nil {
			t.Fatal(err)
		}
	}
	if _, all = loaded(t, k); all[alice].Refused != nil {
		t.Error(all[alice].Refused)
	}
}
