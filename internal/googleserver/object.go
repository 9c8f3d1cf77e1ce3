package googleserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// object is a JSON object whose members keep their order and their bytes.
type object []member

type member struct {
	name  string
	key   []byte // the name as written, with its quotes
	value json.RawMessage
}

// parseObject reads a JSON object of at most a depth that encoding/json takes.
func parseObject(b []byte) (object, error) {
	if !json.Valid(b) {
		return nil, errors.New("reading an item: not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("reading an item: not an object")
	}
	var o object
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("reading an item: %w", err)
		}
		name, _ := t.(string) // keys are strings
		end := d.InputOffset()
		m := member{name: name, key: bytes.TrimLeft(b[keyStart(b, end):end], " \t\r\n,")}
		if err := d.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("reading an item: %w", err)
		}
		o = append(o, m)
	}
	return o, nil
}

// keyStart finds the opening quote of the string that ends before end.
func keyStart(b []byte, end int64) int64 {
	for i := end - 2; i > 0; i-- {
		if b[i] != '"' {
			continue
		}
		escapes := 0
		for j := i - 1; j >= 0 && b[j] == '\\'; j-- {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
	}
	return 0
}

// find is the place of a member, or -1. Of members of one name the last counts, as for encoding/json.
func (o object) find(name string) int {
	for i := len(o) - 1; i >= 0; i-- {
		if o[i].name == name {
			return i
		}
	}
	return -1
}

// raw is a member's value as written; nil where there is none.
func (o object) raw(name string) json.RawMessage {
	if i := o.find(name); i >= 0 {
		return o[i].value
	}
	return nil
}

// text is a member's value where that is a string.
func (o object) text(name string) string {
	var v string
	if json.Unmarshal(o.raw(name), &v) != nil {
		return ""
	}
	return v
}

// with is the object with a member set: in its place, or at the end.
func (o object) with(name string, value any) object {
	m := newMember(name, value)
	if i := o.find(name); i >= 0 {
		o = append(object(nil), o...)
		o[i] = m
		return o
	}
	return append(o[:len(o):len(o)], m)
}

// without is the object without the members of a name.
func (o object) without(names ...string) object {
	var kept object
	for _, m := range o {
		drop := false
		for _, name := range names {
			drop = drop || m.name == name
		}
		if !drop {
			kept = append(kept, m)
		}
	}
	return kept
}

// or is the object with a member added at the end, unless there is one of that name.
func (o object) or(name string, value any) object {
	if o.find(name) >= 0 {
		return o
	}
	return append(o[:len(o):len(o)], newMember(name, value))
}

func newMember(name string, value any) member {
	key, _ := json.Marshal(name) // strings always encode
	switch v := value.(type) {
	case json.RawMessage:
		return member{name, key, v}
	default:
		b, err := marshal(value)
		if err != nil {
			b = []byte("null") // what we set ourselves always encodes
		}
		return member{name, key, b}
	}
}

// marshal encodes without the escapes that encoding/json makes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// bytes is the object as JSON, without spaces between its members.
func (o object) bytes() []byte {
	n := 2
	for _, m := range o {
		n += len(m.key) + len(m.value) + 2
	}
	b := append(make([]byte, 0, n), '{')
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, m.key...), ':'), m.value...)
	}
	return append(b, '}')
}
