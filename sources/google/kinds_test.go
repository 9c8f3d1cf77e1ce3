package google

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/googleserver"
)

// follow polls a stream from token, and returns what it showed and the next token.
func follow(t *testing.T, a *Account, s connector.Stream, token string) (string, string, connector.Page) {
	t.Helper()
	all, last, err := show(t, a, connector.Query{Stream: s, Token: token})
	if err != nil || !last.Last || last.Token == "" {
		t.Fatalf("%s: %+v, %v", s, last, err)
	}
	return words(all), last.Token, last
}

func TestCalendars(t *testing.T) {
	srv, url := serve(t, googleserver.Options{})
	must(t, srv.AddUser("bob@example.org"), srv.AddCalendar("bob@example.org", "bobs@x", googleserver.Calendar{Summary: "Bob's"}),
		srv.Share("bobs@x", alice, googleserver.Reader), srv.Subscribe(alice, "bobs@x", googleserver.Entry{Hidden: true}),
		srv.AddCalendar(alice, "private@x", googleserver.Calendar{Summary: "Private"}),
		srv.AddGenerated(alice, googleserver.Birthdays, googleserver.Calendar{Summary: "Birthdays"}))
	a := account(t, srv, url, Config{Follow: func(id, name string) bool { return name != "Private" }})
	s := stream(connector.Calendars, "")
	all, last, err := show(t, a, connector.Query{Stream: s, Needs: func(string, string) bool { return false }})
	must(t, err)
	if got := words(all); got != alice+" read, team@group.calendar.google.com read, bobs@x read, private@x ignored, "+googleserver.Birthdays+" read" {
		t.Errorf("shown: %s", got)
	}
	want := map[string]string{alice: "[events acl] sync-token", team: "[events acl] sync-token", "bobs@x": "[events] sync-token", googleserver.Birthdays: "[events] full"}
	for _, r := range all {
		if r.Presence != connector.Read {
			continue
		}
		var row struct {
			Sync string
			Raw  string
		}
		must(t, json.Unmarshal(r.Rows[0].JSON, &row))
		if got := fmt.Sprint(r.Streams, " ", row.Sync); got != want[r.ID] || r.Hint.Value != "" || row.Raw == "" {
			t.Errorf("%s: %s, %+v", r.ID, got, r)
		}
	}
	must(t, srv.DeleteCalendar(team), srv.Rename(alice, "private@x", "Public"), srv.Unsubscribe(alice, "bobs@x"))
	got, token, page := follow(t, a, s, last.Token)
	if got != "team@group.calendar.google.com removed, private@x read, bobs@x removed" || page.Listing || !page.Overlap {
		t.Errorf("delta: %s, listing %v", got, page.Listing)
	}
	if got, _, _ := follow(t, a, s, token); got != "" {
		t.Errorf("then: %s", got)
	}
	if got, _, page := follow(t, a, s, ""); !page.Listing || strings.Contains(got, "removed") || strings.Contains(got, "bobs@x") {
		t.Errorf("listing: %s", got)
	}
}

// TestRoleThatIsNotTold: asking for the rules will tell.
func TestRoleThatIsNotTold(t *testing.T) {
	for role, want := range map[string]string{"": "[events acl]", `,"accessRole":"owner"`: "[events acl]", `,"accessRole":"writer"`: "[events]"} {
		a, _ := scripted(t, Config{}, body(`{"items":[{"id":"a"`+role+`}],"nextSyncToken":"x"}`))
		all, _, err := show(t, a, connector.Query{Stream: stream(connector.Calendars, "")})
		if err != nil || len(all) != 1 || fmt.Sprint(all[0].Streams) != want {
			t.Errorf("%s: %+v, %v", role, all, err)
		}
	}
}

// TestCalendarWithoutItsName: a tombstone does not say what the calendar was called, and is one all the same.
func TestCalendarWithoutItsName(t *testing.T) {
	srv, url := serve(t, googleserver.Options{})
	a := account(t, srv, url, Config{Follow: func(_, name string) bool { return name == "Team" }})
	s := stream(connector.Calendars, "")
	_, token, _ := follow(t, a, s, "")
	must(t, srv.DeleteCalendar(team))
	if got, _, _ := follow(t, a, s, token); got != team+" removed" {
		t.Errorf("delta: %s", got)
	}
}

