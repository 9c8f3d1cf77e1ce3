package offsets

import (
	"bytes"

	"github.com/calcdc/calcdc/connector"
)

// Without transactions a commit is cut short by whatever cuts it: some of its records are there, some are not. Its parts follow one another,
// each acknowledged before the next: the stream's record with Pending; the data; the offset; the state, the stream's record last, without
// Pending. A stream whose record is found with Pending has what its data partition holds from DataEnd on added to its state
// (Mend), and is compared fully: so nothing is lost that was published, or that the offset has passed. Data that is there and was not seen
// is published again by the same difference from the same state, under the same commit number: with the same calcdc.id.

// stepGap is by how much commit numbers rise when a commit that was cut short is completed: more than one commit holds of a stream.
const stepGap = 1000

// steps are the parts in which a batch is committed.
func (b *batch) steps() []*batch {
	if !b.l.cfg.Steps {
		return []*batch{b}
	}
	intent, data, offset, state := &batch{l: b.l}, &batch{l: b.l}, &batch{l: b.l}, &batch{l: b.l}
	heads := map[connector.Stream]int{} // the last record of each stream
	begun := map[connector.Stream]bool{}
	for i, k := range b.kinds {
		s := b.streams[i]
		if k != offsetRecord && !begun[s] && !b.mending {
			begun[s] = true
			intent.intend(s, b.partitionOf(s))
		}
		switch {
		case k == dataRecord:
			data.put(k, s, b.records[i])
		case k == offsetRecord:
			offset.put(k, s, b.records[i])
		case bytes.Equal(b.records[i].Key, streamKey(s)):
			heads[s] = i
		default:
			state.put(k, s, b.records[i])
		}
	}
	for i, k := range b.kinds {
		if head, ok := heads[b.streams[i]]; k == stateRecord && ok && head == i {
			state.put(k, b.streams[i], b.records[i])
		}
	}
	state.late = b.lengths == nil
	return []*batch{intent, data, offset, state}
}

// learn writes the lengths of the data partitions, known since their records are there, into the streams' records.
func (b *batch) learn() error {
	if !b.late {
		return nil
	}
	for i := range b.records {
		s := b.streams[i]
		if !bytes.Equal(b.records[i].Key, streamKey(s)) {
			continue
		}
		state, err := parseState(b.records[i].Value)
		if err != nil {
			return err
		}
		state.DataEnd = b.l.fold.dataEnd(s)
		if b.records[i].Value, err = encodeState(state); err != nil {
			return err
		}
	}
	return nil
}

// partitionOf is the data partition to which the batch writes records of the stream.
func (b *batch) partitionOf(s connector.Stream) int32 {
	for i := range b.records {
		if b.kinds[i] == dataRecord && b.streams[i] == s && b.records[i].Topic == b.l.cfg.DataTopic(s) {
			return b.records[i].Partition
		}
	}
	return 0
}

// intend says that a commit of the stream has begun. Of one that has no record yet nothing is known but where it will be.
func (b *batch) intend(s connector.Stream, partition int32) {
	state := connector.StreamState{Phase: connector.Snapshot, Partition: partition, KeyFormat: keyFormat}
	if cp := b.l.Open(s); cp.State != nil {
		state = *cp.State
	}
	state.Pending, state.DataEnd = true, b.l.fold.dataEnd(s)
	value, err := encodeState(state)
	if err != nil { // a struct of numbers and text encodes
		return
	}
	b.internal(stateRecord, s, streamKey(s), value)
}

// unfinished is what Mend completes: nothing is lost, and no reset follows.
const unfinished = "unfinished"

// from is where the reading of a data partition begins: for commits that were cut short, where they did.
func (r *rebuild) from(partition int32) int64 {
	from := int64(-1)
	for _, m := range r.streams {
		switch {
		case m.due != unfinished:
			return 0
		case m.at == partition && (from < 0 || m.begin < from):
			from = m.begin
		}
	}
	return max(from, 0)
}

// complete makes the record of a stream whole that a commit cut short has left: what was published of it is known by now. A snapshot of
// which the marker is there has begun, and goes on. Everything is compared next, because a token does not tell of what has come
// and gone since.
func (r *rebuild) complete(m *mended, cp *connector.Checkpoint) connector.Transaction {
	state := *cp.State
	if m.marker.epoch > state.Epoch {
		state.Epoch, state.Reason, state.Phase, state.Due = m.marker.epoch, m.marker.reason, connector.Snapshot, ""
		if cp.Offset == nil || cp.Offset.Epoch < state.Epoch {
			cp.Offset = &connector.Offset{Epoch: state.Epoch}
		}
	}
	m.epoch = state.Epoch
	state.Resources, state.Rows = r.l.indexOf(m.stream).counts()
	state.Commit += stepGap
	tx := connector.Transaction{Stream: m.stream, State: &state, Offset: cp.Offset}
	if tx.Offset != nil {
		tx.Offset.ReconciledMs = 0
	}
	return tx
}
