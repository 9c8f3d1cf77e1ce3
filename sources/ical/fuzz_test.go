package ical

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzRows: whatever a body holds, Rows returns in time, ids are unique and in order and begin with the name, rows are
// JSON of valid UTF-8, raw stands on the first row and there alone.
func FuzzRows(f *testing.F) {
	files, err := filepath.Glob("testdata/*.ics")
	if err != nil || len(files) == 0 {
		f.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(filepath.Base(file), body)
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		begin := time.Now()
		rows := Rows(object(name), body)
		if spent := time.Since(begin); spent > 5*time.Second {
			t.Errorf("took %s for %d bytes", spent, len(body))
		}
		last := ""
		for i, r := range rows {
			m := fields(t, r)
			if i > 0 && r.ID <= last {
				t.Errorf("id %q comes after %q", r.ID, last)
			}
			last = r.ID
			if !utf8.Valid(r.JSON) || !json.Valid(r.JSON) {
				t.Errorf("row %q is not JSON in UTF-8", r.ID)
			}
			if rest := strings.TrimPrefix(r.ID, escapeName(name)); rest != "" && rest[0] != '#' {
				t.Errorf("id %q is not of %q", r.ID, name)
			}
			if hasRaw := m["raw"] != nil; hasRaw != (i == 0) {
				t.Errorf("row %d of %d: raw is %v", i, len(rows), m["raw"])
			}
			if m["kind"] == "override" != (m["recurrence_id"] != nil) {
				t.Errorf("row %q: kind %v, recurrence_id %v", r.ID, m["kind"], m["recurrence_id"])
			}
			for _, k := range []string{"start_utc", "end_utc", "due_utc", "completed_utc", "created_at", "updated_at"} {
				checkRFC3339(t, k, m[k])
			}
		}
	})
}

func checkRFC3339(t *testing.T, name string, value any) {
	t.Helper()
	if s, ok := value.(string); ok {
		if _, err := time.Parse("2006-01-02T15:04:05Z", s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
