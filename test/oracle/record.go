// Package oracle judges what calcdc published, without any of its code: it reads the topics with another client,
// folds them under the rules of the contract, and compares the fold with its own listing of the calendar server.
package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
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
type Stream struct {
	Source, Account, Collection, Kind string
}

// keyFields are the fields of a key by kind, in order; the last is the row's id.
var keyFields = map[string][]string{
	"events":    {"source", "account", "collection", "id"},
	"acl":       {"source", "account", "collection", "id"},
	"calendars": {"source", "account", "collection"},
	"settings":  {"source", "account", "id"},
}

// parseKey returns the stream and the row's id. The bytes must be those that the contract gives this row: fields in
// order, no spaces, nothing escaped that need not be.
func parseKey(kind string, b []byte) (Stream, string, error) {
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
	return Stream{k["source"], k["account"], k["collection"], kind}, id, nil
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

// envelope is a record's value.
type envelope struct {
	Before Row    `json:"before"`
	After  Row    `json:"after"`
	Op     string `json:"op"`
	TsMs   int64  `json:"ts_ms"`
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
	} `json:"source"`
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
func kindOf(topic string) string { return topic[strings.LastIndexByte(topic, '.')+1:] }
