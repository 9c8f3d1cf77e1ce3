package connector

import (
	"bytes"
	"encoding/json"
)

// Kind names the rows that a stream holds; it is the table of the envelope and the last part of the topic.
type Kind string

// The kinds of stream.
const (
	Events    Kind = "events"    // of one collection
	Calendars Kind = "calendars" // of one account: a row a collection
	ACL       Kind = "acl"       // of one collection
	Settings  Kind = "settings"  // of one account
)

// Stream identifies one kind of row of one collection, or of one account where the kind has no collection
// (then Collection is empty).
type Stream struct {
	Source     string `json:"source"`
	Account    string `json:"account"`
	Collection string `json:"collection"`
	Kind       Kind   `json:"stream"`
}

// String names the stream for logs and errors, e.g. "work/alice/events /alice/work/".
func (s Stream) String() string {
	name := s.Source + "/" + s.Account + "/" + string(s.Kind)
	if s.Collection == "" {
		return name
	}
	return name + " " + s.Collection
}

// Key is the key of the row id: a JSON object with its fields in the contract's order, without spaces. The same
// row always has the same bytes, because Kafka compacts and partitions by bytes. With an empty id it is the key
// of the stream's markers.
func (s Stream) Key(id string) []byte {
	b := s.appendPrefix(make([]byte, 0, 80+len(s.Source)+len(s.Account)+len(s.Collection)+len(id)))
	field := `,"id":`
	if s.Kind == Calendars {
		field = `,"collection":`
	}
	b = append(b[:len(b)-1], field...)
	b = appendString(b, id)
	return append(b, '}')
}

// Partition is the partition of a topic with n partitions that holds the stream's records: Kafka's murmur2 of the
// key's bytes without the last field. It is chosen once and kept in the stream's state.
func (s Stream) Partition(n int32) int32 { return murmur2(s.prefix(), n) }

// AccountPartition is the partition of a topic with n partitions that holds the account's offsets and state.
func AccountPartition(source, account string, n int32) int32 {
	return murmur2(Stream{Source: source, Account: account, Kind: Calendars}.prefix(), n)
}

// prefix is the key without its last field.
func (s Stream) prefix() []byte { return s.appendPrefix(nil) }

func (s Stream) appendPrefix(b []byte) []byte {
	b = appendString(append(b, `{"source":`...), s.Source)
	b = appendString(append(b, `,"account":`...), s.Account)
	if s.Kind == Events || s.Kind == ACL {
		b = appendString(append(b, `,"collection":`...), s.Collection)
	}
	return append(b, '}')
}

// appendJSON appends v as compact JSON in which <, > and & stand as they are. Strings, numbers and flat structs
// of them cannot fail to encode.
func appendJSON(b []byte, v any) []byte {
	buf := bytes.NewBuffer(b)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return append(b, "null"...)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// murmur2 maps key to one of n partitions as Kafka's default partitioner does.
func murmur2(key []byte, n int32) int32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		k *= m
		k ^= k >> 24
		h = h*m ^ k*m
	}
	switch len(key) {
	case 3:
		h ^= uint32(key[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(key[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(key[0])) * m
	}
	h = (h ^ h>>13) * m
	h ^= h >> 15
	return int32(h&0x7fffffff) % n
}
