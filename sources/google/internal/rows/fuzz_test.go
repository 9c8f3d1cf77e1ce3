package rows

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/calcdc/calcdc/connector"
)

func FuzzEvent(f *testing.F)    { fuzz(f, "events") }
func FuzzCalendar(f *testing.F) { fuzz(f, "calendars") }
func FuzzRule(f *testing.F)     { fuzz(f, "acl") }
func FuzzSetting(f *testing.F)  { fuzz(f, "settings") }

// fuzz: whatever an item holds, its parser returns in time, its row is JSON of valid UTF-8 in which raw stands for the item,
// the same again for the same bytes, and what is no JSON has a parse error.
func fuzz(f *testing.F, kind string) {
	for _, file := range items(f, kind) {
		f.Add(read(f, file))
	}
	parse := parsers[kind]
	f.Fuzz(func(t *testing.T, item []byte) {
		begin := time.Now()
		row, parseError := parse(item, Options{Raw: true, MaxRaw: -1})
		if spent := time.Since(begin); spent > 5*time.Second {
			t.Errorf("took %s for %d bytes", spent, len(item))
		}
		if !utf8.Valid(row.JSON) || !json.Valid(row.JSON) || !utf8.ValidString(parseError) {
			t.Errorf("the row is not JSON in UTF-8: %s", row.JSON)
		}
		m := fields(t, row)
		if raw, _ := m["raw"].(string); raw != string(item) && raw != base64.StdEncoding.EncodeToString(item) {
			t.Errorf("raw is not the item: %q", raw)
		}
		if parseError == "" && !json.Valid(item) {
			t.Errorf("no parse error of what is not JSON: %q", item)
		}
		if again, _ := parse(bytes.Clone(item), Options{Raw: true, MaxRaw: -1}); again.Hash != row.Hash {
			t.Error("the same bytes give another row")
		}
		if kind == "events" {
			checkEvent(t, item, m, parseError)
		}
	})
}

func checkEvent(t *testing.T, item []byte, m map[string]any, parseError string) {
	t.Helper()
	for _, k := range []string{"start_utc", "end_utc", "created_at", "updated_at"} {
		if s, ok := m[k].(string); ok {
			if _, err := time.Parse("2006-01-02T15:04:05Z", s); err != nil {
				t.Errorf("%s: %v", k, err)
			}
		}
	}
	if (m["kind"] == string(connector.Override)) != (m["series_id"] != nil) || m["recurrence_id"] != nil && m["series_id"] == nil {
		t.Errorf("kind %v, series %v, recurrence_id %v", m["kind"], m["series_id"], m["recurrence_id"])
	}
	if parseError != "" {
		return
	}
	// Every field that is not null stands somewhere: in other_properties or, one of those that have a column, in the row.
	var all map[string]json.RawMessage
	if err := json.Unmarshal(item, &all); err != nil {
		t.Errorf("no parse error: %v", err)
	}
	others := map[string]bool{}
	for _, p := range m["other_properties"].([]any) {
		others[p.(map[string]any)["name"].(string)] = true
	}
	for name := range all {
		if _, ok := columns[name]; !ok && !others[clean(name)] {
			t.Errorf("field %q is lost", name)
		}
	}
}

// FuzzCompact holds compact and unquote to encoding/json.
func FuzzCompact(f *testing.F) {
	for _, s := range []string{`{"a": [1, "b \" \\" , {} ], "c\\": "d  e"}`, `"\u00e9 x\n"`, ` "\\" `, `[ ]`, `"\ud83c\udf89"`, "\"\xff\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !json.Valid([]byte(s)) {
			return
		}
		var want bytes.Buffer
		if err := json.Compact(&want, []byte(s)); err != nil {
			t.Fatal(err)
		}
		got := compact(s)
		if got != want.String() {
			t.Errorf("%q: compact %q, want %q", s, got, want.String())
		}
		var text string
		if got[0] == '"' && json.Unmarshal([]byte(got), &text) == nil && unquote(got) != clean(text) {
			t.Errorf("%q: %q, want %q", s, unquote(got), clean(text))
		}
	})
}
