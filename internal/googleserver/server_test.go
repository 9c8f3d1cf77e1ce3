package googleserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/calcdc/calcdc/internal/googleserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	alice = "alice@example.org"
	bob   = "bob@example.org"
	team  = "team@group.calendar.google.com"
)

// fixture is a server on loopback with two users, and a calendar of alice's, team.
type fixture struct {
	*googleserver.Server
	t      testing.TB
	url    string // of the API, with its last slash
	client *http.Client
	user   string
}

func start(t testing.TB, o googleserver.Options) *fixture {
	t.Helper()
	s := googleserver.New(o)
	f := &fixture{Server: s, t: t, user: alice}
	f.must(s.AddUser(alice))
	f.must(s.AddUser(bob))
	f.must(s.AddCalendar(alice, team, googleserver.Calendar{Summary: "Team", TimeZone: "Europe/Berlin"}))
	f.serve()
	return f
}

func (f *fixture) serve() {
	f.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	f.must(err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(ctx, ln) }()
	f.client = &http.Client{Transport: &http.Transport{}}
	f.t.Cleanup(func() {
		f.client.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			f.t.Error(err)
		}
	})
	f.url = googleserver.Endpoint("http://" + ln.Addr().String())
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// as is the fixture with another user's token.
func (f *fixture) as(user string) *fixture {
	g := *f
	g.user = user
	return &g
}

// put stores an event of the calendar team.
func (f *fixture) put(item string) string {
	f.t.Helper()
	id, err := f.PutEvent("", team, item)
	f.must(err)
	return id
}

// reply is an answer.
type reply struct {
	Status int
	Header http.Header
	Text   string

	Kind, ETag, Summary, TimeZone, AccessRole, Updated string
	NextPageToken, NextSyncToken                       string
	Items                                              []json.RawMessage
	Error                                              struct {
		Code    int
		Message string
		Errors  []struct{ Domain, Reason, Message, LocationType, Location string }
	}
}

// reason is the error's; "" where there is none.
func (r reply) reason() string {
	if len(r.Error.Errors) == 0 {
		return ""
	}
	return r.Error.Errors[0].Reason
}

// ids lists the items in order: the id, and what is special about it.
func (r reply) ids() string {
	var ids []string
	for _, raw := range r.Items {
		var item struct {
			ID, Status, Role, RecurringEventID string
			Deleted, Hidden                    bool
		}
		if err := json.Unmarshal(raw, &item); err != nil {
			ids = append(ids, err.Error())
			continue
		}
		if item.Status == "cancelled" || item.Deleted || item.Role == "none" {
			item.ID = "-" + item.ID
		}
		if item.Hidden {
			item.ID = "~" + item.ID
		}
		if item.RecurringEventID != "" {
			item.ID += "<" + item.RecurringEventID
		}
		ids = append(ids, item.ID)
	}
	return strings.Join(ids, " ")
}

// get asks for a path below the API's; params are names and values.
func (f *fixture) get(path string, params ...string) reply {
	f.t.Helper()
	r, err := f.try(path, nil, params...)
	f.must(err)
	return r
}

