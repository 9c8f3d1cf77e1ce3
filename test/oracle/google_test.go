package oracle

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/connector"
)

// google makes a record of a stream of Google's.
func google(kind, key, marker, row string) Record {
	r := Record{Topic: "cal.team." + kind, Key: []byte(key), Headers: map[string]string{"calcdc.epoch": "1"}}
	if marker != "" {
		maps.Copy(r.Headers, map[string]string{"calcdc.marker": marker, "calcdc.count": "1"})
		return r
	}
	collection := strings.Split(key, `"`)[11]
	if kind == "settings" {
		collection = ""
	}
	maps.Copy(r.Headers, map[string]string{"calcdc.op": "r", "calcdc.id": key})
	r.Value = fmt.Appendf(nil, `{"before":null,"after":%s,"op":"r","ts_ms":5,"source":{"version":"1","connector":"google","name":"cal.team","ts_ms":5,`+
		`"snapshot":"true","db":"a@x","table":"%s","collection":"%s","epoch":1}}`, row, kind, collection)
	return r
}

func TestFoldKnowsEveryKind(t *testing.T) {
	const head = `{"source":"team","account":"a@x",`
	for kind, keys := range map[string][2]string{
		"events":    {head + `"collection":"c@x","id":""}`, head + `"collection":"c@x","id":"e1"}`},
		"acl":       {head + `"collection":"c@x","id":""}`, head + `"collection":"c@x","id":"user:b@x"}`},
		"calendars": {head + `"collection":""}`, head + `"collection":"c@x"}`},
		"settings":  {head + `"id":""}`, head + `"id":"locale"}`},
	} {
		f := NewFold()
		f.Connector = "google"
		for _, r := range []Record{google(kind, keys[0], "snapshot-begin", ""), google(kind, keys[1], "", keys[1]), google(kind, keys[0], "snapshot-end", "")} {
			f.Add(r)
		}
		if len(f.Faults) > 0 || len(f.Streams) != 1 {
			t.Errorf("%s: %d streams, faults %q", kind, len(f.Streams), f.Faults)
		}
		foreign := google(kind, keys[1], "", keys[1])
		foreign.Key = []byte(strings.Replace(keys[1], `,"account"`, `, "account"`, 1))
		f.Add(foreign)
		f.Add(google(kind, head+`"id":"x","collection":"c@x"}`, "snapshot-begin", ""))
		f.Add(google(kind, head+`"extra":"x"}`, "snapshot-begin", ""))
		if len(f.Faults) != 3 {
			t.Errorf("%s: keys that are not its own: %q", kind, f.Faults)
		}
	}
}

// pages answers a list in two pages and an empty one between them.
func pages(items ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("pageToken") {
		case "":
			fmt.Fprintf(w, `{"nextPageToken":"1","items":[%s]}`, strings.Join(items[:len(items)/2], ","))
		case "1":
			fmt.Fprint(w, `{"nextPageToken":"2"}`)
		default:
			fmt.Fprintf(w, `{"nextSyncToken":"s","items":[%s]}`, strings.Join(items[len(items)/2:], ","))
		}
	}
}

const (
	entry     = `{"id":"a@x","etag":"\"1\"","summary":"Mine","accessRole":"owner","unknown":[1, 2]}`
	shared    = `{"id":"s/p@x","summary":"Theirs","summaryOverride":"Ours","accessRole":"reader"}`
	allDay    = `{"id":"e1","etag":"\"7\"","status":"confirmed","iCalUID":"u","summary":"Day","start":{"date":"2026-06-02"},"eventType":"default"}`
	master    = `{"id":"s1","etag":"\"8\"","status":"confirmed","start":{"dateTime":"2026-06-02T10:00:00+02:00"},"recurrence":["RRULE:FREQ=DAILY"]}`
	cancelled = `{"id":"s1_20260603T080000Z","status":"cancelled","recurringEventId":"s1","originalStartTime":{"dateTime":"2026-06-03T10:00:00+02:00"}}`
	rule      = `{"id":"user:b@x","role":"reader","scope":{"type":"user","value":"b@x"}}`
	locale    = `{"id":"locale","value":"en"}`
)

