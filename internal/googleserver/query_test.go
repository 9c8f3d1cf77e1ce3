package googleserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/googleserver"
)

var (
	acl      = strings.Replace(events, "/events", "/acl", 1)
	listPath = "users/me/calendarList"
	settings = "users/me/settings"
	lists    = []string{events, acl, listPath, settings}
)

func TestParametersThatATokenRefuses(t *testing.T) {
	f := start(t, googleserver.Options{})
	const moment = "2026-06-01T00:00:00Z"
	for _, c := range []struct{ path, name, value, reason string }{
		{events, "iCalUID", "x", "syncTokenWithRequestRestrictions"},
		{events, "orderBy", "updated", "syncTokenWithRequestRestrictions"},
		{events, "privateExtendedProperty", "a=b", "syncTokenWithRequestRestrictions"},
		{events, "sharedExtendedProperty", "a=b", "syncTokenWithRequestRestrictions"},
		{events, "q", "x", "syncTokenWithRequestRestrictions"},
		{events, "timeMin", moment, "syncTokenWithRequestRestrictions"},
		{events, "timeMax", moment, "syncTokenWithRequestRestrictions"},
		{events, "updatedMin", moment, "syncTokenWithRequestRestrictions"},
		{events, "showDeleted", "false", "syncTokenWithRequestRestrictions"},
		{events, "showDeleted", "true", ""},
		{events, "maxResults", "7", ""},
		{events, "prettyPrint", "false", ""},
		{listPath, "minAccessRole", "reader", "syncTokenWithRequestRestrictions"},
		{listPath, "showOwnOrganizationOnly", "true", "syncTokenWithRequestRestrictions"},
		{listPath, "showDeleted", "false", "syncTokenWithRequestRestrictions"},
		{listPath, "showHidden", "false", "syncTokenWithRequestRestrictions"},
		{listPath, "showHidden", "true", ""},
		{acl, "showDeleted", "false", "syncTokenWithRequestRestrictions"},
		{acl, "showDeleted", "true", ""},
	} {
		r := f.get(c.path, "syncToken", f.get(c.path).NextSyncToken, c.name, c.value)
		if r.reason() != c.reason || (r.Status == 400) != (c.reason != "") || (r.Status == 200) != (c.reason == "") {
			t.Errorf("%s %s=%s: %d %s", c.path, c.name, c.value, r.Status, r.Text)
		}
	}
}

func TestBadParameters(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.put(event("event1"))
	one := events + "/event1"
	for _, c := range []struct{ path, name, value string }{
		{events, "maxresults", "5"}, {events, "showHidden", "true"}, {one, "showDeleted", "true"}, {settings, "showDeleted", "true"},
		{acl, "q", "x"}, {listPath, "timeZone", "UTC"}, {"calendars/primary", "timeZone", "UTC"},
		{events, "maxResults", "0"}, {events, "maxResults", "-1"}, {events, "maxResults", "ten"}, {events, "maxResults", ""},
		{events, "maxResults", "99999999999"}, {events, "maxAttendees", "0"},
		{events, "showDeleted", "yes"}, {events, "singleEvents", "1"},
		{events, "orderBy", "id"}, {events, "orderBy", "startTime"}, {events, "eventTypes", "meeting"},
		{listPath, "minAccessRole", "none"}, {events, "alt", "xml"},
		{events, "timeMin", "2026-06-01"}, {events, "timeMax", "2026-06-01T00:00:00"}, {events, "updatedMin", "yesterday"},
		{events, "timeZone", "Mars/Olympus"}, {events, "timeZone", "Local"},
		{events, "syncToken", "nonsense"}, {events, "pageToken", "nonsense"}, {events, "syncToken", ""}, {events, "pageToken", ""},
		{events, "fields", "items("}, {events, "fields", ""}, {events, "fields", "items//id"},
	} {
		r := f.get(c.path, c.name, c.value)
		if r.Status != 400 || r.Error.Code != 400 || r.reason() == "" || r.Error.Errors[0].Location != c.name {
			t.Errorf("%s %s=%s: %d %s", c.path, c.name, c.value, r.Status, r.Text)
		}
	}
	if r := f.get(events, "q", "a", "q", "b"); r.Status != 400 {
		t.Error("repeated:", r.Text)
	}
	if r := f.get(events, "timeMin", "2026-06-02T00:00:00Z", "timeMax", "2026-06-01T00:00:00Z"); r.Status != 400 || r.reason() != "timeRangeEmpty" {
		t.Error(r.Text)
	}
	if r := f.get(events, "eventTypes", "default", "eventTypes", "birthday", "timeZone", "Europe/Berlin", "showDeleted", "true",
		"quotaUser", "x", "key", "y", "alt", "json", "alwaysIncludeEmail", "true", "showHiddenInvitations", "false"); r.Status != 200 {
		t.Error(r.Text)
	}
}

