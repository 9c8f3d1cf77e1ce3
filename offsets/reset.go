package offsets

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// Reset forgets the offsets of streams, in one transaction: their next pass begins a new snapshot, in an epoch above every one
// known. It needs a Load before. A stream that is refused gets a record from which it can go on: the state as it is held now is
// declared whole. One refused for its key format stays refused: no reset changes the keys in a topic.
func (l *Ledger) Reset(ctx context.Context, streams ...connector.Stream) error {
	l.commits.RLock()
	defer l.commits.RUnlock()
	if err := l.inDoubt(); err != nil {
		return err
	}
	b := batch{l: l, fresh: true}
	for _, s := range streams {
		tx, err := l.forget(ctx, s)
		if err != nil {
			return fmt.Errorf("resetting %s: %w", s, err)
		}
		if err := b.add(tx); err != nil {
			return err
		}
	}
	if err := l.commit(ctx, &b); err != nil {
		return err
	}
	l.fold.mu.Lock()
	defer l.fold.mu.Unlock()
	for _, s := range streams {
		l.fold.stream(s).refused = nil
	}
	return nil
}

// forget is the transaction that resets a stream.
func (l *Ledger) forget(ctx context.Context, s connector.Stream) (*connector.Transaction, error) {
	l.fold.mu.Lock()
	st, ok := l.fold.streams[s]
	if !ok || !st.known() {
		l.fold.mu.Unlock()
		return nil, errNoStream
	}
	cp, lost := st.checkpoint(s), st.state == nil
	l.fold.mu.Unlock()
	tx := &connector.Transaction{Stream: s, Forget: true}
	if cp.Refused == nil {
		return tx, nil
	}
	if !lost && cp.State.KeyFormat != keyFormat {
		return nil, cp.Refused
	}
	tx.State = mend(cp, st.index, time.Now())
	if lost {
		partition, err := l.choosePartition(ctx, s)
		if err != nil {
			return nil, err
		}
		tx.State.Partition = partition
	}
	return tx, nil
}

// mend is a stream's record that agrees with what is held. Where the record was lost, commit numbers go on from the
// time in ms, which they cannot have reached: a number that came again could give two changes one id.
func mend(cp *connector.Checkpoint, x *index, now time.Time) *connector.StreamState {
	state := connector.StreamState{Phase: connector.Streaming, RowVersion: connector.RowVersion, KeyFormat: keyFormat, Commit: now.UnixMilli()}
	if cp.State != nil {
		state = *cp.State
	}
	if cp.Offset != nil {
		state.Epoch = max(state.Epoch, cp.Offset.Epoch)
	}
	for _, r := range x.Resources() {
		state.Epoch = max(state.Epoch, r.Epoch)
	}
	state.Resources, state.Rows = x.counts()
	var refusal *RefusalError
	if errors.As(cp.Refused, &refusal) {
		state.Due = refusal.Due
	}
	switch state.Phase {
	case connector.Snapshot:
		state.Phase = connector.Streaming // to be left for a new epoch, not to be gone on with
	case connector.RemovedAll:
		if state.Resources+state.Rows > 0 {
			state.Phase = connector.Removing
		}
	case connector.Streaming, connector.Removing:
	}
	return &state
}

// choosePartition chooses a stream's data partition again, as it was chosen first.
func (l *Ledger) choosePartition(ctx context.Context, s connector.Stream) (int32, error) {
	if l.cfg.Partitions == nil {
		return 0, fmt.Errorf("the number of partitions of %s is not known", l.cfg.DataTopic(s))
	}
	n, err := l.cfg.Partitions(ctx, l.cfg.DataTopic(s))
	if err != nil {
		return 0, err
	}
	if n < 1 {
		return 0, fmt.Errorf("topic %s has %d partitions", l.cfg.DataTopic(s), n)
	}
	return s.Partition(n), nil
}
