package google

import (
	"fmt"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/googleserver"
)

// TestValidate: every fault is told, by its key.
func TestValidate(t *testing.T) {
	tests := map[string]struct {
		change func(*Config)
		keys   []string // parts of the error; none: there is none
	}{
		"the least":                   {func(*Config) {}, nil},
		"no name":                     {func(c *Config) { c.Source = "" }, []string{"no name"}},
		"no scheme":                   {func(c *Config) { c.Endpoint = "example.org/" }, []string{"endpoint", "http://"}},
		"no slash":                    {func(c *Config) { c.Endpoint = "http://127.0.0.1/calendar/v3" }, []string{"endpoint", "slash"}},
		"an endpoint with a query":    {func(c *Config) { c.Endpoint = "http://127.0.0.1/?key=x" }, []string{"endpoint"}},
		"a password":                  {func(c *Config) { c.Endpoint = "http://a:b@127.0.0.1/" }, []string{"endpoint"}},
		"streams":                     {func(c *Config) { c.Streams = []connector.Kind{"calendars", "settings"} }, nil},
		"no calendars":                {func(c *Config) { c.Streams = []connector.Kind{"events"} }, []string{"streams", "calendars"}},
		"an unknown stream":           {func(c *Config) { c.Streams = []connector.Kind{"calendars", "colors"} }, []string{"streams", "colors"}},
		"a stream twice":              {func(c *Config) { c.Streams = []connector.Kind{"calendars", "acl", "acl"} }, []string{"streams", "twice"}},
		"no quota":                    {func(c *Config) { c.Quota = Quota{-1, -1} }, []string{"user_per_minute", "project_per_minute"}},
		"event types with sync token": {func(c *Config) { c.Filter.EventTypes = []string{"focusTime"} }, nil},
		"a wrong event type":          {func(c *Config) { c.Filter.EventTypes = []string{"party"} }, []string{"event_types", "party"}},
		"a query with sync token":     {func(c *Config) { c.Filter.Query, c.Filter.ICalUID = "x", "y" }, []string{"query, ical_uid", "updated_min"}},
		"a query":                     {func(c *Config) { c.Filter = Filter{UpdatedMin: true, Query: "x"} }, nil},
		"times":                       {func(c *Config) { c.Filter = Filter{UpdatedMin: true, TimeMin: "2026-01-01", TimeMax: "x"} }, []string{"time_min", "time_max"}},
		"times that are none": {func(c *Config) {
			c.Filter = Filter{UpdatedMin: true, TimeMin: "2026-01-02T00:00:00Z", TimeMax: "2026-01-01T00:00:00Z"}
		}, []string{"time_max"}},
		"properties": {func(c *Config) {
			c.Filter = Filter{UpdatedMin: true, PrivateExtendedProperties: []string{"a"}, SharedExtendedProperties: []string{"=b"}}
		}, []string{"private_extended_properties", "shared_extended_properties"}},
		"a token and a file":     {func(c *Config) { c.Credentials = Credentials{File: "x", AccessToken: "y"} }, []string{"access_token", "credentials_file"}},
		"a token and subjects":   {func(c *Config) { c.Credentials.AccessToken, c.Subjects = "y", []string{alice} }, []string{"access_token", "subjects"}},
		"subjects and a domain":  {func(c *Config) { c.Subjects, c.Domain = []string{alice}, &Domain{Admin: alice} }, []string{"subjects and domain"}},
		"a subject twice":        {func(c *Config) { c.Subjects = []string{alice, strings.ToUpper(alice)} }, []string{"subjects", "twice"}},
		"a long subject":         {func(c *Config) { c.Subjects = []string{strings.Repeat("x", 191)} }, []string{"subjects", "190"}},
		"a domain without admin": {func(c *Config) { c.Domain = &Domain{} }, []string{"domain.admin"}},
		"a domain's endpoint":    {func(c *Config) { c.Domain = &Domain{Admin: alice, Endpoint: "x"} }, []string{"domain.endpoint"}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Source: "team"}
			c.change(&cfg)
			err := cfg.Validate()
			if (err != nil) != (len(c.keys) > 0) {
				t.Fatalf("%v, want faults of %v", err, c.keys)
			}
			for _, key := range c.keys {
				if !strings.Contains(err.Error(), key) {
					t.Errorf("%v, want a word about %s", err, key)
				}
			}
			if _, err := New(cfg, nil); len(c.keys) > 0 && err == nil {
				t.Error("New takes it")
			}
		})
	}
}

