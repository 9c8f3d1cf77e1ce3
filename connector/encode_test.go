package connector

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
)

// TestEventEncoding compares the encoding by hand with encoding/json's of the same struct, over events whose every
// field is set, null or empty at random.
func TestEventEncoding(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var e Event
		fill(rnd, reflect.ValueOf(&e.eventHead).Elem())
		fill(rnd, reflect.ValueOf(&e.ETag).Elem())
		fill(rnd, reflect.ValueOf(&e.eventTail).Elem())
		row := e.Row(0)
		if want := byReflection(t, &e); !bytes.Equal(row.JSON, want) {
			t.Fatalf("got\n%s\nwant\n%s", row.JSON, want)
		}
		hash := row.Hash
		e.ETag = nil
		if e.Row(0).Hash != hash {
			t.Fatal("the hash depends on the etag")
		}
	}
}

// TestAppendString: every byte, alone and between others, and every rune that JSON treats apart.
func TestAppendString(t *testing.T) {
	list := []string{"", "\u2028\u2029\ufffd", "a\xff\xfeb", "\xe2\x80", "\U0001F389 <&>", "ü\xc3"}
	for c := range 256 {
		list = append(list, string([]byte{byte(c)}), "a"+string([]byte{byte(c)})+"b")
	}
	for _, s := range list {
		if got, want := appendString(nil, s), appendJSON(nil, s); !bytes.Equal(got, want) {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
}

// byReflection is what encoding/json makes of e; lists are never null.
func byReflection(t *testing.T, e *Event) []byte {
	t.Helper()
	for _, p := range []*[]string{&e.Recurrence, &e.Categories} {
		if *p == nil {
			*p = []string{}
		}
	}
	if e.Attendees == nil {
		e.Attendees = []Attendee{}
	}
	if e.OtherProperties == nil {
		e.OtherProperties = []Property{}
	}
	head, tail := appendJSON(nil, &e.eventHead), appendJSON(nil, &e.eventTail)
	b := append(head[:len(head)-1], `,"etag":`...)
	b = append(appendJSON(b, e.ETag), ',')
	b = append(b, tail[1:]...)
	if !json.Valid(b) {
		t.Fatalf("not JSON: %s", b)
	}
	return b
}

// fill sets v to something, or leaves it as it is.
func fill(rnd *rand.Rand, v reflect.Value) {
	words := []string{"", "word", `"quoted" \ back`, "line\r\nnext\t\x00\x7f\x1f", "Grüße 🎉 \u2028", "bad \xff bytes", "<a href='x'>&</a>"}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(rnd, v.Field(i))
		}
	case reflect.Pointer:
		if rnd.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(rnd, v.Elem())
		}
	case reflect.String:
		v.SetString(words[rnd.IntN(len(words))])
	case reflect.Bool:
		v.SetBool(rnd.IntN(2) == 0)
	case reflect.Int:
		v.SetInt(int64(rnd.IntN(2000) - 1000))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rnd.IntN(4), 4))
		for i := range v.Len() {
			fill(rnd, v.Index(i))
		}
	case reflect.Map:
		if rnd.IntN(4) > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range rnd.IntN(4) {
				v.SetMapIndex(reflect.ValueOf(words[rnd.IntN(5)]), reflect.ValueOf(words[rnd.IntN(len(words))]))
			}
		}
	}
}
