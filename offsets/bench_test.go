package offsets

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/calcdc/calcdc/connector"
)

var samples = sync.OnceValue(func() (rows []connector.Row) {
	for i := range 1000 {
		rows = append(rows, sampleRow(i))
	}
	return rows
})

// snapshotPage is a page of n resources of one row each, from sample i on.
func snapshotPage(i, n int) connector.Transaction {
	tx := connector.Transaction{Stream: alice, State: &connector.StreamState{Epoch: 1, Phase: connector.Snapshot, KeyFormat: keyFormat}}
	for ; n > 0; i, n = i+1, n-1 {
		row := samples()[i%1000]
		row.ID = fmt.Sprintf("%s-%d", row.ID[:28], i)
		tx.Resources = append(tx.Resources, connector.ResourceChange{ID: "/alice/work/" + row.ID + ".ics",
			State: &connector.ResourceState{ETag: row.ETag, Hash: row.Hash, Epoch: 1, Rows: []string{row.ID}}})
		tx.Rows = append(tx.Rows, connector.RowChange{ID: row.ID, Hash: row.Hash, Body: row.JSON})
	}
	return tx
}

// discard is a producer that keeps nothing.
type discard struct{ next int64 }

func (*discard) Fence(context.Context) error { return nil }

func (d *discard) Commit(_ context.Context, recs []connector.Record) ([]int64, error) {
	offsets := make([]int64, len(recs))
	for i := range offsets {
		offsets[i] = d.next
		d.next++
	}
	return offsets, nil
}

func (d *discard) Mark(ctx context.Context, recs []connector.Record) ([]int64, error) {
	return d.Commit(ctx, recs)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemory holds what a row of 2.5 KB takes in memory, with its resource, its keys and its body, to 1 KiB. Of a thousand rows
// the tables' spare room is a larger part.
func TestMemory(t *testing.T) {
	samples() // not counted
	for _, tt := range []struct{ n, most int }{{1_000, 1280}, {10_000, 1088}, {100_000, 1024}} {
		n := tt.n
		before := heap()
		f, keys, raw := newFold("team", true), &stateKeys{}, 0
		l := &Ledger{cfg: testConfig(), fold: f}
		for i := 0; i < n; i += 500 {
			tx := snapshotPage(i, 500)
			b := batch{l: l}
			if err := b.add(&tx); err != nil {
				t.Fatal(err)
			}
			for j := range b.records {
				if err := f.addState(nil, keys, b.records[j].Key, b.records[j].Value); err != nil {
					t.Fatal(err)
				}
			}
			for j := range tx.Rows {
				raw += len(tx.Rows[j].Body)
			}
		}
		took := int(heap()-before) / n
		runtime.KeepAlive(f)
		t.Logf("%d rows of %d bytes: %d bytes a row", n, raw/n, took)
		if took > tt.most {
			t.Errorf("%d rows: %d bytes a row are more than %d", n, took, tt.most)
		}
	}
}

// BenchmarkCommit encodes and applies pages of 500 rows; the producer takes no time.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			k := newFakeKafka()
			l := NewLedger(testConfig(), &discard{}, k, hclog.NewNullLogger())
			l.doubt = nil
			pages := make([]connector.Transaction, 20)
			for i := range pages {
				pages[i] = snapshotPage(i*500, 500)
			}
			for i := 0; i < n; i += 500 { // what is there already, under other ids
				tx := pages[(i/500)%20]
				tx.Stream.Collection = fmt.Sprint(i / 10_000)
				if err := l.Commit(b.Context(), []connector.Transaction{tx}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				if err := l.Commit(b.Context(), pages[rows/500%20:][:1]); err != nil {
					b.Fatal(err)
				}
				rows += 500
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
		})
	}
}

// BenchmarkFold folds the records of 10,000 rows, as a Load does.
func BenchmarkFold(b *testing.B) {
	l := &Ledger{cfg: testConfig(), fold: newFold("team", true)}
	log := batch{l: l}
	for i := 0; i < 10_000; i += 500 {
		tx := snapshotPage(i, 500)
		if err := log.add(&tx); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		f, keys := newFold("team", true), &stateKeys{}
		for i := range log.records {
			if err := f.addState(nil, keys, log.records[i].Key, log.records[i].Value); err != nil {
				b.Fatal(err)
			}
		}
		n += 10_000
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/row")
}

// BenchmarkBody compares ways to keep a row: S2 with the dictionary is what appendBody uses.
func BenchmarkBody(b *testing.B) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderDictRaw(1, rowDict), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(64<<10))
	if err != nil {
		b.Fatal(err)
	}
	defer z.Close()
	for _, way := range []struct {
		name string
		pack func(dst, body []byte) []byte
	}{
		{"s2-dict", func(dst, body []byte) []byte { return appendBody(dst[:0], body) }},
		{"s2-dict-better", func(dst, body []byte) []byte { return s2Dict.EncodeBetter(dst[:cap(dst)], body) }},
		{"s2", func(dst, body []byte) []byte { return s2.Encode(dst[:cap(dst)], body) }},
		{"zstd-fastest-dict", func(dst, body []byte) []byte { return z.EncodeAll(body, dst[:0]) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			var rows [][]byte
			for i := range 200 {
				rows = append(rows, sampleRow(rand.IntN(1_000_000)+i).JSON)
			}
			dst := make([]byte, 0, 1<<16)
			n, packed := 0, 0
			for b.Loop() {
				packed += len(way.pack(dst, rows[n%len(rows)]))
				n++
			}
			b.ReportMetric(float64(packed)/float64(n), "bytes/row")
		})
	}
}
