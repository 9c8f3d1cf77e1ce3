package google

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// whole splits a text that comes in pieces of chance.
func whole(r io.Reader) (items []string, long int, out rest, err error) {
	out, err = split(r, func(it item) error {
		if it.long {
			long++
		}
		items = append(items, string(it.raw))
		return nil
	})
	return items, long, out, err
}

func TestSplit(t *testing.T) {
	tests := map[string]struct {
		text   string
		items  []string
		rest   string
		failed string // a part of the error
	}{
		"an answer": {
			text:  `{"kind": "calendar#events", "items": [ {"a": 1},` + "\n" + `{"b":"\u00e9\"]"} ], "nextSyncToken":"x"}` + "\r\n ",
			items: []string{`{"a": 1}`, `{"b":"\u00e9\"]"}`}, rest: `{"kind":"calendar#events","nextSyncToken":"x"}`,
		},
		"no items":            {text: `{"nextSyncToken":"x","items":[]}`, rest: `{"nextSyncToken":"x"}`},
		"null items":          {text: `{"items":null}`, rest: `{}`},
		"an escaped name":     {text: `{"it\u0065ms":[1]}`, items: []string{"1"}, rest: `{}`},
		"an empty object":     {text: `{}`, rest: `{}`},
		"items deeper down":   {text: `{"x":{"items":[1,2]}}`, rest: `{"x":{"items":[1,2]}}`},
		"no UTF-8":            {text: "{\"items\":[\"\xff\"],\"x\":\"y\"}", items: []string{"\"\xff\""}, rest: `{"x":"y"}`},
		"cut in an item":      {text: `{"items":[{"a":1`, failed: "EOF"},
		"cut after an item":   {text: `{"items":[{"a":1}`, items: []string{`{"a":1}`}, failed: "EOF"},
		"cut after the items": {text: `{"items":[{"a":1}]`, items: []string{`{"a":1}`}, failed: "EOF"},
		"nothing":             {text: ``, failed: "EOF"},
		"white space":         {text: " \n", failed: "EOF"},
		"an array":            {text: `[]`, failed: "not a JSON object"},
		"a page of HTML":      {text: `<html>`, failed: "invalid character"},
		"items twice":         {text: `{"items":[],"items":[]}`, failed: "twice"},
		"items of text":       {text: `{"items":"x"}`, failed: "not an array"},
		"something follows":   {text: `{} {}`, failed: "follows"},
		"a trailing comma":    {text: `{"items":[1,]}`, items: []string{"1"}, failed: "invalid character"},
		"no comma":            {text: `{"items":[1 2]}`, items: []string{"1"}, failed: "invalid character"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text)), iotest.DataErrReader(strings.NewReader(c.text))} {
				items, _, out, err := whole(r)
				if c.failed != "" {
					if err == nil || !strings.Contains(err.Error(), c.failed) || errors.Is(err, io.EOF) {
						t.Errorf("error %v, want one about %q", err, c.failed)
					}
				} else if err != nil || string(out.object) != c.rest {
					t.Errorf("rest %s, %v, want %s", out.object, err, c.rest)
				}
				if strings.Join(items, "|") != strings.Join(c.items, "|") {
					t.Errorf("items %q, want %q", items, c.items)
				}
			}
		})
	}
}

