package googleserver_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/googleserver"
)

var (
	berlin, _ = time.LoadLocation("Europe/Berlin")
	second    = time.Date(2026, 6, 8, 10, 0, 0, 0, berlin)
	third     = time.Date(2026, 6, 15, 10, 0, 0, 0, berlin)
)

// instances of the series that the tests change.
const (
	moved     = "series1_20260608T080000Z"
	cancelled = "series1_20260615T080000Z"
)

// series puts one with an exception that is moved and one that is cancelled.
func (f *fixture) series() {
	f.t.Helper()
	f.put(weekly)
	id, err := f.MoveInstance("", team, "series1", second, second.Add(26*time.Hour))
	f.must(err)
	if id != moved {
		f.t.Fatal(id)
	}
	id, err = f.CancelInstance("", team, "series1", third)
	f.must(err)
	if id != cancelled {
		f.t.Fatal(id)
	}
}

func (f *fixture) compact(path string, params ...string) string {
	f.t.Helper()
	return f.get(path, append(params, "prettyPrint", "false")...).Text
}

func TestExceptions(t *testing.T) {
	f := start(t, googleserver.Options{})
	token := f.get(events).NextSyncToken
	f.series()
	want := "series1 " + moved + "<series1 -" + cancelled + "<series1"
	if r := f.get(events); r.ids() != want {
		t.Error(r.Text)
	}
	delta := f.get(events, "syncToken", token)
	if delta.ids() != want {
		t.Error(delta.Text)
	}
	text := f.compact(events + "/" + moved)
	for _, part := range []string{
		`"recurringEventId":"series1"`, `"originalStartTime":{"dateTime":"2026-06-08T10:00:00+02:00","timeZone":"Europe/Berlin"}`,
		`"start":{"dateTime":"2026-06-09T12:00:00+02:00","timeZone":"Europe/Berlin"}`,
		`"end":{"dateTime":"2026-06-09T13:00:00+02:00","timeZone":"Europe/Berlin"}`, `"summary":"Weekly"`,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("%s is not in %s", part, text)
		}
	}
	if strings.Contains(text, "RRULE") {
		t.Error(text)
	}
	var keys map[string]any
	f.must(json.Unmarshal(delta.Items[2], &keys))
	if len(keys) != 6 || keys["originalStartTime"] == nil || keys["kind"] == nil || keys["etag"] == nil {
		t.Error("a cancelled exception is sparse:", keys)
	}
	// A deleted exception is a cancelled one; a cancelled one can be taken back.
	f.must(f.DeleteEvent("", team, moved))
	if r := f.get(events); r.ids() != "series1 -"+moved+"<series1 -"+cancelled+"<series1" {
		t.Error(r.Text)
	}
	_, err := f.ChangeInstance("", team, "series1", third, `"summary":"Again"`)
	f.must(err)
	if text := f.compact(events + "/" + cancelled); !strings.Contains(text, `"summary":"Again"`) || !strings.Contains(text, `"status":"confirmed"`) {
		t.Error(text)
	}
}

func TestDeletedSeriesTakesItsExceptionsAlong(t *testing.T) {
	for _, loud := range []bool{false, true} {
		f := start(t, googleserver.Options{DeltaExceptions: loud})
		begin := f.get(events).NextSyncToken
		f.series()
		token := f.get(events).NextSyncToken
		f.must(f.DeleteEvent("", team, "series1"))
		if r := f.get(events); r.ids() != "" {
			t.Error(r.Text)
		}
		want := "-series1"
		if loud {
			want = "-series1 -" + moved + "<series1 -" + cancelled + "<series1"
		}
		for _, from := range []string{token, begin} {
			if r := f.get(events, "syncToken", from); r.ids() != want {
				t.Error(r.Text)
			}
		}
		if r := f.get(events, "showDeleted", "true"); r.ids() != "-series1 -"+moved+"<series1 -"+cancelled+"<series1" {
			t.Error(r.ids())
		}
		if text := f.compact(events + "/" + moved); !strings.Contains(text, `"status":"cancelled"`) {
			t.Error(text)
		}
		if _, err := f.CancelInstance("", team, "series1", third); err == nil {
			t.Error("the series is gone")
		}
	}
}