// TestStreams: a calendar has the streams that are configured and apply; none is not the same as events alone.
func TestStreams(t *testing.T) {
	for _, c := range []struct {
		streams []connector.Kind
		want    string
	}{
		{[]connector.Kind{connector.Calendars}, "[]"},
		{[]connector.Kind{connector.Calendars, connector.ACL}, "[acl]"},
		{[]connector.Kind{connector.Calendars, connector.Settings, connector.Events}, "[events]"},
		{nil, "[events acl]"},
	} {
		srv, url := serve(t, googleserver.Options{})
		a := account(t, srv, url, Config{Streams: c.streams})
		all, _, err := show(t, a, connector.Query{Stream: stream(connector.Calendars, "")})
		must(t, err)
		if got := all[0].Streams; got == nil || fmt.Sprint(got) != c.want {
			t.Errorf("%v: %v, want %s", c.streams, got, c.want)
		}
	}
}

func TestRules(t *testing.T) {
	srv, url := serve(t, googleserver.Options{})
	a := account(t, srv, url, Config{})
	s := stream(connector.ACL, team)
	must(t, srv.PutRule(team, "user:bob@example.org", googleserver.Reader), srv.PutRule(team, "user:eve@example.org", googleserver.Reader))
	must(t, srv.DeleteRule(team, "user:eve@example.org"))
	got, token, _ := follow(t, a, s, "")
	if got != "user:alice@example.org read, user:bob@example.org read" {
		t.Errorf("listing: %s", got)
	}
	must(t, srv.DeleteRule(team, "user:bob@example.org"), srv.PutRule(team, "default", googleserver.FreeBusyReader))
	if got, _, _ := follow(t, a, s, token); got != "user:bob@example.org removed, default read" {
		t.Errorf("delta: %s", got)
	}
	at, err := a.Look(t.Context(), s, []string{"user:alice@example.org", "user:bob@example.org", "user:nobody@example.org", "default"})
	if err != nil || fmt.Sprint(at) != fmt.Sprint([]connector.Presence{connector.Read, connector.Gone, connector.Gone, connector.Read}) {
		t.Errorf("looking: %v, %v", at, err)
	}
	all, _, err := show(t, a, connector.Query{Stream: s, Token: token, Pending: []string{"user:alice@example.org", "user:nobody@example.org"}})
	if err != nil || words(all) != "user:bob@example.org removed, default read, user:alice@example.org read, user:nobody@example.org missing" {
		t.Errorf("pending: %s, %v", words(all), err)
	}
}

func TestSettings(t *testing.T) {
	srv, url := serve(t, googleserver.Options{PageLimit: 2})
	a := account(t, srv, url, Config{})
	s := stream(connector.Settings, "")
	got, token, _ := follow(t, a, s, "")
	if got != "timezone read, locale read, weekStart read, format24HourTime read" {
		t.Errorf("listing: %s", got)
	}
	must(t, srv.PutSetting(alice, "locale", "de"))
	if got, _, _ := follow(t, a, s, token); got != "locale read" {
		t.Errorf("delta: %s", got)
	}
	at, err := a.Look(t.Context(), s, []string{"locale", "none"})
	if err != nil || at[0] != connector.Read || at[1] != connector.Gone {
		t.Errorf("looking: %v, %v", at, err)
	}
}

