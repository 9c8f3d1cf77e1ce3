package offsets

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/calcdc/calcdc/connector"
)

// filled is a log with a stream of resources a and b, one row each, published and followed; c was deleted again.
func filled(t *testing.T, phase connector.Phase, format string) *fakeKafka {
	t.Helper()
	k := newFakeKafka()
	l, _ := loaded(t, k)
	a, b := sampleRow(0), sampleRow(1)
	state := connector.StreamState{Epoch: 4, Phase: phase, Partition: 2, Commit: 1, Resources: 2, Rows: 2,
		RowVersion: connector.RowVersion, KeyFormat: format, Connector: "caldav"}
	second := state
	second.Commit = 2
	txs := []connector.Transaction{{
		Stream:  alice,
		Records: []connector.Record{published(alice, "c", "c", sampleRow(2).JSON, 4), published(alice, "a", "r", a.JSON, 3), published(alice, "b", "r", b.JSON, 4)},
		State:   &state,
		Resources: []connector.ResourceChange{
			{ID: "/a.ics", State: &connector.ResourceState{Epoch: 3, Rows: []string{"a"}}},
			{ID: "/b.ics", State: &connector.ResourceState{Epoch: 4, Rows: []string{"b"}}},
		},
		Rows:   []connector.RowChange{{ID: "a", Hash: a.Hash, Body: a.JSON}, {ID: "b", Hash: b.Hash, Body: b.JSON}},
		Offset: &connector.Offset{Token: "t", Epoch: 4, CommittedMs: 1},
	}, {
		Stream: alice, State: &second,
		Records: []connector.Record{published(alice, "c", "d", nil, 4), {Topic: dataTopic(alice), Partition: 2, Key: alice.Key("c")}},
	}}
	for _, tx := range txs {
		if err := l.Commit(t.Context(), []connector.Transaction{tx}); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// published is a data record.
func published(s connector.Stream, id, op string, after []byte, epoch int64) connector.Record {
	if after == nil {
		after = []byte("null")
	}
	value := fmt.Sprintf(`{"before":null,"after":%s,"op":%q,"source":{"connector":"caldav","epoch":%d,"etag":"\"e\""}}`, after, op, epoch)
	return connector.Record{Topic: dataTopic(s), Partition: 2, Key: s.Key(id), Value: []byte(value),
		Headers: []connector.Header{{Key: "calcdc.epoch", Value: fmt.Append(nil, epoch)}}}
}

func stateKeyOf(e entity, id string) string {
	if e == streamEntity {
		return string(streamKey(alice))
	}
	return string(idKey(statePrefix(e, alice), id))
}

var dataPartition = topicPartition{"cal.work.events", 2}

var both = []string{"a", "b"}

// losses are what can be missing, and what a stream is once it is mended.
var losses = []struct {
	name   string
	phase  connector.Phase
	damage func(k *fakeKafka)
	want   string // in the loss; "" for none
	due    string
	rows   []string // that are known then; nil: both
	after  connector.StreamState
}{
	{name: "whole", damage: func(*fakeKafka) {}},
	{name: "forgotten", damage: func(k *fakeKafka) { k.write("team-offsets", string(offsetKey("team", alice)), "") }},
	{
		name: "record missing", want: "its record in the state is missing", due: connector.StateLost,
		damage: func(k *fakeKafka) { k.write("team-state", stateKeyOf(streamEntity, ""), "") },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2},
	},
	{
		name: "all of the state missing", want: "its offset is there, but its record in the state is missing", due: connector.StateLost,
		damage: func(k *fakeKafka) { delete(k.parts, topicPartition{"team-state", 0}) },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2},
	},
	{
		name: "all of the state and the data missing", want: "its offset is there, but its record in the state is missing", due: connector.StateLost,
		damage: func(k *fakeKafka) {
			delete(k.parts, topicPartition{"team-state", 0})
			delete(k.parts, dataPartition)
		},
		rows:  []string{},
		after: connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: alice.Partition(6)},
	},
	{
		name: "record and offset missing", want: "2 resources and 2 rows are there, but its record", due: connector.StateLost,
		damage: func(k *fakeKafka) {
			k.write("team-state", stateKeyOf(streamEntity, ""), "")
			k.write("team-offsets", string(offsetKey("team", alice)), "")
		},
		after: connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2},
	},
	{
		name: "a row missing", want: "holds 1 rows, its record says 2", due: connector.StateLost,
		damage: func(k *fakeKafka) { k.write("team-state", stateKeyOf(rowEntity, "a"), "") },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2},
	},
	{
		name: "a row missing in a snapshot", phase: connector.Snapshot, want: "holds 1 rows, its record says 2", due: connector.StateLost,
		damage: func(k *fakeKafka) { k.write("team-state", stateKeyOf(rowEntity, "a"), "") },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2},
	},
	{
		name: "a resource missing in a removal", phase: connector.Removing, want: "holds 1 resources, its record says 2", due: connector.StateLost,
		damage: func(k *fakeKafka) { k.write("team-state", stateKeyOf(resourceEntity, "/a.ics"), "") },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Removing, Partition: 2},
	},
	{
		name: "a resource missing, and the data too", want: "holds 1 resources", due: connector.StateLost, // its row's id says which
		damage: func(k *fakeKafka) {
			k.write("team-state", stateKeyOf(resourceEntity, "/a.ics"), "")
			delete(k.parts, dataPartition)
		},
		after: connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2},
	},
	{
		name: "a row missing, and the data too", want: "holds 1 rows", due: connector.StateLost,
		damage: func(k *fakeKafka) {
			k.write("team-state", stateKeyOf(rowEntity, "a"), "")
			delete(k.parts, dataPartition)
		},
		rows:  []string{"b"},
		after: connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2},
	},
	{
		name: "epoch of the offset higher", want: "holds 1 rows", due: connector.StateLost,
		damage: func(k *fakeKafka) {
			k.write("team-state", stateKeyOf(rowEntity, "a"), "")
			k.write("team-offsets", string(offsetKey("team", alice)), `{"epoch":9}`)
		},
		after: connector.StreamState{Epoch: 9, Phase: connector.Streaming, Partition: 2},
	},
	{
		name: "epoch of the notifications higher", want: "its record in the state is missing", due: connector.StateLost,
		damage: func(k *fakeKafka) {
			delete(k.parts, topicPartition{"team-state", 0})
			k.append([]connector.Record{{Topic: "cal.notifications", Partition: 5, Key: []byte("x"),
				Value: []byte(`{"id":"x","source":"work","account":"alice","collection":"/alice/work/","stream":"events","epoch":12}`)}})
		},
		after: connector.StreamState{Epoch: 12, Phase: connector.Streaming, Partition: 2},
	},
	{
		name: "epoch of a marker higher", want: "its record in the state is missing", due: connector.StateLost,
		damage: func(k *fakeKafka) {
			delete(k.parts, topicPartition{"team-state", 0})
			k.append([]connector.Record{{Topic: dataTopic(alice), Partition: 2, Key: alice.Key(""),
				Headers: []connector.Header{{Key: "calcdc.marker", Value: []byte("snapshot-reset")}, {Key: "calcdc.epoch", Value: []byte("7")}}}})
		},
		after: connector.StreamState{Epoch: 7, Phase: connector.Streaming, Partition: 2},
	},
	{
		name: "data topic made anew", want: "cal.work.events, partition 2, ends at 0, but was 5 long", due: connector.TopicLost,
		damage: func(k *fakeKafka) { delete(k.parts, dataPartition) },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2, Commit: 2},
	},
	{
		name: "data topic deleted", want: "cal.work.events no longer exists", due: connector.TopicLost,
		damage: func(k *fakeKafka) {
			k.ends[dataPartition] = []int64{-1}
			delete(k.parts, dataPartition)
		},
		after: connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2, Commit: 2},
	},
	{ // c is known to consumers alone: it must get its d
		name: "the end of the data topic cut", want: "ends at 1, but was 5 long", due: connector.TopicLost, rows: []string{"a", "b", "c"},
		damage: func(k *fakeKafka) {
			part := k.parts[dataPartition]
			part.records, part.next = part.records[:1], 1
		},
		after: connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2, Commit: 2},
	},
	{name: "a deposed leader's end at first", damage: func(k *fakeKafka) { k.ends[dataPartition] = []int64{0, 1, 5} }},
	{ // the record that is written to the topic tells
		name: "a deposed leader's end for long", want: "ends at 1, but was 5 long",
		damage: func(k *fakeKafka) { k.ends[dataPartition] = []int64{1} },
		after:  connector.StreamState{Epoch: 4, Phase: connector.Streaming, Partition: 2, Commit: 2},
	},
}