func TestCancelledByPut(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.series()
	f.put(`{"id":"series1","status":"cancelled"}`)
	if r := f.get(events); r.ids() != "" {
		t.Error(r.Text)
	}
	f.put(`{"id":"orphan","status":"cancelled","recurringEventId":"unknown","originalStartTime":{"date":"2026-06-01"}}`)
	if r := f.get(events); r.ids() != "" {
		t.Error("a cancelled exception without a living series is a tombstone:", r.Text)
	}
}

func TestSparseAndRich(t *testing.T) {
	for _, c := range []struct {
		opts                 googleserver.Options
		full, delta, removed string // substring of the cancelled exception, listed and in the delta, and of the tombstone
	}{
		{googleserver.Options{}, `"originalStartTime"`, `"originalStartTime"`, `"status":"cancelled"}`},
		{googleserver.Options{SparseInstances: true}, `"originalStartTime"`, `{"id":"` + cancelled + `","status":"cancelled"}`, `"status":"cancelled"}`},
		{googleserver.Options{RichCancelled: true}, `"summary":"Weekly"`, `"summary":"Weekly"`, `"status":"cancelled"}`},
		{googleserver.Options{RichTombstones: true}, `"originalStartTime"`, `"originalStartTime"`, `"summary":"event1"`},
	} {
		f := start(t, c.opts)
		f.put(event("event1"))
		token := f.get(events).NextSyncToken
		f.put(weekly)
		_, err := f.CancelInstance("", team, "series1", third)
		f.must(err)
		full, delta := f.compact(events), f.compact(events, "syncToken", token)
		f.must(f.DeleteEvent("", team, "event1"))
		removed := f.compact(events, "syncToken", token)
		for text, want := range map[string]string{full: c.full, delta: c.delta, removed: c.removed} {
			if at := strings.Index(text, cancelled); at < 0 || !strings.Contains(text[max(0, at-10):]+removed, want) {
				t.Errorf("%+v: %s is not in %s", c.opts, want, text)
			}
		}
		if !c.opts.RichTombstones && strings.Contains(removed, `"summary":"event1"`) {
			t.Error(removed)
		}
		if !c.opts.RichCancelled && strings.Count(full, `"summary":"Weekly"`) != 1 {
			t.Error(full)
		}
	}
}

func TestReminders(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	f := start(t, googleserver.Options{Now: func() time.Time { return now }})
	f.put(event("event1"))
	token := f.get(events).NextSyncToken
	before := f.get(events + "/event1")
	now = now.Add(time.Hour)
	f.must(f.SetReminders("", team, "event1", `{"useDefault":false,"overrides":[]}`))
	after := f.get(events + "/event1")
	if after.ETag == before.ETag || after.Updated != before.Updated || !strings.Contains(after.Text, `"useDefault": false`) {
		t.Error(after.Text)
	}
	if r := f.get(events, "syncToken", token); r.ids() != "event1" {
		t.Error(r.Text)
	}
	if r := f.get(events, "updatedMin", now.Add(-time.Minute).Format(time.RFC3339)); r.ids() != "" {
		t.Error(r.Text)
	}
	if r := f.get(events); r.Updated != "2026-06-01T12:00:00.000Z" {
		t.Error("the calendar's own:", r.Updated)
	}
	f.put(event("event2"))
	f.must(f.SetReminders("", team, "event1", `{"useDefault":true}`))
	if r := f.get(events); r.Updated != "2026-06-01T13:00:00.000Z" {
		t.Error("the calendar's own:", r.Updated)
	}
	f.put(event("event1"))
	if r := f.get(events + "/event1"); r.Updated != "2026-06-01T13:00:00.000Z" || !strings.Contains(r.Text, `"created": "2026-06-01T12:00:00.000Z"`) {
		t.Error(r.Text)
	}
}

