package offsets

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/calcdc/calcdc/connector"
)

// kind says what a record of a batch is.
type kind uint8

const (
	dataRecord kind = iota
	stateRecord
	offsetRecord
)

// batch is what one Commit publishes: of each transaction its data, its state and its offset, in that order.
type batch struct {
	l       *Ledger
	records []connector.Record
	kinds   []kind
	streams []connector.Stream // of each record
	scratch []byte
	late    bool                       // its streams' records are to hold what earlier steps have taught
	mending bool                       // of Mend, which says by itself that it has begun
	lengths map[connector.Stream]int64 // of data partitions, where not what the fold knows: of Reset and Mend
	known   map[connector.Stream]int64 // lengths of data partitions before the batch
	grown   map[connector.Stream]int64 // by how many records of the batch these grow
}

// grow makes room for what txs come to.
func (b *batch) grow(txs []connector.Transaction) {
	n := 0
	for i := range txs {
		n += len(txs[i].Records) + len(txs[i].Resources) + len(txs[i].Rows) + 2
	}
	b.records = slices.Grow(b.records, n)
	b.kinds = slices.Grow(b.kinds, n)
	b.streams = slices.Grow(b.streams, n)
}

func (b *batch) put(k kind, s connector.Stream, rec connector.Record) {
	b.records = append(b.records, rec)
	b.kinds = append(b.kinds, k)
	b.streams = append(b.streams, s)
}

func (b *batch) internal(k kind, s connector.Stream, key, value []byte) {
	topic := StateTopic(b.l.cfg.Name)
	if k == offsetRecord {
		topic = Topic(b.l.cfg.Name)
	}
	b.put(k, s, connector.Record{Topic: topic, Partition: b.l.cfg.Partition, Key: key, Value: value})
}

// add encodes a transaction.
func (b *batch) add(tx *connector.Transaction) error {
	if err := checkTransaction(tx); err != nil {
		return err
	}
	for i := range tx.Records {
		b.put(dataRecord, tx.Stream, tx.Records[i])
	}
	b.addResources(tx)
	b.addRows(tx)
	if tx.State != nil {
		if err := b.addState(tx, *tx.State); err != nil {
			return err
		}
	}
	if tx.Offset != nil || tx.Forget {
		b.addOffset(tx)
	}
	return nil
}

func (b *batch) addResources(tx *connector.Transaction) {
	prefix := statePrefix(resourceEntity, tx.Stream)
	for i := range tx.Resources {
		c := &tx.Resources[i]
		var value []byte
		if c.State != nil {
			value = encodeResource(c.ID, c.State)
		}
		b.internal(stateRecord, tx.Stream, idKey(prefix, c.ID), value)
	}
}

func (b *batch) addRows(tx *connector.Transaction) {
	prefix := statePrefix(rowEntity, tx.Stream)
	for i := range tx.Rows {
		c := &tx.Rows[i]
		var value []byte
		if !c.Deleted {
			value = encodeRow(c, &b.scratch)
		}
		b.internal(stateRecord, tx.Stream, idKey(prefix, c.ID), value)
	}
}

// addState writes a stream's record. Its DataEnd is ours: the length that the data partition is known to have had
// before this commit, and as much more as the commit's own records, whose offsets are not known yet, make it at least.
func (b *batch) addState(tx *connector.Transaction, state connector.StreamState) error {
	s := tx.Stream
	state.Pending = false
	var found bool
	if state.DataEnd, found = b.lengths[s]; !found {
		state.DataEnd = b.length(tx, state.Partition)
	}
	value, err := encodeState(state)
	if err != nil {
		return fmt.Errorf("encoding the state of %s: %w", s, err)
	}
	b.internal(stateRecord, s, streamKey(s), value)
	return nil
}

// length is how long the stream's data partition is at least once the transaction is there.
func (b *batch) length(tx *connector.Transaction, partition int32) int64 {
	if b.known == nil {
		b.known, b.grown = map[connector.Stream]int64{}, map[connector.Stream]int64{}
	}
	if _, there := b.known[tx.Stream]; !there {
		b.known[tx.Stream] = b.l.fold.dataEnd(tx.Stream)
	}
	topic := b.l.cfg.DataTopic(tx.Stream)
	for i := range tx.Records {
		if tx.Records[i].Topic == topic && tx.Records[i].Partition == partition {
			b.grown[tx.Stream]++
		}
	}
	return b.known[tx.Stream] + b.grown[tx.Stream]
}

