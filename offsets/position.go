package offsets

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// position is how far a partition has been folded.
type position struct {
	next int64                   // the offset to read from
	last print                   // a record before it
	seek *print                  // a record that was folded: to be found again before anything is read
	kept print                   // the one that a cache has
	sure bool                    // the topic is known to be the one that was folded
	bad  map[string]*RecordError // by key: undecodable, and not yet followed by another record of that key
}

// read adds the records from the position up to the barrier at offset end and moves the position.
func (p *position) read(ctx context.Context, r Reader, topic string, partition int32, end int64, add func(key, value []byte) error) error {
	last, from := int64(-1), p.next
	if p.seek != nil {
		from = p.seek.Offset
	}
	for rec, err := range r.Read(ctx, topic, partition, from, end+1) {
		if err != nil {
			return fmt.Errorf("folding %s: %w", topic, err)
		}
		if err := p.recognise(&rec); err != nil {
			return err
		}
		if rec.Offset < p.next {
			continue
		}
		if err := p.take(&rec, add); err != nil {
			return err
		}
		last = rec.Offset
	}
	if last != end {
		return fmt.Errorf("folding %s partition %d: it ended at offset %d, before our barrier at %d", topic, partition, last, end)
	}
	p.last = printOf(end, barrierKey, nil)
	return p.first()
}

// take adds a record. One that cannot be decoded counts only if no later one replaces it: so a log can be mended by
// writing to it. A null value has nothing to decode and always replaces.
func (p *position) take(rec *connector.Committed, add func(key, value []byte) error) error {
	var err error
	if !bytes.Equal(rec.Key, barrierKey) {
		err = add(rec.Key, rec.Value)
	}
	if errors.As(err, new(*damageError)) {
		return err
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

// doubt has the last record that was folded found again before more is read: while another owner had the partition, the topic may have been made
// anew.
func (p *position) doubt() {
	if p.seek == nil && p.last != (print{}) {
		last := p.last
		p.seek, p.sure = &last, false
	}
}

// recognise tells, by the first record that is read, whether the topic is the one that was folded, or that a cache is of. That the record is no longer
// there is what compaction does.
func (p *position) recognise(rec *connector.Committed) error {
	want := p.seek
	if want == nil {
		return nil
	}
	p.seek = nil
	switch {
	case rec.Offset == want.Offset && printOf(rec.Offset, rec.Key, rec.Value) != *want:
		return stale(fmt.Sprintf("another record stands at offset %d of %s", rec.Offset, rec.Topic))
	case rec.Offset != want.Offset && !p.sure:
		return stale(fmt.Sprintf("the record at offset %d of %s is gone, and no id tells the topic from another", want.Offset, rec.Topic))
	}
	return nil
}

// place is how far the topic is folded, for a cache; low is how far at most.
func (p *position) place(low int64, at time.Time) *place {
	for _, bad := range p.bad { // to be found again
		low = min(low, bad.Offset)
	}
	to := &place{Next: min(low, p.next), Ms: at.UnixMilli(), Last: p.last}
	if to.Last.Offset >= to.Next {
		to.Last = p.kept
	}
	p.kept = to.Last
	return to
}

// position is where a fold goes on that a cache holds.
func (at place) position(sure bool) position {
	p := position{next: at.Next, last: at.Last, kept: at.Last, sure: sure}
	if at.Last != (print{}) {
		p.seek = &at.Last
	}
	return p
}

// print identifies a record. The zero value is none.
type print struct {
	Offset int64  `json:"offset"`
	Sum    uint64 `json:"sum"`
}

func printOf(offset int64, key, value []byte) print {
	h := connector.HashOf(key, []byte{0}, value)
	return print{Offset: offset, Sum: binary.BigEndian.Uint64(h[:]) | 1}
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
