package offsets

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
)

// world is streams that were published by the rules, and what is known of them.
type world struct {
	r      *rand.Rand
	k      *fakeKafka
	l      *Ledger
	models map[connector.Stream]map[string][]string // the rows of each resource
	bodies map[string][]byte
	commit int64
}

// worldResource is as the fake ledger's Config has it, with resources of several rows: "/a.ics" has a, a#1, a#2.
func worldResource(_ connector.Stream, _, id string, _ []byte) (string, string) {
	name, _, _ := strings.Cut(id, "#")
	return "/" + name + ".ics", ""
}

func newWorld(t *testing.T, r *rand.Rand) *world {
	t.Helper()
	w := &world{r: r, k: newFakeKafka(), models: map[connector.Stream]map[string][]string{}, bodies: map[string][]byte{}}
	w.l = w.ledger()
	if _, err := w.l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, account := range []string{"alice", "bob", "carol"} {
		w.models[connector.Stream{Source: "work", Account: account, Collection: "/x/", Kind: connector.Events}] = map[string][]string{}
	}
	return w
}

func (w *world) ledger() *Ledger {
	cfg := testConfig()
	cfg.Resource = worldResource
	return NewLedger(cfg, &fakeProducer{k: w.k}, w.k, hclog.NewNullLogger())
}

// change publishes a random change of one resource, with its state.
func (w *world) change(t *testing.T, s connector.Stream) {
	t.Helper()
	tx, done := w.plan(s)
	if err := w.l.Commit(t.Context(), []connector.Transaction{tx}); err != nil {
		t.Fatal(err)
	}
	done()
}

// plan is a transaction of a random change, and what notes that it is committed.
func (w *world) plan(s connector.Stream) (tx connector.Transaction, done func()) {
	model := maps.Clone(w.models[s])
	bodies := map[string][]byte{}
	name := fmt.Sprint(w.r.IntN(300))
	id := "/" + name + ".ics"
	w.commit++
	tx = connector.Transaction{Stream: s}
	var rows []string
	if w.r.IntN(3) > 0 {
		rows = []string{name, name + "#1", name + "#2"}[:1+w.r.IntN(3)]
	}
	for _, row := range rows {
		body := fmt.Appendf(nil, `{"id":%q,"n":%d,"etag":"\"%d\"","raw":null}`, row, w.commit, w.commit)
		bodies[s.String()+row] = body
		tx.Records = append(tx.Records, published(s, row, "u", body, 1))
		tx.Rows = append(tx.Rows, connector.RowChange{ID: row, Hash: connector.KeptRow(connector.Events, row, body).Hash, Body: body})
	}
	for _, row := range model[id] {
		if !slices.Contains(rows, row) {
			tx.Records = append(tx.Records, published(s, row, "d", nil, 1), connector.Record{Topic: dataTopic(s), Partition: 2, Key: s.Key(row)})
			tx.Rows = append(tx.Rows, connector.RowChange{ID: row, Deleted: true})
		}
	}
	change := connector.ResourceChange{ID: id}
	if model[id] = rows; len(rows) > 0 {
		change.State = &connector.ResourceState{ETag: "e", Hash: connector.HashOf(fmt.Append(nil, w.commit)), Epoch: 1, Rows: rows}
	} else {
		delete(model, id)
	}
	tx.Resources = append(tx.Resources, change)
	state := connector.StreamState{Epoch: 1, Phase: connector.Streaming, Partition: 2, Commit: w.commit, KeyFormat: keyFormat, Connector: "caldav"}
	for _, r := range model {
		state.Resources, state.Rows = state.Resources+1, state.Rows+int64(len(r))
	}
	tx.State, tx.Offset = &state, &connector.Offset{Token: fmt.Sprint(w.commit), Epoch: 1, ReconciledMs: 1}
	return tx, func() {
		w.models[s] = model
		maps.Copy(w.bodies, bodies)
	}
}

// afterOf is the row in a data record's value, nil where there is none.
func afterOf(t *testing.T, value []byte) []byte {
	t.Helper()
	if value == nil {
		return nil
	}
	var e envelope
	if err := json.Unmarshal(value, &e); err != nil {
		t.Fatal(err)
	}
	if isNull(e.After) {
		return nil
	}
	return e.After
}

// check compares what is known with the model.
func (w *world) check(t *testing.T, all map[connector.Stream]*connector.Checkpoint) {
	t.Helper()
	for s, model := range w.models {
		cp := all[s]
		if cp == nil || cp.Lost != nil || cp.State == nil {
			t.Fatalf("%s: %+v", s, cp)
		}
		n := 0
		for id, r := range cp.Index.Resources() {
			n++
			rows := slices.Sorted(slices.Values(r.Rows))
			if !slices.Equal(rows, model[id]) {
				t.Errorf("%s: %s has %v, want %v", s, id, rows, model[id])
			}
			for _, row := range r.Rows {
				body, err := cp.Index.Body(row)
				if err != nil || string(body) != string(w.bodies[s.String()+row]) {
					t.Errorf("%s: row %s is %s, want %s", s, row, body, w.bodies[s.String()+row])
				}
			}
		}
		resources, rows := cp.Index.(index).counts()
		if n != len(model) || cp.State.Resources != resources || cp.State.Rows != rows || int(resources) != n {
			t.Errorf("%s: %d resources and %d rows, the record says %d and %d, want %d resources", s, resources, rows, cp.State.Resources, cp.State.Rows, len(model))
		}
	}
}

// TestRebuild: whatever was published, the data topic alone gives back what was known, rows and resources, of all streams at once.
func TestRebuild(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 2)))
	for range 4000 {
		for s := range w.models {
			w.change(t, s)
			break // any
		}
	}
	delete(w.k.parts, topicPartition{"team-state", 0})
	l := w.ledger()
	all, err := l.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for s := range w.models {
		if all[s].Lost == nil {
			t.Fatal("nothing is missing")
		}
	}
	reads := len(w.k.reads)
	for s := range w.models {
		if _, err := l.Mend(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	data := 0
	for _, read := range w.k.reads[reads:] {
		if strings.HasPrefix(read, "cal.work.events/") {
			data++
		}
	}
	if data != 6 {
		t.Errorf("the data topic of 6 partitions was read in %d reads", data)
	}
	if all, err = w.ledger().Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.check(t, all)
}

// TestCutTopic: where retention has cut the data topic, the stream is mended as far as that goes, and says what it cannot know. What is
// no record of calcdc's is passed over.
func TestCutTopic(t *testing.T) {
	k := filled(t, connector.Streaming, keyFormat)
	delete(k.parts, topicPartition{"team-state", 0})
	part := k.parts[dataPartition]
	part.records = part.records[3:] // b and the d of c are left, and what somebody else wrote:
	for _, value := range []string{"not JSON", "{}", `{"op":"c","after":`} {
		k.append([]connector.Record{{Topic: dataTopic(alice), Partition: 2, Key: alice.Key("b"), Value: []byte(value)}})
	}
	k.append([]connector.Record{{Topic: dataTopic(alice), Partition: 2, Key: []byte("x"), Value: []byte("{}")}, {Topic: dataTopic(alice), Partition: 2}})
	cfg := testConfig()
	cfg.Start = func(_ context.Context, _ string, p int32) (int64, error) { return int64(p), nil }
	l := NewLedger(cfg, &fakeProducer{k: k}, k, hclog.NewNullLogger())
	if _, err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	cp, err := l.Mend(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(cp.Caveat, "no longer holds everything") || cp.State.Rows != 0 || cp.State.Epoch != 4 {
		t.Errorf("got %+v %+v", cp, cp.State)
	}
}
