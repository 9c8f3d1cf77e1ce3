package offsets

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/connector"
)

var alice = connector.Stream{Source: "work", Account: "alice", Collection: "/alice/work/", Kind: connector.Events}

// image is everything that a checkpoint says, comparable.
type image struct {
	Offset    *connector.Offset
	State     *connector.StreamState
	Resources map[string]connector.ResourceState
	Rows      map[string]string
}

func imageOf(t *testing.T, cp *connector.Checkpoint) image {
	t.Helper()
	im := image{Offset: cp.Offset, State: cp.State, Resources: map[string]connector.ResourceState{}, Rows: map[string]string{}}
	for id, r := range cp.Index.Resources() {
		im.Resources[id] = r
	}
	for id := range cp.Index.(index).rowIDs() {
		h, _ := cp.Index.Row(id)
		body, err := cp.Index.Body(id)
		if err != nil {
			t.Fatal(err)
		}
		im.Rows[id] = shortRow(h, body)
	}
	return im
}

func shortRow(h connector.Hash, body []byte) string {
	return fmt.Sprintf("%x %x", h[:4], connector.HashOf(body))
}

// history makes random transactions of one stream that agree with its counts.
type history struct {
	r         *rand.Rand
	s         connector.Stream
	image     image
	state     connector.StreamState
	partition int32
}

func newHistory(r *rand.Rand, s connector.Stream) *history {
	return &history{r: r, s: s, partition: s.Partition(3),
		image: image{Resources: map[string]connector.ResourceState{}, Rows: map[string]string{}}}
}

// next is the next transaction; the history's image is what holds once it is committed.
func (h *history) next() connector.Transaction {
	tx := connector.Transaction{Stream: h.s}
	for range h.r.IntN(4) {
		h.change(&tx, fmt.Sprintf("/%s/%d \"ü\x01.ics", h.s.Account, h.r.IntN(12)))
	}
	h.state.Epoch, h.state.Phase, h.state.Partition, h.state.KeyFormat = 1+h.state.Commit/5, connector.Streaming, h.partition, keyFormat
	h.state.Commit++
	h.state.Resources, h.state.Rows = int64(len(h.image.Resources)), int64(len(h.image.Rows))
	state := h.state
	tx.State, h.image.State = &state, &state
	switch h.r.IntN(5) {
	case 0:
		tx.Forget, h.image.Offset = true, nil
	case 1:
	default:
		o := &connector.Offset{Token: fmt.Sprint("http://token/\\<", h.r.IntN(100)), Epoch: h.state.Epoch, ConfigHash: "c", CommittedMs: h.r.Int64N(1000)}
		if h.r.IntN(3) == 0 {
			o.Token = ""
		}
		tx.Offset, h.image.Offset = o, o
	}
	return tx
}

func (h *history) change(tx *connector.Transaction, id string) {
	for _, row := range h.image.Resources[id].Rows {
		tx.Rows = append(tx.Rows, connector.RowChange{ID: row, Deleted: true})
		delete(h.image.Rows, row)
	}
	tx.Records = append(tx.Records, connector.Record{Topic: dataTopic(h.s), Partition: h.partition, Key: h.s.Key(id), Value: []byte("{}")})
	if h.r.IntN(3) == 0 {
		tx.Resources = append(tx.Resources, connector.ResourceChange{ID: id})
		delete(h.image.Resources, id)
		return
	}
	rs := connector.ResourceState{ETag: `"e"`, Unknown: h.r.IntN(9) == 0, Hash: connector.HashOf([]byte(id)), Epoch: h.r.Int64N(1 << 40)}
	for i := range h.r.IntN(3) {
		row := fmt.Sprint(id, "#", i)
		c := connector.RowChange{ID: row, Hash: connector.HashOf([]byte{byte(h.r.Int())})}
		if h.r.IntN(5) > 0 {
			c.Body = sampleRow(h.r.IntN(50)).JSON
		}
		rs.Rows = append(rs.Rows, row)
		tx.Rows = append(tx.Rows, c)
		h.image.Rows[row] = shortRow(c.Hash, c.Body)
	}
	tx.Resources = append(tx.Resources, connector.ResourceChange{ID: id, State: &rs})
	h.image.Resources[id] = rs
}

