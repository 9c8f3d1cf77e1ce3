package googleserver_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/internal/googleserver"
)

func TestCalendarListDeltas(t *testing.T) {
	for _, c := range []struct {
		name         string
		opts         googleserver.Options
		do           func(*fixture)
		alice, bob   string // their deltas
		bobFull      string // bob's list without parameters, his own calendar aside
		bobEvents    int    // status of his events.list
		bobEntryRole string
	}{
		{name: "nothing", do: func(*fixture) {}, bobFull: team, bobEvents: 200, bobEntryRole: "reader"},
		{
			name: "renamed: the owner's delta alone", do: func(f *fixture) { f.must(f.Rename("", team, "New")) },
			alice: team, bobFull: team, bobEvents: 200, bobEntryRole: "reader",
		},
		{
			name: "renamed, strictly", opts: googleserver.Options{QuietRenames: true},
			do: func(f *fixture) { f.must(f.Rename("", team, "New")) }, bobFull: team, bobEvents: 200, bobEntryRole: "reader",
		},
		{
			name: "another role", do: func(f *fixture) { f.must(f.Share(team, bob, googleserver.Writer)) },
			bobFull: team, bobEvents: 200, bobEntryRole: "writer",
		},
		{
			name: "an entry of his own", do: func(f *fixture) {
				f.must(f.Subscribe(bob, team, googleserver.Entry{SummaryOverride: "Mine", Reminders: `[{"method":"popup","minutes":5}]`}))
			},
			bob: team, bobFull: team, bobEvents: 200, bobEntryRole: "reader",
		},
		{
			name: "hidden", do: func(f *fixture) { f.must(f.Subscribe(bob, team, googleserver.Entry{Hidden: true})) },
			bob: "~" + team, bobEvents: 200, bobEntryRole: "reader",
		},
		{name: "unsubscribed", do: func(f *fixture) { f.must(f.Unsubscribe(bob, team)) }, bob: "-" + team, bobEvents: 200},
		{name: "unshared", do: func(f *fixture) { f.must(f.Unshare(team, bob)) }, bob: "-" + team, bobEvents: 404},
		{
			name: "unshared, 403", opts: googleserver.Options{UnsharedStatus: 403},
			do: func(f *fixture) { f.must(f.Unshare(team, bob)) }, bob: "-" + team, bobEvents: 403,
		},
		{
			name: "unshared, quietly", opts: googleserver.Options{QuietUnshare: true},
			do: func(f *fixture) { f.must(f.Unshare(team, bob)) }, bobEvents: 404,
		},
		{name: "deleted", do: func(f *fixture) { f.must(f.DeleteCalendar(team)) }, alice: "-" + team, bob: "-" + team, bobEvents: 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, c.opts)
			f.must(f.Share(team, bob, googleserver.Reader))
			f.must(f.Subscribe(bob, team, googleserver.Entry{}))
			b := f.as(bob)
			mine, his := f.get(listPath).NextSyncToken, b.get(listPath).NextSyncToken
			c.do(f)
			if r := f.get(listPath, "syncToken", mine); r.ids() != c.alice {
				t.Error("alice:", r.Text)
			}
			if r := b.get(listPath, "syncToken", his); r.ids() != c.bob {
				t.Error("bob:", r.Text)
			}
			if r := b.get(listPath); r.ids() != strings.TrimSpace(bob+" "+c.bobFull) {
				t.Error("bob's list:", r.Text)
			}
			if r := b.get(events); r.Status != c.bobEvents {
				t.Error("bob's events:", r.Text)
			}
			r := b.get(listPath + "/" + url.PathEscape(team))
			if r.AccessRole != c.bobEntryRole || (r.Status == 404) != (c.bobEntryRole == "") {
				t.Error("bob's entry:", r.Text)
			}
			shown := b.get(listPath, "showHidden", "true", "showDeleted", "true").ids()
			if quiet := c.opts.QuietUnshare; strings.Contains(shown, team) == quiet {
				t.Error("bob's list, everything shown:", shown)
			}
		})
	}
}

