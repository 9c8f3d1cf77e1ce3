package kafka

import (
	"context"

	"github.com/calcdc/calcdc/connector"
)

// Mark tells how long partitions are: recs, one for each, are written and aborted, so that no committed reader sees them, and their
// offsets are returned. An end that a broker reports may be that of a deposed leader; what was acknowledged by all replicas is
// not (Invariant 4). Errors are as Commit's.
func (p *Producer) Mark(ctx context.Context, recs []connector.Record) ([]int64, error) {
	size, err := p.c.checkSizes(ctx, recs)
	if err != nil {
		return nil, err
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := p.whole(); err != nil {
		return nil, err
	}
	if p.plain {
		return p.lookAtEnds(ctx, recs)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitDeadline) // Invariant 10
	defer cancel()
	k := &call{recs: recs, bytes: size, offsets: make([]int64, len(recs))}
	if err := p.try(ctx, &transaction{p: p, calls: []*call{k}, chunks: map[partition][]*chunk{}, undo: true}); err != nil {
		p.c.reconnect()
		p.stop(err)
		return nil, err
	}
	return k.offsets, nil
}

// whole is why nothing may be sent before Fence, nil where it may.
func (p *Producer) whole() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}
