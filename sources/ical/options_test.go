package ical

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestRaw(t *testing.T) {
	text := calendarOf(eventOf("SUMMARY:Gr\u00fc\u00dfe <&>"))
	latin1 := calendarOf(eventOf("SUMMARY:Gr\xfc\xdfe"))
	tests := []struct {
		name    string
		body    []byte
		raw     bool
		maxRaw  int
		want    any
		rawType any
	}{
		{"text", text, true, -1, string(text), "text/calendar"},
		{"just fits", text, true, len(text), string(text), "text/calendar"},
		{"too long", text, true, len(text) - 1, nil, "text/calendar;omitted"},
		{"none allowed", text, true, 0, nil, "text/calendar;omitted"},
		{"not wanted", text, false, -1, nil, nil},
		{"latin1", latin1, true, -1, base64.StdEncoding.EncodeToString(latin1), "text/calendar;base64"},
		{"latin1 too long", latin1, true, 10, nil, "text/calendar;omitted"},
		{"empty", nil, true, -1, "", "text/calendar"},
	}
	for _, tt := range tests {
		o := object("a.ics")
		o.Raw, o.MaxRaw = tt.raw, tt.maxRaw
		rows := Rows(o, tt.body)
		if len(rows) != 1 {
			t.Fatalf("%s: %d rows", tt.name, len(rows))
		}
		m := fields(t, rows[0])
		if m["raw"] != tt.want || m["raw_type"] != tt.rawType {
			t.Errorf("%s: raw is %q of type %v", tt.name, m["raw"], m["raw_type"])
		}
	}
}

func TestComponents(t *testing.T) {
	both := calendarOf(eventOf("SUMMARY:event"), "BEGIN:VTODO\r\nSUMMARY:to-do\r\nRECURRENCE-ID:20260602\r\nEND:VTODO")
	tests := []struct {
		name   string
		wanted []string
		body   []byte
		want   string // summaries
	}{
		{"both", []string{"VEVENT", "VTODO"}, both, "event to-do"},
		{"events", []string{"VEVENT"}, both, "event"},
		{"to-dos", []string{"VTODO"}, both, "to-do"},
		{"none", nil, both, ""},
		{"none of them, cut", []string{"VTODO"}, []byte("BEGIN:VCALENDAR\r\n" + eventOf()), "END:VCALENDAR is missing"},
	}
	for _, tt := range tests {
		o := object("a.ics")
		o.Components = tt.wanted
		var got []string
		for _, r := range Rows(o, tt.body) {
			m := fields(t, r)
			for _, k := range []string{"summary", "parse_error"} {
				if s, ok := m[k].(string); ok {
					got = append(got, s)
				}
			}
		}
		if s := strings.Join(got, " "); s != tt.want && (tt.want == "" || !strings.Contains(s, tt.want)) {
			t.Errorf("%s: got %q, want %q", tt.name, s, tt.want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	r := Unreadable(object("a#b.ics"), "the server answered 403\x00")
	m := fields(t, r)
	want := map[string]any{
		"source": "work", "account": "alice", "collection": "/alice/work/", "id": "a%23b.ics", "kind": "single", "etag": `"1"`,
		"href": "/alice/work/a#b.ics", "raw": nil, "raw_type": nil, "parse_error": "the server answered 403", "component": nil, "busy": nil,
	}
	for k, v := range want {
		if m[k] != v {
			t.Errorf("%s is %v, want %v", k, m[k], v)
		}
	}
	if r.ETag != `"1"` || r.ChangedMs != 0 {
		t.Errorf("got %+v", r)
	}
}

// TestEveryColumn: each of the contract's columns is there, null or an empty list where the resource says nothing.
func TestEveryColumn(t *testing.T) {
	const contract = "source account collection id uid kind series_id recurrence_id component status summary description location " +
		"all_day start_utc start_local start_tz end_utc end_local end_tz due_utc completed_utc percent_complete priority recurrence " +
		"organizer_email organizer_name attendees visibility busy sequence created_at updated_at url " +
		"conference_url categories event_type etag href other_properties raw raw_type parse_error"
	o := object("a.ics")
	o.Href, o.ETag = "", ""
	m := fields(t, Rows(o, calendarOf(eventOf()))[0])
	columns := strings.Fields(contract)
	if len(m) != len(columns) {
		t.Errorf("%d columns, want %d", len(m), len(columns))
	}
	for _, c := range columns {
		if _, ok := m[c]; !ok {
			t.Errorf("no column %s", c)
		}
	}
	for _, c := range []string{"recurrence", "attendees", "categories", "other_properties"} {
		if list, ok := m[c].([]any); !ok || len(list) != 0 {
			t.Errorf("%s is %v, want an empty list", c, m[c])
		}
	}
	for _, c := range []string{"href", "etag", "visibility", "status", "summary", "parse_error"} {
		if m[c] != nil {
			t.Errorf("%s is %v, want null", c, m[c])
		}
	}
}

// TestHashIgnoresETag: rows are compared without their ETag, and with everything else.
func TestHashIgnoresETag(t *testing.T) {
	o := object("a.ics")
	a := Rows(o, calendarOf(eventOf("SUMMARY:a")))[0]
	o.ETag = `"2"`
	b, c := Rows(o, calendarOf(eventOf("SUMMARY:a")))[0], Rows(o, calendarOf(eventOf("SUMMARY:b")))[0]
	if a.Hash != b.Hash || a.Hash == c.Hash {
		t.Errorf("hashes %x %x %x", a.Hash, b.Hash, c.Hash)
	}
}
