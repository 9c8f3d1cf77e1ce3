package rows

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/calcdc/calcdc/connector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files")

// parsers read an item of each kind and return its row and parse error.
var parsers = map[string]func(item []byte, o Options) (connector.Row, string){
	"events": func(item []byte, o Options) (connector.Row, string) {
		e := ParseEvent(item)
		return e.Row(stream, o), e.ParseError
	},
	"calendars": func(item []byte, o Options) (connector.Row, string) {
		c := ParseCalendar(item)
		return c.Row(stream, "sync-token", o), c.ParseError
	},
	"acl": func(item []byte, o Options) (connector.Row, string) {
		r := ParseRule(item)
		return r.Row(stream, o), r.ParseError
	},
	"settings": func(item []byte, o Options) (connector.Row, string) {
		s := ParseSetting(item)
		return s.Row(stream, o), s.ParseError
	},
}

// items are the files of one kind.
func items(t testing.TB, kind string) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/" + kind + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, file := range files {
		if !strings.HasSuffix(file, ".golden.json") {
			list = append(list, file)
		}
	}
	if len(list) == 0 {
		t.Fatalf("no testdata of %s", kind)
	}
	return list
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGolden compares the row of each item in testdata with its .golden.json.
func TestGolden(t *testing.T) {
	for kind, parse := range parsers {
		for _, file := range items(t, kind) {
			t.Run(kind+"/"+filepath.Base(file), func(t *testing.T) {
				row, parseError := parse(read(t, file), Options{Raw: true, MaxRaw: 1 << 20})
				got := pretty(t, row, parseError)
				golden := strings.TrimSuffix(file, ".json") + ".golden.json"
				if *update {
					if err := os.WriteFile(golden, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if want := read(t, golden); !bytes.Equal(got, want) {
					t.Errorf("the row differs from %s:\n%s", golden, got)
				}
			})
		}
	}
}

// pretty writes a row without what is null, empty or the same in all.
func pretty(t *testing.T, r connector.Row, parseError string) []byte {
	t.Helper()
	m := fields(t, r)
	for k, v := range m {
		if list, ok := v.([]any); v == nil || ok && len(list) == 0 {
			delete(m, k)
		}
	}
	for _, k := range []string{"source", "account", "component"} {
		delete(m, k)
	}
	if raw, ok := m["raw"].(string); ok {
		m["raw"] = fmt.Sprintf("%d bytes", len(raw))
	}
	if r.ChangedMs != 0 {
		m["ChangedMs"] = r.ChangedMs
	}
	if parseError != "" {
		m["ParseError"] = parseError
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fields are the columns of a row.
func fields(t testing.TB, r connector.Row) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(r.JSON, &m); err != nil {
		t.Fatalf("row %q is not JSON: %v\n%s", r.ID, err, r.JSON)
	}
	return m
}