// TestConfigHash: a token is sent only to the query that it came from.
func TestConfigHash(t *testing.T) {
	hash := func(cfg Config, kind connector.Kind) string {
		a, _ := scripted(t, cfg, nil)
		a.cfg.Endpoint = "http://127.0.0.1/"
		return a.ConfigHash(kind)
	}
	for _, kind := range allStreams {
		plain := hash(Config{}, kind)
		if plain == "" || plain != hash(Config{Raw: true, Streams: []connector.Kind{"calendars"}}, kind) {
			t.Errorf("%s: what is not asked changes the hash", kind)
		}
		filters := []Filter{{UpdatedMin: true}, {EventTypes: []string{"default"}}, {EventTypes: []string{"default", "focusTime"}},
			{UpdatedMin: true, Query: "x"}, {UpdatedMin: true, ICalUID: "x"}, {UpdatedMin: true, TimeMin: "2026-01-01T00:00:00Z"},
			{UpdatedMin: true, SharedExtendedProperties: []string{"a=b"}}, {UpdatedMin: true, PrivateExtendedProperties: []string{"a=b"}}}
		seen := map[string]bool{plain: true}
		for _, f := range filters {
			seen[hash(Config{Filter: f}, kind)] = true
		}
		if want := 1 + len(filters); kind == connector.Events && len(seen) != want || kind != connector.Events && len(seen) != 1 {
			t.Errorf("%s: %d hashes", kind, len(seen))
		}
	}
	if hash(Config{Filter: Filter{EventTypes: []string{"default", "focusTime"}}}, "events") != hash(Config{Filter: Filter{EventTypes: []string{"focusTime", "default", "default"}}}, "events") {
		t.Error("the order of event types changes the hash")
	}
	a, _ := scripted(t, Config{}, nil)
	b, _ := scripted(t, Config{}, nil)
	if a.ConfigHash("settings") == b.ConfigHash("settings") {
		t.Error("two endpoints have one hash")
	}
}

func TestDescribe(t *testing.T) {
	srv, url := serve(t, googleserver.Options{PageLimit: 2})
	must(t, srv.AddUser(bob), srv.AddCalendar(bob, "bobs@x", googleserver.Calendar{Summary: "Bob's"}), srv.Share("bobs@x", alice, googleserver.Reader),
		srv.Subscribe(alice, "bobs@x", googleserver.Entry{Hidden: true}), srv.AddCalendar(alice, "private@x", googleserver.Calendar{Summary: "Private"}),
		srv.AddGenerated(alice, googleserver.Birthdays, googleserver.Calendar{Summary: "Birthdays"}))
	a := account(t, srv, url, Config{Filter: Filter{UpdatedMin: true}, Follow: func(id, name string) bool { return name != "Private" }})
	d, err := a.Describe(t.Context())
	must(t, err)
	var got []string
	for _, c := range d.Calendars {
		got = append(got, fmt.Sprintf("%s %s %s %v %v", c.Name, c.AccessRole, c.Sync, c.Followed, c.Streams))
		if (c.Why == "") != (c.Name == alice || c.Name == "Team") {
			t.Errorf("%s: why: %s", c.Name, c.Why)
		}
	}
	want := "alice@example.org owner updated-min true [events acl]; Birthdays reader full true [events]; Bob's reader updated-min true [events]; " +
		"Private owner updated-min false []; Team owner updated-min true [events acl]"
	if d.Account != alice || strings.Join(got, "; ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, "; "), want)
	}
	srv.Fault(func(googleserver.Request) googleserver.Fault {
		return googleserver.Fault{Error: googleserver.Forbidden}
	})
	if _, err := a.Describe(t.Context()); err == nil {
		t.Error("a description of what is forbidden")
	}
}

// TestRequests: what is sent is what the decisions say.
func TestRequests(t *testing.T) {
	a, s := scripted(t, Config{UserAgent: "calcdc/1.2", Filter: Filter{EventTypes: []string{"focusTime", "default"}}}, body(`{"kind":"x","items":[],"nextSyncToken":"n"}`))
	for _, st := range []connector.Stream{stream("events", "a b/c#d@x"), stream("calendars", ""), stream("acl", team), stream("settings", "")} {
		for _, token := range []string{"", "T="} {
			if _, _, err := show(t, a, connector.Query{Stream: st, Token: token}); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []string{
		"/calendars/a b/c#d@x/events?alt=json&eventTypes=default&eventTypes=focusTime&maxResults=2500&prettyPrint=false&singleEvents=false",
		"/calendars/a b/c#d@x/events?alt=json&eventTypes=default&eventTypes=focusTime&maxResults=2500&prettyPrint=false&singleEvents=false&syncToken=T%3D",
		"/users/me/calendarList?alt=json&maxResults=250&prettyPrint=false&showHidden=true",
		"/users/me/calendarList?alt=json&maxResults=250&prettyPrint=false&showHidden=true&syncToken=T%3D",
		"/calendars/team@group.calendar.google.com/acl?alt=json&maxResults=250&prettyPrint=false",
		"/calendars/team@group.calendar.google.com/acl?alt=json&maxResults=250&prettyPrint=false&syncToken=T%3D",
		"/users/me/settings?alt=json&maxResults=250&prettyPrint=false",
		"/users/me/settings?alt=json&maxResults=250&prettyPrint=false&syncToken=T%3D",
	}
	if strings.Join(s.seen, "\n") != strings.Join(want, "\n") {
		t.Errorf("sent:\n%s", strings.Join(s.seen, "\n"))
	}
	for _, h := range s.headers {
		if h.Get("Authorization") != "Bearer secret-of-alice" || h.Get("Accept-Encoding") != "gzip" || !strings.Contains(h.Get("User-Agent"), "calcdc/1.2 (gzip)") {
			t.Errorf("headers: %v", h)
		}
	}
}
