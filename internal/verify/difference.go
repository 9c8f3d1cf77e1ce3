package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Kinds of Difference.
const (
	Missing    = "missing"    // the source has the row, the topic does not
	Extra      = "extra"      // the topic has a row that the source does not have
	Held       = "held"       // so it has, and the row's delete is held, or refused
	Differs    = "differs"    // both have it, and Fields differ
	Astray     = "astray"     // the row stands in another partition than its stream's
	Unreadable = "unreadable" // a record that is none of calcdc's
)

// Difference is one between a topic and a source, of one row.
type Difference struct {
	Stream
	ID     string  `json:"id"`
	What   string  `json:"what"`
	Fields []Field `json:"fields,omitempty"` // of Differs
	Detail string  `json:"detail,omitempty"`
}

// Field is one in which a row's two forms differ; nil is null, or that the form has no such field.
type Field struct {
	Name   string `json:"name"`
	Topic  any    `json:"topic"`
	Source any    `json:"source"`
}

func (d Difference) String() string {
	where := fmt.Sprintf("%s: %s", d.Stream, d.ID)
	switch d.What {
	case Missing:
		return where + " has no row"
	case Extra:
		return where + " has a row and is not at the source"
	case Differs:
		texts := make([]string, len(d.Fields))
		for i, f := range d.Fields {
			texts[i] = f.String()
		}
		return where + ": " + strings.Join(texts, "; ")
	}
	return where + ": " + d.Detail
}

func (f Field) String() string {
	return fmt.Sprintf("%s is %s, must be %s", f.Name, compactJSON(f.Topic), compactJSON(f.Source))
}

// Compare yields the differences between the rows that a topic holds of a stream and those that it must hold. A wanted row names the
// fields that are compared.
func Compare(s Stream, rows, want map[string]Row) []Difference {
	var found []Difference
	for _, id := range slices.Sorted(maps.Keys(want)) {
		row, ok := rows[id]
		if !ok {
			found = append(found, Difference{Stream: s, ID: id, What: Missing})
		} else if fields := fields(row, want[id], maps.Keys(want[id])); len(fields) > 0 {
			found = append(found, Difference{Stream: s, ID: id, What: Differs, Fields: fields})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if _, ok := want[id]; !ok {
			found = append(found, Difference{Stream: s, ID: id, What: Extra})
		}
	}
	return found
}

// fields are those of names in which two forms of a row differ, sorted.
func fields(topic, source Row, names iter.Seq[string]) []Field {
	var found []Field
	for _, name := range slices.Sorted(names) {
		if t, s := topic[name], source[name]; !bytes.Equal(compactJSON(t), compactJSON(s)) {
			found = append(found, Field{name, t, s})
		}
	}
	return found
}

// allFields are those in which two rows differ, whichever has them; the etag does not count.
func allFields(topic, source Row) []Field {
	names := maps.Clone(source)
	maps.Copy(names, topic)
	delete(names, "etag")
	return fields(topic, source, maps.Keys(names))
}

// decodeRow reads a row with its numbers as they are written.
func decodeRow(b []byte) (Row, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var row Row
	if err := dec.Decode(&row); err != nil {
		return nil, fmt.Errorf("decoding a row: %w", err)
	}
	return row, nil
}
