package offsets

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/calcdc/calcdc/connector"
)

// FuzzOffsets: whatever stands in <name>-offsets is either an error or comes back the same.
func FuzzOffsets(f *testing.F) {
	f.Add(offsetKey("team", alice), encodeOffset(connector.Offset{Token: "t", Epoch: 1}))
	f.Add(offsetKey("team", odd), []byte("null"))
	f.Add([]byte(`["team", {"stream":"events","source":"s","account":"\ud800"}]`), []byte(`{"epoch":1e3}`))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if s, canonical, err := parseOffsetKey("team", key); err == nil {
			again, exact, err := parseOffsetKey("team", offsetKey("team", s))
			if again != s || !exact || err != nil {
				t.Fatalf("%+v came back as %+v, %v, %v", s, again, exact, err)
			}
			if canonical != bytes.Equal(key, offsetKey("team", s)) {
				t.Fatalf("%q is canonical: %v", key, canonical)
			}
		}
		o, err := parseOffset(value)
		if err != nil || o == nil {
			return
		}
		if again, err := parseOffset(encodeOffset(*o)); err != nil || *again != *o {
			t.Fatalf("%+v came back as %+v, %v", o, again, err)
		}
	})
}

// FuzzState: whatever stands in <name>-state is either an error or something that a fold can hold and that comes back the same.
func FuzzState(f *testing.F) {
	var scratch []byte
	row := idKey(statePrefix(rowEntity, alice), "a")
	f.Add(row, encodeRow(&connector.RowChange{Body: sampleRow(1).JSON}, &scratch))
	f.Add(row, encodeRow(&connector.RowChange{Body: []byte("{}")}, &scratch))
	f.Add(statePrefix(rowEntity, alice), []byte{rowVersion})
	f.Add(idKey(statePrefix(resourceEntity, odd), "a"), encodeResource("a", &connector.ResourceState{ETag: "e", Rows: []string{"a", "a#1", "b"}}))
	f.Add(idKey(statePrefix(resourceEntity, odd), "s_1"), encodeResource("s_1", &connector.ResourceState{ETag: "e", Parent: "s", Rows: []string{"s_1"}}))
	f.Add(streamKey(alice), []byte(goldenState))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		fold, keys := newFold("team", true), &stateKeys{}
		for _, k := range [][]byte{row, idKey(statePrefix(resourceEntity, odd), "b"), key, key} {
			if err := fold.addState(nil, keys, k, nil); err != nil && !bytes.Equal(k, key) {
				t.Fatal(err)
			}
		}
		err := fold.addState(nil, keys, key, value)
		if again := fold.addState(nil, &stateKeys{}, key, value); (again == nil) != (err == nil) {
			t.Fatalf("with prefixes %v, without %v", err, again)
		}
		if err != nil {
			return
		}
		for _, st := range fold.streams {
			checkIndex(t, st.index)
		}
	})
}

// checkIndex reads all that an index holds.
func checkIndex(t *testing.T, x index) {
	t.Helper()
	for id, r := range x.Resources() {
		again, err := parseResource(id, string(encodeResource(id, &r)))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("resource %q: %+v came back as %+v, %v", id, r, again, err)
		}
		if slices.Contains(x.Unread(), id) != r.Unknown {
			t.Fatalf("%q is among the unread: %v", id, !r.Unknown)
		}
		if r.Parent != "" && !slices.Contains(x.Children(r.Parent), id) {
			t.Fatalf("%q is not among the children of %q", id, r.Parent)
		}
	}
	for id := range x.rowIDs() {
		if body, err := x.Body(id); err == nil && len(body) > maxBody {
			t.Fatalf("a body of %d bytes", len(body))
		}
	}
}
