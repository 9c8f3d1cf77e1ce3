package offsets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
)

// recall finds out whether a stream of which nothing is known has been published before: then both internal topics were lost, or the
// connector has another name than the one that did. The notifications tell, which have a record or three of each stream that ever began; they are
// read once a Load, and only where a stream is to begin, or where the record of one is lost: others that were without an offset just then have left no
// trace. All streams of the source in the partition that are lost so get their epochs
// back, as offsets without a token, s the last: an offset without the stream's record is what Load takes for a lost state.
func (l *Ledger) recall(ctx context.Context, s connector.Stream) error {
	known := l.knows(s)
	if l.cfg.Notifications == "" || known && !l.recordLost(s) {
		return nil
	}
	if l.told == nil {
		told, err := l.notified(ctx)
		if err != nil {
			return fmt.Errorf("looking in %s whether it was published before: %w", l.cfg.Notifications, err)
		}
		l.told = told
	}
	if _, told := l.told[s]; !told && !known {
		return nil
	}
	lost := slices.DeleteFunc(slices.SortedFunc(maps.Keys(l.told), compareStreams), func(o connector.Stream) bool {
		return o == s || o.Source != s.Source || l.knows(o) // other sources may be those of another connector with the same prefix
	})
	if !known {
		lost = append(lost, s)
	}
	if len(lost) == 0 {
		return nil
	}
	var txs []connector.Transaction
	for _, o := range lost {
		txs = append(txs, connector.Transaction{Stream: o, Offset: &connector.Offset{Epoch: l.told[o]}})
	}
	l.log.Warn("nothing is known of streams that were published before: both internal topics were lost, or the connector had another name",
		"streams", len(txs), "first", txs[0].Stream.String())
	if err := l.write(ctx, txs, nil); err != nil {
		return err
	}
	err := errors.New("streams of which everything is lost have been found: they are loaded as such")
	l.fail(err)
	return fmt.Errorf("%w: %w", connector.ErrDoubt, err)
}

// knows tells whether anything is committed of a stream.
func (l *Ledger) knows(s connector.Stream) bool {
	l.fold.mu.RLock()
	defer l.fold.mu.RUnlock()
	st, ok := l.fold.streams[s]
	return ok && st.known()
}

// recordLost tells whether the stream's record is missing though something else is known of it.
func (l *Ledger) recordLost(s connector.Stream) bool {
	l.fold.mu.RLock()
	defer l.fold.mu.RUnlock()
	st, ok := l.fold.streams[s]
	return ok && st.known() && st.state == nil
}

// notified are the streams of this partition that the notifications tell of, with the highest epochs.
func (l *Ledger) notified(ctx context.Context) (map[connector.Stream]int64, error) {
	partitions, err := l.partitionsOf(ctx, l.cfg.Notifications)
	if err != nil {
		return nil, err
	}
	ends := make([]int64, partitions)
	g, asking := errgroup.WithContext(ctx)
	g.SetLimit(looksAtOnce)
	for p := range partitions {
		g.Go(func() (err error) {
			ends[p], err = l.r.End(asking, l.cfg.Notifications, p)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	told := map[connector.Stream]int64{}
	for p, end := range ends {
		if end == 0 {
			continue
		}
		for rec, err := range l.r.Read(ctx, l.cfg.Notifications, int32(p), 0, end) {
			if err != nil {
				return nil, err
			}
			if n, ok := parseNote(rec.Value); ok && l.cfg.holds(n.Stream) {
				told[n.Stream] = max(told[n.Stream], n.Epoch)
			}
		}
	}
	return told, nil
}

// note is what is read of a notification.
type note struct {
	connector.Stream
	Epoch int64 `json:"epoch"`
}

// parseNote reads a notification; false where it is none of ours.
func parseNote(value []byte) (note, bool) {
	var n note
	err := json.Unmarshal(value, &n)
	return n, err == nil && n.Source != "" && n.Account != "" && n.Kind != "" && n.Epoch > 0
}

// holds tells whether a stream's account maps to the partition.
func (c *Config) holds(s connector.Stream) bool {
	return c.Count == 0 || connector.AccountPartition(s.Source, s.Account, c.Count) == c.Partition
}
