package connector

import (
	"context"
	"sync"
)

// lane commits a pass's transactions in order, beside the pass that prepares the next ones: reading from the
// source and writing to Kafka overlap. What is ready when a commit ends goes together into the next.
type lane struct {
	ledger Ledger
	room   *room
	done   func(Transaction) // after each committed transaction
	queue  chan submitted
	wg     sync.WaitGroup // transactions submitted and not yet settled
	ended  chan struct{}
	cancel context.CancelCauseFunc // ends the pass at the first failed commit

	mu  sync.Mutex
	err error
}

// submitted is a transaction with the room that it takes.
type submitted struct {
	Transaction
	units int
}

// lanePages bounds the transactions that wait for a commit: with the one being prepared and those in flight, what a
// pass holds in memory.
const lanePages = 2

// openLane returns a lane and the context of the work that feeds it. close must be called.
func openLane(ctx context.Context, ledger Ledger, r *room, done func(Transaction)) (*lane, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &lane{ledger: ledger, room: r, done: done, queue: make(chan submitted, lanePages), ended: make(chan struct{}), cancel: cancel}
	go l.run(ctx)
	return l, ctx
}

// submit hands tx over, of so many bytes, once there is room for it. It returns the lane's error if a commit has failed.
func (l *lane) submit(ctx context.Context, tx Transaction, bytes int) error {
	units, err := l.room.take(ctx, bytes)
	if err != nil {
		return err
	}
	l.wg.Add(1)
	select {
	case l.queue <- submitted{tx, units}:
		return nil
	case <-ctx.Done():
		l.wg.Done()
		l.room.give(units)
		return context.Cause(ctx)
	}
}

// flush waits until everything submitted is committed.
func (l *lane) flush() error {
	l.wg.Wait()
	return l.failure()
}

// close ends the lane: what has been submitted is still committed, unless a commit has failed.
func (l *lane) close() error {
	close(l.queue)
	<-l.ended
	l.cancel(nil)
	return l.failure()
}

func (l *lane) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *lane) run(ctx context.Context) {
	defer close(l.ended)
	for tx := range l.queue {
		batch, units := l.gather(tx)
		if l.failure() == nil {
			l.commit(ctx, batch)
		}
		l.room.give(units)
		l.wg.Add(-len(batch))
	}
}

// gather takes what waits, with the room of it all.
func (l *lane) gather(first submitted) (batch []Transaction, units int) {
	batch, units = []Transaction{first.Transaction}, first.units
	for {
		select {
		case tx, ok := <-l.queue:
			if !ok {
				return batch, units
			}
			batch, units = append(batch, tx.Transaction), units+tx.units
		default:
			return batch, units
		}
	}
}

func (l *lane) commit(ctx context.Context, batch []Transaction) {
	if err := l.ledger.Commit(ctx, batch); err != nil {
		l.mu.Lock()
		l.err = &commitError{err}
		l.mu.Unlock()
		l.cancel(l.err)
		return
	}
	for _, tx := range batch {
		l.done(tx)
	}
}

// commitError marks an error as one of Commit: unless it wraps a RefusedError, the outcome is unknown.
type commitError struct{ err error }

func (e *commitError) Error() string { return "committing: " + e.err.Error() }
func (e *commitError) Unwrap() error { return e.err }