// The tables of parameters, scopes and methods are those of the document that the official client is made from.
func TestDiscoveryDocument(t *testing.T) {
	type parameter struct {
		Type, Location string
		Enum           []string
		Repeated       bool
	}
	type method struct {
		Path, HTTPMethod string
		Parameters       map[string]parameter
	}
	var doc struct {
		Parameters map[string]parameter
		Resources  map[string]struct{ Methods map[string]method }
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "google.golang.org/api").Output()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "calendar", "v3", "calendar-api.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	f := start(t, googleserver.Options{})
	f.put(event("event1"))
	fill := strings.NewReplacer("{calendarId}", url.PathEscape(team), "{eventId}", "event1", "{ruleId}", "user:"+alice, "{setting}", "locale")
	kinds := 0
	for resource, methods := range doc.Resources {
		for name, m := range methods.Methods {
			if m.HTTPMethod != http.MethodGet || !slices.Contains([]string{"events", "calendarList", "calendars", "acl", "settings"}, resource) {
				continue
			}
			kinds++
			for p, s := range m.Parameters {
				if s.Location != "query" || p == "pageToken" || p == "syncToken" {
					continue
				}
				value := map[string]string{
					"boolean": "true", "integer": "5", "updatedMin": time.Now().UTC().Format(time.RFC3339),
					"timeMin": "2026-06-01T00:00:00Z", "timeMax": "2026-06-02T00:00:00Z", "timeZone": "UTC",
				}
				v := value[s.Type] + value[p]
				if len(s.Enum) > 0 {
					v = s.Enum[len(s.Enum)-1] // not startTime, which needs another
				}
				if v == "" {
					v = "a=b"
				}
				if r := f.get(fill.Replace(m.Path), p, v); r.Status != 200 {
					t.Errorf("%s.%s: %s=%s: %s", resource, name, p, v, r.Text)
				}
				if r := f.get(fill.Replace(m.Path), p, v, p, v); (r.Status == 200) != s.Repeated {
					t.Errorf("%s.%s: %s repeated: %d", resource, name, p, r.Status)
				}
			}
		}
	}
	if kinds != 10 {
		t.Errorf("%d methods", kinds)
	}
}

func TestPageSizes(t *testing.T) {
	f := start(t, googleserver.Options{})
	for i := range 2600 {
		f.put(event(fmt.Sprintf("event%04d", i)))
	}
	for i := range 300 {
		f.must(f.PutSetting(alice, fmt.Sprintf("setting%d", i), "x"))
		f.must(f.Share(team, fmt.Sprintf("user%d@example.org", i), googleserver.Reader))
		f.must(f.AddCalendar(alice, fmt.Sprintf("calendar%d@group.calendar.google.com", i), googleserver.Calendar{}))
	}
	for path, sizes := range map[string][2]int{events: {250, 2500}, acl: {100, 250}, listPath: {100, 250}, settings: {100, 250}} {
		for n, params := range map[int][]string{sizes[0]: nil, 7: {"maxResults", "7"}, sizes[1]: {"maxResults", "100000"}} {
			r := f.get(path, params...)
			if len(r.Items) != n || r.NextPageToken == "" || r.NextSyncToken != "" {
				t.Errorf("%s: %d items, %d wanted", path, len(r.Items), n)
			}
		}
		whole := f.all(path, "maxResults", "90")
		seen := map[string]bool{}
		for _, id := range strings.Fields(whole.ids()) {
			seen[id] = true
		}
		if len(seen) != len(whole.Items) || len(seen) < 300 || whole.NextSyncToken == "" {
			t.Errorf("%s: %d of %d", path, len(seen), len(whole.Items))
		}
	}
}

