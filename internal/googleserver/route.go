package googleserver

import (
	"net/http"
	"net/url"
	"strings"
)

// Kind is a kind of request, named as the discovery document names its method.
type Kind string

// The kinds of request.
const (
	EventsList       Kind = "events.list"
	EventsGet        Kind = "events.get"
	EventsInstances  Kind = "events.instances"
	CalendarListList Kind = "calendarList.list"
	CalendarListGet  Kind = "calendarList.get"
	CalendarsGet     Kind = "calendars.get"
	ACLList          Kind = "acl.list"
	ACLGet           Kind = "acl.get"
	SettingsList     Kind = "settings.list"
	SettingsGet      Kind = "settings.get"
	Unknown          Kind = "unknown" // no method that is served here
)

// base is the path of the API.
const base = "/calendar/v3/"

// Endpoint is the base URL of the API on a server, with its last slash.
func Endpoint(server string) string { return strings.TrimSuffix(server, "/") + base }

// target is what a path names.
type target struct {
	kind     Kind
	calendar string // as the client wrote it, decoded: may be "primary"
	id       string // of the event, rule or setting
}

// route takes a path apart. Ids are one escaped segment each.
func route(r *http.Request) target {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), base)
	if !ok {
		return target{kind: Unknown}
	}
	parts := strings.Split(rest, "/")
	for i, p := range parts {
		text, err := url.PathUnescape(p)
		if err != nil || text == "" {
			return target{kind: Unknown}
		}
		parts[i] = text
	}
	if len(parts) > 1 && parts[0] == "calendars" {
		return routeCalendar(parts[1], parts[2:])
	}
	if len(parts) > 2 && parts[0] == "users" && parts[1] == "me" {
		return routeUser(parts[2], parts[3:])
	}
	return target{kind: Unknown}
}

func routeCalendar(calendar string, rest []string) target {
	t := target{kind: Unknown, calendar: calendar}
	switch {
	case len(rest) == 0:
		t.kind = CalendarsGet
	case len(rest) == 1 && rest[0] == "events":
		t.kind = EventsList
	case len(rest) == 1 && rest[0] == "acl":
		t.kind = ACLList
	case len(rest) == 2 && rest[0] == "events":
		t.kind, t.id = EventsGet, rest[1]
	case len(rest) == 2 && rest[0] == "acl":
		t.kind, t.id = ACLGet, rest[1]
	case len(rest) == 3 && rest[0] == "events" && rest[2] == "instances":
		t.kind, t.id = EventsInstances, rest[1]
	}
	return t
}

func routeUser(what string, rest []string) target {
	switch {
	case what == "calendarList" && len(rest) == 0:
		return target{kind: CalendarListList}
	case what == "calendarList" && len(rest) == 1:
		return target{kind: CalendarListGet, calendar: rest[0]}
	case what == "settings" && len(rest) == 0:
		return target{kind: SettingsList}
	case what == "settings" && len(rest) == 1:
		return target{kind: SettingsGet, id: rest[0]}
	}
	return target{kind: Unknown}
}

const scopeBase = "https://www.googleapis.com/auth/calendar"

// scopes are those of which a request needs one, by kind, after the discovery document.
var scopes = map[Kind][]string{
	EventsList: eventScopes, EventsGet: eventScopes, EventsInstances: eventScopes,
	CalendarListList: {
		scopeBase, scopeBase + ".calendarlist", scopeBase + ".calendarlist.readonly", scopeBase + ".readonly",
	},
	CalendarListGet: {
		scopeBase, scopeBase + ".app.created", scopeBase + ".calendarlist", scopeBase + ".calendarlist.readonly",
		scopeBase + ".readonly",
	},
	CalendarsGet: {
		scopeBase, scopeBase + ".app.created", scopeBase + ".calendars", scopeBase + ".calendars.readonly",
		scopeBase + ".readonly",
	},
	ACLList:      {scopeBase, scopeBase + ".acls", scopeBase + ".acls.readonly"},
	ACLGet:       {scopeBase, scopeBase + ".acls", scopeBase + ".acls.readonly", scopeBase + ".readonly"},
	SettingsList: settingScopes, SettingsGet: settingScopes,
}

var (
	eventScopes = []string{
		scopeBase, scopeBase + ".app.created", scopeBase + ".events", scopeBase + ".events.freebusy",
		scopeBase + ".events.owned", scopeBase + ".events.owned.readonly", scopeBase + ".events.public.readonly",
		scopeBase + ".events.readonly", scopeBase + ".readonly",
	}
	settingScopes = []string{
		scopeBase, scopeBase + ".readonly", scopeBase + ".settings", scopeBase + ".settings.readonly",
	}
)
