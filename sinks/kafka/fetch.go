package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

const (
	fetchBytes    = 8 << 20
	minFetchBytes = 256 << 10
	fetchWait     = 500 * time.Millisecond
	fetchLimit    = 1 << 30 // of one answer: a batch comes whole, however large
)

// fetchRequest is a fetch of one partition whose answer is read here: kafka-go's loses where a batch ends.
type fetchRequest struct {
	fetch.Request
	version  int16
	clientID string
}

// Required takes the version that was agreed with the broker.
func (r *fetchRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = versions[protocol.Fetch]
	return true
}

// RawExchange sends the request and reads its answer.
func (r *fetchRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if r.version < 4 {
		return nil, fmt.Errorf("the broker speaks version %d of fetch, before transactions: %w", r.version, kafkago.UnsupportedVersion)
	}
	if err := protocol.WriteRequest(rw, r.version, 1, r.clientID, &r.Request); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(rw, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > fetchLimit {
		return nil, fmt.Errorf("fetching: an answer of %d bytes is too large", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(rw, body); err != nil {
		return nil, err
	}
	return parseFetch(body, r.version)
}

// abortedTxn is a transaction that was aborted in the range of a fetch.
type abortedTxn struct{ producer, first int64 }

// fetched is the answer to a fetch of one partition.
type fetched struct {
	err     error
	stable  int64 // last stable offset: below it every transaction has ended
	aborted []abortedTxn
	set     []byte // record batches, the last one perhaps cut
}

// ApiKey makes fetched a message of kafka-go.
func (*fetched) ApiKey() protocol.ApiKey { return protocol.Fetch }

// end is the offset behind the last batch that is whole, from where there is none. What makes no sense is left to those who read the
// batches.
func (f *fetched) end(from int64) int64 {
	for set := f.set; len(set) >= headerSize; {
		size := int64(int32(binary.BigEndian.Uint32(set[atLength:]))) + atLength + 4
		if size < headerSize || size > int64(len(set)) {
			break
		}
		from = max(from, lastOffset(set)+1)
		set = set[size:]
	}
	return from
}

// parseFetch reads the body of a fetch response of versions 4 to 11, from its correlation id on.
func parseFetch(body []byte, version int16) (*fetched, error) {
	p := parser{b: body}
	f := &fetched{}
	p.take(4 + 4) // correlation id, throttle time
	if version >= 7 {
		f.err = code(p.int16())
		p.take(4) // session
	}
	p.list(6, func() {
		p.take(int(p.int16())) // topic
		p.list(30, func() { f.partition(&p, version) })
	})
	if p.err != nil {
		return nil, fmt.Errorf("fetching: reading the answer: %w", p.err)
	}
	return f, nil
}

func (f *fetched) partition(p *parser, version int16) {
	p.take(4) // index
	if err := code(p.int16()); f.err == nil {
		f.err = err
	}
	p.take(8) // high watermark
	f.stable = p.int64()
	if version >= 5 {
		p.take(8) // log start: -1 beside an error
	}
	p.list(16, func() { f.aborted = append(f.aborted, abortedTxn{p.int64(), p.int64()}) })
	if version >= 11 {
		p.take(4) // preferred read replica
	}
	if n := p.int32(); n > 0 {
		f.set = p.take(int(n))
	}
}

// fetch asks the partition's leader for what is committed from an offset on.
func (c *Client) fetch(ctx context.Context, p partition, from int64, size int, wait time.Duration) (*fetched, error) {
	f, err := ask[*fetched](ctx, c, wait+requestTimeout, &fetchRequest{clientID: c.cfg.ClientID, Request: fetch.Request{
		ReplicaID: -1, MaxWaitTime: int32(wait.Milliseconds()), MinBytes: 1, MaxBytes: int32(size), IsolationLevel: 1, SessionEpoch: -1,
		Topics: []fetch.RequestTopic{{Topic: p.topic, Partitions: []fetch.RequestPartition{
			{Partition: p.id, CurrentLeaderEpoch: -1, FetchOffset: from, LogStartOffset: -1, PartitionMaxBytes: int32(size)},
		}}},
	}})
	if err != nil {
		return nil, err
	}
	return f, f.err
}

// txnFilter tells the batches of one answer that committed readers see. Aborted transactions become active when the
// walk reaches their first offset and cease with their marker. They are taken up at control batches too: compaction
// may have removed the aborted records and left the marker alone.
type txnFilter struct {
	pending []abortedTxn // by first offset
	active  map[int64]bool
}

func newTxnFilter(aborted []abortedTxn) *txnFilter {
	pending := slices.Clone(aborted)
	slices.SortFunc(pending, func(a, b abortedTxn) int { return int(min(1, max(-1, a.first-b.first))) })
	return &txnFilter{pending: pending, active: map[int64]bool{}}
}

// takeUp makes the transactions that began at or before an offset active.
func (f *txnFilter) takeUp(offset int64) {
	for len(f.pending) > 0 && f.pending[0].first <= offset {
		f.active[f.pending[0].producer] = true
		f.pending = f.pending[1:]
	}
}

// marker passes a control record.
func (f *txnFilter) marker(producer, offset int64, abort bool) {
	f.takeUp(offset)
	if abort {
		delete(f.active, producer)
	}
}

// visible passes a record batch and tells whether its records are committed.
func (f *txnFilter) visible(producer, base int64, transactional bool) bool {
	f.takeUp(base)
	return !transactional || !f.active[producer]
}
