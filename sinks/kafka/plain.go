package kafka

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// NewPlainProducer makes a producer for brokers without transactions. It asks for no producer id, and fences nobody: there must be one for
// a partition of the offsets in all processes. Commit returns once all replicas have acknowledged; after an error, part of the records
// may be there, or come yet: so Fence lets settle pass first.
func (c *Client) NewPlainProducer(settle time.Duration) *Producer {
	return &Producer{c: c, plain: true, settle: settle, turn: make(chan struct{}, 1), broken: errNotFenced}
}

// calm waits until what a broken plain producer has sent is written or given up. A wait that is cut short begins again.
func (p *Producer) calm(ctx context.Context) error {
	p.mu.Lock()
	sent := p.doubtful
	p.mu.Unlock()
	if !sent {
		return nil
	}
	select {
	case <-time.After(p.settle):
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	p.doubtful = false
	p.mu.Unlock()
	return nil
}

// plainly makes a record set one of no transaction and no producer.
func plainly(set []byte) {
	b := set[sizePrefix:]
	be := binary.BigEndian
	be.PutUint16(b[atAttributes:], be.Uint16(b[atAttributes:])&^flagTxn)
	be.PutUint64(b[atProducer:], ^uint64(0))
	be.PutUint16(b[atEpoch:], ^uint16(0))
	be.PutUint32(b[atSequence:], ^uint32(0))
	be.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
}

// lookPause is between two looks at an end, endLooks how many there are.
const (
	lookPause = 300 * time.Millisecond
	endLooks  = 4
)

// lookAtEnds is Mark without transactions: the highest of several answers, because a broker that has been deposed answers with an old end
// for a moment.
func (p *Producer) lookAtEnds(ctx context.Context, recs []connector.Record) ([]int64, error) {
	ends := make([]int64, len(recs))
	for look := range endLooks {
		if look > 0 {
			select {
			case <-time.After(lookPause):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		for i := range recs {
			end, err := p.c.End(ctx, recs[i].Topic, recs[i].Partition)
			if err != nil {
				return nil, err
			}
			ends[i] = max(ends[i], end)
		}
	}
	return ends, nil
}