// TestGenerated: generated calendars are listed at each poll, but for what answers 304 to its ETag.
func TestGenerated(t *testing.T) {
	const holidays = "en.usa#holiday@group.v.calendar.google.com"
	for id, conditional := range map[string]bool{holidays: true, googleserver.Birthdays: false} {
		t.Run(id, func(t *testing.T) {
			srv, url := serve(t, googleserver.Options{})
			must(t, srv.AddGenerated(alice, id, googleserver.Calendar{}))
			put := func(id2, text string) {
				_, err := srv.PutEvent(alice, id, single(id2, text))
				must(t, err)
			}
			put("a", "A")
			put("b", "B")
			a := account(t, srv, url, Config{Filter: Filter{UpdatedMin: true, Query: ""}})
			s := stream(connector.Events, id)
			_, token, page := follow(t, a, s, "")
			if !page.Listing || strings.HasPrefix(token, etagToken) != conditional {
				t.Errorf("%q, listing %v", token, page.Listing)
			}
			got, again, page := follow(t, a, s, token)
			if page.Listing == conditional || (got == "") != conditional || again != token {
				t.Errorf("unchanged: %q, listing %v, token %q after %q", got, page.Listing, again, token)
			}
			all, _, err := show(t, a, connector.Query{Stream: s, Token: token, Pending: []string{"a", "x"}})
			if pending := "a read, x missing"; err != nil || conditional && words(all) != pending || !conditional && words(all) != "a read, b read" {
				t.Errorf("pending: %s, %v", words(all), err)
			}
			must(t, srv.DeleteEvent(alice, id, "a"))
			if got, _, page := follow(t, a, s, token); got != "b read" || !page.Listing {
				t.Errorf("after a deletion: %s, listing %v", got, page.Listing)
			}
			for _, r := range srv.Log() {
				if q := r.URL.Query(); q.Has("syncToken") || q.Has("updatedMin") {
					t.Errorf("asked with a token: %s", r.URL)
				}
			}
		})
	}
}

// TestGeneratedPages: the ETag of one page says nothing of the others.
func TestGeneratedPages(t *testing.T) {
	conditional := func(w http.ResponseWriter, r *http.Request) {
		page := r.URL.Query().Get("pageToken")
		if page != "" && r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if page == "" {
			fmt.Fprintf(w, `{"etag":"\"1\"","items":[%s],"nextPageToken":"2"}`, ordinary)
			return
		}
		fmt.Fprintf(w, `{"etag":"\"2\"","items":[%s],"nextSyncToken":"x"}`, aliveS)
	}
	a, _ := scripted(t, Config{}, conditional)
	for _, token := range []string{"", etagToken + `"0"`, fullToken} {
		all, last, err := show(t, a, connector.Query{Stream: stream(connector.Events, "en.usa#holiday@group.v.calendar.google.com"), Token: token})
		if err != nil || words(all) != "e read, s read" || !last.Listing || last.Token != fullToken {
			t.Errorf("after %q: %s, %+v, %v", token, words(all), last.Token, err)
		}
	}
}

// TestUpdatedMinOfALongPoll: the next poll asks from before the first page on, however long the others took.
func TestUpdatedMinOfALongPoll(t *testing.T) {
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	pages := pagesOf([]string{ordinary, aliveS}, nil)
	a, _ := scripted(t, Config{Filter: Filter{UpdatedMin: true}}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", at.Format(http.TimeFormat))
		at = at.Add(time.Hour)
		pages(w, r)
	})
	if _, token, _ := follow(t, a, stream(connector.Events, team), ""); token != updatedMinToken+"2026-06-01T12:00:00Z" {
		t.Errorf("%q", token)
	}
}