// addOffset writes the offset. Where an operator has written it with a key of other bytes, that key is emptied before:
// compaction would keep both, and the older could come back.
func (b *batch) addOffset(tx *connector.Transaction) {
	for _, key := range b.l.fold.strayKeys(tx.Stream) {
		b.internal(offsetRecord, tx.Stream, key, nil)
	}
	var value []byte
	if tx.Offset != nil && !tx.Forget {
		value = encodeOffset(*tx.Offset)
	}
	b.internal(offsetRecord, tx.Stream, offsetKey(b.l.cfg.Name, tx.Stream), value)
}

// raiseDataEnds learns from the offsets of the records in the streams' data topics how long those are. One that stands where
// another has stood says that the topic was deleted and made anew, or cut.
func (b *batch) raiseDataEnds(offsets []int64) error {
	b.l.fold.mu.Lock()
	defer b.l.fold.mu.Unlock()
	for i := range b.records {
		if b.kinds[i] != dataRecord {
			continue
		}
		rec, st := &b.records[i], b.l.fold.stream(b.streams[i])
		if st.state == nil || rec.Partition != st.state.Partition || rec.Topic != b.l.cfg.DataTopic(b.streams[i]) {
			continue
		}
		before, ok := b.known[b.streams[i]]
		if !ok {
			before = st.dataEnd
		}
		if offsets[i] < before {
			return fmt.Errorf("a record of %s was written at offset %d of %s partition %d, which was %d long: the topic was deleted and made anew, or cut",
				b.streams[i], offsets[i], rec.Topic, rec.Partition, before)
		}
		st.dataEnd = max(st.dataEnd, offsets[i]+1)
	}
	return nil
}

// refusal says which stream's record is too large, and which setting lets it pass.
func (b *batch) refusal(large *connector.TooLargeError) error {
	const takes = "raise max.message.bytes of the topic (kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name %s " +
		"--add-config max.message.bytes=%d), or keep records smaller with a lower events.max_raw or another events.before in calcdc's configuration"
	room := 1 << 20
	for room < large.Size {
		room *= 2
	}
	return &connector.RefusedError{Stream: b.streamOf(large), Reason: large.Error(), Hint: fmt.Sprintf(takes, large.Topic, room)}
}

func (b *batch) streamOf(large *connector.TooLargeError) connector.Stream {
	for i := range b.records {
		if b.records[i].Topic == large.Topic && bytes.Equal(b.records[i].Key, large.Key) {
			return b.streams[i]
		}
	}
	return b.streams[0]
}

// checkTransaction refuses what would not come back from the log as it was: JSON holds UTF-8 only, and keys are bounded.
func checkTransaction(tx *connector.Transaction) error {
	refused := func(what, s string) error {
		return &connector.RefusedError{Stream: tx.Stream, Reason: what + " " + fmt.Sprintf("%.100q", s) + " cannot be kept: it is not UTF-8, empty or too long",
			Hint: "rename it on the server"}
	}
	for _, s := range []string{tx.Stream.Source, tx.Stream.Account, tx.Stream.Collection, string(tx.Stream.Kind)} {
		if len(s) > maxName || !utf8.ValidString(s) {
			return refused("the name", s)
		}
	}
	for i := range tx.Resources {
		if !fits(tx.Resources[i].ID) {
			return refused("the resource", tx.Resources[i].ID)
		}
	}
	for i := range tx.Rows {
		if !fits(tx.Rows[i].ID) {
			return refused("the row", tx.Rows[i].ID)
		}
	}
	if o := tx.Offset; o != nil && (len(o.Token) > maxToken || !utf8.ValidString(o.Token) || !utf8.ValidString(o.ConfigHash)) {
		return refused("the token", o.Token)
	}
	return nil
}

// With these bounds no key can be longer than maxKey, nor a value than what is read, even with every byte escaped.
const (
	maxName  = 1500
	maxID    = 4096
	maxToken = 64 << 10
)

func fits(id string) bool { return id != "" && len(id) <= maxID && utf8.ValidString(id) }