// equal compares images but for DataEnd, which is the ledger's, and which may only fall short of the truth.
func equal(t *testing.T, what string, got, want image) {
	t.Helper()
	if got.State != nil && want.State != nil {
		state := *got.State
		state.DataEnd = want.State.DataEnd
		got.State = &state
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// TestFold holds what is in memory after any history of commits, refusals, lost answers, lost transactions, failed reads and new owners
// against what another process loads, and both against the model (Invariants 1, 4, 7).
func TestFold(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testFold(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func testFold(t *testing.T, r *rand.Rand) {
	k := newFakeKafka()
	l, p := newTestLedger(k)
	model := map[connector.Stream]*history{}
	for _, account := range []string{"alice", "bob\n"} {
		s := connector.Stream{Source: "work", Account: account, Collection: "/" + account + "/", Kind: connector.Events}
		model[s] = newHistory(r, s)
	}
	load(t, l, k, r, model)
	for range 40 {
		for s, h := range model {
			before := h.clone()
			txs := []connector.Transaction{h.next()}
			if r.IntN(2) == 0 {
				txs = append(txs, h.next())
			}
			what := []outcome{committed, committed, committed, committedAndError, lost, tooLarge}[r.IntN(6)]
			p.next = func([]connector.Record) outcome { return what }
			err := l.Commit(t.Context(), txs)
			p.next = nil
			if what == lost || what == tooLarge {
				*h = *before
			}
			var refused *connector.RefusedError
			switch {
			case (err == nil) != (what == committed):
				t.Fatalf("outcome %d: %v", what, err)
			case what == tooLarge && !errors.As(err, &refused):
				t.Fatalf("no refusal: %v", err)
			case what == committedAndError || what == lost:
				if err := l.Commit(t.Context(), txs); err == nil {
					t.Fatal("a commit went on after one of unknown outcome")
				}
				if r.IntN(4) == 0 { // another process has the next word
					l, p = newTestLedger(k)
				}
				load(t, l, k, r, model)
			}
			equal(t, "in memory", imageOf(t, l.Open(s)), h.image)
		}
	}
	_, all := loaded(t, k)
	for s, h := range model {
		if h.image.State == nil {
			continue
		}
		equal(t, "loaded anew", imageOf(t, all[s]), h.image)
		if err := all[s].Refused; err != nil {
			t.Fatal(err)
		}
		if end := k.part(dataTopic(s), h.partition).next; all[s].State.DataEnd > end {
			t.Fatalf("data end %d, but the partition ends at %d", all[s].State.DataEnd, end)
		}
	}
}

// load loads, now and then with a read that fails at first.
func load(t *testing.T, l *Ledger, k *fakeKafka, r *rand.Rand, model map[connector.Stream]*history) {
	t.Helper()
	if r.IntN(2) == 0 {
		k.badRead = 1
		if _, err := l.Load(t.Context()); err == nil {
			t.Fatal("a failed read went unseen")
		}
	}
	all, err := l.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for s, cp := range all {
		if cp.Refused != nil {
			t.Fatal(cp.Refused)
		}
		equal(t, "loaded", imageOf(t, cp), model[s].image)
	}
}

func (h *history) clone() *history {
	c := *h
	c.image.Resources, c.image.Rows = map[string]connector.ResourceState{}, map[string]string{}
	for id, r := range h.image.Resources {
		c.image.Resources[id] = r
	}
	for id, r := range h.image.Rows {
		c.image.Rows[id] = r
	}
	return &c
}

func TestLoadGoesOnWhereItStopped(t *testing.T) {
	k := newFakeKafka()
	l, _ := newTestLedger(k)
	if _, err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := newHistory(rand.New(rand.NewPCG(1, 1)), alice)
	for range 3 {
		if err := l.Commit(t.Context(), []connector.Transaction{h.next()}); err != nil {
			t.Fatal(err)
		}
	}
	stateEnd := k.part("team-state", 0).records
	from := stateEnd[len(stateEnd)-1].Offset // the last record is found again
	k.reads = nil
	if _, err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("team-state/0 %d-%d", from, from+3) // a marker, the barrier
	if !strings.Contains(strings.Join(k.reads, ","), want) {
		t.Errorf("read %q, want %q", k.reads, want)
	}
}

func TestCommitOrderAndKeys(t *testing.T) {
	k := newFakeKafka()
	l, p := newTestLedger(k)
	if err := l.Commit(t.Context(), []connector.Transaction{{Stream: alice, Forget: true}}); !errors.Is(err, errNotLoaded) {
		t.Fatalf("commit before load: %v", err)
	}
	if _, err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	tx := connector.Transaction{
		Stream:    alice,
		Records:   []connector.Record{{Topic: "cal.work.events", Key: []byte("k")}},
		State:     &connector.StreamState{Epoch: 1, Phase: connector.Snapshot, KeyFormat: keyFormat, DataEnd: 77},
		Resources: []connector.ResourceChange{{ID: "r"}},
		Rows:      []connector.RowChange{{ID: "w", Deleted: true}},
		Offset:    &connector.Offset{Epoch: 1},
	}
	if err := l.Commit(t.Context(), []connector.Transaction{tx}); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, r := range p.sent[1] {
		keys = append(keys, r.Topic+" "+string(r.Key))
	}
	want := []string{
		`cal.work.events k`,
		`team-state ["resource","work","alice","/alice/work/","events","r"]`,
		`team-state ["row","work","alice","/alice/work/","events","w"]`,
		`team-state ["stream","work","alice","/alice/work/","events"]`,
		`team-offsets ["team",{"source":"work","account":"alice","collection":"/alice/work/","stream":"events"}]`,
	}
	if !reflect.DeepEqual(keys, want) {
		t.Errorf("got  %q\nwant %q", keys, want)
	}
	if cp := l.Open(alice); cp.State.DataEnd != 1 {
		t.Errorf("data end %d is not the ledger's own", cp.State.DataEnd)
	}
	if got := l.fold.dataEnd(alice); got != 1 {
		t.Errorf("data end after the commit %d, want 1", got)
	}
}

func TestFencedAndRefused(t *testing.T) {
	k := newFakeKafka()
	l, p := newTestLedger(k)
	if _, err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	tx := newHistory(rand.New(rand.NewPCG(1, 1)), alice).next()
	p.next = func([]connector.Record) outcome { return tooLarge }
	err := l.Commit(t.Context(), []connector.Transaction{tx})
	var refused *connector.RefusedError
	if !errors.As(err, &refused) || refused.Stream != alice {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{"9437184 bytes", "8388608", "max.message.bytes=16777216", "events.max_raw"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
	bad := connector.Transaction{Stream: alice, Rows: []connector.RowChange{{ID: "\xff"}}}
	if err := l.Commit(t.Context(), []connector.Transaction{bad}); !errors.As(err, &refused) {
		t.Errorf("an id that is not UTF-8: %v", err)
	}
	p.next = nil
	if err := l.Commit(t.Context(), []connector.Transaction{tx}); err != nil {
		t.Fatalf("after a refusal: %v", err)
	}
	loaded(t, k) // another owner
	if err := l.Commit(t.Context(), []connector.Transaction{tx}); !errors.Is(err, connector.ErrFenced) {
		t.Errorf("got %v, want fenced", err)
	}
}

func TestUndecodableRecords(t *testing.T) {
	tests := map[string]struct{ topic, key, value string }{
		"offset key":       {"team-offsets", "x", "{}"},
		"another's offset": {"team-offsets", `["other",{"source":"a","account":"b","collection":"","stream":"events"}]`, "{}"},
		"offset value":     {"team-offsets", `["team",{"source":"a","account":"b","collection":"","stream":"events"}]`, `{"epoch":"x"}`},
		"state key":        {"team-state", `["row"]`, "x"},
		"state value":      {"team-state", `["stream","a","b","","events"]`, "{"},
		"row value":        {"team-state", `["row","a","b","","events","i"]`, "\x01"},
		"newer row":        {"team-state", `["row","a","b","","events","i"]`, "\x02" + strings.Repeat("x", 17)},
		"resource value":   {"team-state", `["resource","a","b","","events","i"]`, "\x01"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k := newFakeKafka()
			l, _ := newTestLedger(k)
			k.write(tt.topic, tt.key, tt.value)
			for range 2 { // it stays an error
				_, err := l.Load(t.Context())
				var bad *RecordError
				if !errors.As(err, &bad) || bad.Topic != tt.topic || bad.Offset != 0 || string(bad.Key) != tt.key {
					t.Fatalf("got %v", err)
				}
			}
			if _, err := List(t.Context(), k, "team", 1); err == nil && !strings.Contains(name, "row") && !strings.Contains(name, "resource") {
				t.Error("List took it")
			}
			k.write(tt.topic, tt.key, "")
			if _, err := l.Load(t.Context()); err != nil {
				t.Errorf("after a null value for its key: %v", err)
			}
		})
	}
}

// TestStrayKey: an operator wrote an offset with its fields in another order; it must not come back once it is
// replaced, whatever compaction keeps.
func TestStrayKey(t *testing.T) {
	k := newFakeKafka()
	l, p := newTestLedger(k)
	if _, err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := newHistory(rand.New(rand.NewPCG(1, 1)), alice)
	if err := l.Commit(t.Context(), []connector.Transaction{h.next()}); err != nil {
		t.Fatal(err)
	}
	stray := `["team", {"stream":"events","collection":"/alice/work/","account":"alice","source":"work"}]`
	k.write("team-offsets", stray, `{"committed_ms": 5, "sync_token": "t", "epoch": 3}`)
	all, err := l.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o := all[alice].Offset; o == nil || o.Token != "t" || o.Epoch != 3 {
		t.Fatalf("got %+v", o)
	}
	tx := connector.Transaction{Stream: alice, Offset: &connector.Offset{Token: "u", Epoch: 3}}
	for _, emptied := range []bool{true, false} {
		if err := l.Commit(t.Context(), []connector.Transaction{tx}); err != nil {
			t.Fatal(err)
		}
		first := p.sent[len(p.sent)-1][0]
		if got := bytes.Equal(first.Key, []byte(stray)) && first.Value == nil; got != emptied {
			t.Errorf("the stray key emptied: %v, want %v", got, emptied)
		}
	}
	_, all = loaded(t, k)
	if o := all[alice].Offset; o == nil || o.Token != "u" {
		t.Errorf("got %+v", o)
	}
}
