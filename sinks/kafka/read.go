package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/calcdc/calcdc/connector"
)

// ErrOutOfRange says that a partition no longer, or not yet, holds the offset to read from: it was cut by retention, or the
// topic is another one than before.
var ErrOutOfRange = errors.New("offset is outside of the partition")

// Read yields the committed records of a partition with from ≤ offset < until in order, and returns once until has been passed. With
// until < 0 it follows the partition until ctx ends. Faults that pass (a leader moves, connections break) are retried: for ever when
// following, else for 30 s; an error is yielded last, with a zero record. From 0 is the partition's beginning, wherever it is.
//
// A record's bytes belong to the caller but share memory with its batch: copy what is kept for long out of much that is not.
func (c *Client) Read(ctx context.Context, topic string, part int32, from, until int64) iter.Seq2[connector.Committed, error] {
	return func(yield func(connector.Committed, error) bool) {
		f := &fetching{c: c, p: partition{topic, part}, at: from, until: until, bytes: fetchBytes}
		r := &reader{p: f.p, position: from, until: until}
		if err := r.run(ctx, f, yield); err != nil {
			yield(connector.Committed{}, fmt.Errorf("reading %s from offset %d: %w", r.p, r.position, explain(err)))
		}
	}
}

// reader is a position in a partition.
type reader struct {
	p               partition
	position, until int64
}

// run passes one answer while the next is on its way.
func (r *reader) run(ctx context.Context, from *fetching, yield func(connector.Committed, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	var ending sync.WaitGroup
	defer ending.Wait()
	defer cancel()
	answers := make(chan *fetched)
	var failed error // written before answers is closed
	ending.Go(func() {
		defer close(answers)
		failed = from.run(ctx, answers)
	})
	for f := range answers {
		more, err := r.pass(f, yield)
		if err != nil || !more {
			return err
		}
	}
	return failed
}

// pass yields what is committed in an answer and moves the position behind it; false where the consumer stopped.
func (r *reader) pass(f *fetched, yield func(connector.Committed, error) bool) (bool, error) {
	filter := newTxnFilter(f.aborted)
	for set := f.set; ; {
		b, rest, ok, err := cutBatch(set)
		if err != nil || !ok {
			return err == nil, err
		}
		set = rest
		recs, err := r.committed(&b, filter)
		if err != nil {
			return false, err
		}
		for i := range recs {
			if !r.yield(&recs[i], yield) {
				return false, nil
			}
		}
		r.position = max(r.position, b.last+1)
	}
}

// committed returns the batch's records where they are committed data.
func (r *reader) committed(b *batch, filter *txnFilter) ([]connector.Committed, error) {
	if b.control() {
		recs, err := b.unpack()
		for i := range recs {
			key := recs[i].Key // version i16, type i16: 0 abort, 1 commit
			filter.marker(b.producer, recs[i].Offset, len(key) >= 4 && binary.BigEndian.Uint16(key[2:]) == 0)
		}
		return nil, err
	}
	if !filter.visible(b.producer, b.base, b.transactional()) || b.last < r.position {
		return nil, nil
	}
	return b.unpack()
}

func (r *reader) yield(rec *connector.Committed, yield func(connector.Committed, error) bool) bool {
	if rec.Offset < r.position || r.until >= 0 && rec.Offset >= r.until {
		return true
	}
	rec.Topic, rec.Partition = r.p.topic, r.p.id
	r.position = rec.Offset + 1
	return yield(*rec, nil)
}
