package googleserver

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// shape says what values a parameter takes.
type shape struct {
	kind     shapeKind
	enum     []string
	repeated bool
}

type shapeKind int

const (
	isText shapeKind = iota
	isBool
	isCount // 1 and up
	isTime
	isZone
)

var (
	text   = shape{}
	flag   = shape{kind: isBool}
	count  = shape{kind: isCount}
	moment = shape{kind: isTime}
	zone   = shape{kind: isZone}
	texts  = shape{repeated: true}
)

// common are the parameters of every method.
var common = map[string]shape{
	"alt": {enum: []string{"json"}}, "fields": text, "key": text, "oauth_token": text, "access_token": text,
	"prettyPrint": flag, "quotaUser": text, "userIp": text,
}

// params are the parameters of each method, after the discovery document.
var params = map[Kind]map[string]shape{
	EventsList: {
		"alwaysIncludeEmail": flag, "eventTypes": {enum: eventTypes, repeated: true}, "iCalUID": text,
		"maxAttendees": count, "maxResults": count, "orderBy": {enum: []string{"startTime", "updated"}},
		"pageToken": text, "privateExtendedProperty": texts, "q": text, "sharedExtendedProperty": texts,
		"showDeleted": flag, "showHiddenInvitations": flag, "singleEvents": flag, "syncToken": text,
		"timeMax": moment, "timeMin": moment, "timeZone": zone, "updatedMin": moment,
	},
	EventsGet: {"alwaysIncludeEmail": flag, "maxAttendees": count, "timeZone": zone},
	EventsInstances: {
		"alwaysIncludeEmail": flag, "maxAttendees": count, "maxResults": count, "originalStart": text, "pageToken": text,
		"showDeleted": flag, "timeMax": moment, "timeMin": moment, "timeZone": zone,
	},
	CalendarListList: {
		"maxResults": count, "minAccessRole": {enum: roleNames}, "pageToken": text, "showDeleted": flag,
		"showHidden": flag, "showOwnOrganizationOnly": flag, "syncToken": text,
	},
	CalendarListGet: {}, CalendarsGet: {},
	ACLList: {"maxResults": count, "pageToken": text, "showDeleted": flag, "syncToken": text},
	ACLGet:  {},
	SettingsList: {
		"maxResults": count, "pageToken": text, "syncToken": text,
	},
	SettingsGet: {},
}

var (
	eventTypes = []string{"birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation"}
	roleNames  = []string{"freeBusyReader", "owner", "reader", "writer", "writerWithoutPrivateAccess"}
)

// refused are the parameters that cannot stand beside a syncToken; untrue those that must not be false beside it.
var (
	refused = map[Kind][]string{
		EventsList: {
			"iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "timeMin", "timeMax", "updatedMin",
		},
		CalendarListList: {"minAccessRole", "showOwnOrganizationOnly"},
	}
	untrue = map[Kind][]string{
		EventsList: {"showDeleted"}, CalendarListList: {"showDeleted", "showHidden"}, ACLList: {"showDeleted"},
	}
)

// pageSizes are the default and the most of maxResults.
var pageSizes = map[Kind][2]int{
	EventsList: {250, 2500}, EventsInstances: {250, 2500}, CalendarListList: {100, 250}, ACLList: {100, 250},
	SettingsList: {100, 250},
}

// query is a request's parameters.
type query struct {
	kind     Kind
	user     string
	values   url.Values
	identity string // hash of what the pages of one listing share
	binding  string // hash of what the requests of one sync token share
	size     int    // items in a page
	series   string // events.instances: whose

	updatedMin, timeMin, timeMax *time.Time
	eventTypes                   []string
	restricted                   bool // by any filter of content or time
	fields                       selector
}

