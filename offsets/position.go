package offsets

import (
	"bytes"
	"context"
	"fmt"

	"github.com/calcdc/calcdc/connector"
)

// position is how far a partition has been folded.
type position struct {
	next int64                   // the offset to read from
	bad  map[string]*RecordError // by key: undecodable, and not yet followed by another record of that key
}

// read adds the records from the position up to the barrier at offset end and moves the position.
func (p *position) read(ctx context.Context, r Reader, topic string, partition int32, end int64, add func(key, value []byte) error) error {
	last := int64(-1)
	for rec, err := range r.Read(ctx, topic, partition, p.next, end+1) {
		if err != nil {
			return fmt.Errorf("folding %s: %w", topic, err)
		}
		if err := p.take(&rec, add); err != nil {
			return err
		}
		last = rec.Offset
	}
	if last != end {
		return fmt.Errorf("folding %s partition %d: it ended at offset %d, before our barrier at %d", topic, partition, last, end)
	}
	return p.first()
}

// take adds a record. One that cannot be decoded counts only if no later one replaces it: so a log can be mended by
// writing to it. A null value has nothing to decode and always replaces.
func (p *position) take(rec *connector.Committed, add func(key, value []byte) error) error {
	var err error
	if !bytes.Equal(rec.Key, barrierKey) {
		err = add(rec.Key, rec.Value)
	}
	delete(p.bad, string(rec.Key))
	if err != nil && (rec.Value != nil || len(rec.Key) == 0) {
		bad := &RecordError{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Key: bytes.Clone(rec.Key), Err: err}
		if len(p.bad) == maxBad || len(rec.Key) == 0 {
			return bad
		}
		if p.bad == nil {
			p.bad = map[string]*RecordError{}
		}
		p.bad[string(rec.Key)] = bad
	}
	p.next = rec.Offset + 1
	return nil
}

// first is the undecodable record with the lowest offset.
func (p *position) first() error {
	var first *RecordError
	for _, bad := range p.bad {
		if first == nil || bad.Offset < first.Offset {
			first = bad
		}
	}
	if first == nil {
		return nil
	}
	return first
}
