package kafka

import (
	"context"

	"github.com/segmentio/kafka-go/protocol/metadata"

	"github.com/calcdc/calcdc/connector"
)

// LateRequest sends a request on a transport that was let go after it had been chosen for it.
func LateRequest(ctx context.Context, c *Client, newTopic string) error {
	t := c.transport
	c.know(newTopic)
	_, err := c.send(ctx, t, c.addr, &metadata.Request{TopicNames: []string{}})
	return err
}

// Waiting is how many calls of Commit wait for their transaction.
func (p *Producer) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

// LeaveOpen begins a transaction with recs and does not end it, as a process that dies does.
func LeaveOpen(ctx context.Context, p *Producer, recs ...connector.Record) error {
	k := &call{recs: recs, offsets: make([]int64, len(recs))}
	t := &transaction{p: p, calls: []*call{k}, chunks: map[partition][]*chunk{}}
	leaders, err := t.prepare(ctx)
	if err == nil {
		err = t.add(ctx)
	}
	if err == nil {
		err = t.produce(ctx, leaders)
	}
	t.advance()
	return err
}
