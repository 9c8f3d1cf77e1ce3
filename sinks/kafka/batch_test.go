package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"

	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/calcdc/calcdc/connector"
)

func sample(n int) []*connector.Record {
	recs := make([]*connector.Record, n)
	for i := range recs {
		recs[i] = &connector.Record{Key: fmt.Appendf(nil, "key %d", i), Value: bytes.Repeat([]byte{byte(i)}, i*7),
			Headers: []connector.Header{{Key: "h", Value: []byte("v")}, {Key: "nil"}}}
	}
	recs[0].Key, recs[n-1].Value = nil, nil
	return recs
}

// TestEncodingAgreesWithKafkaGo reads our batches with kafka-go's decoder, an implementation of its own.
func TestEncodingAgreesWithKafkaGo(t *testing.T) {
	for codec := compress.None; codec <= compress.Zstd; codec++ {
		recs := sample(200)
		set, err := appendBatch(nil, recs, codec, 1700000000123)
		if err != nil {
			t.Fatal(err)
		}
		stamp(set, 77, 3, 41)
		var theirs protocol.RecordSet
		if _, err := theirs.ReadFrom(bytes.NewReader(set)); err != nil {
			t.Fatalf("%s: %v", codec, err)
		}
		batch := theirs.Records.(*protocol.RecordStream).Records[0].(*protocol.RecordBatch)
		if batch.ProducerID != 77 || batch.ProducerEpoch != 3 || batch.BaseSequence != 41 || !batch.Attributes.Transactional() {
			t.Fatalf("%s: %+v", codec, batch)
		}
		for i, want := range recs {
			rec, err := batch.ReadRecord()
			if err != nil {
				t.Fatalf("%s: record %d: %v", codec, i, err)
			}
			key, _ := protocol.ReadAll(rec.Key)
			value, _ := protocol.ReadAll(rec.Value)
			if rec.Offset != int64(i) || rec.Time.UnixMilli() != 1700000000123 || !bytes.Equal(key, want.Key) || !bytes.Equal(value, want.Value) || len(rec.Headers) != 2 {
				t.Fatalf("%s: record %d: %+v", codec, i, rec)
			}
		}
	}
}

func TestSizesAreBounds(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 8191, 8192, 1 << 20} {
		rec := &connector.Record{Key: make([]byte, n), Value: make([]byte, n), Headers: []connector.Header{{Key: "k", Value: make([]byte, n)}}}
		if got, bound := len(appendRecords(nil, []*connector.Record{rec})), recordSize(rec); got > bound || bound > got+3 {
			t.Errorf("%d bytes: %d, and its bound %d", n, got, bound)
		}
	}
	noise := make([]byte, 1<<20)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	for codec := compress.None; codec <= compress.Zstd; codec++ {
		for _, n := range []int{10, 1000, 40000, 1 << 20} {
			rec := &connector.Record{Value: noise[:n]}
			set, err := appendBatch(nil, []*connector.Record{rec}, codec, 0)
			if err != nil {
				t.Fatal(err)
			}
			limit := len(set) - sizePrefix - 1 // one too few
			if recordSize(rec) <= room(limit) {
				t.Errorf("%s: %d bytes that do not compress are %d, and pass for %d", codec, n, len(set), limit)
			}
		}
	}
}

func TestDamagedBatches(t *testing.T) {
	set, err := appendBatch(nil, sample(5), compress.None, 0)
	if err != nil {
		t.Fatal(err)
	}
	stamp(set, 1, 0, 0)
	good := set[sizePrefix:]
	for n := range good { // cut anywhere: not whole, no error
		if _, _, ok, err := cutBatch(good[:n]); ok || err != nil {
			t.Fatalf("cut at %d: ok=%v, %v", n, ok, err)
		}
	}
	for i := atMagic; i < len(good); i++ { // a byte altered anywhere behind the length
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if _, _, ok, err := cutBatch(bad); ok || err == nil {
			t.Fatalf("byte %d altered: ok=%v, %v", i, ok, err)
		}
	}
	b, rest, ok, err := cutBatch(append(bytes.Clone(good), good[:30]...))
	if !ok || err != nil || len(rest) != 30 || b.last != 4 {
		t.Fatal(ok, err, len(rest), b.last)
	}
	for n := range len(b.packed) { // records cut short under a right checksum
		short := b
		short.packed = b.packed[:n]
		if _, err := short.unpack(); err == nil {
			t.Fatalf("records cut at %d were read", n)
		}
	}
}

