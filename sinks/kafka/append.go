package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"

	"github.com/calcdc/calcdc/connector"
)

// Append writes one record outside of any transaction, as a signal is, and returns its offset. Where the broker has not said that it has
// it, the error wraps ErrOutcomeUnknown: it may stand there all the same.
func (c *Client) Append(ctx context.Context, rec connector.Record) (int64, error) {
	at := partition{rec.Topic, rec.Partition}
	set, err := appendBatch(nil, []*connector.Record{&rec}, c.codec, time.Now().UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("encoding a record for %s: %w", at, err)
	}
	unbind(set)
	var offset int64
	err = retry(ctx, waitForTopic, func() (bool, error) {
		if _, err := c.leaders(ctx, []partition{at}); err != nil {
			return false, err
		}
		offset, err = c.append(ctx, at, set)
		return errors.Is(err, kafkago.NotLeaderForPartition), err // which has not taken it
	})
	if err != nil {
		return 0, fmt.Errorf("writing to %s: %w", at, explain(err))
	}
	return offset, nil
}

// append sends the record set once.
func (c *Client) append(ctx context.Context, at partition, set []byte) (int64, error) {
	res, err := ask[*produce.Response](ctx, c, requestTimeout, &rawproduce.Request{
		Acks: -1, Timeout: int32(requestTimeout.Milliseconds()),
		Topics: []rawproduce.RequestTopic{{Topic: at.topic, Partitions: []rawproduce.RequestPartition{
			{Partition: at.id, RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(set)}},
		}}},
	})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("%w: no word of it in the answer", ErrOutcomeUnknown)
	}
	answer := res.Topics[0].Partitions[0]
	if err := code(answer.ErrorCode); err != nil {
		return 0, fmt.Errorf("%w: %s", err, answer.ErrorMessage)
	}
	return answer.BaseOffset, nil
}
