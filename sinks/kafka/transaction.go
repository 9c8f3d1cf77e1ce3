package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/addpartitionstotxn"
	"github.com/segmentio/kafka-go/protocol/endtxn"

	"github.com/calcdc/calcdc/connector"
)

const commitDeadline = 15 * time.Second // for a whole transaction, whatever ctx says

// transaction is one transaction of a producer under way.
type transaction struct {
	p      *Producer
	calls  []*call
	limits map[string]int // max.message.bytes of each topic
	chunks map[partition][]*chunk
	parts  []partition // in order of first use
	undo   bool        // what it holds is written and aborted: of Mark
}

// transact runs one transaction of all that calls hold. An error of type *connector.TooLargeError comes after the transaction was
// aborted; after any other its outcome is unknown.
func (p *Producer) transact(ctx context.Context, calls []*call) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitDeadline) // Invariant 10
	defer cancel()
	return p.try(ctx, &transaction{p: p, calls: calls, chunks: map[partition][]*chunk{}})
}

// try runs a transaction and tells the hook.
func (p *Producer) try(ctx context.Context, t *transaction) error {
	began := time.Now()
	err := t.run(ctx)
	if hook := p.c.cfg.OnTransaction; hook != nil {
		records, size := 0, 0
		for _, k := range t.calls {
			records, size = records+len(k.recs), size+k.bytes
		}
		hook(records, size, time.Since(began), err)
	}
	return err
}

func (t *transaction) run(ctx context.Context) error {
	leaders, err := t.prepare(ctx)
	if err != nil {
		for topic := range t.limits {
			t.p.c.forgetLimit(topic) // one that is gone then fails its own callers only
		}
		return fmt.Errorf("preparing a transaction, of which nothing was sent: %w", explain(err))
	}
	if t.p.plain {
		return t.writePlainly(ctx, leaders)
	}
	if err := t.add(ctx); err != nil {
		return unknown(fmt.Errorf("adding partitions to the transaction: %w", err))
	}
	err = t.produce(ctx, leaders)
	var large *connector.TooLargeError
	if err != nil && !errors.As(err, &large) {
		return unknown(fmt.Errorf("producing: %w", err))
	}
	if end := t.end(ctx, err == nil && !t.undo); end != nil {
		return unknown(fmt.Errorf("ending the transaction: %w", end))
	}
	t.advance()
	if err == nil {
		t.release()
	}
	return err
}

// writePlainly produces without a transaction. What failed is in doubt, also where the broker has refused a batch by its size: the others
// are there.
func (t *transaction) writePlainly(ctx context.Context, leaders map[partition]int32) error {
	if err := t.produce(ctx, leaders); err != nil {
		t.p.mu.Lock()
		t.p.doubtful = true
		t.p.mu.Unlock()
		return fmt.Errorf("%w: producing: %v", ErrOutcomeUnknown, explain(err)) //nolint:errorlint // a size that was refused is no refusal of all
	}
	t.release()
	return nil
}

// prepare cuts the records into batches and encodes them, so that the transaction is open for no longer than it must be, and returns
// each partition's leader.
func (t *transaction) prepare(ctx context.Context) (map[partition]int32, error) {
	t.limits = map[string]int{}
	sizes := map[partition]int{}
	for _, k := range t.calls {
		if err := t.p.c.limitsOf(ctx, k.recs, t.limits); err != nil {
			return nil, err
		}
		for i := range k.recs {
			t.place(&k.recs[i], &k.offsets[i], sizes)
		}
	}
	leaders, err := t.p.c.leaders(ctx, t.parts)
	if err != nil {
		return nil, err
	}
	return leaders, t.encode()
}

// sequenceAfter counts in a partition's sequence, which starts again at 0 after 2³¹-1.
func sequenceAfter(seq int32, n int) int32 { return int32((int64(seq) + int64(n)) & 0x7fffffff) }

// add tells the coordinator of all partitions at once. While the markers of the transaction before are still being
// written it answers 51.
func (t *transaction) add(ctx context.Context) error {
	req := &addpartitionstotxn.Request{TransactionalID: t.p.id, ProducerID: t.p.producer, ProducerEpoch: t.p.epoch}
	for _, topic := range topicsOf(t.parts) {
		rt := addpartitionstotxn.RequestTopic{Name: topic}
		for _, at := range t.parts {
			if at.topic == topic {
				rt.Partitions = append(rt.Partitions, at.id)
			}
		}
		req.Topics = append(req.Topics, rt)
	}
	return repeat(ctx, kafkago.ConcurrentTransactions, 2*time.Millisecond, 200*time.Millisecond, -1, func() error {
		res, err := ask[*addpartitionstotxn.Response](ctx, t.p.c, requestTimeout, req)
		if err != nil {
			return err
		}
		return addError(res)
	})
}

const notAttempted = 55 // OPERATION_NOT_ATTEMPTED: another partition of the request failed

// addError is the answer's weightiest error: beside a partition's own, the others are "not attempted".
func addError(res *addpartitionstotxn.Response) error {
	var first error
	for _, topic := range res.Results {
		for _, p := range topic.Results {
			if p.ErrorCode == 0 {
				continue
			}
			err := fmt.Errorf("%s/%d: %w", topic.Name, p.PartitionIndex, code(p.ErrorCode))
			if p.ErrorCode != notAttempted {
				return err
			}
			first = err
		}
	}
	return first
}

// repeat calls try until it answers something else than this, at most n more times (-1: until ctx ends), doubling the pause.
func repeat(ctx context.Context, this kafkago.Error, pause, longest time.Duration, n int, try func() error) error {
	for {
		err := try()
		if !errors.Is(err, this) || n == 0 {
			return err
		}
		n--
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(pause):
		}
		pause = min(2*pause, longest)
	}
}

// end commits or aborts.
func (t *transaction) end(ctx context.Context, commit bool) error {
	res, err := ask[*endtxn.Response](ctx, t.p.c, requestTimeout, &endtxn.Request{
		TransactionalID: t.p.id, ProducerID: t.p.producer, ProducerEpoch: t.p.epoch, Committed: commit,
	})
	if err != nil {
		return err
	}
	return code(res.ErrorCode)
}

// advance moves the sequences behind what the brokers have written, also in a transaction that was aborted.
func (t *transaction) advance() {
	for at, chunks := range t.chunks {
		for _, ch := range chunks {
			if ch.written {
				t.p.sequences[at] = sequenceAfter(ch.sequence, len(ch.recs))
			}
		}
	}
}