func (f *fixture) try(path string, header http.Header, params ...string) (reply, error) {
	f.t.Helper()
	q := url.Values{}
	for i := 0; i < len(params); i += 2 {
		q.Add(params[i], params[i+1])
	}
	req, err := http.NewRequest("GET", f.url+path+"?"+q.Encode(), nil)
	f.must(err)
	req.Header.Set("Authorization", "Bearer "+f.Token(f.user))
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return reply{}, fmt.Errorf("asking: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	r := reply{Status: resp.StatusCode, Header: resp.Header, Text: string(b)}
	if err != nil {
		return r, fmt.Errorf("reading: %w", err)
	}
	if len(b) > 0 && json.Unmarshal(b, &r) != nil {
		r.Text = "not JSON: " + r.Text
	}
	return r, nil
}

// all reads every page and puts their items together.
func (f *fixture) all(path string, params ...string) reply {
	f.t.Helper()
	whole := f.get(path, params...)
	for page := whole; page.NextPageToken != ""; {
		page = f.get(path, append(params[:len(params):len(params)], "pageToken", page.NextPageToken)...)
		if page.Status != 200 {
			f.t.Fatal(page.Text)
		}
		whole.Items = append(whole.Items, page.Items...)
		whole.NextSyncToken = page.NextSyncToken
	}
	return whole
}

var events = "calendars/" + url.PathEscape(team) + "/events"

const plain = `"start":{"dateTime":"2026-06-01T10:00:00Z"},"end":{"dateTime":"2026-06-01T11:00:00Z"}`

const weekly = `{"id":"series1","summary":"Weekly","start":{"dateTime":"2026-06-01T10:00:00+02:00","timeZone":"Europe/Berlin"},
"end":{"dateTime":"2026-06-01T11:00:00+02:00","timeZone":"Europe/Berlin"},"recurrence":["RRULE:FREQ=WEEKLY"]}`

func event(id string) string { return `{"id":"` + id + `","summary":"` + id + `",` + plain + `}` }

func TestListsAndDeltas(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.put(event("one"))
	f.put(event("two"))
	f.put(event("three"))
	full := f.get(events)
	if full.Status != 200 || full.ids() != "one two three" || full.NextSyncToken == "" || full.NextPageToken != "" {
		t.Fatal(full.Text)
	}
	if full.Kind != "calendar#events" || full.Summary != "Team" || full.TimeZone != "Europe/Berlin" || full.AccessRole != "owner" {
		t.Error(full.Text)
	}
	f.put(event("two"))
	f.must(f.DeleteEvent("", team, "three"))
	f.put(event("four"))
	delta := f.get(events, "syncToken", full.NextSyncToken)
	if delta.ids() != "two -three four" {
		t.Error(delta.Text)
	}
	if again := f.get(events, "syncToken", delta.NextSyncToken); again.ids() != "" || again.NextSyncToken == "" {
		t.Error(again.Text)
	}
	if full := f.get(events); full.ids() != "one two four" {
		t.Error(full.Text)
	}
}

func TestPages(t *testing.T) {
	for _, empty := range []int{0, 2} {
		f := start(t, googleserver.Options{EmptyPages: empty})
		for i := range 7 {
			f.put(event(fmt.Sprintf("event%d", i)))
		}
		first := f.get(events, "maxResults", "3")
		if first.NextPageToken == "" || first.NextSyncToken != "" || (empty > 0) != (first.ids() == "") {
			t.Fatal(first.Text)
		}
		f.must(f.DeleteEvent("", team, "event0"))
		f.put(event("event7"))
		rest := f.all(events, "maxResults", "3")
		if rest.ids() != "event1 event2 event3 event4 event5 event6 event7" || rest.NextSyncToken == "" {
			t.Error(rest.ids())
		}
		if other := f.get(events, "maxResults", "2", "pageToken", first.NextPageToken); other.Status != 400 {
			t.Error(other.Text)
		}
		if other := f.as(bob).get(events, "maxResults", "3", "pageToken", first.NextPageToken); other.Status != 404 {
			t.Error(other.Text)
		}
	}
}

func TestTokensDie(t *testing.T) {
	f := start(t, googleserver.Options{})
	for death, want := range map[googleserver.Death]string{
		googleserver.ByFullSync: "410 fullSyncRequired", googleserver.ByUpdatedMin: "410 updatedMinTooLongAgo",
		googleserver.ByDeleted: "410 deleted", googleserver.ByInvalid: "400 invalid",
	} {
		token := f.get(events).NextSyncToken
		f.must(f.Forget(googleserver.EventsList, "", team, death))
		r := f.get(events, "syncToken", token)
		if got := fmt.Sprint(r.Status, " ", r.reason()); got != want || r.Error.Code != r.Status {
			t.Error(got, "instead of", want, r.Text)
		}
		if r := f.get(events, "syncToken", f.get(events).NextSyncToken); r.Status != 200 {
			t.Error(r.Text)
		}
	}
	for _, path := range []string{events, "users/me/calendarList", "users/me/settings", strings.Replace(events, "/events", "/acl", 1)} {
		token := f.get(path).NextSyncToken
		if r := f.get(path, "syncToken", token); r.Status != 200 || r.ids() != "" {
			t.Error(r.Text)
		}
		f.ForgetAll(googleserver.ByFullSync)
		if r := f.get(path, "syncToken", token); r.reason() != "fullSyncRequired" {
			t.Error(path, r.Text)
		}
	}
}

func TestUnknownFieldsKeepTheirBytes(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.put(`{"id":"odd", "future": {"a" : 1.50e3,"<b>":"\u00e9\/"}, "\u0066uture2":[1 ,2],` + plain + `}`)
	for _, r := range []reply{f.get(events, "prettyPrint", "false"), f.get(events+"/odd", "prettyPrint", "false")} {
		for _, want := range []string{`"future":{"a" : 1.50e3,"<b>":"\u00e9\/"}`, `"\u0066uture2":[1 ,2]`, `"etag":`, `"iCalUID":"odd@google.com"`} {
			if !strings.Contains(r.Text, want) {
				t.Errorf("%s is not in %s", want, r.Text)
			}
		}
	}
}