// TestLosses holds what a stream is found to have lost, and that Mend lets it go on from what the topics still tell.
func TestLosses(t *testing.T) {
	for _, tt := range losses {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.phase == "" {
					tt.phase = connector.Streaming
				}
				k := filled(t, tt.phase, keyFormat)
				tt.damage(k)
				l, all := loaded(t, k)
				cp := all[alice]
				if tt.want == "" {
					if cp == nil || cp.Lost != nil || cp.Refused != nil {
						t.Fatalf("lost: %+v", cp)
					}
					return
				}
				if cp == nil || cp.Lost == nil || !strings.Contains(cp.Lost.Error(), tt.want) {
					t.Fatalf("got %+v, want %q", cp, tt.want)
				}
				tt.after.Due = tt.due
				if tt.rows == nil {
					tt.rows = both
				}
				testMend(t, k, l, tt.after, tt.rows)
			})
		})
	}
}

func testMend(t *testing.T, k *fakeKafka, l *Ledger, want connector.StreamState, rows []string) {
	t.Helper()
	got, err := l.Mend(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	delete(k.ends, dataPartition)
	_, all := loaded(t, k)
	want.RowVersion, want.KeyFormat, want.Connector = connector.RowVersion, keyFormat, "caldav"
	want.Resources, want.Rows = int64(len(rows)), int64(len(rows))
	for what, cp := range map[string]*connector.Checkpoint{"mended": got, "opened": l.Open(alice), "loaded": all[alice]} {
		if cp == nil || cp.Lost != nil || cp.Refused != nil || cp.State == nil {
			t.Fatalf("%s: %+v", what, cp)
		}
		if lost := want.Due != ""; lost == (cp.Offset != nil) {
			t.Errorf("%s: offset %+v", what, cp.Offset)
		}
		state := *cp.State
		if want.Due == connector.StateLost && state.Commit < 1e9 {
			t.Errorf("%s: commit numbers begin again at %d", what, state.Commit)
		}
		if state.DataEnd = 0; want.Commit == 0 {
			state.Commit = 0
		}
		if len(rows) == 0 {
			state.Connector = want.Connector
		}
		if state != want {
			t.Errorf("%s: got  %+v\nwant %+v", what, state, want)
		}
		holds(t, cp.Index, rows)
	}
}

// holds wants one resource of each row, with the row as sampleRow made it.
func holds(t *testing.T, x connector.Index, rows []string) {
	t.Helper()
	n := 0
	for id, r := range x.Resources() {
		n++
		if len(r.Rows) != 1 || id != "/"+r.Rows[0]+".ics" || !slices.Contains(rows, r.Rows[0]) || r.Epoch > 4 {
			t.Errorf("resource %s: %+v", id, r)
		}
	}
	if n != len(rows) {
		t.Errorf("%d resources, want %d", n, len(rows))
	}
	for i, id := range []string{"a", "b", "c"} {
		hash, ok := x.Row(id)
		body, err := x.Body(id)
		if want := sampleRow(i); ok != slices.Contains(rows, id) || err != nil || ok && (hash != want.Hash || !bytes.Equal(body, want.JSON)) {
			t.Errorf("row %s: %v %x %s %v", id, ok, hash, body, err)
		}
	}
}

// TestKeyFormat: nothing changes the keys of a stream's life.
func TestKeyFormat(t *testing.T) {
	k := filled(t, connector.Streaming, "json_schemas")
	l, all := loaded(t, k)
	if err := all[alice].Refused; err == nil || !strings.Contains(err.Error(), `its keys are of the format "json_schemas"`) {
		t.Fatalf("got %v", err)
	}
	if cp, err := l.Mend(t.Context(), alice); err != nil || cp.Refused == nil {
		t.Errorf("mended: %+v, %v", cp, err)
	}
	if err := l.Reset(t.Context(), alice); err == nil {
		t.Error("a reset cannot change the keys' format")
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

// TestMendCutShort: whatever becomes of each of its transactions, a Mend that is begun again comes to the same.
func TestMendCutShort(t *testing.T) {
	for _, tt := range losses {
		if tt.want == "" || tt.due == "" {
			continue
		}
		for _, what := range []outcome{lost, committedAndError} {
			for n := 1; ; n++ {
				cut := false
				t.Run(fmt.Sprint(tt.name, " ", what, " ", n), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { cut = cutMend(t, n, what, tt.phase, tt.damage, tt.rows, tt.after, tt.due) })
				})
				if !cut {
					break
				}
			}
		}
	}
}

// cutMend mends, where the n-th commit goes wrong, and again; false where there is no n-th.
func cutMend(t *testing.T, n int, what outcome, phase connector.Phase, damage func(*fakeKafka), rows []string, after connector.StreamState, due string) bool {
	t.Helper()
	if phase == "" {
		phase = connector.Streaming
	}
	if rows == nil {
		rows = both
	}
	after.Due = due
	k := filled(t, phase, keyFormat)
	damage(k)
	l, p := newTestLedger(k)
	if _, err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	commits := 0
	p.next = func([]connector.Record) outcome {
		if commits++; commits == n {
			return what
		}
		return committed
	}
	_, err := l.Mend(t.Context(), alice)
	if err == nil {
		return false
	}
	if !errors.Is(err, connector.ErrDoubt) {
		t.Errorf("got %v", err)
	}
	delete(k.ends, dataPartition)
	other, all := loaded(t, k)
	if cp := all[alice]; cp.Lost == nil && cp.State.Due != due {
		t.Errorf("after the cut: %+v", cp)
	}
	testMend(t, k, other, after, rows)
	return true
}

// TestShortCommit: a data record that stands where another has stood tells that the topic is another, whatever its end looks like.
func TestShortCommit(t *testing.T) {
	synctest.Test(t, testShortCommit)
}

func testShortCommit(t *testing.T) {
	k := filled(t, connector.Streaming, keyFormat)
	l, all := loaded(t, k)
	delete(k.parts, dataPartition)
	state := *all[alice].State
	state.Commit++
	tx := connector.Transaction{Stream: alice, State: &state, Records: []connector.Record{published(alice, "a", "u", sampleRow(0).JSON, 4)}}
	if err := l.Commit(t.Context(), []connector.Transaction{tx}); err == nil || !strings.Contains(err.Error(), "made anew") {
		t.Fatalf("got %v", err)
	}
	again, err := l.Load(t.Context())
	if err != nil || again[alice].Lost == nil {
		t.Errorf("got %+v, %v", again[alice], err)
	}
}

// TestOneCommitOfALostTopic: that its data topic is lost is noticed of a stream that was published in one commit, and that the records of the
// last commit are.
func TestOneCommitOfALostTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for commits, kept := range []int64{0, 3, 4} {
			k := newFakeKafka()
			l, _ := loaded(t, k)
			state := connector.StreamState{Epoch: 1, Phase: connector.Streaming, Partition: 2, KeyFormat: keyFormat}
			for i := range commits + 1 {
				state.Commit++
				tx := connector.Transaction{Stream: alice, State: &state}
				for n := range 3 - min(i, 2) {
					tx.Records = append(tx.Records, published(alice, fmt.Sprint(i, n), "c", sampleRow(n).JSON, 1))
				}
				if err := l.Commit(t.Context(), []connector.Transaction{tx}); err != nil {
					t.Fatal(err)
				}
			}
			if _, all := loaded(t, k); all[alice].Lost != nil {
				t.Errorf("%d commits: %v", commits+1, all[alice].Lost)
			}
			part := k.parts[dataPartition]
			part.records, part.next = part.records[:kept], kept
			if _, all := loaded(t, k); reasonOf(all[alice].Lost) != connector.TopicLost {
				t.Errorf("%d commits, of which %d records are left: %+v", commits+1, kept, all[alice])
			}
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
	if err := all[alice].Lost; err != nil {
		t.Fatal(err)
	}
	h := newHistory(rand.New(rand.NewPCG(1, 1)), alice) // it comes back, into the new topic
	h.partition = 2
	for range 3 {
		if err := l.Commit(t.Context(), []connector.Transaction{h.next()}); err != nil {
			t.Fatal(err)
		}
	}
	if _, all = loaded(t, k); all[alice].Lost != nil {
		t.Error(all[alice].Lost)
	}
}