// TestUpdatedMin: polls ask from before the last one's begin, with deletions, and never with a sync token.
func TestUpdatedMin(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	srv, url := serve(t, googleserver.Options{Now: func() time.Time { return now }, PageLimit: 2, RichTombstones: true})
	put := func(id, text string) {
		_, err := srv.PutEvent(alice, team, single(id, text))
		must(t, err)
	}
	for _, id := range []string{"aa", "bb", "cc"} {
		put(id, "wanted")
	}
	put("dd", "other")
	a := account(t, srv, url, Config{Filter: Filter{UpdatedMin: true, Query: "wanted"}})
	s := stream(connector.Events, team)
	got, token, page := follow(t, a, s, "")
	if got != "aa read, bb read, cc read" || !page.Listing || token != "updated-min:2026-06-01T12:00:00Z" {
		t.Errorf("listing: %s, %q", got, token)
	}
	now = now.Add(time.Hour)
	put("bb", "wanted, and changed")
	must(t, srv.DeleteEvent(alice, team, "cc"))
	got, token, page = follow(t, a, s, token)
	if !strings.Contains(got, "bb read") || !strings.Contains(got, "cc removed") || page.Listing || !page.Overlap || token != "updated-min:2026-06-01T13:00:00Z" {
		t.Errorf("delta: %s, %q", got, token)
	}
	if q := srv.Log()[len(srv.Log())-1].URL.Query(); q.Get("updatedMin") != "2026-06-01T11:55:00Z" {
		t.Errorf("asked for changes since %s", q.Get("updatedMin"))
	}
	now = now.Add(4 * time.Minute)
	if got, _, _ := follow(t, a, s, token); !strings.Contains(got, "bb read") {
		t.Errorf("the overlap: %s", got)
	}
	now = now.Add(29 * 24 * time.Hour)
	if _, _, err := show(t, a, connector.Query{Stream: s, Token: token}); !errors.Is(err, connector.ErrTokenInvalid) {
		t.Errorf("too long ago: %v", err)
	}
	for _, r := range srv.Log() {
		q := r.URL.Query()
		if r.Kind == googleserver.EventsList && (q.Has("syncToken") || q.Get("q") != "wanted" || q.Has("updatedMin") != (q.Get("showDeleted") == "true")) {
			t.Errorf("asked: %s", r.URL)
		}
	}
}

// TestLookFiltered: what the filters leave out is gone, though it is there.
func TestLookFiltered(t *testing.T) {
	const mid = "2026-06-03T10:00:00Z"
	start, err := time.Parse(time.RFC3339, mid)
	must(t, err)
	tests := map[string]struct {
		filter Filter
		want   string // of: wanted, other, series, cancelled instance of series, cancelled instance of another
	}{
		"none":             {Filter{}, "read read read read read"},
		"updated-min":      {Filter{UpdatedMin: true}, "read read read read read"},
		"a query":          {Filter{UpdatedMin: true, Query: "wanted"}, "read gone read gone gone"},
		"an iCalUID":       {Filter{UpdatedMin: true, ICalUID: "wanted@google.com"}, "read gone gone gone gone"},
		"an event type":    {Filter{EventTypes: []string{"focusTime"}}, "gone gone gone gone gone"},
		"its own type":     {Filter{EventTypes: []string{"default", "focusTime"}}, "read read read read read"},
		"a time":           {Filter{UpdatedMin: true, TimeMax: "2026-01-01T00:00:00Z"}, "gone gone gone gone gone"},
		"an extended name": {Filter{UpdatedMin: true, PrivateExtendedProperties: []string{"a=b"}}, "gone gone gone gone gone"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			srv, url := serve(t, googleserver.Options{})
			for _, e := range []string{single("wanted", "wanted"), single("other", "other"), series("series", "wanted"), series("third", "other")} {
				_, err := srv.PutEvent(alice, team, e)
				must(t, err)
			}
			one, err := srv.CancelInstance(alice, team, "series", start)
			must(t, err)
			two, err := srv.CancelInstance(alice, team, "third", start)
			must(t, err)
			ids := []string{"wanted", "other", "series", one, two}
			a := account(t, srv, url, Config{Filter: c.filter})
			at, err := a.Look(t.Context(), stream(connector.Events, team), ids)
			must(t, err)
			var got []string
			for _, p := range at {
				got = append(got, presences[p])
			}
			listed, _, err := show(t, a, connector.Query{Stream: stream(connector.Events, team)})
			must(t, err)
			for i, id := range ids { // a look and a listing agree
				shown := strings.Contains(", "+words(listed), ", "+id+" read")
				if shown != (at[i] == connector.Read) {
					t.Errorf("%s: looked %s, listed %v", id, got[i], shown)
				}
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("looking: %s, want %s", s, c.want)
			}
		})
	}
}