func TestFilters(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	f := start(t, googleserver.Options{Now: func() time.Time { return now }})
	f.put(`{"id":"june1","summary":"Lunch in Rome","iCalUID":"uid-1","extendedProperties":{"private":{"a":"1","b":"2"},"shared":{"c":"3"}},` + plain + `}`)
	f.put(`{"id":"june9","description":"rome again","attendees":[{"email":"Carol@example.org"}],"extendedProperties":{"private":{"a":"1"}},
		"start":{"date":"2026-06-09"},"end":{"date":"2026-06-10"}}`)
	f.put(`{"id":"focus","eventType":"focusTime",` + plain + `}`)
	f.put(`{"id":"past","start":{"date":"2026-05-01"},"end":{"date":"2026-05-02"},"recurrence":["RRULE:FREQ=DAILY;COUNT=3"]}`)
	f.series()
	f.put(event("gone1"))
	f.must(f.DeleteEvent("", team, "gone1"))
	now = now.Add(time.Hour)
	f.put(event("gone2"))
	f.must(f.DeleteEvent("", team, "gone2"))
	f.put(event("late"))
	except := moved + "<series1 -" + cancelled + "<series1"
	for _, c := range []struct{ params, want string }{
		{"q=ROME", "june1 june9"}, {"q=rome lunch", "june1"}, {"q=carol", "june9"}, {"q=nothing", ""}, {"q=alice", "june1 june9 focus past series1 " + moved + "<series1 late"},
		{"iCalUID=uid-1", "june1"},
		{"privateExtendedProperty=a=1", "june1 june9"},
		{"privateExtendedProperty=a=1&privateExtendedProperty=b=2", "june1"},
		{"privateExtendedProperty=c=3", ""}, {"sharedExtendedProperty=c=3", "june1"}, {"sharedExtendedProperty=c=4", ""},
		{"eventTypes=focusTime", "focus"}, {"eventTypes=focusTime&eventTypes=default&q=rome", "june1 june9"},
		{"timeMin=2026-06-09T00:00:00Z", "june9 series1 " + moved + "<series1 -" + cancelled + "<series1"},
		{"timeMax=2026-06-01T10:00:00Z", "past series1"},
		{"timeMin=2026-05-04T00:00:00Z&timeMax=2026-06-01T10:00:00Z", "series1"},
		{"timeMin=2026-06-01T11:00:00Z&timeMax=2026-06-02T00:00:00Z", "series1"},
		{"timeMin=2026-06-01T10:59:59Z&timeMax=2026-06-01T10:00:01Z", ""},
		{"updatedMin=2026-06-01T12:30:00Z", "-gone2 late"},
		{"updatedMin=2026-06-01T12:30:00Z&showDeleted=false", "-gone2 late"},
		{"updatedMin=2026-06-01T13:00:00Z", "-gone2 late"},
		{"updatedMin=2026-06-01T13:00:00.001Z", ""},
		{"showDeleted=true&eventTypes=focusTime", "focus -gone1 -gone2"},
		{"orderBy=updated&maxResults=2500", "june1 june9 focus past series1 " + except + " late"},
	} {
		var params []string
		for p := range strings.SplitSeq(c.params, "&") {
			name, value, _ := strings.Cut(p, "=")
			params = append(params, name, value)
		}
		r := f.all(events, params...)
		if strings.HasPrefix(c.params, "timeMin=2026-06-01T10:59:59Z") {
			if r.reason() != "timeRangeEmpty" {
				t.Error(r.Text)
			}
			continue
		}
		if r.Status != 200 || r.ids() != c.want {
			t.Errorf("%s: %s\n%s", c.params, r.ids(), c.want)
		}
		onlyTime := !strings.Contains(c.params, "q=") && strings.HasPrefix(c.params, "time")
		plain := strings.HasPrefix(c.params, "eventTypes=focusTime") && !strings.Contains(c.params, "q=") || strings.HasPrefix(c.params, "showDeleted")
		if (r.NextSyncToken != "") != (onlyTime || plain) {
			t.Errorf("%s: the sync token is %q", c.params, r.NextSyncToken)
		}
		if small := f.all(events, append(params, "maxResults", "2")...); !strings.Contains(c.params, "maxResults") && small.ids() != c.want {
			t.Errorf("%s in pages: %s\n%s", c.params, small.ids(), c.want)
		}
	}
}

func TestExpandedSeries(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.put(event("single"))
	f.series()
	window := []string{"singleEvents", "true", "orderBy", "startTime", "timeMin", "2026-06-01T00:00:00Z", "timeMax", "2026-06-25T00:00:00Z"}
	want := "series1_20260601T080000Z<series1 single " + moved + "<series1 series1_20260622T080000Z<series1"
	r := f.get(events, window...)
	if r.ids() != want || r.NextSyncToken != "" {
		t.Error(r.ids())
	}
	if r := f.all(events, append(window, "maxResults", "1")...); r.ids() != want {
		t.Error(r.ids())
	}
	r = f.get(events+"/series1/instances", "timeMax", "2026-06-25T00:00:00Z", "showDeleted", "true")
	if r.ids() != "series1_20260601T080000Z<series1 "+moved+"<series1 -"+cancelled+"<series1 series1_20260622T080000Z<series1" {
		t.Error(r.ids())
	}
	if r := f.get(events + "/unknown/instances"); r.Status != 404 {
		t.Error(r.Text)
	}
	text := string(f.get(events, window...).Items[3])
	for _, part := range []string{`"2026-06-22T10:00:00+02:00"`, `"2026-06-22T11:00:00+02:00"`} {
		if !strings.Contains(text, part) {
			t.Error(text)
		}
	}
}