func TestCalendarListFilters(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.must(f.AddUser("eve@elsewhere.net"))
	f.must(f.AddCalendar("eve@elsewhere.net", "eve@group.calendar.google.com", googleserver.Calendar{}))
	f.must(f.PutRule("eve@group.calendar.google.com", "domain:example.org", googleserver.Reader))
	f.must(f.Subscribe(alice, "eve@group.calendar.google.com", googleserver.Entry{}))
	for _, c := range []struct{ name, value, want string }{
		{"minAccessRole", "reader", alice + " " + team + " eve@group.calendar.google.com"},
		{"minAccessRole", "writer", alice + " " + team},
		{"showOwnOrganizationOnly", "true", alice + " " + team},
	} {
		if r := f.get(listPath, c.name, c.value); r.ids() != c.want || r.NextSyncToken != "" {
			t.Error(c, r.Text)
		}
	}
}

func TestRenamesShowWhenListedFully(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.must(f.PutRule(team, "default", googleserver.Reader))
	f.must(f.Subscribe(bob, team, googleserver.Entry{SummaryOverride: "Mine"}))
	b := f.as(bob)
	before := b.get(listPath)
	f.must(f.Rename("", team, "New"))
	after := b.get(listPath)
	if !strings.Contains(after.Text, `"summary": "New"`) || !strings.Contains(after.Text, `"summaryOverride": "Mine"`) || after.ETag == before.ETag {
		t.Error(after.Text)
	}
	if r := b.get(events); r.Summary != "New" {
		t.Error(r.Text)
	}
	if r := b.get("calendars/" + url.PathEscape(team)); r.Summary != "New" || r.Kind != "calendar#calendar" {
		t.Error(r.Text)
	}
}

func TestACL(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.must(f.Share(team, bob, googleserver.Reader))
	full := f.get(acl)
	if full.ids() != "user:"+alice+" user:"+bob || full.Kind != "calendar#acl" {
		t.Error(full.Text)
	}
	f.must(f.PutRule(team, "domain:example.org", googleserver.FreeBusyReader))
	f.must(f.PutRule(team, "default", googleserver.FreeBusyReader))
	f.must(f.Unshare(team, bob))
	delta := f.get(acl, "syncToken", full.NextSyncToken)
	if delta.ids() != "domain:example.org default -user:"+bob || !strings.Contains(delta.Text, `"role": "none"`) {
		t.Error(delta.Text)
	}
	if r := f.get(acl); r.ids() != "user:"+alice+" domain:example.org default" {
		t.Error(r.Text)
	}
	if r := f.get(acl, "showDeleted", "true"); r.ids() != "user:"+alice+" -user:"+bob+" domain:example.org default" {
		t.Error(r.Text)
	}
	if r := f.get(acl + "/default"); r.Status != 200 || !strings.Contains(r.Text, `"type": "default"`) || strings.Contains(r.Text, `"value"`) {
		t.Error(r.Text)
	}
	if r := f.get(acl + "/" + url.PathEscape("user:"+bob)); r.Status != 404 {
		t.Error(r.Text)
	}
	for role, want := range map[googleserver.Role]int{
		googleserver.Owner: 200, googleserver.Writer: 403, googleserver.Reader: 403, googleserver.FreeBusyReader: 403,
	} {
		f.must(f.Share(team, bob, role))
		if r := f.as(bob).get(acl); r.Status != want || (want == 403 && r.reason() != "forbidden") {
			t.Error(role, r.Text)
		}
	}
	if r := f.as(bob).get("calendars/" + url.PathEscape(alice) + "/acl"); r.Status != 404 {
		t.Error(r.Text)
	}
}

func TestRolesEndSyncTokens(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.must(f.Share(team, bob, googleserver.Reader))
	f.put(event("event1"))
	b := f.as(bob)
	his, hers := b.get(events).NextSyncToken, f.get(events).NextSyncToken
	entry := f.get(listPath + "/" + url.PathEscape(team)).ETag
	f.must(f.Share(team, bob, googleserver.Reader))
	if r := b.get(events, "syncToken", his); r.Status != 200 {
		t.Error("the same role:", r.Text)
	}
	f.must(f.Share(team, bob, googleserver.Writer))
	if r := b.get(events, "syncToken", his); r.Status != 410 || r.reason() != "fullSyncRequired" {
		t.Error(r.Text)
	}
	if r := f.get(events, "syncToken", hers); r.Status != 200 {
		t.Error("another user:", r.Text)
	}
	if r := f.get(listPath + "/" + url.PathEscape(team)); r.ETag != entry {
		t.Error("another user's entry:", r.Text)
	}
}