func TestAbortedTransactionsWalk(t *testing.T) {
	type step struct { // a batch, in order; a marker where end is not ""
		producer, base int64
		plain          bool
		end            string
		visible        bool
	}
	for _, tt := range []struct {
		name    string
		aborted []abortedTxn
		steps   []step
	}{
		{"nothing aborted", nil, []step{{producer: 1, base: 0, visible: true}, {producer: 1, base: 3, end: "commit"}, {producer: 1, base: 4, visible: true}}},
		{"one aborted, then one committed", []abortedTxn{{1, 0}}, []step{
			{producer: 1, base: 0}, {producer: 1, base: 5}, {producer: 1, base: 9, end: "abort"}, {producer: 1, base: 10, visible: true}}},
		{"another producer's batches between", []abortedTxn{{1, 0}}, []step{
			{producer: 1, base: 0}, {producer: 2, base: 2, visible: true}, {producer: 1, base: 4}, {producer: 2, base: 6, end: "commit"},
			{producer: 1, base: 7, end: "abort"}, {producer: 1, base: 8, visible: true}}},
		{"not transactional", []abortedTxn{{-1, 0}}, []step{{producer: -1, base: 0, plain: true, visible: true}}},
		{"unsorted, twice the same producer", []abortedTxn{{1, 20}, {2, 3}, {1, 0}}, []step{
			{producer: 1, base: 0}, {producer: 2, base: 3}, {producer: 1, base: 5, end: "abort"}, {producer: 1, base: 6, visible: true},
			{producer: 1, base: 8, end: "commit"}, {producer: 2, base: 9, end: "abort"}, {producer: 1, base: 20}, {producer: 1, base: 21, end: "abort"},
			{producer: 1, base: 22, visible: true}}},
		{"begun before the fetch", []abortedTxn{{1, 0}}, []step{{producer: 1, base: 50}, {producer: 1, base: 60, end: "abort"}, {producer: 1, base: 61, visible: true}}},
		// Compaction has removed the aborted records; their marker is left. Were the entry taken up by the next record batch only, it
		// would hide what was committed after the marker.
		{"only the marker is left", []abortedTxn{{1, 10}}, []step{{producer: 1, base: 15, end: "abort"}, {producer: 1, base: 16, visible: true}}},
		{"only the marker is left, and another aborted", []abortedTxn{{1, 10}, {1, 17}}, []step{
			{producer: 1, base: 15, end: "abort"}, {producer: 1, base: 17}, {producer: 1, base: 19, end: "abort"}, {producer: 1, base: 20, visible: true}}},
		{"a commit marker does not end an aborted one", []abortedTxn{{2, 1}}, []step{{producer: 1, base: 0, visible: true}, {producer: 2, base: 1},
			{producer: 1, base: 2, end: "commit"}, {producer: 2, base: 3}, {producer: 2, base: 4, end: "abort"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newTxnFilter(tt.aborted)
			for i, s := range tt.steps {
				if s.end != "" {
					f.marker(s.producer, s.base, s.end == "abort")
				} else if got := f.visible(s.producer, s.base, !s.plain); got != s.visible {
					t.Errorf("step %d: visible=%v", i, got)
				}
			}
		})
	}
}

// TestEmptyEndIsPassed reads a batch whose records compaction has removed: its last offset counts all the same.
func TestEmptyEndIsPassed(t *testing.T) {
	set, err := appendBatch(nil, sample(3), compress.None, 0)
	if err != nil {
		t.Fatal(err)
	}
	empty := bytes.Clone(set[:sizePrefix+headerSize])
	binary.BigEndian.PutUint32(empty[sizePrefix+atLength:], headerSize-12)
	binary.BigEndian.PutUint32(empty[sizePrefix+atLastDelta:], 41)
	binary.BigEndian.PutUint32(empty[sizePrefix+atCount:], 0)
	stamp(empty, 1, 0, 0)
	stamp(set, 1, 0, 0)
	binary.BigEndian.PutUint64(empty[sizePrefix:], 3)
	r := &reader{until: 45}
	var got []int64
	more, err := r.pass(&fetched{set: append(set[sizePrefix:], empty[sizePrefix:]...)}, func(rec connector.Committed, _ error) bool {
		got = append(got, rec.Offset)
		return true
	})
	if err != nil || !more || r.position != 45 || !reflect.DeepEqual(got, []int64{0, 1, 2}) {
		t.Fatal(more, err, r.position, got)
	}
}

func TestSequenceStartsAgain(t *testing.T) {
	for _, tt := range []struct {
		seq  int32
		n    int
		want int32
	}{{0, 5, 5}, {1<<31 - 2, 1, 1<<31 - 1}, {1<<31 - 1, 1, 0}, {1<<31 - 3, 10, 7}} {
		if got := sequenceAfter(tt.seq, tt.n); got != tt.want {
			t.Errorf("%d after %d: %d, not %d", tt.n, tt.seq, got, tt.want)
		}
	}
}

func FuzzFetchAnswer(f *testing.F) {
	f.Add([]byte{}, int16(11))
	for codec := compress.None; codec <= compress.Zstd; codec++ {
		set, err := appendBatch(nil, sample(4), codec, 9)
		if err != nil {
			f.Fatal(err)
		}
		stamp(set, 1, 0, 0)
		body := append(make([]byte, 8+2+4), 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1)
		body = append(body, make([]byte, 4+2+8+8+8)...)
		body = append(body, 0, 0, 0, 1)
		body = append(body, make([]byte, 16+4)...)
		f.Add(append(body, set...), int16(11))
		f.Add(set, int16(4))
	}
	f.Fuzz(func(t *testing.T, body []byte, version int16) {
		answer, err := parseFetch(body, version)
		if err != nil {
			return
		}
		r := &reader{until: -1}
		last := int64(-1)
		_, err = r.pass(answer, func(rec connector.Committed, _ error) bool {
			if rec.Offset <= last {
				t.Fatalf("offset %d after %d", rec.Offset, last)
			}
			last = rec.Offset
			return true
		})
		if end := answer.end(0); err == nil && end != r.position {
			t.Fatalf("its end is %d, read to %d", end, r.position)
		}
	})
}

// FuzzRecords reads records under a right checksum.
func FuzzRecords(f *testing.F) {
	f.Add(appendRecords(nil, sample(3)), 3, int16(0))
	f.Add([]byte{1, 2, 3}, 1<<30, int16(4))
	f.Fuzz(func(t *testing.T, packed []byte, count int, attributes int16) {
		b := batch{packed: packed, count: max(0, count), attributes: attributes & codecMask, last: int64(max(0, count))}
		recs, err := b.unpack()
		if err == nil && len(recs) != b.count {
			t.Fatalf("%d records of %d", len(recs), b.count)
		}
	})
}