func TestViews(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.put(`{"id":"private1","visibility":"private","summary":"Secret","future":1,` + plain + `}`)
	f.put(`{"id":"public1","summary":"Open","attendees":[{"email":"a"},{"email":"b","self":true}],"future":1,` + plain + `}`)
	for role, want := range map[googleserver.Role]string{
		googleserver.Owner: "Secret Open", googleserver.Writer: "Secret Open", googleserver.WriterWithoutPrivateAccess: " Open",
		googleserver.Reader: " Open", googleserver.FreeBusyReader: " ",
	} {
		f.must(f.Share(team, bob, role))
		r := f.as(bob).get(events)
		var got []string
		for _, raw := range r.Items {
			var e struct {
				Summary string
				Start   struct{ DateTime string }
			}
			f.must(json.Unmarshal(raw, &e))
			got = append(got, e.Summary)
			if e.Start.DateTime == "" {
				t.Error(string(raw))
			}
		}
		if strings.Join(got, " ") != want || r.AccessRole != string(role) {
			t.Errorf("%s: %q, %s", role, got, r.AccessRole)
		}
	}
	if text := f.compact(events+"/public1", "maxAttendees", "1"); !strings.Contains(text, `"attendees":[{"email":"b","self":true}],"future":1`) {
		t.Error(text)
	}
	if text := f.compact(events+"/public1", "timeZone", "Asia/Tokyo"); !strings.Contains(text, `"start":{"dateTime":"2026-06-01T19:00:00+09:00"}`) {
		t.Error(text)
	}
}

func TestPartialResponses(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.put(event("event1"))
	for fields, want := range map[string]string{
		"items(id,start/dateTime)":           `{"items":[{"id":"event1","start":{"dateTime":"2026-06-01T10:00:00Z"}}]}`,
		"items/id,kind":                      `{"kind":"calendar#events","items":[{"id":"event1"}]}`,
		"items/start/*":                      `{"items":[{"start":{"dateTime":"2026-06-01T10:00:00Z"}}]}`,
		"kind,nothing":                       `{"kind":"calendar#events"}`,
		"items(id),items/status":             `{"items":[{"id":"event1","status":"confirmed"}]}`,
		"timeZone,items(organizer(email),x)": `{"timeZone":"Europe/Berlin","items":[{"organizer":{"email":"alice@example.org"}}]}`,
	} {
		if text := f.compact(events, "fields", fields); !same(text, want) {
			t.Errorf("%s: %s", fields, text)
		}
	}
	if r := f.get(events, "fields", "nextSyncToken"); r.NextSyncToken == "" || r.Items != nil {
		t.Error(r.Text)
	}
}

// same compares JSON.
func same(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	ax, _ := json.Marshal(x)
	by, _ := json.Marshal(y)
	return string(ax) == string(by)
}

func TestConditionalRequests(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.put(event("event1"))
	for _, path := range append(lists, events+"/event1", "calendars/primary", listPath+"/primary", settings+"/locale") {
		first := f.get(path)
		if first.ETag == "" || first.Header.Get("ETag") != first.ETag {
			t.Error(path, first.Text)
		}
		r, err := f.try(path, http.Header{"If-None-Match": {first.ETag}})
		f.must(err)
		if r.Status != http.StatusNotModified || r.Text != "" {
			t.Error(path, r)
		}
		if r, _ := f.try(path, http.Header{"If-None-Match": {`"other"`}}); r.Status != 200 {
			t.Error(path, r.Text)
		}
		if r, _ := f.try(path, http.Header{"If-Match": {`"other"`}}); r.Status != 412 || r.reason() != "conditionNotMet" {
			t.Error(path, r.Text)
		}
	}
	etag := f.get(events).ETag
	f.put(event("event1"))
	if r, _ := f.try(events, http.Header{"If-None-Match": {etag}}); r.Status != 200 {
		t.Error(r.Text)
	}
}
