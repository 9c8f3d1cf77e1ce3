package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"
	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
)

const (
	requestBytes = 16 << 20 // of a produce request; brokers take 100 MiB (socket.request.max.bytes)
	resends      = 10       // of batches that answer 19
)

// produce sends the batches, leaders in parallel, one request at a time to each: two requests of one transaction in
// flight to a broker displace each other's verification. A *connector.TooLargeError is returned only where nothing else failed.
func (t *transaction) produce(ctx context.Context, leaders map[partition]int32) error {
	of := map[int32][]partition{}
	for _, at := range t.parts {
		of[leaders[at]] = append(of[leaders[at]], at)
	}
	errs := make(chan error, len(of))
	var g errgroup.Group
	for _, parts := range of {
		g.Go(func() error {
			err := t.produceTo(ctx, parts)
			var large *connector.TooLargeError
			if errors.As(err, &large) {
				errs <- err
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	close(errs)
	return <-errs
}

// produceTo sends the batches of the partitions that one broker leads: one batch of each partition in a request, in
// order, until none is left.
func (t *transaction) produceTo(ctx context.Context, parts []partition) error {
	next := make(map[partition]int, len(parts))
	for {
		var batches []*chunk
		size := 0
		for _, at := range parts {
			chunks := t.chunks[at]
			i := next[at]
			if i == len(chunks) || len(batches) > 0 && size+len(chunks[i].set) > requestBytes {
				continue
			}
			batches = append(batches, chunks[i])
			size += len(chunks[i].set)
			next[at]++
		}
		if len(batches) == 0 {
			return nil
		}
		if err := t.write(ctx, batches, size); err != nil {
			return err
		}
	}
}

// write sends batches of size bytes in one request, and again those that answer 19.
func (t *transaction) write(ctx context.Context, batches []*chunk, size int) error {
	timeout := requestTimeout + time.Duration(size>>20)*250*time.Millisecond
	return repeat(ctx, kafkago.NotEnoughReplicas, 5*time.Millisecond, 100*time.Millisecond, resends, func() error {
		res, err := ask[*produce.Response](ctx, t.p.c, timeout, t.request(batches))
		if err != nil {
			return err
		}
		batches, err = t.acknowledge(batches, res)
		return err
	})
}

func (t *transaction) request(batches []*chunk) *rawproduce.Request {
	req := &rawproduce.Request{TransactionalID: t.p.id, Acks: -1, Timeout: int32(requestTimeout.Milliseconds())}
	for _, ch := range batches {
		i := slices.IndexFunc(req.Topics, func(t rawproduce.RequestTopic) bool { return t.Topic == ch.at.topic })
		if i < 0 {
			i = len(req.Topics)
			req.Topics = append(req.Topics, rawproduce.RequestTopic{Topic: ch.at.topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rawproduce.RequestPartition{
			Partition: ch.at.id, RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(ch.set)},
		})
	}
	return req
}

// acknowledge takes the offsets from the answer and returns the batches that are not written yet, with the weightiest error: what is
// unknown before a size that is refused, and that before 19.
func (t *transaction) acknowledge(batches []*chunk, res *produce.Response) ([]*chunk, error) {
	answers := map[partition]*produce.ResponsePartition{}
	for _, topic := range res.Topics {
		for i := range topic.Partitions {
			answers[partition{topic.Topic, topic.Partitions[i].Partition}] = &topic.Partitions[i]
		}
	}
	var left []*chunk
	var large, again error
	for _, ch := range batches {
		answer := answers[ch.at]
		if answer == nil {
			return nil, fmt.Errorf("%s: no word of it in the answer", ch.at)
		}
		err := code(answer.ErrorCode)
		switch {
		case err == nil:
			ch.wrote(answer.BaseOffset)
			continue
		case errors.Is(err, kafkago.MessageSizeTooLarge), errors.Is(err, kafkago.RecordListTooLarge):
			t.p.c.forgetLimit(ch.at.topic)
			large = t.tooLarge(ch)
		case errors.Is(err, kafkago.NotEnoughReplicas):
			again = fmt.Errorf("%s: %w: %s", ch.at, err, answer.ErrorMessage)
		default:
			return nil, fmt.Errorf("%s: %w: %s", ch.at, err, answer.ErrorMessage)
		}
		left = append(left, ch)
	}
	if large != nil {
		return left, large
	}
	return left, again
}

// wrote notes where the batch's records stand.
func (ch *chunk) wrote(base int64) {
	ch.written = true
	for i := range ch.offsets {
		*ch.offsets[i] = base + int64(i)
	}
}

// tooLarge blames the largest record of a batch that the broker refused.
func (t *transaction) tooLarge(ch *chunk) error {
	worst := slices.MaxFunc(ch.recs, func(a, b *connector.Record) int { return recordSize(a) - recordSize(b) })
	return &connector.TooLargeError{Topic: ch.at.topic, Key: worst.Key, Size: headerSize + recordSize(worst), Limit: t.limits[ch.at.topic]}
}
