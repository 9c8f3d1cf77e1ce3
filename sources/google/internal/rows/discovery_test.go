package rows

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// schema is a type of the discovery document.
type schema struct {
	Ref                  string `json:"$ref"`
	Type, Format         string
	Properties           map[string]schema
	Items                *schema
	AdditionalProperties *schema
}

// discovery reads the schemas of the discovery document that Google's client ships.
func discovery(t *testing.T) map[string]schema {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "google.golang.org/api").Output()
	if err != nil {
		t.Fatalf("finding Google's client: %v", err)
	}
	var doc struct{ Schemas map[string]schema }
	if err := json.Unmarshal(read(t, filepath.Join(strings.TrimSpace(string(dir)), "calendar/v3/calendar-api.json")), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Schemas) < 20 {
		t.Fatalf("the document has %d schemas", len(doc.Schemas))
	}
	return doc.Schemas
}

// example is a value of a schema with every property; each leaf that may be is unlike all others. The types that hold
// themselves would not end, and there are none.
func example(t *testing.T, schemas map[string]schema, s schema, path string, depth int) any {
	t.Helper()
	if depth > 12 {
		t.Fatalf("%s: too deep", path)
	}
	if s.Ref != "" {
		s = schemas[s.Ref]
	}
	switch s.Type {
	case "object":
		m := map[string]any{}
		for name, p := range s.Properties {
			m[name] = example(t, schemas, p, path+"."+name, depth+1)
		}
		if s.AdditionalProperties != nil {
			m["any name"] = example(t, schemas, *s.AdditionalProperties, path+".*", depth+1)
		}
		return m
	case "array":
		return []any{example(t, schemas, *s.Items, path+"[0]", depth+1), example(t, schemas, *s.Items, path+"[1]", depth+1)}
	case "any":
		return map[string]any{"anything": []any{nil, "value of " + path}}
	case "boolean":
		return true
	case "integer", "number":
		return len(path)
	case "string":
		switch s.Format {
		case "date":
			return "2026-06-02"
		case "date-time":
			return fmt.Sprintf("2026-06-02T10:00:%02d.000Z", len(path)%60)
		}
		return "value of " + path
	}
	t.Fatalf("%s: a type of no kind known: %+v", path, s)
	return nil
}

// full is an item with every property of its schema, as bytes.
func full(t *testing.T, schemas map[string]schema, name string) (map[string]any, []byte) {
	t.Helper()
	s, ok := schemas[name]
	if !ok || len(s.Properties) < 3 {
		t.Fatalf("the discovery document has no %s", name)
	}
	m := example(t, schemas, s, name, 0).(map[string]any)
	for k, v := range map[string]string{"kind": "calendar#event", "transparency": "transparent"} {
		if _, ok := m[k]; ok && name == "Event" {
			m[k] = v
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return m, b
}

// leaves calls f for each value that holds no other.
func leaves(v any, path string, f func(path string, v any)) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			leaves(x, path+"."+k, f)
		}
	case []any:
		for i, x := range v {
			leaves(x, fmt.Sprintf("%s[%d]", path, i), f)
		}
	default:
		f(path, v)
	}
}

// TestDiscoveryRaw: of an item with every property of the discovery document no value is lost: raw holds the item's
// bytes, and nothing in it is a fault.
func TestDiscoveryRaw(t *testing.T) {
	schemas := discovery(t)
	for kind, name := range map[string]string{"events": "Event", "calendars": "CalendarListEntry", "acl": "AclRule", "settings": "Setting"} {
		m, item := full(t, schemas, name)
		row, parseError := parsers[kind](item, Options{Raw: true, MaxRaw: -1})
		if parseError != "" {
			t.Errorf("%s: parse error: %s", name, parseError)
		}
		columns := fields(t, row)
		raw, _ := columns["raw"].(string)
		if raw != string(item) {
			t.Errorf("%s: raw is not the item as it was sent: %s", name, raw)
		}
		n := 0
		leaves(m, name, func(path string, v any) {
			n++
			leaf, _ := json.Marshal(v)
			if !strings.Contains(raw, string(leaf)) {
				t.Errorf("%s: %s is neither in a column nor in raw", path, leaf)
			}
		})
		if n < 4 {
			t.Errorf("%s: only %d leaves", name, n)
		}
	}
}

