package davserver_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-ical"
	"github.com/emersion/go-webdav"
	"github.com/emersion/go-webdav/caldav"

	"github.com/calcdc/calcdc/internal/davserver"
)

func TestWithGoWebDAVsClient(t *testing.T) {
	f, ctx := start(t, davserver.Options{InlineData: true}), context.Background()
	f.Put("alice", "work", "a.ics", event("a", "Tea <&> cake"))
	c, err := caldav.NewClient(webdav.HTTPClientWithBasicAuth(f.client, "alice", "secret"), f.url)
	if err != nil {
		t.Fatal(err)
	}
	principal, err := c.FindCurrentUserPrincipal(ctx)
	if err != nil || principal != "/alice/" {
		t.Fatalf("principal %q, %v", principal, err)
	}
	home, err := c.FindCalendarHomeSet(ctx, principal)
	if err != nil || home != "/alice/calendars/" {
		t.Fatalf("home %q, %v", home, err)
	}
	calendars, err := c.FindCalendars(ctx, home)
	if err != nil || len(calendars) != 1 || calendars[0].Path != work || calendars[0].Name != "Work & play" {
		t.Fatalf("calendars %+v, %v", calendars, err)
	}
	got, err := c.MultiGetCalendar(ctx, work, &caldav.CalendarMultiGet{Paths: []string{work + "a.ics"}})
	if err != nil || len(got) != 1 || got[0].Path != work+"a.ics" {
		t.Fatalf("multiget %+v, %v", got, err)
	}
	cal, err := ical.NewDecoder(bytes.NewReader(event("b", "New"))).Decode()
	if err != nil {
		t.Fatal(err)
	}
	put, err := c.PutCalendarObject(ctx, work+"b.ics", cal)
	if err != nil || put.ETag == "" {
		t.Fatalf("put %+v, %v", put, err)
	}
	query := &caldav.CalendarQuery{CompFilter: caldav.CompFilter{Name: "VCALENDAR", Comps: []caldav.CompFilter{{
		Name: "VEVENT", Start: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC),
	}}}}
	if got, err := c.QueryCalendar(ctx, work, query); err != nil || len(got) != 2 {
		t.Fatalf("query %+v, %v", got, err)
	}
	first, err := c.SyncCollection(ctx, work, &caldav.SyncQuery{})
	if err != nil || len(first.Updated) != 2 || first.Updated[0].Data == nil {
		t.Fatalf("sync %+v, %v", first, err)
	}
	if err := c.RemoveAll(ctx, work+"a.ics"); err != nil {
		t.Fatal(err)
	}
	next, err := c.SyncCollection(ctx, work, &caldav.SyncQuery{SyncToken: first.SyncToken})
	if err != nil || len(next.Updated) != 0 || len(next.Deleted) != 1 || next.Deleted[0] != work+"a.ics" {
		t.Fatalf("sync %+v, %v", next, err)
	}
	if got, err := c.GetCalendarObject(ctx, work+"b.ics"); err != nil || got.ETag != put.ETag {
		t.Fatalf("get %+v, %v", got, err)
	}
}

func TestObjectsOverHTTP(t *testing.T) {
	f := start(t, davserver.Options{})
	put := func(body string, header ...string) (status int, etag string) {
		resp, _ := f.do("PUT", work+"a.ics", body, append(header, "Content-Type", "text/calendar")...)
		return resp.StatusCode, resp.Header.Get("ETag")
	}
	status, etag := put(string(event("a", "one")), "If-None-Match", "*")
	if status != http.StatusCreated || etag == "" {
		t.Fatal(status, etag)
	}
	for _, c := range []struct {
		body, header, value string
		want                int
	}{
		{string(event("a", "two")), "If-None-Match", "*", http.StatusPreconditionFailed},
		{string(event("a", "two")), "If-Match", `"other"`, http.StatusPreconditionFailed},
		{string(event("a", "two")), "If-Match", etag, http.StatusNoContent},
		{"not a calendar", "If-Match", "*", http.StatusForbidden},
	} {
		if status, _ := put(c.body, c.header, c.value); status != c.want {
			t.Errorf("%s: %s is answered %d, want %d", c.header, c.value, status, c.want)
		}
	}
	if resp, got := f.do("GET", work+"a.ics", ""); got != string(event("a", "two")) || resp.Header.Get("ETag") == etag {
		t.Fatalf("%q", got)
	}
	if resp, _ := f.do("DELETE", work+"a.ics", ""); resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp.Status)
	}
	if resp, _ := f.do("GET", work+"a.ics", ""); resp.StatusCode != http.StatusNotFound {
		t.Fatal(resp.Status)
	}
}

func TestCalendarsOverHTTP(t *testing.T) {
	f := start(t, davserver.Options{})
	mk := `<C:mkcalendar xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><set><prop><displayname>Home</displayname></prop></set></C:mkcalendar>`
	if resp, _ := f.do("MKCALENDAR", "/alice/calendars/home/", mk); resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status)
	}
	patch := `<propertyupdate xmlns="DAV:" xmlns:I="http://apple.com/ns/ical/"><set><prop><I:calendar-color>#00ff00</I:calendar-color></prop></set></propertyupdate>`
	if resp, text := f.do("PROPPATCH", "/alice/calendars/home/", patch); resp.StatusCode != http.StatusMultiStatus || !strings.Contains(text, "200 OK") {
		t.Fatal(resp.Status, text)
	}
	if p, there := f.Calendar("alice", "home"); !there || p.DisplayName != "Home" || p.Color != "#00ff00" {
		t.Fatalf("%+v", p)
	}
	_, home := f.do("PROPFIND", "/alice/calendars/", "", "Depth", "1")
	for _, want := range []string{"<displayname>Home</displayname>", "#00ff00", "<sync-collection/>", "CS:getctag", "<displayname>Work &amp; play<"} {
		if !strings.Contains(home, want) {
			t.Errorf("no %s in %s", want, home)
		}
	}
	ask := `<propfind xmlns="DAV:"><prop><displayname/><nonsense xmlns="urn:x"/></prop></propfind>`
	_, one := f.do("PROPFIND", work, ask, "Depth", "0")
	if !strings.Contains(one, `<nonsense xmlns="urn:x"/></prop><status>HTTP/1.1 404`) || strings.Contains(one, "getctag") {
		t.Error(one)
	}
	if resp, _ := f.do("DELETE", "/alice/calendars/home/", ""); resp.StatusCode != http.StatusNoContent || len(f.Calendars("alice")) != 1 {
		t.Fatal(resp.Status)
	}
}
