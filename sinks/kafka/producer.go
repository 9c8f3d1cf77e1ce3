package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/segmentio/kafka-go/protocol/initproducerid"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/calcdc/calcdc/connector"
)

// Producer is a transactional id in our hands. It is safe for use by many goroutines: what they commit at the same time
// shares transactions, because brokers do tens of those a second and hundreds of thousands of records.
type Producer struct {
	c  *Client
	id string

	plain  bool          // without transactions: id is empty
	settle time.Duration // how long what a broken plain producer has sent may take to be written

	turn chan struct{} // held by whoever runs a transaction, or fences

	mu     sync.Mutex
	queue  []*call // waiting for their transaction, in order of arrival
	broken error   // why nothing may be committed until Fence

	doubtful bool // of a plain producer: what it has sent may come yet

	// Of the owner of turn:
	producer  int64
	epoch     int16
	sequences map[partition]int32 // of the next record
}

// call is one Commit. Its result holds once done is closed.
type call struct {
	recs    []connector.Record
	bytes   int // uncompressed
	offsets []int64
	err     error
	done    chan struct{}
}

var errNotFenced = errors.New("the transactional id has not been fenced yet: Fence comes first")

// NewProducer makes a producer; Fence makes it the owner of its id. Only one process at a time owns an id, and within a process
// there should be only one Producer for it.
func (c *Client) NewProducer(transactionalID string) *Producer {
	return &Producer{c: c, id: transactionalID, turn: make(chan struct{}, 1), broken: errNotFenced}
}

// Fence makes this producer the owner of its transactional id: earlier owners can commit no more, and what they had left open is
// finished (Invariant 4). It waits for a transaction that runs, refuses those that wait with ErrOutcomeUnknown, and goes on trying until it has
// succeeded, ctx ends, or the broker refuses it. connector.ErrFenced: yet another owner came in between.
func (p *Producer) Fence(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	p.stop(fmt.Errorf("%w: its producer is being fenced", ErrOutcomeUnknown))
	if p.plain {
		if err := p.calm(ctx); err != nil {
			return err
		}
	} else if err := p.init(ctx); err != nil {
		return fmt.Errorf("fencing transactional id %s: %w", p.id, err)
	}
	p.sequences = map[partition]int32{}
	p.mu.Lock()
	p.broken = nil
	p.mu.Unlock()
	return nil
}

// init asks for a new epoch until it has one. While an earlier transaction is being finished the answer is 51.
func (p *Producer) init(ctx context.Context) error {
	pause := patient(50*time.Millisecond, 2*time.Second)
	warn := p.c.warner("fencing a transactional id fails, trying on", "transactional_id", p.id)
	return backoff.Retry(func() error {
		res, err := ask[*initproducerid.Response](ctx, p.c, requestTimeout, &initproducerid.Request{
			TransactionalID: p.id, TransactionTimeoutMs: int32(p.c.cfg.TransactionTimeout.Milliseconds()), ProducerID: -1, ProducerEpoch: -1,
		})
		if err == nil {
			err = code(res.ErrorCode)
		}
		switch {
		case err == nil:
			p.producer, p.epoch = res.ProducerID, res.ProducerEpoch
		case fenced(err):
			return backoff.Permanent(unknown(err))
		case refused(err):
			return backoff.Permanent(explain(err))
		case errors.Is(err, kafkago.ConcurrentTransactions):
		default:
			warn(err)
			if cause := p.c.cause(ctx); cause != nil {
				return cause
			}
		}
		return err
	}, backoff.WithContext(pause, ctx))
}

// patient paces retries that end only with their context.
func patient(first, last time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(first), backoff.WithMaxInterval(last),
		backoff.WithMultiplier(2), backoff.WithMaxElapsedTime(0))
}

