package offsets

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
)

// notify tells of streams, as their begins do.
func notify(k *fakeKafka, epoch int64, streams ...connector.Stream) {
	for i, s := range streams {
		k.append([]connector.Record{{Topic: "cal.notifications", Partition: int32(i % 6), Key: []byte(s.String()),
			Value: fmt.Appendf(nil, `{"type":"snapshot-begin","source":%q,"account":%q,"collection":%q,"stream":%q,"epoch":%d,"count":null}`,
				s.Source, s.Account, s.Collection, s.Kind, epoch)}})
	}
}

// TestBothTopicsLost: where both internal topics are lost, streams that were published before are not taken for new ones: what they
// were is put together again, in epochs that go on.
func TestBothTopicsLost(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 2)))
	for range 300 {
		for s := range w.models {
			w.change(t, s)
		}
	}
	var all []connector.Stream
	for s := range w.models {
		all = append(all, s)
	}
	fresh := connector.Stream{Source: "work", Account: "alice", Collection: "/new/", Kind: connector.Events}
	mine := func(s connector.Stream) bool { return connector.AccountPartition(s.Source, s.Account, 2) == 0 }
	notify(w.k, 7, all...)
	others := connector.Stream{Source: "others", Account: "bob", Collection: "/x/", Kind: connector.Events}
	for i := 0; !mine(others); i++ {
		others.Account = fmt.Sprint("bob", i)
	}
	notify(w.k, 7, others) // of a connector with the same prefix
	w.k.append([]connector.Record{{Topic: "cal.notifications", Key: []byte("x"), Value: []byte("not ours")}, {Topic: "cal.notifications", Key: []byte("y")}})
	delete(w.k.parts, topicPartition{"team-state", 0})
	delete(w.k.parts, topicPartition{"team-offsets", 0})
	cfg := testConfig()
	cfg.Resource, cfg.Count = worldResource, 2
	l := NewLedger(cfg, &fakeProducer{k: w.k}, w.k, hclog.NewNullLogger())
	if got, err := l.Load(t.Context()); err != nil || len(got) != 0 {
		t.Fatal(got, err)
	}
	reads := func() int {
		n := 0
		for _, r := range w.k.reads {
			if strings.HasPrefix(r, "cal.notifications/") {
				n++
			}
		}
		return n
	}
	before := reads()
	for range 3 {
		if cp, err := l.Mend(t.Context(), fresh); err != nil || cp.State != nil || cp.Lost != nil {
			t.Fatalf("a stream that was never published: %+v, %v", cp, err)
		}
	}
	if n := reads() - before; n != 3 {
		t.Errorf("3 partitions of notifications that hold something were read %d times", n)
	}
	i := slices.IndexFunc(all, mine)
	if _, err := l.Mend(t.Context(), all[i]); !errors.Is(err, connector.ErrDoubt) {
		t.Fatalf("one that was: %v", err)
	}
	if err := l.Commit(t.Context(), []connector.Transaction{{Stream: fresh, Offset: &connector.Offset{}}}); err == nil {
		t.Error("it is committed to before it is loaded again")
	}
	got, err := l.Load(t.Context())
	if _, taken := got[others]; taken {
		t.Error("a stream of another source is taken for ours")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if cp := got[s]; (cp == nil) == mine(s) || cp != nil && (cp.Lost == nil || cp.Offset.Epoch != 7) {
			t.Fatalf("%s: %+v", s, cp)
		}
		if !mine(s) {
			delete(w.models, s)
			continue
		}
		if cp, err := l.Mend(t.Context(), s); err != nil || cp.State.Due != connector.StateLost || cp.State.Epoch != 7 {
			t.Fatalf("%s: %+v, %v", s, cp, err)
		}
	}
	if got, err = l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.check(t, got)
}

// TestNothingIsReadAtAFirstStart: where nothing was published, nothing is read to find out.
func TestNothingIsReadAtAFirstStart(t *testing.T) {
	k := newFakeKafka()
	l, _ := loaded(t, k)
	reads := len(k.reads)
	for i := range 100 {
		s := alice
		s.Collection = fmt.Sprint(i)
		if cp, err := l.Mend(t.Context(), s); err != nil || cp.State != nil || cp.Lost != nil {
			t.Fatalf("%+v, %v", cp, err)
		}
	}
	if n := len(k.reads) - reads; n != 0 {
		t.Errorf("%d reads", n)
	}
}

