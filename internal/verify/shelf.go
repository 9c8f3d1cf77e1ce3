package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// mark is what is kept of a row of the topic: with its key and the map's room some 60 bytes, whatever the row's size.
type mark struct {
	hash  connector.Hash // of the row without its etag
	older bool           // of an earlier row version
	seen  bool           // the source has it too
}

// unreadable stands for the hash of a value that is no row.
var unreadable = connector.Hash{1}

// shelf is what a partition holds of one stream.
type shelf struct {
	Progress
	rows  map[connector.Hash]mark // by hash of the id
	older int                     // records of an earlier row version
}

func newShelf() *shelf { return &shelf{rows: map[connector.Hash]mark{}} }

// unsee forgets what a listing that was cut short has shown.
func (s *shelf) unsee() {
	for id, m := range s.rows {
		if m.seen {
			m.seen = false
			s.rows[id] = m
		}
	}
}

// folded is what a partition holds, up to a position.
type folded struct {
	topic     string
	partition int32
	end       int64
	streams   map[Stream]*shelf
	alien     map[string]Difference // records that are none of calcdc's, by key
}

// A partition that looks too short is looked at again: a broker that lost its leadership while it hung answers with an old end for a
// moment.
const (
	looksAtEnd = 4
	lookPause  = 500 * time.Millisecond
)

// fold reads a partition from its beginning to its end, which should be length at least.
func (r *run) fold(ctx context.Context, topic string, partition int32, length int64) (*folded, error) {
	f := &folded{topic: topic, partition: partition, streams: map[Stream]*shelf{}, alien: map[string]Difference{}}
	return f, r.readTo(ctx, topic, partition, &f.end, length, func(rec Record) { f.add(r, rec) })
}

// readTo reads on, to length at least.
func (r *run) readTo(ctx context.Context, topic string, partition int32, position *int64, length int64, add func(Record)) error {
	for n := 0; n == 0 || n < looksAtEnd && *position < length; n++ {
		if n > 0 && !sleep(ctx, lookPause) {
			return context.Cause(ctx)
		}
		if err := r.readOn(ctx, topic, partition, position, add); err != nil {
			return err
		}
	}
	return nil
}

// readOn reads a partition from a position to its end, and moves the position there. It waits for the transactions that are open
// before the end. An end that a deposed leader reports is an older one: then what differs is found the same at the next look.
func (r *run) readOn(ctx context.Context, topic string, partition int32, position *int64, add func(Record)) error {
	end, err := r.cfg.Reader.End(ctx, topic, partition)
	if err != nil {
		return fmt.Errorf("asking for the end of %s partition %d: %w", topic, partition, err)
	}
	if end <= *position {
		return nil
	}
	for rec, err := range r.cfg.Reader.Read(ctx, topic, partition, *position, end) {
		if err != nil {
			return fmt.Errorf("reading %s partition %d: %w", topic, partition, err)
		}
		add(recordOf(rec))
	}
	*position = end
	return nil
}

func recordOf(c connector.Committed) Record {
	r := Record{Topic: c.Topic, Partition: c.Partition, Offset: c.Offset, Key: c.Key, Value: c.Value}
	if len(c.Headers) > 0 {
		r.Headers = make(map[string]string, len(c.Headers))
	}
	for _, h := range c.Headers {
		r.Headers[h.Key] = string(h.Value)
	}
	return r
}

// add folds one record.
func (f *folded) add(r *run, rec Record) {
	e, err := takeApart(rec)
	if e.stream.Kind == "" || r.cfg.Topic(e.stream) != rec.Topic {
		f.foreign(r, rec, err)
		return
	}
	if !r.cfg.selects(e.stream) {
		return
	}
	s := f.streams[e.stream]
	if s == nil {
		s = newShelf()
		f.streams[e.stream] = s
	}
	s.add(e)
}

// foreign notes a record that is none of calcdc's, until a null value of its key ends it.
func (f *folded) foreign(r *run, rec Record, err error) {
	key := string(rec.Key)
	if delete(f.alien, key); rec.Value == nil || len(f.alien) >= r.cfg.Limit {
		return
	}
	if err == nil {
		err = errors.New("the key is of another topic's stream")
	}
	f.alien[key] = Difference{ID: key, What: Unreadable, Detail: fmt.Sprintf("%s[%d]@%d is none of calcdc's records: %v", rec.Topic, rec.Partition, rec.Offset, err)}
}

// add folds one record of the stream.
func (s *shelf) add(e entry) {
	if e.marker != nil {
		s.mark(*e.marker)
		return
	}
	id := hashOfID(e.id)
	if old, ok := s.rows[id]; ok && old.older {
		s.older--
	}
	if m, there := markOf(e); there {
		if s.rows[id] = m; m.older {
			s.older++
		}
		return
	}
	delete(s.rows, id)
}

// markOf is what is kept of the row that an entry sets; false where it removes it. A value that is no envelope is a row like no other.
func markOf(e entry) (mark, bool) {
	switch {
	case e.gone():
		return mark{}, false
	case e.envelope == nil || e.envelope.After == nil:
		return mark{hash: unreadable}, true
	}
	version := e.envelope.Source.RowVersion
	return mark{hash: rowHash(e.envelope.After), older: version < connector.RowVersion}, true
}

func hashOfID(id string) connector.Hash { return connector.HashOf([]byte(id)) }

// rowHash hashes a row's bytes but for its etag, which does not count. Within a text a quote is escaped, so the first member of that name
// is the row's own: what lies before it in a row has none.
func rowHash(row []byte) connector.Hash {
	const name = `,"etag":`
	i := bytes.Index(row, []byte(name))
	if i < 0 {
		return connector.HashOf(row)
	}
	end := i + len(name)
	for quoted := false; end < len(row) && (quoted || row[end] != ',' && row[end] != '}'); end++ {
		switch {
		case row[end] == '"':
			quoted = !quoted
		case quoted && row[end] == '\\':
			end++
		}
	}
	return connector.HashOf(row[:i], row[min(end, len(row)):])
}
