package offsets

import (
	"context"
	"fmt"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// Reset forgets the offsets of streams, in one transaction: their next pass begins a new snapshot, in an epoch above every one
// known. It needs a Load before. Those of which something is lost are mended first, as a running calcdc does. One that is refused for its key
// format stays refused: no reset changes the keys in a topic.
func (l *Ledger) Reset(ctx context.Context, streams ...connector.Stream) error {
	for _, s := range streams {
		if err := l.canReset(s); err != nil {
			return fmt.Errorf("resetting %s: %w", s, err)
		}
	}
	var txs []connector.Transaction
	for _, s := range streams {
		if _, err := l.Mend(ctx, s); err != nil {
			return fmt.Errorf("resetting %s: %w", s, err)
		}
		txs = append(txs, connector.Transaction{Stream: s, Forget: true})
	}
	return l.Commit(ctx, txs)
}

func (l *Ledger) canReset(s connector.Stream) error {
	l.fold.mu.RLock()
	defer l.fold.mu.RUnlock()
	st, ok := l.fold.streams[s]
	switch {
	case !ok || !st.known():
		return errNoStream
	case st.lost() == "":
		return st.refused
	}
	return nil
}

// mend is a stream's record that agrees with what is held. Where the record was lost, commit numbers go on from the
// time in ms, which they cannot have reached: a number that came again could give two changes one id.
func mend(cp *connector.Checkpoint, x index, now time.Time) *connector.StreamState {
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
