package offsets

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
)

// A topic that looks too short is looked at again before a stream is refused: a broker that lost its leadership
// while it hung answers with an old end for a moment.
const (
	looksAtEnd = 4
	lookPause  = 500 * time.Millisecond
)

// keyFormat is the only form of keys that this version writes.
const keyFormat = "json"

// checkpoints are all streams of which anything is known, refused where they cannot go on.
func (l *Ledger) checkpoints(ctx context.Context) (map[connector.Stream]*connector.Checkpoint, error) {
	l.fold.mu.Lock()
	defer l.fold.mu.Unlock()
	ends, err := lookAtEnds(ctx, l)
	if err != nil {
		return nil, err
	}
	all := make(map[connector.Stream]*connector.Checkpoint, len(l.fold.streams))
	for s, st := range l.fold.streams {
		if !st.known() {
			continue
		}
		st.refused = st.refuse(s)
		if st.refused == nil {
			st.refused = ends.refuse(s, st)
		}
		all[s] = st.checkpoint(s)
	}
	return all, nil
}

// known says whether anything is committed.
func (st *stream) known() bool {
	resources, rows := st.index.counts()
	return st.state != nil || st.offset != nil || resources+rows > 0
}

// RefusalError says why a stream cannot go on and what to do.
type RefusalError struct {
	Stream connector.Stream
	Reason string
	Hint   string
	Due    string // the reason of the reset that mends it: connector.StateLost or connector.TopicLost
}

func (e *RefusalError) Error() string { return e.Stream.String() + ": " + e.Reason + ": " + e.Hint }

const stateHint = "what is known is put together again from the data topic, and the stream is read anew in the next epoch"

// refuse tells whether the stream's state is whole, as far as the fold alone shows it. (Rules of the pass: index lost.)
func (st *stream) refuse(s connector.Stream) error {
	resources, rows := st.index.counts()
	switch {
	case st.state == nil && st.offset != nil:
		return &RefusalError{s, "its offset is there, but its record in the state is missing", stateHint, connector.StateLost}
	case st.state == nil:
		return &RefusalError{s, fmt.Sprintf("%d resources and %d rows are there, but its record in the state is missing", resources, rows), stateHint, connector.StateLost}
	case st.state.KeyFormat != keyFormat:
		return &RefusalError{s, fmt.Sprintf("its keys are of the format %q, which is fixed for a stream's life, and not %q", st.state.KeyFormat, keyFormat),
			"use another name and kafka.topic_prefix for the other format", ""}
	case st.state.Mending != "":
		return &RefusalError{s, "it was being mended", stateHint, st.state.Mending}
	case st.state.Pending:
		return &RefusalError{s, "a commit of it was cut short", "what was published of it is taken from the data topic, and everything is compared", unfinished}
	case resources != st.state.Resources:
		return &RefusalError{s, fmt.Sprintf("the state holds %d resources, its record says %d", resources, st.state.Resources), stateHint, connector.StateLost}
	case rows != st.state.Rows:
		return &RefusalError{s, fmt.Sprintf("the state holds %d rows, its record says %d", rows, st.state.Rows), stateHint, connector.StateLost}
	}
	return nil
}

type topicPartition struct {
	topic     string
	partition int32
}

// looksAtOnce bounds how many partitions are asked for their ends beside one another. A topic that is missing takes
// seconds to be believed: one partition after the other, the owner of a moment (Reset) would be fenced meanwhile.
const looksAtOnce = 16

// ends are the ends of data partitions.
type ends struct {
	l    *Ledger
	need map[topicPartition]int64 // what the longest memory of them says

	mu    sync.Mutex
	known map[topicPartition]int64 // -1: the topic does not exist
}

// lookAtEnds asks for the end of every partition to which something was published.
func lookAtEnds(ctx context.Context, l *Ledger) (*ends, error) {
	e := newEnds(l)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(looksAtOnce)
	for tp, need := range e.need {
		if need > 0 {
			g.Go(func() error { return e.find(ctx, tp, need) })
		}
	}
	return e, g.Wait()
}

func newEnds(l *Ledger) *ends {
	e := &ends{l: l, need: map[topicPartition]int64{}, known: map[topicPartition]int64{}}
	for s, st := range l.fold.streams {
		if st.state != nil && st.state.Phase == connector.RemovedAll {
			st.dataEnd = 0 // a stream that is gone and has no rows has lost nothing with its topic
		}
		if st.state != nil {
			tp := topicPartition{l.cfg.DataTopic(s), st.state.Partition}
			e.need[tp] = max(e.need[tp], st.dataEnd)
		}
	}
	return e
}

// find looks at a partition until it is as long as it has to be, or surely is not.
func (e *ends) find(ctx context.Context, tp topicPartition, need int64) error {
	var end int64
	for look := 0; look < looksAtEnd; look++ {
		if look > 0 && !sleep(ctx, lookPause) {
			return ctx.Err()
		}
		var err error
		if end, err = e.look(ctx, tp); err != nil {
			return fmt.Errorf("looking at the end of %s partition %d: %w", tp.topic, tp.partition, err)
		}
		if end < 0 || end >= need {
			break
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known[tp] = end
	return nil
}

// refuse tells whether the stream's data topic still holds what was published.
func (e *ends) refuse(s connector.Stream, st *stream) error {
	if st.dataEnd == 0 {
		return nil
	}
	tp := topicPartition{e.l.cfg.DataTopic(s), st.state.Partition}
	switch end := e.known[tp]; {
	case end < 0:
		return &RefusalError{s, fmt.Sprintf("its data topic %s no longer exists, or not with partition %d", tp.topic, tp.partition), dataHint, connector.TopicLost}
	case end < st.dataEnd:
		return &RefusalError{s, fmt.Sprintf("its data topic %s, partition %d, ends at %d, but was %d long: it was deleted and made anew, or cut",
			tp.topic, tp.partition, end, st.dataEnd), dataHint, connector.TopicLost}
	}
	return nil
}

const dataHint = "all its rows are published again in the next epoch"

// look is the partition's end, -1 where its topic does not exist.
func (e *ends) look(ctx context.Context, tp topicPartition) (int64, error) {
	end, err := e.l.r.End(ctx, tp.topic, tp.partition)
	if err != nil && e.l.cfg.Missing != nil && e.l.cfg.Missing(err) {
		return -1, nil
	}
	return end, err
}

// sleep waits; false where ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errNoStream says that nothing is known of a stream.
var errNoStream = errors.New("nothing is committed of this stream: calcdc offsets list shows those that are there")
