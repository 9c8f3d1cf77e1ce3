package rows

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestOneField: whatever stands for one field, alone or twice, costs no other field, and stands in other_properties unless it could be
// read.
func TestOneField(t *testing.T) {
	values := []string{`5`, `-1.5e300`, `true`, `null`, `"text"`, `""`, `[]`, `{}`, `[[[]]]`, `{"a":{"b":[1,null,"c"]}}`, `[null,1,"x",{"email":7},{"email":{}}]`,
		`{"date":[],"dateTime":{},"timeZone":1}`, `{"entryPoints":[1,{"uri":1},{"entryPointType":"video"}]}`}
	for name := range columns {
		for _, v := range values {
			for _, item := range []string{
				fmt.Sprintf(`{"first":"1",%q:%s,"last":"2","summary":"ok","id":"a"}`, name, v),
				fmt.Sprintf(`{"first":"1","last":"2",%q:%s,"id":"a","summary":"ok",%q:%s}`, name, v, name, v),
			} {
				row, _ := event(t, item)
				others := map[string]bool{}
				for _, p := range row["other_properties"].([]any) {
					others[p.(map[string]any)["name"].(string)] = true
				}
				if !others["first"] || !others["last"] || name != "summary" && row["summary"] != "ok" || name != "id" && row["id"] != "a" {
					t.Errorf("%s: other fields are lost: %v", item, row)
				}
			}
		}
	}
}

// TestHostile: what is noted of items that are not what they should be.
func TestHostile(t *testing.T) {
	deep := strings.Repeat("[", 20000) + strings.Repeat("]", 20000)
	cases := []struct{ name, item, id, fault string }{
		{"nothing", ``, "", "not a JSON object: ; no id"},
		{"null", `null`, "", "not a JSON object: null; no id"},
		{"a string", `"id"`, "", `not a JSON object: "id"; no id`},
		{"no field", `{}`, "", "no id"},
		{"id empty", `{"id":""}`, "", "no id"},
		{"space", " \n{ \"id\" : \"a\" } \n", "a", ""},
		{"more", `{"id":"a"}{"id":"b"}`, "a", "more than one JSON value"},
		{"garbage after", `{"id":"a"}]`, "a", "more than one JSON value"},
		{"no end", `{"id":"a"`, "a", "id: not JSON: unexpected EOF after byte 9"},
		{"a name without its value", `{"id":"a","summary"}`, "a", ""},
		{"not a name", `{"id":"a",5:6}`, "a", ""},
		{"bad escape", `{"id":"a","summary":"\q"}`, "a", ""},
		{"a comma too many", `{"id":"a",}`, "a", ""},
		{"deep", `{"id":"a","x":` + deep + `,"y":1}`, "a", ""},
		{"deep in a column", `{"id":"a","start":{"x":` + deep + `}}`, "a", ""},
		{"a list begun", `{"id":"a","attendees":[{"email":"b"},`, "a", ""},
		{"BOM", "\ufeff{\"id\":\"a\"}", "", ""},
		{"too long", `{"id":"a","x":"` + strings.Repeat("y", MaxItem) + `"}`, "", fmt.Sprintf("not parsed: longer than %d bytes; no id", MaxItem)},
		{"a long name", `{"id":"a","` + strings.Repeat("n", 1000) + `":`, "a", ""},
		{"a name with control characters", `{"id":"a","\u0000\u001b[31m":`, "a", ""},
	}
	for _, c := range cases {
		e := ParseEvent([]byte(c.item))
		if e.ID != c.id {
			t.Errorf("%s: id %q", c.name, e.ID)
		}
		clean := c.fault == "" && c.id != "" && json.Valid([]byte(c.item)) && !strings.HasPrefix(c.name, "deep")
		if c.fault != "" && e.ParseError != c.fault || (e.ParseError == "") != clean {
			t.Errorf("%s: parse error %q", c.name, e.ParseError)
		}
		if len(e.ParseError) > 4096 || strings.ContainsFunc(e.ParseError, control) {
			t.Errorf("%s: the parse error is long or has control characters: %q", c.name, e.ParseError)
		}
		if raw := fields(t, e.Row(stream, Options{Raw: true, MaxRaw: -1}))["raw"]; raw != c.item {
			t.Errorf("%s: raw is not the item", c.name)
		}
	}
}

