package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/calcdc/calcdc/connector"
)

// readPatience is how long a Read with an end goes on without any answer that brings it further.
const readPatience = 30 * time.Second

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
		r := &reader{c: c, p: partition{topic, part}, position: from, until: until, bytes: fetchBytes}
		if err := r.run(ctx, yield); err != nil {
			yield(connector.Committed{}, fmt.Errorf("reading %s from offset %d: %w", r.p, r.position, explain(err)))
		}
	}
}

// reader is a position in a partition.
type reader struct {
	c               *Client
	p               partition
	position, until int64
	bytes           int       // to ask for; fewer after a timeout
	moved           time.Time // when the position last moved
}

// stalled is how long a Read with an end waits for a broker that answers without bringing it further: longer than any
// transaction of others may stay open and hide what is behind it.
const stalled = 2 * time.Minute

func (r *reader) run(ctx context.Context, yield func(connector.Committed, error) bool) error {
	r.c.know(r.p.topic)
	r.moved = time.Now()
	for r.until < 0 || r.position < r.until {
		f, err := r.fetch(ctx)
		if err != nil {
			return err
		}
		before := r.position
		more, err := r.pass(f, yield)
		if err != nil || !more {
			return err
		}
		if r.position > before {
			r.moved = time.Now()
		} else if r.until >= 0 && time.Since(r.moved) > stalled {
			return fmt.Errorf("nothing more was committed for %v; offset %d was to be reached, the last stable one is %d", stalled, r.until, f.stable)
		}
	}
	return nil
}

// fetch returns an answer that is no error, retrying what passes.
func (r *reader) fetch(ctx context.Context) (*fetched, error) {
	patience := readPatience
	if r.until < 0 {
		patience = 0
	}
	var f *fetched
	began, warn := time.Now(), r.c.warner("reading fails, trying on", "partition", r.p.String())
	err := retry(ctx, patience, func() (bool, error) {
		var err error
		f, err = r.c.fetch(ctx, r.p, r.position, r.bytes, fetchWait)
		switch {
		case err == nil || ctx.Err() != nil:
			return false, err
		case errors.Is(err, kafkago.OffsetOutOfRange):
			passes, err := r.outOfRange(ctx)
			return passes && time.Since(began) < readPatience, err
		case errors.Is(err, context.DeadlineExceeded):
			r.bytes = max(r.bytes/2, minFetchBytes)
		}
		warn(err)
		return !refused(err), err
	})
	return f, err
}

// outOfRange finds out what lies behind that answer, and whether it may pass: a leader that was deposed without knowing has an
// end before our position.
func (r *reader) outOfRange(ctx context.Context) (passes bool, err error) {
	start, err := r.c.Start(ctx, r.p.topic, r.p.id)
	if err != nil {
		return true, err
	}
	if r.position >= start {
		return true, fmt.Errorf("%w: its end is before it", ErrOutOfRange)
	}
	if r.position > 0 {
		return false, fmt.Errorf("%w: it begins at %d", ErrOutOfRange, start)
	}
	r.position = start
	return true, fmt.Errorf("%w: it begins at %d", ErrOutOfRange, start)
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
