package offsets

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// Mend implements connector.Ledger. Streams of which something is lost are mended together where they share a data topic: it is
// read once for all of them.
func (l *Ledger) Mend(ctx context.Context, s connector.Stream) (*connector.Checkpoint, error) {
	select {
	case l.mending <- struct{}{}:
		defer func() { <-l.mending }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := l.inDoubt(); err != nil {
		return nil, fmt.Errorf("%w: %w", connector.ErrDoubt, err)
	}
	if err := l.recall(ctx, s); err != nil {
		return nil, err
	}
	if lost := l.lostBeside(s); len(lost) > 0 {
		if err := l.mend(ctx, l.cfg.DataTopic(s), lost); err != nil {
			return nil, err
		}
	}
	return l.Open(s), nil
}

// lostBeside are s and the other streams of its data topic of which something is lost; none where s is well.
func (l *Ledger) lostBeside(s connector.Stream) []connector.Stream {
	l.fold.mu.RLock()
	defer l.fold.mu.RUnlock()
	if st, ok := l.fold.streams[s]; !ok || st.lost() == "" {
		return nil
	}
	var lost []connector.Stream
	for other, st := range l.fold.streams {
		if st.lost() != "" && l.cfg.DataTopic(other) == l.cfg.DataTopic(s) {
			lost = append(lost, other)
		}
	}
	slices.SortFunc(lost, compareStreams)
	return lost
}

// lost is the reason of the reset that the stream needs; "" for none.
func (st *stream) lost() string { return reasonOf(st.refused) }

func reasonOf(refused error) string {
	var refusal *RefusalError
	if errors.As(refused, &refusal) {
		return refusal.Due
	}
	return ""
}

// mend mends streams of one data topic.
//
// The topic's true end is found by writing to it (Invariant 4): so a topic that only looked short, because a deposed leader was asked,
// is found whole. The rows that it holds are added to the state in transactions of their own, under a record of the stream that says
// so; the last one makes that record whole.
func (l *Ledger) mend(ctx context.Context, topic string, streams []connector.Stream) error {
	began := time.Now()
	before := map[connector.Stream]*connector.StreamState{}
	for _, s := range streams {
		before[s] = l.Open(s).State
	}
	if err := l.beginMending(ctx, streams); err != nil {
		return err
	}
	r, err := l.newRebuild(ctx, topic, streams)
	if err != nil {
		return fmt.Errorf("looking for the true end of %s: %w", topic, err)
	}
	if err := r.choose(ctx, streams, before); err != nil || len(r.streams) == 0 {
		return err
	}
	l.log.Warn("mending streams of which something is lost", "topic", topic, "streams", len(r.streams), "first", r.order[0].String())
	for _, step := range []func(context.Context) error{r.readNotifications, r.readData, r.tidy, r.end} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	r.report(time.Since(began))
	return nil
}

// report says what has become of the streams.
func (r *rebuild) report(took time.Duration) {
	l := r.l
	l.fold.mu.Lock()
	defer l.fold.mu.Unlock()
	for _, s := range r.order {
		m, st := r.streams[s], l.fold.stream(s)
		st.refused, st.caveat = nil, r.caveat(m)
		if m.due == unfinished {
			l.log.Info("a commit that was cut short is completed; everything is compared", "stream", s.String(), "records", m.records)
			continue
		}
		resources, rows := st.index.counts()
		args := []any{"stream", s.String(), "reason", m.due, "rows", rows, "resources", resources, "epoch", m.epoch, "records", m.records}
		if m.foreign > 0 {
			args = append(args, "foreign_records", m.foreign)
		}
		if st.caveat == "" {
			l.log.Info("mended: a reset follows", args...)
		} else {
			l.log.Warn("mended as far as that goes: a reset follows", append(args, "caveat", st.caveat)...)
		}
	}
	l.log.Info("mending has ended", "topic", r.topic, "streams", len(r.streams), "took", took.Round(time.Millisecond).String())
}

// caveat says which deletes cannot be known.
func (r *rebuild) caveat(m *mended) string {
	if m.due == connector.StateLost && r.cut {
		return "the state was lost, and " + r.topic + " no longer holds everything (retention has cut it): " +
			"rows that it does not hold and that have gone meanwhile get no delete"
	}
	return ""
}

// beginMending marks the streams that have a record as being mended: until it says otherwise they are not gone on with, whatever it
// counts, and however long the topic has become since.
func (l *Ledger) beginMending(ctx context.Context, streams []connector.Stream) error {
	var txs []connector.Transaction
	for _, s := range streams {
		if cp := l.Open(s); cp.State != nil && lossOf(cp) != unfinished {
			cp.State.Mending = lossOf(cp)
			txs = append(txs, connector.Transaction{Stream: s, State: cp.State})
		}
	}
	return l.write(ctx, txs, nil)
}

// lossOf is the reason of the reset that a checkpoint asks for.
func lossOf(cp *connector.Checkpoint) string { return reasonOf(cp.Lost) }

// write commits transactions of Mend, a bounded number at once.
func (l *Ledger) write(ctx context.Context, txs []connector.Transaction, lengths map[connector.Stream]int64) error {
	if err := l.commits.Acquire(ctx, 1); err != nil {
		return err
	}
	defer l.commits.Release(1)
	for part := range slices.Chunk(txs, mendBatch) {
		if err := l.inDoubt(); err != nil {
			return fmt.Errorf("%w: %w", connector.ErrDoubt, err)
		}
		b := batch{l: l, lengths: lengths, mending: true}
		b.grow(part)
		for i := range part {
			if err := b.add(&part[i]); err != nil {
				return err
			}
		}
		var refused *connector.RefusedError
		if err := l.commit(ctx, &b); errors.As(err, &refused) {
			return err
		} else if err != nil {
			return fmt.Errorf("%w: %w", connector.ErrDoubt, err)
		}
	}
	return nil
}

// end makes the streams' records whole and forgets their offsets: what follows is a reset.
func (r *rebuild) end(ctx context.Context) error {
	now := time.Now()
	lengths := map[connector.Stream]int64{}
	var txs []connector.Transaction
	for _, s := range r.order {
		m, cp := r.streams[s], r.l.Open(s)
		if m.due == unfinished {
			txs = append(txs, r.complete(m, cp))
			continue
		}
		state := mend(cp, r.l.indexOf(s), now)
		state.Epoch, state.Due, state.Mending = max(state.Epoch, m.epoch), m.due, ""
		m.epoch = state.Epoch
		if state.Partition = r.partitionOf(m, cp); m.due == connector.StateLost {
			// The record may be of long ago: a commit number that came again could give two changes one id.
			state.Commit = max(state.Commit, now.UnixMilli())
		}
		if state.Connector == "" {
			state.Connector = m.connector
		}
		lengths[s] = r.ends[state.Partition] + 1
		txs = append(txs, connector.Transaction{Stream: s, State: state, Forget: true})
	}
	return r.l.write(ctx, txs, lengths)
}

// partitionOf is the stream's data partition: as its record says or, where that is lost, where its records were found. A topic that
// was made anew with fewer partitions has it chosen anew.
func (r *rebuild) partitionOf(m *mended, cp *connector.Checkpoint) int32 {
	at := m.stream.Partition(r.partitions)
	switch {
	case cp.State != nil && cp.State.Partition < r.partitions:
		return cp.State.Partition
	case cp.State == nil && m.found:
		return m.partition
	}
	return at
}

func (l *Ledger) indexOf(s connector.Stream) index {
	l.fold.mu.RLock()
	defer l.fold.mu.RUnlock()
	return l.fold.streams[s].index
}

// newRebuild finds the true ends of the partitions that matter, and the streams of which something is really lost.
func (l *Ledger) newRebuild(ctx context.Context, topic string, streams []connector.Stream) (*rebuild, error) {
	r := &rebuild{l: l, topic: topic, streams: map[connector.Stream]*mended{}, ends: map[int32]int64{}, told: map[int32]int64{}}
	var err error
	if r.partitions, err = l.partitionsOf(ctx, topic); err != nil {
		return nil, err
	}
	told := int32(0)
	if l.cfg.Notifications != "" {
		if told, err = l.partitionsOf(ctx, l.cfg.Notifications); err != nil {
			return nil, err
		}
	}
	var marks []connector.Record
	for _, p := range r.needed(streams) {
		marks = append(marks, connector.Record{Topic: topic, Partition: p, Key: streams[0].Key("")})
	}
	for p := range told {
		marks = append(marks, connector.Record{Topic: l.cfg.Notifications, Partition: p, Key: barrierKey})
	}
	offsets, err := l.mark(ctx, marks)
	if err != nil {
		return nil, err
	}
	for i, m := range marks {
		if m.Topic == topic {
			r.ends[m.Partition] = offsets[i]
		} else {
			r.told[m.Partition] = offsets[i]
		}
	}
	if err := r.lookAtStarts(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

func (l *Ledger) mark(ctx context.Context, marks []connector.Record) ([]int64, error) {
	offsets, err := l.p.Mark(ctx, marks)
	if err == nil && len(offsets) != len(marks) {
		err = fmt.Errorf("%d offsets for %d records", len(offsets), len(marks))
	}
	if err != nil {
		l.fail(err)
		return nil, fmt.Errorf("%w: %w", connector.ErrDoubt, err)
	}
	return offsets, nil
}

func (l *Ledger) partitionsOf(ctx context.Context, topic string) (int32, error) {
	if l.cfg.Partitions == nil {
		return 0, fmt.Errorf("the number of partitions of %s is not known", topic)
	}
	n, err := l.cfg.Partitions(ctx, topic)
	if err == nil && n < 1 {
		err = fmt.Errorf("topic %s has %d partitions", topic, n)
	}
	return n, err
}

// needed are the partitions in which records of the streams may be: of one whose record is lost, any.
func (r *rebuild) needed(streams []connector.Stream) []int32 {
	need := map[int32]bool{}
	for _, s := range streams {
		cp := r.l.Open(s)
		if cp.State != nil {
			need[r.partitionOf(&mended{stream: s}, cp)] = true
			continue
		}
		for p := range r.partitions {
			need[p] = true
		}
	}
	return slices.Sorted(maps.Keys(need))
}

// lookAtStarts finds out whether something was removed that was not replaced: compaction leaves a log's beginning at 0.
func (r *rebuild) lookAtStarts(ctx context.Context) error {
	for p := range r.ends {
		if r.l.cfg.Start == nil {
			return nil
		}
		start, err := r.l.cfg.Start(ctx, r.topic, p)
		if err != nil {
			return fmt.Errorf("asking for the beginning of %s partition %d: %w", r.topic, p, err)
		}
		r.cut = r.cut || start > 0
	}
	return nil
}

// choose takes up the streams of which something is lost, now that the data partitions' ends are known for certain: where only a deposed
// leader's was short, nothing is. before is what their records were when Mend began.
func (r *rebuild) choose(ctx context.Context, streams []connector.Stream, before map[connector.Stream]*connector.StreamState) error {
	var well []connector.Transaction
	for _, s := range streams {
		m, state := r.take(s), before[s]
		if m.due == unfinished && m.short {
			m.due = connector.TopicLost
		}
		if m.due != connector.TopicLost || m.short || state.Mending != "" {
			m.short = m.short || m.due == connector.TopicLost
			r.streams[s] = m
			r.order = append(r.order, s)
			continue
		}
		well = append(well, connector.Transaction{Stream: s, State: state})
	}
	if err := r.l.write(ctx, well, nil); err != nil {
		return err
	}
	r.l.fold.mu.Lock()
	defer r.l.fold.mu.Unlock()
	for _, tx := range well {
		r.l.fold.stream(tx.Stream).refused = nil
	}
	return nil
}

// take is what is known of a stream at first.
func (r *rebuild) take(s connector.Stream) *mended {
	r.l.fold.mu.RLock()
	defer r.l.fold.mu.RUnlock()
	st := r.l.fold.streams[s]
	m := &mended{stream: s, due: st.lost(), rows: map[string]*connector.RowChange{}, resources: map[string]*connector.ResourceState{},
		added: map[string]struct{}{}}
	if st.state != nil {
		end, there := r.ends[st.state.Partition]
		m.short = !there || end < st.dataEnd
		m.epoch, m.connector, m.at, m.begin = st.state.Epoch, st.state.Connector, st.state.Partition, st.dataEnd
	}
	if st.offset != nil {
		m.epoch = max(m.epoch, st.offset.Epoch)
	}
	return m
}