// TestStreamThatTheStateAloneKnew: of a stream without an offset, because its reset is still to come, the loss of the state leaves no trace but in the
// notifications. It is found where others show that the state is lost.
func TestStreamThatTheStateAloneKnew(t *testing.T) {
	k := filled(t, connector.Streaming, keyFormat)
	other := alice
	other.Collection = "/alice/other/"
	l, all := loaded(t, k)
	state := *all[alice].State
	err := l.Commit(t.Context(), []connector.Transaction{{Stream: other, State: &state, Offset: &connector.Offset{Token: "t", Epoch: 4}}})
	if err := errors.Join(err, l.Reset(t.Context(), alice)); err != nil {
		t.Fatal(err)
	}
	notify(k, 4, alice, other)
	delete(k.parts, topicPartition{"team-state", 0})
	l, all = loaded(t, k)
	if all[alice] != nil || all[other] == nil || all[other].Lost == nil {
		t.Fatalf("%+v", all)
	}
	if _, err := l.Mend(t.Context(), other); !errors.Is(err, connector.ErrDoubt) {
		t.Fatal(err)
	}
	if all, err = l.Load(t.Context()); err != nil || all[alice] == nil || reasonOf(all[alice].Lost) != connector.StateLost {
		t.Fatalf("%+v, %v", all, err)
	}
	for _, s := range []connector.Stream{other, alice} {
		if cp, err := l.Mend(t.Context(), s); err != nil || cp.State.Due != connector.StateLost || cp.State.Epoch != 4 {
			t.Errorf("%s: %+v, %v", s, cp, err)
		}
	}
}

// TestTopicsMadeAnewBeneathAnOwner: an owner whose topics were made anew while another had the partition does not go on from what it has folded of
// the old ones, however long the new ones are by then.
func TestTopicsMadeAnewBeneathAnOwner(t *testing.T) {
	k := filled(t, connector.Streaming, keyFormat)
	l, _ := loaded(t, k)
	for _, topic := range []string{"team-state", "team-offsets"} {
		delete(k.parts, topicPartition{topic, 0})
	}
	other, _ := loaded(t, k)
	state := connector.StreamState{Epoch: 5, Phase: connector.Streaming, Partition: 2, KeyFormat: keyFormat}
	for i := range 30 {
		state.Commit++
		tx := connector.Transaction{Stream: alice, State: &state, Offset: &connector.Offset{Token: fmt.Sprint(i), Epoch: 5}}
		if err := other.Commit(t.Context(), []connector.Transaction{tx}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := l.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if cp := all[alice]; cp == nil || cp.Lost != nil || cp.State.Epoch != 5 || cp.State.Rows != 0 {
		t.Errorf("%+v", cp)
	}
	if rows := slices.Collect(l.indexOf(alice).rowIDs()); len(rows) > 0 {
		t.Errorf("%q are known still", rows)
	}
}

// TestMissingTopicIsReplaced: a topic that is missing when something is committed to it is made anew, though nothing of the stream was in it.
func TestMissingTopicIsReplaced(t *testing.T) {
	k := newFakeKafka()
	missing, made := errors.New("no such topic"), map[string]int{}
	p, cfg := &fakeProducer{k: k}, testConfig()
	cfg.Missing = func(err error) bool { return err != nil }
	cfg.Partitions = func(_ context.Context, topic string) (int32, error) {
		made[topic]++
		return 6, missing
	}
	l := NewLedger(cfg, p, k, hclog.NewNullLogger())
	if _, err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.next = func([]connector.Record) outcome { return lost }
	state := connector.StreamState{Epoch: 1, Phase: connector.Streaming, Partition: 2, KeyFormat: keyFormat}
	rec := published(alice, "a", "c", sampleRow(0).JSON, 1)
	err := l.Commit(t.Context(), []connector.Transaction{{Stream: alice, State: &state, Records: []connector.Record{rec, rec}}})
	if !errors.Is(err, missing) || len(made) != 1 || made[dataTopic(alice)] != 1 {
		t.Errorf("%v, %v", made, err)
	}
	p.next = nil
	if _, err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(t.Context(), []connector.Transaction{{Stream: alice, State: &state, Records: []connector.Record{rec}}}); err != nil {
		t.Error(err)
	}
}