// TestLookAtEvents is the table of what a look finds.
func TestLookAtEvents(t *testing.T) {
	a, _ := scripted(t, Config{}, pagesOf(nil, map[string]string{
		"e": ordinary, "x": `{"id":"x","status":"cancelled"}`, "s": aliveS, instanceID: instance, "d": "410",
		"n_20260603T100000Z": `{"id":"n_20260603T100000Z","status":"cancelled","recurringEventId":"n"}`,
		"s_20260605T100000Z": `{"id":"s_20260605T100000Z","status":"cancelled"}`, "500": "500",
		"x_20260603T100000Z": `{"id":"x_20260603T100000Z","status":"cancelled","recurringEventId":"x"}`,
	}))
	s := stream(connector.Events, team)
	at, err := a.Look(t.Context(), s, []string{"e", "x", "s", instanceID, "d", "n_20260603T100000Z", "s_20260605T100000Z", "none", "x_20260603T100000Z"})
	must(t, err)
	var got []string
	for _, p := range at {
		got = append(got, presences[p])
	}
	if w := strings.Join(got, " "); w != "read gone read read gone gone read gone gone" {
		t.Errorf("%s", w)
	}
	if at, err := a.Look(t.Context(), s, []string{"e", "500"}); err == nil || at != nil {
		t.Errorf("trouble: %v, %v", at, err)
	}
	if at, err := a.Look(t.Context(), s, nil); err != nil || at != nil {
		t.Errorf("nothing to look for: %v, %v", at, err)
	}
}

// TestLookAtOccurrences: what is no exception any more can be asked for like any occurrence of its series, and is gone all the same.
func TestLookAtOccurrences(t *testing.T) {
	const uid = `"iCalUID":"s@google.com","summary"`
	whole := strings.Replace(aliveS, `"summary"`, uid, 1)
	for name, body := range map[string]string{
		"an occurrence":               strings.Replace(moved, `"summary"`, uid, 1),
		"a cancelled occurrence":      strings.Replace(moved, "confirmed", "cancelled", 1),
		"told by its id as cancelled": `{"id":"s_20260604T100000Z","status":"cancelled"}`,
	} {
		t.Run(name, func(t *testing.T) {
			var listed []string
			a, _ := scripted(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
				pagesOf(listed, map[string]string{"s": whole, "s_20260604T100000Z": body})(w, r)
			})
			for want, pages := range map[connector.Presence][][]string{
				connector.Gone: {{whole}, {whole, ""}}, connector.Read: {{whole + "," + body}, {whole, body}, {body, whole}},
			} {
				for _, listed = range pages {
					at, err := a.Look(t.Context(), stream(connector.Events, team), []string{"s_20260604T100000Z"})
					if err != nil || at[0] != want {
						t.Errorf("%q: %s, %v, want %s", listed, presences[at[0]], err, presences[want])
					}
				}
			}
		})
	}
}

func TestLookAtCalendars(t *testing.T) {
	status := 200
	a, _ := scripted(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		switch id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]; id {
		case "there":
			fmt.Fprint(w, `{"id":"there"}`)
		case "deleted":
			fmt.Fprint(w, `{"id":"deleted","deleted":true}`)
		case "forbidden":
			refuse(w, 403, "forbidden")
		case "odd":
			refuse(w, 400, "invalid")
		case "trouble":
			refuse(w, status, "authError")
		default:
			refuse(w, 404, "notFound")
		}
	})
	s := stream(connector.Calendars, "")
	at, err := a.Look(t.Context(), s, []string{"there", "deleted", "forbidden", "none"})
	if err != nil || fmt.Sprint(at) != fmt.Sprint([]connector.Presence{connector.Read, connector.Gone, connector.Forbidden, connector.Gone}) {
		t.Errorf("%v, %v", at, err)
	}
	at, err = a.Look(t.Context(), s, []string{"there", "odd", "none"})
	if err == nil || fmt.Sprint(at) != fmt.Sprint([]connector.Presence{connector.Read, connector.Failed, connector.Gone}) {
		t.Errorf("one of its own trouble: %v, %v", at, err)
	}
	status = 401
	if at, err := a.Look(t.Context(), s, []string{"there", "trouble"}); err == nil || at != nil {
		t.Errorf("the account's trouble: %v, %v", at, err)
	}
}