// TestAmple: an item in which little stands for much gives a row of bounded size, and says so.
func TestAmple(t *testing.T) {
	list := func(element string) string { return "[" + strings.Repeat(element+",", 100_000) + element + "]" }
	for name, item := range map[string]string{
		"attendees":   `{"id":"a","summary":"ok","attendees":` + list(`{}`) + `,"location":"here"}`,
		"recurrence":  `{"id":"a","summary":"ok","recurrence":` + list(`""`) + `,"location":"here"}`,
		"description": `{"id":"a","summary":"ok","description":"` + strings.Repeat("d", 5<<20) + `","location":"here"}`,
		"others":      `{"id":"a","summary":"ok",` + strings.Repeat(`"x":1,`, 100_000) + `"y":2}`,
		"one other":   `{"id":"a","summary":"ok","x":` + list(`"123456789 123456789 123"`) + `,"location":"here"}`,
		"twice":       `{"id":"a","summary":"ok"` + strings.Repeat(`,"summary":"again"`, 50_000) + `}`,
	} {
		e := ParseEvent([]byte(item))
		row := e.Row(stream, Options{Raw: true, MaxRaw: 1 << 10})
		if len(row.JSON) > 4*MaxRow {
			t.Errorf("%s: a row of %d bytes", name, len(row.JSON))
		}
		if m := fields(t, row); m["summary"] != "ok" || m["id"] != "a" {
			t.Errorf("%s: other fields are lost", name)
		}
		if e.ParseError == "" || len(e.ParseError) > 4096 {
			t.Errorf("%s: parse error %.100q", name, e.ParseError)
		}
	}
}

// TestLinear: ten times the elements take ten times the allocations, not more.
func TestLinear(t *testing.T) {
	for name, make := range map[string]func(n int) string{
		"attendees": func(n int) string {
			return `{"id":"a","attendees":[` + strings.Repeat(`{"email":"bob@example.org"},`, n) + `{}]}`
		},
		"others": func(n int) string { return `{"id":"a"` + strings.Repeat(`,"x":{"y": "z"}`, n) + `}` },
		"faults": func(n int) string { return `{"id":"a"` + strings.Repeat(`,"status":1`, n) + `}` },
		"space":  func(n int) string { return `{"id":"a","x":[` + strings.Repeat(" 1 ,\n", n) + `1]}` },
	} {
		allocs := func(n int) float64 {
			item := []byte(make(n))
			return testing.AllocsPerRun(3, func() { ParseEvent(item).Row(stream, Options{}) }) / float64(n)
		}
		if few, many := allocs(200), allocs(4_000); many > few+2 {
			t.Errorf("%s: %.1f allocations an element of 200, %.1f of 4,000", name, few, many)
		}
	}
}

// TestRaw: SPEC's rules for raw, of rows with and without raw_type.
func TestRaw(t *testing.T) {
	item, broken := `{"id": "a"}`, "{\"id\":\"a\",\"summary\":\"\xff\"}"
	encoded := base64.StdEncoding.EncodeToString([]byte(broken))
	cases := []struct {
		name, item string
		options    Options
		raw, kind  any
	}{
		{"as sent", item, Options{Raw: true, MaxRaw: 1 << 20}, item, "application/json"},
		{"just long enough", item, Options{Raw: true, MaxRaw: len(item)}, item, "application/json"},
		{"too long", item, Options{Raw: true, MaxRaw: len(item) - 1}, nil, "application/json;omitted"},
		{"any length", item, Options{Raw: true, MaxRaw: -1}, item, "application/json"},
		{"none", item, Options{}, nil, nil},
		{"none of any length", item, Options{MaxRaw: -1}, nil, nil},
		{"not UTF-8", broken, Options{Raw: true, MaxRaw: -1}, encoded, "application/json;base64"},
		{"not UTF-8, none", broken, Options{}, nil, nil},
	}
	for _, c := range cases {
		for kind, parse := range parsers {
			row, _ := parse([]byte(c.item), c.options)
			m := fields(t, row)
			if m["raw"] != c.raw || kind == "events" && m["raw_type"] != c.kind {
				t.Errorf("%s of %s: raw %v, raw_type %v", c.name, kind, m["raw"], m["raw_type"])
			}
			if !utf8.Valid(row.JSON) {
				t.Errorf("%s of %s: the row is not UTF-8", c.name, kind)
			}
		}
	}
}

// TestRowTwice: the same event in two streams, and again: rows share nothing.
func TestRowTwice(t *testing.T) {
	e := ParseEvent(typical)
	one := e.Row(stream, Options{Raw: true, MaxRaw: -1})
	other := stream
	other.Collection = "team@group.calendar.google.com"
	two := e.Row(other, Options{})
	if again := e.Row(stream, Options{Raw: true, MaxRaw: -1}); again.Hash != one.Hash || string(again.JSON) != string(one.JSON) {
		t.Errorf("the row has changed:\n%s\n%s", one.JSON, again.JSON)
	}
	if m := fields(t, two); m["collection"] != other.Collection || m["raw"] != nil {
		t.Errorf("collection %v, raw %v", m["collection"], m["raw"])
	}
}

// TestItemIsNotKept: the bytes may be used again once the item has been read.
func TestItemIsNotKept(t *testing.T) {
	item := []byte(string(typical))
	e := ParseEvent(item)
	clear(item)
	if got := e.Row(stream, Options{Raw: true, MaxRaw: -1}); got.Hash != ParseEvent(typical).Row(stream, Options{Raw: true, MaxRaw: -1}).Hash {
		t.Error("the row has changed with the item's bytes")
	}
}

// TestDeletedTwice: a tombstone that contradicts itself is one.
func TestDeletedTwice(t *testing.T) {
	if c := ParseCalendar([]byte(`{"id":"a","deleted":true,"deleted":false}`)); !c.Deleted {
		t.Error("not deleted")
	}
}
