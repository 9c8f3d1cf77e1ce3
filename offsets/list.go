package offsets

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/calcdc/calcdc/connector"
)

// Entry is one stream with its offset, as the command line and the HTTP API show it.
type Entry struct {
	Stream connector.Stream
	Offset *connector.Offset      // nil: forgotten, or gone
	State  *connector.StreamState // nil: missing
}

// Export is the offsets in the form of Kafka Connect's GET /connectors/{name}/offsets. Streams without an offset are not in
// its JSON, as there.
type Export struct{ Entries []Entry }

type entryJSON struct {
	Partition connector.Stream `json:"partition"`
	Offset    offsetValue      `json:"offset"`
}

// MarshalJSON implements json.Marshaler: {"offsets":[{"partition":{…},"offset":{…}}]}.
func (e Export) MarshalJSON() ([]byte, error) {
	out := struct {
		Offsets []entryJSON `json:"offsets"`
	}{Offsets: []entryJSON{}}
	for _, entry := range e.Entries {
		if entry.Offset != nil {
			out.Offsets = append(out.Offsets, entryJSON{entry.Stream, newOffsetValue(*entry.Offset)})
		}
	}
	return json.Marshal(out)
}

// List reads offsets and streams' records of all partitions up to the ends that the brokers report, without taking anything
// from a running calcdc. Entries are ordered by source, account, collection and kind. A *RecordError says that a record cannot
// be decoded.
func List(ctx context.Context, r Reader, name string, partitions int32) ([]Entry, error) {
	f := newFold(name, false)
	f.heads = true
	keys := &stateKeys{}
	for p := range partitions {
		if err := list(ctx, r, Topic(name), p, func(key, value []byte) error { return f.addOffset(nil, key, value) }); err != nil {
			return nil, err
		}
		err := list(ctx, r, StateTopic(name), p, func(key, value []byte) error { return f.addState(nil, keys, key, value) })
		if err != nil {
			return nil, err
		}
	}
	entries := make([]Entry, 0, len(f.streams))
	for s, st := range f.streams {
		if st.state != nil || st.offset != nil {
			entries = append(entries, Entry{Stream: s, Offset: st.offset, State: st.state})
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return compareStreams(a.Stream, b.Stream) })
	return entries, nil
}

func compareStreams(a, b connector.Stream) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Account, b.Account),
		cmp.Compare(a.Collection, b.Collection), cmp.Compare(a.Kind, b.Kind))
}

// list adds the records of one partition.
func list(ctx context.Context, r Reader, topic string, partition int32, add func(key, value []byte) error) error {
	end, err := r.End(ctx, topic, partition)
	if err != nil {
		return fmt.Errorf("asking for the end of %s partition %d: %w", topic, partition, err)
	}
	var at position
	for rec, err := range r.Read(ctx, topic, partition, 0, end) {
		if err != nil {
			return fmt.Errorf("listing %s: %w", topic, err)
		}
		if err := at.take(&rec, add); err != nil {
			return err
		}
	}
	return at.first()
}
