package offsets

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
)

// plainProducer makes no transactions: what is cut leaves of each partition's records a beginning.
type plainProducer struct {
	k   *fakeKafka
	cut func() *rand.Rand // nil: it is whole
}

func (p *plainProducer) Fence(context.Context) error { return nil }

func (p *plainProducer) Commit(_ context.Context, recs []connector.Record) ([]int64, error) {
	r := p.cut()
	if r == nil {
		return p.k.append(recs), nil
	}
	left := map[topicPartition]int{}
	for _, rec := range recs {
		left[topicPartition{rec.Topic, rec.Partition}]++
	}
	for tp, n := range left {
		left[tp] = r.IntN(n + 1)
	}
	var written []connector.Record
	for _, rec := range recs {
		tp := topicPartition{rec.Topic, rec.Partition}
		if left[tp]--; left[tp] >= 0 {
			written = append(written, rec)
		}
	}
	p.k.append(written)
	return nil, errors.New("i/o timeout")
}

func (p *plainProducer) Mark(ctx context.Context, recs []connector.Record) ([]int64, error) {
	ends := make([]int64, len(recs))
	for i, r := range recs {
		ends[i], _ = p.k.End(ctx, r.Topic, r.Partition)
	}
	return ends, nil
}

// TestSteps: however a commit without transactions is cut, what is known after the next Load and Mend is what the data topic holds; the
// offset is not ahead of it; and a full comparison is due.
func TestSteps(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testSteps(t, rand.New(rand.NewPCG(seed, 5))) })
	}
}

func testSteps(t *testing.T, r *rand.Rand) {
	w := newWorld(t, r)
	cfg := testConfig()
	cfg.Resource, cfg.Steps = worldResource, true
	left := -1 // commits until the cut
	p := &plainProducer{k: w.k, cut: func() *rand.Rand {
		if left--; left == 0 {
			return r
		}
		return nil
	}}
	open := func() map[connector.Stream]*connector.Checkpoint {
		t.Helper()
		w.l = NewLedger(cfg, p, w.k, hclog.NewNullLogger())
		all, err := w.l.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	open()
	var streams []connector.Stream
	for s := range w.models {
		streams = append(streams, s)
	}
	slices.SortFunc(streams, compareStreams)
	for range 6 {
		left = 1 + r.IntN(40)
		for w.tryChange(t, streams[r.IntN(len(streams))]) == nil {
		}
		left = -1
		all := open()
		for _, s := range streams {
			cp := all[s]
			if cp == nil {
				continue
			}
			cut := cp.Lost != nil
			if cut && reasonOf(cp.Lost) != unfinished {
				t.Fatalf("taken for a loss: %v", cp.Lost)
			}
			commit := int64(0)
			if cp.State != nil {
				commit = cp.State.Commit
			}
			cp, err := w.l.Mend(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if cut && (cp.State.Pending || cp.State.Commit < commit+stepGap || cp.Offset != nil && cp.Offset.ReconciledMs != 0) {
				t.Fatalf("completed: %+v %+v", cp.State, cp.Offset)
			}
		}
		w.adopt(t, streams)
	}
	w.check(t, open())
}

// tryChange is change where it may fail.
func (w *world) tryChange(t *testing.T, s connector.Stream) error {
	t.Helper()
	tx, done := w.plan(s)
	err := w.l.Commit(t.Context(), []connector.Transaction{tx})
	if err == nil {
		done()
	}
	return err
}

// adopt makes the models what a consumer of the data topic knows.
func (w *world) adopt(t *testing.T, streams []connector.Stream) {
	t.Helper()
	for _, s := range streams {
		w.models[s] = map[string][]string{}
	}
	for _, rec := range w.k.part(dataTopic(streams[0]), 2).records {
		s, id, ok := parseDataKey("work", connector.Events, rec.Key)
		if !ok {
			t.Fatalf("key %s", rec.Key)
		}
		name, _ := worldResource(s, "", id, nil)
		model := w.models[s]
		after := afterOf(t, rec.Value)
		rows := slices.DeleteFunc(slices.Clone(model[name]), func(row string) bool { return row == id })
		if after != nil {
			rows = append(rows, id)
			w.bodies[s.String()+id] = after
		}
		slices.Sort(rows)
		if model[name] = rows; len(rows) == 0 {
			delete(model, name)
		}
	}
	for _, s := range streams {
		if cp := w.l.Open(s); cp.State != nil {
			w.commit = max(w.commit, cp.State.Commit)
		}
	}
}
