package kafka

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/compress"
	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
)

const chunkBytes = 1 << 20 // of a batch, uncompressed, where the topic takes it

// chunk is what stands in one batch.
type chunk struct {
	at       partition
	recs     []*connector.Record
	offsets  []*int64 // where their offsets go
	set      []byte   // the encoded record set
	sequence int32    // of its first record
	written  bool     // the broker has acknowledged it
}

// place puts a record into the last batch of its partition, or into a new one where that is full.
func (t *transaction) place(rec *connector.Record, offset *int64, sizes map[partition]int) {
	at := partition{rec.Topic, rec.Partition}
	chunks := t.chunks[at]
	size := recordSize(rec)
	if len(chunks) == 0 || sizes[at]+size > min(chunkBytes, room(t.limits[at.topic])) {
		if len(chunks) == 0 {
			t.parts = append(t.parts, at)
		}
		chunks = append(chunks, &chunk{at: at})
		t.chunks[at] = chunks
		sizes[at] = 0
	}
	last := chunks[len(chunks)-1]
	last.recs = append(last.recs, rec)
	last.offsets = append(last.offsets, offset)
	sizes[at] += size
}

// encode gives each batch its bytes and its place in its partition's sequence. Compression takes most of the time there is, so
// batches are encoded beside one another.
func (t *transaction) encode() error {
	now := time.Now().UnixMilli()
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, at := range t.parts {
		for _, ch := range t.chunks[at] {
			g.Go(func() error { return ch.encode(t.p.c.codec, now) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, at := range t.parts {
		if err := t.split(at, now); err != nil {
			return err
		}
		next := t.p.sequences[at]
		for _, ch := range t.chunks[at] {
			if t.p.plain {
				plainly(ch.set)
				continue
			}
			stamp(ch.set, t.p.producer, t.p.epoch, next)
			ch.sequence = next
			next = sequenceAfter(next, len(ch.recs))
		}
	}
	return nil
}

func (ch *chunk) encode(codec compress.Compression, nowMs int64) error {
	set, err := appendBatch(*sets.Get().(*[]byte), ch.recs, codec, nowMs)
	ch.set = set
	return err
}

// split halves the batches of a partition that compression has made larger than the topic takes.
func (t *transaction) split(at partition, nowMs int64) error {
	chunks := t.chunks[at]
	for i := 0; i < len(chunks); i++ {
		for len(chunks[i].set)-sizePrefix > t.limits[at.topic] && len(chunks[i].recs) > 1 {
			halves := chunks[i].halves()
			for _, h := range halves {
				if err := h.encode(t.p.c.codec, nowMs); err != nil {
					return err
				}
			}
			chunks = slices.Replace(chunks, i, i+1, halves...)
		}
	}
	t.chunks[at] = chunks
	return nil
}

// halves cuts a chunk in two.
func (ch *chunk) halves() []*chunk {
	n := len(ch.recs) / 2
	return []*chunk{
		{at: ch.at, recs: ch.recs[:n], offsets: ch.offsets[:n]},
		{at: ch.at, recs: ch.recs[n:], offsets: ch.offsets[n:]},
	}
}

// sets pools the memory of record sets.
var sets = sync.Pool{New: func() any { return new([]byte) }}

// release gives the record sets' memory back. Only after a transaction without error is no request left that may still read it.
func (t *transaction) release() {
	for _, chunks := range t.chunks {
		for _, ch := range chunks {
			set := ch.set[:0]
			ch.set = nil
			sets.Put(&set)
		}
	}
}
