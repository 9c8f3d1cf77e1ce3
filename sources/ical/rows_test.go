package ical

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

func object(name string) Object {
	return Object{
		Source: "work", Account: "alice", Collection: "/alice/work/", Name: name, Href: "/alice/work/" + name, ETag: `"1"`,
		Components: []string{"VEVENT", "VTODO"}, Raw: true, MaxRaw: 1 << 20,
	}
}

// TestGolden compares the rows of each testdata/*.ics with its .golden.json.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.ics")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".ics") + ".golden.json"
			got := pretty(t, Rows(object(filepath.Base(file)), body))
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("rows differ from %s at %s", golden, difference(got, want))
			}
		})
	}
}

// difference is the first line in which texts differ.
func difference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d: got %s, want %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("its end: got %d lines, want %d", len(g), len(w))
}

// pretty writes rows without what is null, empty or the same in all, one field a line.
func pretty(t *testing.T, rows []connector.Row) []byte {
	t.Helper()
	list := []map[string]any{}
	for _, r := range rows {
		m := fields(t, r)
		for k, v := range m {
			switch v := v.(type) {
			case nil:
				delete(m, k)
			case []any:
				if len(v) == 0 {
					delete(m, k)
				}
			}
		}
		for _, k := range []string{"source", "account", "collection", "etag", "href"} {
			delete(m, k)
		}
		if raw, ok := m["raw"].(string); ok {
			m["raw"] = fmt.Sprintf("%d bytes", len(raw))
		}
		if r.ChangedMs != 0 {
			m["ChangedMs"] = r.ChangedMs
		}
		list = append(list, m)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(list); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func fields(t testing.TB, r connector.Row) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(r.JSON, &m); err != nil {
		t.Fatalf("row %q is not JSON: %v\n%s", r.ID, err, r.JSON)
	}
	if m["id"] != r.ID {
		t.Fatalf("row %q has id %q", r.ID, m["id"])
	}
	return m
}