func TestGoogleListAndCompare(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/v3/users/me/settings", pages(locale))
	mux.HandleFunc("/v3/users/me/calendarList", pages(entry, shared))
	mux.HandleFunc("/v3/calendars/{id}/events", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "a@x" {
			pages(allDay, master, cancelled)(w, r)
		} else {
			pages()(w, r)
		}
	})
	mux.HandleFunc("/v3/calendars/a@x/acl", pages(rule))
	front := httptest.NewServer(mux)
	defer front.Close()
	g := &Google{Endpoint: front.URL + "/v3/", Client: front.Client()}
	listed, err := g.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := equalFold()
	if found := CompareGoogle(f, "team", "a@x", listed); len(found) > 0 {
		t.Fatalf("equal, and found %q", found)
	}
	spoil(f)
	found := strings.Join(CompareGoogle(f, "team", "a@x", listed), "\n")
	for _, want := range []string{
		"calendars: s/p@x has no row", `settings: locale: value is "de", must be "en"`, "acl s/p@x: user:c@x has a row",
		"team/a@x/events a@x: the snapshot has not ended", "old@x is gone, and 1 of its rows in events", "acl a@x: user:b@x: raw is",
		`events a@x: e1: raw is "{`, `; start_local is "2026-06-03", must be "2026-06-02"`,
		`s1_20260603T080000Z: kind is "single", must be "override"; raw is`,
	} {
		if !strings.Contains(found, want) {
			t.Errorf("found %s\nwant %q", found, want)
		}
	}
}

// equalFold holds what the test's server lists.
func equalFold() *Fold {
	f := NewFold()
	for k, rows := range map[Stream]map[string]Row{
		team("", "settings"): {"locale": {"value": "en", "raw": locale}},
		team("", "calendars"): {"a@x": {"name": "Mine", "access_role": "owner", "raw": entry},
			"s/p@x": {"name": "Ours", "access_role": "reader", "raw": shared}},
		team("a@x", "acl"): {"user:b@x": {"role": "reader", "scope_type": "user", "scope_value": "b@x", "raw": rule}},
		team("a@x", "events"): {
			"e1": {"kind": "single", "component": "VEVENT", "event_type": "default", "status": "confirmed", "summary": "Day", "uid": "u",
				"etag": `"7"`, "start_local": "2026-06-02", "raw": allDay},
			"s1": {"kind": "series", "component": "VEVENT", "status": "confirmed", "etag": `"8"`, "start_utc": "2026-06-02T08:00:00Z", "raw": master},
			"s1_20260603T080000Z": {"kind": "override", "component": "VEVENT", "status": "cancelled", "series_id": "s1",
				"raw": cancelled},
		},
	} {
		f.Streams[k] = &State{Rows: rows}
	}
	return f
}

func team(collection string, kind connector.Kind) Stream {
	return Stream{Source: "team", Account: "a@x", Collection: collection, Kind: kind}
}

func spoil(f *Fold) {
	events := f.Streams[team("a@x", "events")]
	events.Snapshot = true
	events.Rows["e1"]["start_local"] = "2026-06-03"
	events.Rows["e1"]["raw"] = allDay + " "
	events.Rows["s1_20260603T080000Z"]["kind"] = "single"
	events.Rows["s1_20260603T080000Z"]["raw"] = `{"id":"s1_20260603T080000Z","status":"cancelled","more":1}`
	f.Streams[team("", "settings")].Rows["locale"]["value"] = "de"
	f.Streams[team("a@x", "acl")].Rows["user:b@x"]["raw"] = rule[1:]
	delete(f.Streams[team("", "calendars")].Rows, "s/p@x")
	f.Streams[team("s/p@x", "acl")] = &State{Rows: map[string]Row{"user:c@x": {}}}
	f.Streams[team("old@x", "events")] = &State{Rows: map[string]Row{"e": {}}}
}
