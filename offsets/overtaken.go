package offsets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// Overtaken implements connector.Ledger: beyond our own last record in the offsets partition stands another owner's
// barrier. While a commit is under way that cannot be told, nor need it be: the commit will.
func (l *Ledger) Overtaken(ctx context.Context) (bool, error) {
	if !l.commits.TryAcquire(allCommits) {
		return false, nil
	}
	defer l.commits.Release(allCommits)
	if err := l.inDoubt(); err != nil && l.offsets.next > 0 { // it was loaded once
		return false, fmt.Errorf("%w: %w", connector.ErrDoubt, err)
	} else if err != nil {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	end, err := l.r.End(ctx, Topic(l.cfg.Name), l.cfg.Partition)
	ours := l.offsets.next
	if !l.cfg.Steps {
		ours++ // the transaction's marker
	}
	if err != nil || end <= ours {
		return false, errors.Join(err, l.tend(ctx))
	}
	// A longer log alone proves nothing: a coordinator that moved writes a marker again, an aborted transaction leaves
	// records, an operator may write one. Another owner leaves its barrier.
	for rec, err := range l.r.Read(ctx, Topic(l.cfg.Name), l.cfg.Partition, l.offsets.next, end) {
		if err != nil {
			return false, err
		}
		if bytes.Equal(rec.Key, barrierKey) {
			return true, nil
		}
	}
	return false, nil
}