// parseQuery checks the parameters of a request.
func parseQuery(kind Kind, user, raw string) (*query, *Error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badParameter("", "badRequest", "Bad Request")
	}
	for name, vs := range values {
		s, ok := params[kind][name]
		if !ok {
			s, ok = common[name]
		}
		if !ok {
			return nil, badParameter(name, "badRequest", fmt.Sprintf(
				"Invalid JSON payload received. Unknown name %q: Cannot bind query parameter. "+
					"Field '%s' could not be found in request message.", name, name))
		}
		if e := s.check(name, vs); e != nil {
			return nil, e
		}
	}
	q := &query{kind: kind, user: user, values: values, size: pageSizes[kind][0]}
	if n, err := strconv.Atoi(values.Get("maxResults")); err == nil {
		q.size = min(n, pageSizes[kind][1])
	}
	q.updatedMin, q.timeMin, q.timeMax = q.moment("updatedMin"), q.moment("timeMin"), q.moment("timeMax")
	q.eventTypes = values["eventTypes"]
	q.restricted = slices.ContainsFunc(refused[EventsList], q.has)
	if q.has("fields") {
		var ok bool
		if q.fields, ok = parseFields(values.Get("fields")); !ok {
			return nil, badParameter("fields", "invalidParameter", "Invalid field selection "+values.Get("fields"))
		}
	}
	q.hash()
	return q, q.checkTogether()
}

// hash computes what tokens are bound to.
func (q *query) hash() {
	q.identity = hashQuery(q.values, func(name string) bool {
		_, everywhere := common[name]
		return everywhere || name == "pageToken"
	})
	q.binding = hashQuery(q.values, func(name string) bool {
		_, everywhere := common[name]
		return everywhere || name == "pageToken" || name == "syncToken" || name == "maxResults" ||
			slices.Contains(refused[q.kind], name) || slices.Contains(untrue[q.kind], name)
	})
}

// check says what is wrong with the values of one parameter.
func (s shape) check(name string, vs []string) *Error {
	if len(vs) > 1 && !s.repeated {
		return badParameter(name, "badRequest", fmt.Sprintf("Invalid value for %s: the parameter cannot be repeated.", name))
	}
	for _, v := range vs {
		if !s.takes(v) {
			return badParameter(name, "invalidParameter", fmt.Sprintf("Invalid value %q for parameter %s.", v, name))
		}
	}
	return nil
}

func (s shape) takes(v string) bool {
	switch s.kind {
	case isBool:
		return v == "true" || v == "false"
	case isCount:
		n, err := strconv.ParseInt(v, 10, 32)
		return err == nil && n >= 1
	case isTime:
		_, err := time.Parse(time.RFC3339, v)
		return err == nil
	case isZone:
		_, err := time.LoadLocation(v)
		return err == nil && v != "" && v != "Local"
	default:
		return s.enum == nil || slices.Contains(s.enum, v)
	}
}

// checkTogether says which parameters do not go together.
func (q *query) checkTogether() *Error {
	if q.has("syncToken") {
		for _, name := range refused[q.kind] {
			if q.has(name) {
				return restricted(name)
			}
		}
		for _, name := range untrue[q.kind] {
			if q.values.Get(name) == "false" {
				return restricted(name)
			}
		}
	}
	if q.timeMin != nil && q.timeMax != nil && !q.timeMin.Before(*q.timeMax) {
		return &Error{
			Code: 400, Domain: "calendar", Reason: "timeRangeEmpty", Message: "The specified time range is empty.",
			LocationType: "parameter", Location: "timeMax",
		}
	}
	if q.values.Get("orderBy") == "startTime" && !q.on("singleEvents") {
		return &Error{
			Code: 400, Domain: "calendar", Reason: "invalid",
			Message:      "The requested ordering is not available for the particular query.",
			LocationType: "parameter", Location: "orderBy",
		}
	}
	return nil
}

func restricted(name string) *Error {
	return &Error{
		Code: 400, Domain: "calendar", Reason: "syncTokenWithRequestRestrictions",
		Message:      "Sync token cannot be used with request restrictions.",
		LocationType: "parameter", Location: name,
	}
}

func (q *query) has(name string) bool { return q.values.Has(name) }

func (q *query) on(name string) bool { return q.values.Get(name) == "true" }

func (q *query) moment(name string) *time.Time {
	t, err := time.Parse(time.RFC3339, q.values.Get(name))
	if err != nil {
		return nil // absent: values have been checked
	}
	return &t
}
