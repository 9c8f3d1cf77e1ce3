package offsets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/calcdc/calcdc/connector"
)

// maxKey bounds the keys of both topics, written and read.
const maxKey = 64 << 10

// barrierKey is the key of the records that Load writes and reads up to (Invariant 4). Keys of offsets are arrays of
// two, keys of the state arrays of five or six: no stream can have it.
var barrierKey = []byte(`["barrier"]`)

// entity is what a record of the state is about; it is the first element of its key.
type entity string

const (
	streamEntity   entity = "stream"   // ["stream",source,account,collection,kind]
	resourceEntity entity = "resource" // ["resource",source,account,collection,kind,id]
	rowEntity      entity = "row"      // ["row",source,account,collection,kind,id]
)

// offsetKey is Kafka Connect's: ["<name>",{"source":…,"account":…,"collection":…,"stream":…}].
func offsetKey(name string, s connector.Stream) []byte {
	b := appendString([]byte{'['}, name)
	b = appendString(append(b, `,{"source":`...), s.Source)
	b = appendString(append(b, `,"account":`...), s.Account)
	b = appendString(append(b, `,"collection":`...), s.Collection)
	b = appendString(append(b, `,"stream":`...), string(s.Kind))
	return append(b, `}]`...)
}

// parseOffsetKey reads an offset's key. canonical says that offsetKey would write the same bytes: Kafka compacts by
// bytes, and a key that an operator wrote with its fields in another order is another key of the same stream.
func parseOffsetKey(name string, key []byte) (s connector.Stream, canonical bool, err error) {
	var parts []json.RawMessage
	if err := unmarshal(key, maxKey, &parts); err != nil {
		return s, false, err
	}
	if len(parts) != 2 {
		return s, false, fmt.Errorf("an array of %d, not of a name and a partition", len(parts))
	}
	var owner string
	if err := json.Unmarshal(parts[0], &owner); err != nil {
		return s, false, err
	}
	if owner != name {
		return s, false, fmt.Errorf("it is of %q, not of %q", owner, name)
	}
	if err := json.Unmarshal(parts[1], &s); err != nil {
		return s, false, err
	}
	if s.Source == "" || s.Account == "" || s.Kind == "" {
		return s, false, errors.New("source, account or stream is missing")
	}
	return s, bytes.Equal(key, offsetKey(name, s)), nil
}

// statePrefix is a state key up to its id; for a stream's record it ends in a comma that stateKey replaces.
func statePrefix(e entity, s connector.Stream) []byte {
	b := []byte{'['}
	for _, part := range []string{string(e), s.Source, s.Account, s.Collection, string(s.Kind)} {
		b = append(appendString(b, part), ',')
	}
	return b
}

// streamKey is the key of a stream's record.
func streamKey(s connector.Stream) []byte {
	b := statePrefix(streamEntity, s)
	b[len(b)-1] = ']'
	return b
}

// idKey is the key of a resource's or a row's record, prefix being its statePrefix.
func idKey(prefix []byte, id string) []byte {
	b := append(make([]byte, 0, len(prefix)+len(id)+3), prefix...)
	return append(appendString(b, id), ']')
}

// stateKeys parses the state's keys. It remembers the last prefixes: most records follow one of the same stream.
type stateKeys struct {
	last [2]struct {
		prefix []byte
		entity entity
		stream connector.Stream
	}
	next int
	ids  map[string]string // of rows that may follow, in the memory of their resources' ids
}

// maxShared bounds the ids that wait for their rows: a page's.
const maxShared = 4096

// share lets the records of rows that follow use the same memory for their ids as their resource does: an id is
// as long as a twentieth of what a row takes.
func (k *stateKeys) share(rows []string) {
	if k.ids == nil || len(k.ids)+len(rows) > maxShared {
		k.ids = map[string]string{}
	}
	for _, id := range rows[:min(len(rows), maxShared)] {
		k.ids[id] = id
	}
}

// sharedID is id in memory that is shared, where there is such.
func (k *stateKeys) sharedID(id string) string {
	if s, ok := k.ids[id]; ok {
		delete(k.ids, id)
		return s
	}
	return id
}

// parse reads a key of the state; id is empty for a stream's record. Only the very bytes that idKey and streamKey
// write are taken: no one else writes them.
func (k *stateKeys) parse(key []byte) (e entity, s connector.Stream, id string, err error) {
	for _, l := range k.last {
		if l.prefix == nil || len(key) <= len(l.prefix) || !bytes.HasPrefix(key, l.prefix) {
			continue
		}
		if id, ok := parseString(key[len(l.prefix) : len(key)-1]); ok && key[len(key)-1] == ']' {
			return l.entity, l.stream, id, nil
		}
	}
	var parts []string
	if err := unmarshal(key, maxKey, &parts); err != nil {
		return e, s, id, err
	}
	if len(parts) < 5 {
		return e, s, id, fmt.Errorf("an array of %d", len(parts))
	}
	e = entity(parts[0])
	s = connector.Stream{Source: parts[1], Account: parts[2], Collection: parts[3], Kind: connector.Kind(parts[4])}
	switch {
	case e == streamEntity && len(parts) == 5 && bytes.Equal(key, streamKey(s)):
		return e, s, "", nil
	case (e == resourceEntity || e == rowEntity) && len(parts) == 6:
		prefix := statePrefix(e, s)
		if !bytes.Equal(key, idKey(prefix, parts[5])) {
			break
		}
		l := &k.last[k.next]
		l.prefix, l.entity, l.stream = prefix, e, s
		k.next = (k.next + 1) % len(k.last)
		return e, s, parts[5], nil
	}
	return e, s, "", errors.New("not a key that calcdc writes")
}

// appendString appends s, which is UTF-8, as a JSON string. Only what JSON demands is escaped, always in one way: a key's bytes
// must not depend on an encoder that may change its mind.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// parseString reads what appendString wrote of most strings: those without an escape.
func parseString(b []byte) (string, bool) {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' || len(b) > maxKey {
		return "", false
	}
	b = b[1 : len(b)-1]
	for _, c := range b {
		if c < ' ' || c == '"' || c == '\\' {
			return "", false
		}
	}
	return string(b), utf8.Valid(b)
}

// unmarshal decodes JSON of at most limit bytes.
func unmarshal(b []byte, limit int, v any) error {
	if len(b) > limit {
		return fmt.Errorf("%d bytes are more than %d", len(b), limit)
	}
	return json.Unmarshal(b, v)
}

// show is a key for an error's text.
func show(key []byte) string {
	const most = 200
	if len(key) > most {
		return strings.ToValidUTF8(string(key[:most]), "�") + "…"
	}
	return strings.ToValidUTF8(string(key), "�")
}