// where tells in which column the value of a field of an Event stands, and as what.
var where = map[string]func(v any) map[string]any{
	"id":               same("id"),
	"etag":             same("etag"),
	"iCalUID":          same("uid"),
	"status":           same("status"),
	"summary":          same("summary"),
	"description":      same("description"),
	"location":         same("location"),
	"visibility":       same("visibility"),
	"htmlLink":         same("url"),
	"eventType":        same("event_type"),
	"recurrence":       same("recurrence"),
	"sequence":         same("sequence"),
	"recurringEventId": same("series_id"),
	"hangoutLink":      same("conference_url"),
	"kind":             func(any) map[string]any { return map[string]any{"component": "VEVENT"} },
	"transparency":     func(v any) map[string]any { return map[string]any{"busy": v != "transparent"} },
	"created":          func(v any) map[string]any { return map[string]any{"created_at": seconds(v)} },
	"updated":          func(v any) map[string]any { return map[string]any{"updated_at": seconds(v)} },
	"start":            moments("start"),
	"end":              moments("end"),
	"organizer": func(v any) map[string]any {
		m := v.(map[string]any)
		return map[string]any{"organizer_email": m["email"], "organizer_name": m["displayName"]}
	},
	"attendees": func(v any) map[string]any {
		var list []any
		for _, a := range v.([]any) {
			m := a.(map[string]any)
			list = append(list, map[string]any{
				"email": m["email"], "name": m["displayName"], "role": "opt-participant", "type": "resource", "response": m["responseStatus"],
			})
		}
		return map[string]any{"attendees": list}
	},
}

func same(column string) func(any) map[string]any {
	return func(v any) map[string]any { return map[string]any{column: v} }
}

func moments(column string) func(any) map[string]any {
	return func(v any) map[string]any {
		m := v.(map[string]any)
		return map[string]any{column + "_utc": seconds(m["dateTime"]), column + "_tz": m["timeZone"]}
	}
}

func seconds(v any) string { return strings.Replace(v.(string), ".000Z", "Z", 1) }

// TestDiscoveryColumns: without raw, each field of an Event is in its column or, whole, in other_properties: alone and among all others.
func TestDiscoveryColumns(t *testing.T) {
	all, _ := full(t, discovery(t), "Event")
	check(t, all, slices.Collect(maps.Keys(all)), map[string]bool{"end": true, "hangoutLink": false})
	for name, v := range all {
		one := map[string]any{"id": "a", "start": all["start"], name: v}
		check(t, one, []string{name}, nil)
	}
}

// check looks for each field in its column or in other_properties; moved says where those stand that depend on others: true for other_properties.
func check(t *testing.T, item map[string]any, names []string, moved map[string]bool) {
	t.Helper()
	b, err := json.Marshal(item)
	if err != nil {
		t.Fatal(err)
	}
	e := ParseEvent(b)
	columns := fields(t, e.Row(stream, Options{}))
	if columns["raw"] != nil {
		t.Fatal("a row has raw that is to have none")
	}
	others := map[string]string{}
	for _, p := range columns["other_properties"].([]any) {
		p := p.(map[string]any)
		others[p["name"].(string)] = p["value"].(string)
	}
	for _, name := range names {
		expected, hasColumn := where[name]
		if name == "originalStartTime" && item["recurringEventId"] != nil {
			expected, hasColumn = func(any) map[string]any { return map[string]any{"recurrence_id": columns["recurrence_id"]} }, columns["recurrence_id"] != nil
		}
		if !hasColumn || moved[name] {
			if want := text(item[name]); others[name] != want {
				t.Errorf("%s: other_properties has %q, want %q", name, others[name], want)
			}
			continue
		}
		for column, want := range expected(item[name]) {
			if got, want := text(columns[column]), text(want); got != want {
				t.Errorf("%s: column %s is %s, want %s", name, column, got, want)
			}
		}
	}
}

// text is a value as other_properties have it.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// TestDiscoveryNames: the fields that are read are fields that there are.
func TestDiscoveryNames(t *testing.T) {
	properties := discovery(t)["Event"].Properties
	for name := range columns {
		if _, ok := properties[name]; !ok {
			t.Errorf("an Event has no field %s", name)
		}
	}
	for name := range where {
		if _, ok := columns[name]; !ok {
			t.Errorf("%s has a column and is not read", name)
		}
	}
}

// TestDiscoveryOtherRows: the columns of the rows that are no events.
func TestDiscoveryOtherRows(t *testing.T) {
	schemas := discovery(t)
	cases := []struct {
		kind, schema string
		columns      map[string]string // column to the field's path
	}{
		{"calendars", "CalendarListEntry", map[string]string{
			"collection": "id", "name": "summaryOverride", "description": "description", "color": "backgroundColor", "timezone": "timeZone",
			"access_role": "accessRole", "primary": "primary",
		}},
		{"acl", "AclRule", map[string]string{"id": "id", "role": "role", "scope_type": "scope.type", "scope_value": "scope.value"}},
		{"settings", "Setting", map[string]string{"id": "id", "value": "value"}},
	}
	for _, c := range cases {
		m, item := full(t, schemas, c.schema)
		row, _ := parsers[c.kind](item, Options{})
		columns := fields(t, row)
		if columns["raw"] != nil {
			t.Errorf("%s: raw is %v", c.kind, columns["raw"])
		}
		if row.ETag != m["etag"] {
			t.Errorf("%s: etag %q", c.kind, row.ETag)
		}
		for column, path := range c.columns {
			want := any(m)
			for name := range strings.SplitSeq(path, ".") {
				want = want.(map[string]any)[name]
			}
			if want == nil || columns[column] != want {
				t.Errorf("%s: column %s is %v, want %v", c.kind, column, columns[column], want)
			}
		}
	}
}
