package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/calcdc/calcdc/connector"
)

// Record is a committed record.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte // nil: a tombstone or a marker
	Headers   map[string]string
}

func (r Record) String() string {
	return fmt.Sprintf("%s[%d]@%d %s", r.Topic, r.Partition, r.Offset, r.Key)
}

// Stream is a record's key without its last field, with the topic's kind.
type Stream = connector.Stream

// keyFields are the fields of a key by kind, in order; the last is the row's id.
var keyFields = map[connector.Kind][]string{
	connector.Events:    {"source", "account", "collection", "id"},
	connector.ACL:       {"source", "account", "collection", "id"},
	connector.Calendars: {"source", "account", "collection"},
	connector.Settings:  {"source", "account", "id"},
}

// entry is a record of a data topic, taken apart: a marker, a row's change, or a tombstone.
type entry struct {
	stream   Stream
	id       string // "" of a marker
	marker   *Marker
	envelope *envelope // nil beside the error of a value that cannot be decoded
	bare     bool      // neither: a tombstone
}

// gone tells whether the record takes the row away: a d, or a tombstone.
func (e entry) gone() bool {
	return e.bare || e.envelope != nil && e.envelope.Op == "d"
}

// takeApart reads a record. Beside an error the entry is what could be read; without even a stream, its Kind is "".
func takeApart(r Record) (entry, error) {
	stream, id, err := parseKey(kindOf(r.Topic), r.Key)
	if err != nil {
		return entry{}, err
	}
	e := entry{stream: stream, id: id}
	switch {
	case r.Headers["calcdc.marker"] != "":
		m, err := parseMarker(r, id)
		e.marker = &m
		return e, err
	case r.Value == nil:
		e.bare = true
		return e, nil
	}
	e.envelope = new(envelope)
	if err := json.Unmarshal(r.Value, e.envelope); err != nil {
		e.envelope = nil
		return e, fmt.Errorf("decoding the value: %w", err)
	}
	return e, nil
}

// parseKey returns the stream and the row's id. The bytes must be those that the contract gives this row: fields in
// order, no spaces, nothing escaped that need not be.
func parseKey(kind connector.Kind, b []byte) (Stream, string, error) {
	var k map[string]string
	if err := json.Unmarshal(b, &k); err != nil {
		return Stream{}, "", fmt.Errorf("decoding the key: %w", err)
	}
	fields, ok := keyFields[kind]
	if !ok {
		return Stream{}, "", fmt.Errorf("unknown kind %s", kind)
	}
	var again []byte
	for _, name := range fields {
		again = append(append(append(append(again, ','), compactJSON(name)...), ':'), compactJSON(k[name])...)
	}
	if again = append(append([]byte{'{'}, again[1:]...), '}'); !bytes.Equal(again, b) {
		return Stream{}, "", fmt.Errorf("the key's bytes are not stable, or not those of its kind: want %s", again)
	}
	last := fields[len(fields)-1]
	id := k[last]
	delete(k, last)
	return Stream{Source: k["source"], Account: k["account"], Collection: k["collection"], Kind: kind}, id, nil
}

func compactJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // structs of strings always encode
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Row is a row as published; nil is null.
type Row map[string]any

// Text returns a field that is a string, "" where it is null.
func (r Row) Text(field string) string {
	s, _ := r[field].(string)
	return s
}

// envelope is a record's value; rows that are null are nil.
type envelope struct {
	Before rowJSON `json:"before"`
	After  rowJSON `json:"after"`
	Op     string  `json:"op"`
	TsMs   int64   `json:"ts_ms"`
	Source struct {
		Version    string `json:"version"`
		Connector  string `json:"connector"`
		Name       string `json:"name"`
		TsMs       int64  `json:"ts_ms"`
		Snapshot   string `json:"snapshot"`
		DB         string `json:"db"`
		Table      string `json:"table"`
		Collection string `json:"collection"`
		Epoch      int64  `json:"epoch"`
		RowVersion int    `json:"row_version"`
	} `json:"source"`
}

// rowJSON is a row as its bytes stand in an envelope.
type rowJSON []byte

// UnmarshalJSON implements json.Unmarshaler.
func (r *rowJSON) UnmarshalJSON(b []byte) error {
	if *r = nil; string(b) != "null" {
		*r = bytes.Clone(b)
	}
	return nil
}

// row decodes it; nil for null.
func (r rowJSON) row() (Row, error) {
	if r == nil {
		return nil, nil
	}
	return decodeRow(r)
}

// same tells whether two rows are equal; the etag does not count.
func same(a, b Row) bool {
	return bytes.Equal(canonical(a), canonical(b))
}

func canonical(r Row) []byte {
	c := make(Row, len(r))
	for k, v := range r {
		if k != "etag" {
			c[k] = v
		}
	}
	return compactJSON(c) // maps are encoded in the order of their keys
}

// kindOf is the last part of a topic's name.
func kindOf(topic string) connector.Kind {
	return connector.Kind(topic[strings.LastIndexByte(topic, '.')+1:])
}