func TestSplitBounds(t *testing.T) {
	long := `{"id":"big","x":"` + strings.Repeat("x", maxItem) + `"}`
	nested := `{"id":"deep","x":[` + strings.Repeat(`"0123456789",`, maxItem/13) + `1]}`
	for _, text := range []string{long, nested} {
		items, cut, out, err := whole(strings.NewReader(`{"items":[{"id":"a"} , ` + text + `,{"id":"b"}],"nextSyncToken":"x"}`))
		if err != nil || len(items) != 3 || cut != 1 || out.items != 3 || string(out.object) != `{"nextSyncToken":"x"}` {
			t.Fatalf("%d items, %d long, rest %s, %v", len(items), cut, out.object, err)
		}
		if !strings.HasPrefix(text, items[1]) || len(items[1]) > cutItem || len(items[1]) < cutItem/2 || items[2] != `{"id":"b"}` {
			t.Errorf("kept %d bytes: %.20q, then %q", len(items[1]), items[1], items[2])
		}
	}
	endless := func(begin, again string) io.Reader {
		return io.MultiReader(strings.NewReader(begin), &repeated{text: []byte(again)})
	}
	tests := map[string]struct {
		in   io.Reader
		want error
	}{
		"rest":  {endless(`{"x":"`, "x"), errLongRest},
		"rests": {endless(`{"a":1`, `,"x":"`+strings.Repeat("x", 1000)+`"`), errLongRest},
		"items": {endless(`{"items":[1`, `,1`), errTooMany},
		"name":  {endless(`{"`, "x"), errLongRest},
	}
	for name, c := range tests {
		if _, _, _, err := whole(c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, _, _, err := whole(endless(`{"items":["`, "x")); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("an item of more than %d", maxLong)) {
		t.Errorf("an endless item: %v", err)
	}
	if _, _, _, err := whole(endless(`{"items":[1`, " ")); err == nil {
		t.Error("endless white space was read to its end")
	}
}

// repeated is a text without end.
type repeated struct {
	text []byte
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		c := copy(p[n:], r.text[r.at:])
		n, r.at = n+c, (r.at+c)%len(r.text)
	}
	return n, nil
}

func TestSplitStops(t *testing.T) {
	stop := errors.New("enough")
	n := 0
	_, err := split(strings.NewReader(`{"items":[1,2,3]}`), func(item) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}

// FuzzSplit compares with encoding/json: what it takes for an object with an array of items is split into the same
// items and the same rest, and what it refuses is refused.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{
		`{"kind":"calendar#events","items":[{"a":1},null,"x",[1.5e-3]],"nextSyncToken":"x"}`, `{"items":[`, `{"it\u0065ms":[1]}`,
		`{"items":null,"a":{"items":[]}}`, "{\"items\":[\"\xff\"]}", `{"items":[{}],}`, `{"items":[01]}`, `[]`, `{"a":"\ud800"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		items, _, out, err := whole(iotest.HalfReader(bytes.NewReader(text)))
		valid := json.Valid(text)
		var want map[string]json.RawMessage
		var wantItems []json.RawMessage
		object := valid && json.Unmarshal(text, &want) == nil && want != nil
		array := object && (want["items"] == nil || json.Unmarshal(want["items"], &wantItems) == nil)
		switch {
		case err != nil && array && !strings.Contains(err.Error(), "twice") && !strings.Contains(err.Error(), "depth"):
			t.Fatalf("refused what is well: %v", err)
		case err != nil:
			return
		case !array && bytes.Count(text, []byte("tems")) < 2: // of two the last counts for encoding/json
			t.Fatalf("took what is not an answer: %q", text)
		case !valid:
			t.Fatalf("took what is no JSON: %q", text)
		}
		compareRest(t, out, want)
		if bytes.Count(text, []byte(`"`)) > 1 && len(items) != len(wantItems) && !bytes.Contains(text, []byte("tems\"")) {
			t.Fatalf("%d items, want %d", len(items), len(wantItems))
		}
		for i := range min(len(items), len(wantItems)) {
			if items[i] != string(wantItems[i]) {
				t.Fatalf("item %d is %q, want %q", i, items[i], wantItems[i])
			}
		}
	})
}

func compareRest(t *testing.T, out rest, want map[string]json.RawMessage) {
	t.Helper()
	var got map[string]json.RawMessage
	if err := json.Unmarshal(out.object, &got); err != nil {
		t.Fatalf("the rest is no object: %q", out.object)
	}
	if _, ok := got["items"]; ok {
		t.Fatalf("items are in the rest: %q", out.object)
	}
	delete(want, "items")
	if len(got) != len(want) {
		t.Fatalf("the rest has %d members, want %d", len(got), len(want))
	}
	for name, v := range want {
		if !bytes.Equal(bytes.TrimSpace(got[name]), bytes.TrimSpace(v)) {
			t.Fatalf("%s is %q, want %q", name, got[name], v)
		}
	}
}