// Commit makes recs visible in one transaction, whole or not at all (Invariant 1), and returns the offset of each. What other
// callers commit at the same time may share the transaction; order within a partition is that of arrival.
//
// A *connector.TooLargeError says that a record cannot be published to its topic as it stands; nothing of recs was, and the producer goes
// on. When ctx ends before the transaction begins nothing was sent either, and ctx's error is returned; afterwards it is
// not heeded (Invariant 10). After any other error the outcome is to be taken as unknown: ErrOutcomeUnknown, or connector.ErrFenced where
// another owner has begun (or the broker's transaction.timeout has passed). Every Commit then fails until Fence has succeeded. A topic that is
// missing fails its caller before anything is sent.
func (p *Producer) Commit(ctx context.Context, recs []connector.Record) ([]int64, error) {
	if len(recs) == 0 {
		return nil, nil
	}
	size, err := p.c.checkSizes(ctx, recs)
	if err != nil {
		return nil, err
	}
	k := &call{recs: recs, bytes: size, offsets: make([]int64, len(recs)), done: make(chan struct{})}
	if err := p.join(ctx, k); err != nil {
		return nil, err
	}
	for {
		select {
		case <-k.done:
			return k.result()
		case p.turn <- struct{}{}:
			p.lead(ctx, k)
			<-p.turn
		case <-ctx.Done():
			if p.leave(k) {
				return nil, ctx.Err()
			}
			<-k.done
			return k.result()
		}
	}
}

func (k *call) result() ([]int64, error) {
	if k.err != nil {
		return nil, k.err
	}
	return k.offsets, nil
}

func (k *call) finished() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

// join puts a call into the queue.
func (p *Producer) join(ctx context.Context, k *call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return p.broken
	}
	p.queue = append(p.queue, k)
	return nil
}

// leave takes a call out of the queue; false where its transaction has begun.
func (p *Producer) leave(k *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, q := range p.queue {
		if q == k {
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			return true
		}
	}
	return false
}

// lead runs the next transaction on behalf of all that are in it, unless mine is done or wants to leave.
func (p *Producer) lead(ctx context.Context, mine *call) {
	if mine.finished() || ctx.Err() != nil {
		return
	}
	defer p.c.enter()()
	calls := p.next()
	if len(calls) == 0 {
		return
	}
	if err := p.commit(ctx, calls); err != nil {
		p.c.reconnect()
		p.stop(err)
	}
}

// next takes the calls of the next transaction off the queue: what is ready, in order, up to the bounds, at least one.
func (p *Producer) next() []*call {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, records, size := 0, 0, 0
	for _, k := range p.queue {
		records += len(k.recs)
		size += k.bytes
		if n > 0 && (records > p.c.cfg.MaxRecords || size > p.c.cfg.MaxBytes) {
			break
		}
		n++
	}
	calls := append([]*call(nil), p.queue[:n]...)
	p.queue = append(p.queue[:0], p.queue[n:]...)
	return calls
}

// stop makes the producer refuse what waits and what comes, until it is fenced again.
func (p *Producer) stop(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = err
	finish(p.queue, err)
	p.queue = nil
}

func finish(calls []*call, err error) {
	for _, k := range calls {
		k.err = err
		close(k.done)
	}
}

// commit runs one transaction of calls, or, where the broker refuses a batch of it as too large, one for each of them, so that
// only the guilty fail. It returns the error that breaks the producer.
func (p *Producer) commit(ctx context.Context, calls []*call) error {
	err := p.transact(ctx, calls)
	var large *connector.TooLargeError
	if !errors.As(err, &large) {
		finish(calls, err)
		return err
	}
	p.c.log.Warn("the broker refused a batch by its size; committing one by one", "transactional_id", p.id, "error", err)
	for i, k := range calls {
		if err := p.commitAlone(ctx, k); err != nil {
			finish(calls[i:], err)
			return err
		}
	}
	return nil
}

// commitAlone runs a transaction of one call, its sizes checked against limits asked for anew.
func (p *Producer) commitAlone(ctx context.Context, k *call) error {
	_, err := p.c.checkSizes(context.WithoutCancel(ctx), k.recs)
	if err == nil {
		err = p.transact(ctx, []*call{k})
	}
	var large *connector.TooLargeError
	if err != nil && !errors.As(err, &large) {
		return err
	}
	finish([]*call{k}, err)
	return nil
}