func TestTokensAreBound(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.must(f.Share(team, bob, googleserver.Owner))
	tokens := map[string]string{}
	for _, path := range lists {
		tokens[path] = f.get(path).NextSyncToken
	}
	for from, token := range tokens {
		for _, to := range lists {
			r := f.get(to, "syncToken", token)
			if want := map[bool]int{true: 200, false: 400}[from == to]; r.Status != want {
				t.Errorf("%s to %s: %s", from, to, r.Text)
			}
		}
		if r := f.as(bob).get(from, "syncToken", token); r.Status != 410 || r.reason() != "fullSyncRequired" {
			t.Errorf("bob at %s: %s", from, r.Text)
		}
	}
	if r := f.get("calendars/primary/events", "syncToken", tokens[events]); r.Status != 410 {
		t.Error("another calendar:", r.Text)
	}
	for _, p := range []string{"eventTypes=default", "singleEvents=true", "maxAttendees=2", "timeZone=UTC"} {
		name, value, _ := strings.Cut(p, "=")
		if r := f.get(events, "syncToken", tokens[events], name, value); r.Status != 400 || r.reason() != "invalid" {
			t.Error("another query:", p, r.Text)
		}
	}
	with := f.get(events, "eventTypes", "default").NextSyncToken
	if r := f.get(events, "syncToken", with, "eventTypes", "default"); r.Status != 200 {
		t.Error(r.Text)
	}
	if r := f.get(events, "syncToken", tokens[events][:20]+"A"+tokens[events][21:]); r.Status != 400 {
		t.Error("forged:", r.Text)
	}
	f.must(f.DeleteCalendar(team))
	f.must(f.AddCalendar(alice, team, googleserver.Calendar{}))
	if r := f.get(events, "syncToken", tokens[events]); r.Status != 410 {
		t.Error("a namesake:", r.Text)
	}
}

func TestPageTokensAreBound(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.must(f.Share(team, bob, googleserver.Owner))
	token := f.get(events).NextSyncToken
	for i := range 5 {
		f.put(event(fmt.Sprintf("event%d", i)))
	}
	full := f.get(events, "maxResults", "2").NextPageToken
	delta := f.get(events, "maxResults", "2", "syncToken", token).NextPageToken
	for _, c := range []struct {
		user   string
		params []string
		want   int
	}{
		{alice, []string{"maxResults", "2", "pageToken", full}, 200},
		{alice, []string{"maxResults", "2", "pageToken", full, "prettyPrint", "false"}, 200},
		{alice, []string{"maxResults", "3", "pageToken", full}, 400},
		{alice, []string{"pageToken", full}, 400},
		{alice, []string{"maxResults", "2", "pageToken", full, "q", "event"}, 400},
		{alice, []string{"maxResults", "2", "pageToken", full, "syncToken", token}, 400},
		{bob, []string{"maxResults", "2", "pageToken", full}, 400},
		{alice, []string{"maxResults", "2", "pageToken", delta, "syncToken", token}, 200},
		{alice, []string{"maxResults", "2", "pageToken", delta}, 400},
		{alice, []string{"maxResults", "2", "pageToken", token}, 400},
		{alice, []string{"maxResults", "2", "syncToken", full}, 400},
	} {
		if r := f.as(c.user).get(events, c.params...); r.Status != c.want {
			t.Error(c.params, r.Text)
		}
	}
	// Dying in mid-listing: the token of the full list by itself, that of the delta with the sync token.
	f.must(f.Forget(googleserver.EventsList, "", team, googleserver.ByFullSync))
	if r := f.get(events, "maxResults", "2", "pageToken", delta, "syncToken", token); r.Status != 410 {
		t.Error(r.Text)
	}
	if r := f.get(events, "maxResults", "2", "pageToken", full); r.Status != 200 {
		t.Error(r.Text)
	}
	f.must(f.ForgetPages(googleserver.EventsList, "", team))
	if r := f.get(events, "maxResults", "2", "pageToken", full); r.Status != 400 || r.Error.Message != "Invalid page token value." {
		t.Error(r.Text)
	}
}