func TestSettings(t *testing.T) {
	f := start(t, googleserver.Options{})
	full := f.get(settings)
	if full.ids() != "timezone locale weekStart format24HourTime" || full.Kind != "calendar#settings" {
		t.Error(full.Text)
	}
	f.must(f.PutSetting(alice, "locale", "de"))
	f.must(f.PutSetting(alice, "new", "1"))
	f.must(f.PutSetting(bob, "locale", "fr"))
	if r := f.get(settings, "syncToken", full.NextSyncToken); r.ids() != "locale new" || !strings.Contains(r.Text, `"value": "de"`) {
		t.Error(r.Text)
	}
	f.must(f.DropSetting(alice, "new"))
	if r := f.get(settings); r.ids() != "timezone locale weekStart format24HourTime" {
		t.Error(r.Text)
	}
	if r := f.get(settings + "/new"); r.Status != 404 {
		t.Error(r.Text)
	}
	if r := f.get(settings + "/locale"); r.Status != 200 || r.Kind != "calendar#setting" {
		t.Error(r.Text)
	}
}

func TestGeneratedCalendarsListNoDeletes(t *testing.T) {
	f := start(t, googleserver.Options{})
	for _, user := range []string{alice, bob} {
		f.must(f.AddGenerated(user, googleserver.Birthdays, googleserver.Calendar{Summary: "Birthdays"}))
	}
	path := "calendars/" + url.PathEscape(googleserver.Birthdays) + "/events"
	for _, id := range []string{"carol", "dave"} {
		_, err := f.PutEvent(alice, googleserver.Birthdays, `{"id":"`+id+`","eventType":"birthday","start":{"date":"2026-06-01"},"end":{"date":"2026-06-02"},"recurrence":["RRULE:FREQ=YEARLY"]}`)
		f.must(err)
	}
	full := f.get(path)
	if full.ids() != "carol dave" || full.AccessRole != "reader" {
		t.Error(full.Text)
	}
	f.must(f.DeleteEvent(alice, googleserver.Birthdays, "carol"))
	if r := f.get(path, "syncToken", full.NextSyncToken); r.Status != 200 || r.ids() != "" {
		t.Error(r.Text)
	}
	if r := f.get(path, "showDeleted", "true"); r.ids() != "dave" {
		t.Error(r.Text)
	}
	if r := f.get(path + "/carol"); r.Status != 404 {
		t.Error(r.Text)
	}
	if r := f.as(bob).get(path); r.Status != 200 || r.ids() != "" {
		t.Error("bob has birthdays of his own:", r.Text)
	}
	if r := f.get(strings.Replace(path, "/events", "/acl", 1)); r.Status != 403 {
		t.Error(r.Text)
	}
	if r := f.get(listPath); r.ids() != alice+" "+team+" "+googleserver.Birthdays {
		t.Error(r.Text)
	}
}

func TestRefusesWhatIsNotThere(t *testing.T) {
	f := start(t, googleserver.Options{})
	f.put(event("event1"))
	for name, err := range map[string]error{
		"user twice":      f.AddUser(alice),
		"calendar twice":  f.AddCalendar(alice, team, googleserver.Calendar{}),
		"nobody's":        f.AddCalendar("nobody", "x", googleserver.Calendar{}),
		"bad extra":       f.AddCalendar(alice, "y", googleserver.Calendar{Extra: "{"}),
		"bad reminders":   f.Subscribe(alice, team, googleserver.Entry{Reminders: "{"}),
		"primary deleted": f.DeleteCalendar(alice),
		"no calendar":     f.DeleteCalendar("unknown"),
		"no event":        f.DeleteEvent("", team, "unknown"),
		"no rule":         f.Unshare(team, bob),
		"no entry":        f.Unsubscribe(bob, team),
		"no list":         f.Forget(googleserver.EventsList, "", "unknown", googleserver.ByFullSync),
		"no json":         f.SetReminders("", team, "event1", "{"),
	} {
		if err == nil {
			t.Error(name)
		}
	}
	for _, item := range []string{"", "[]", "{", `{"id":"x"} {}`} {
		if _, err := f.PutEvent("", team, item); err == nil {
			t.Error(item)
		}
	}
}