func TestAge(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	f := start(t, googleserver.Options{
		Now: func() time.Time { return now }, TokenLife: time.Hour, PageTokenLife: time.Minute, TombstoneLife: 30 * time.Minute,
	})
	f.put(event("event1"))
	f.put(event("event2"))
	f.must(f.DeleteEvent("", team, "event1"))
	first := f.get(events)
	if first.Header.Get("Date") != "Mon, 01 Jun 2026 12:00:00 GMT" || first.Updated != "2026-06-01T12:00:00.000Z" {
		t.Error(first.Header, first.Text)
	}
	f.put(event("event3"))
	page := f.get(events, "maxResults", "1").NextPageToken
	now = now.Add(2 * time.Minute)
	if r := f.get(events, "maxResults", "1", "pageToken", page); r.Status != 400 {
		t.Error(r.Text)
	}
	if r := f.get(events+"/event1", "prettyPrint", "false"); r.Status != 200 || !strings.Contains(r.Text, `"status":"cancelled"`) {
		t.Error(r.Text)
	}
	old := f.get(events).NextSyncToken
	now = now.Add(29 * time.Minute)
	if r := f.get(events, "syncToken", old); r.Status != 200 || r.ids() != "" {
		t.Error(r.Text)
	}
	if r := f.get(events + "/event1"); r.Status != 404 {
		t.Error(r.Text)
	}
	now = now.Add(time.Hour)
	if r := f.get(events, "syncToken", old); r.Status != 410 || r.reason() != "fullSyncRequired" {
		t.Error(r.Text)
	}
	for age, want := range map[time.Duration]string{27 * 24 * time.Hour: "", 29 * 24 * time.Hour: "updatedMinTooLongAgo"} {
		r := f.get(events, "updatedMin", now.Add(-age).Format(time.RFC3339))
		if r.reason() != want || (want != "") != (r.Status == 410) {
			t.Error(age, r.Text)
		}
	}
}

func TestForgottenTombstonesEndTheTokensThatNeedThem(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.put(event("event1"))
	before := f.get(events).NextSyncToken
	f.must(f.DeleteEvent("", team, "event1"))
	after := f.get(events).NextSyncToken
	f.must(f.ForgetTombstones(googleserver.EventsList, "", team))
	if r := f.get(events, "syncToken", before); r.Status != 410 {
		t.Error(r.Text)
	}
	if r := f.get(events, "syncToken", after); r.Status != 200 {
		t.Error(r.Text)
	}
	if r := f.get(events + "/event1"); r.Status != 404 {
		t.Error(r.Text)
	}
}

func TestChangesInMidListingAreInTheDelta(t *testing.T) {
	f := start(t, googleserver.Options{})
	for i := range 6 {
		f.put(event(fmt.Sprintf("event%d", i)))
	}
	next := f.get(events, "maxResults", "3").NextPageToken
	f.must(f.DeleteEvent("", team, "event0"))
	f.must(f.DeleteEvent("", team, "event5"))
	f.put(event("event1"))
	last := f.get(events, "maxResults", "3", "pageToken", next)
	if last.ids() != "event3 event4" || last.NextSyncToken == "" {
		t.Fatal(last.Text)
	}
	if r := f.get(events, "syncToken", last.NextSyncToken); r.ids() != "-event0 -event5 event1" {
		t.Error(r.Text)
	}
	next = f.get(events, "maxResults", "3").NextPageToken
	f.must(f.Forget(googleserver.EventsList, "", team, googleserver.ByFullSync))
	last = f.get(events, "maxResults", "3", "pageToken", next)
	if r := f.get(events, "syncToken", last.NextSyncToken); r.Status != 410 {
		t.Error("forgotten in mid-listing:", r.Text)
	}
}

func TestEmptyPagesComeBeforeEach(t *testing.T) {
	f := start(t, googleserver.Options{EmptyPages: 2})
	token := f.all(events).NextSyncToken
	for i := range 4 {
		f.put(event(fmt.Sprintf("event%d", i)))
	}
	for _, base := range [][]string{{"maxResults", "3"}, {"maxResults", "3", "syncToken", token}} {
		r := f.get(events, base...)
		sizes := []int{len(r.Items)}
		for r.NextPageToken != "" {
			r = f.get(events, append(base[:len(base):len(base)], "pageToken", r.NextPageToken)...)
			sizes = append(sizes, len(r.Items))
		}
		if fmt.Sprint(sizes) != "[0 0 3 0 0 1]" || r.NextSyncToken == "" {
			t.Error(sizes, r.Text)
		}
	}
}
