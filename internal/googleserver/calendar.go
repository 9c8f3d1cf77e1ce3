package googleserver

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Role is what a user may do with a calendar.
type Role string

// The roles, from the least to the most.
const (
	None                       Role = "none"
	FreeBusyReader             Role = "freeBusyReader"
	Reader                     Role = "reader"
	WriterWithoutPrivateAccess Role = "writerWithoutPrivateAccess"
	Writer                     Role = "writer"
	Owner                      Role = "owner"
)

var ranks = map[Role]int{FreeBusyReader: 1, Reader: 2, WriterWithoutPrivateAccess: 3, Writer: 4, Owner: 5}

// Birthdays is the id of everybody's own birthdays calendar, whose deltas never list deletes.
const Birthdays = "addressbook#contacts@group.v.calendar.google.com"

// Calendar is what a calendar says of itself.
type Calendar struct {
	Summary     string
	Description string
	Location    string
	TimeZone    string // "": UTC
	// Extra are further members of the calendar's entries and of calendars.get: `"autoAcceptInvitations":true,…`.
	Extra string
}

// Entry is what a user's list says of a calendar beside that.
type Entry struct {
	SummaryOverride string
	ColorID         string
	BackgroundColor string
	ForegroundColor string
	Hidden          bool
	Selected        bool
	Reminders       string // the default reminders, as a JSON array; "": none
	Extra           string // further members: `"notificationSettings":{…},…`
}

// user is an account.
type user struct {
	email    string
	entries  *list             // the calendarList
	subs     map[string]*Entry // by calendar id
	settings *list
	own      map[string]*calendar // generated calendars
}

// calendar is a calendar with its lists.
type calendar struct {
	Calendar
	id        string
	owner     string
	generated bool
	role      Role // of its one user, if generated
	etag      string
	events    *list
	acl       *list
	rules     map[string]Role // by rule id
}

// roleOf is the most that the rules give a user.
func (c *calendar) roleOf(email string) Role {
	if c.generated {
		return c.role
	}
	best := None
	_, domain, _ := strings.Cut(email, "@")
	for _, id := range []string{"user:" + email, "domain:" + domain, "default"} {
		if r := c.rules[id]; ranks[r] > ranks[best] {
			best = r
		}
	}
	return best
}

func (c *calendar) zone() string {
	if c.TimeZone == "" {
		return "UTC"
	}
	return c.TimeZone
}

// stamp makes an ETag, with its quotes, that none had before.
func (s *Server) stamp() string {
	s.stamps++
	return fmt.Sprintf(`"%d"`, (s.began+s.stamps)*2)
}

func (s *Server) newList() *list {
	s.lists++
	return newList(s.lists)
}

// timestamp is a time as Google writes it.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// extend adds members that are written as the inside of an object.
func extend(o object, extra string) (object, error) {
	if extra == "" {
		return o, nil
	}
	more, err := parseObject([]byte("{" + extra + "}"))
	if err != nil {
		return nil, err
	}
	for _, m := range more {
		o = o.without(m.name)
	}
	return append(o, more...), nil
}

func (o object) maybe(name, value string) object {
	if value == "" {
		return o
	}
	return o.with(name, value)
}

// describe is calendars.get's answer.
func (c *calendar) describe(etag string) (object, error) {
	o := object{}.with("kind", "calendar#calendar").with("etag", etag).with("id", c.id).with("summary", c.Summary).
		maybe("description", c.Description).maybe("location", c.Location).with("timeZone", c.zone())
	if c.id != c.owner && !c.generated {
		o = o.with("dataOwner", c.owner)
	}
	return extend(o.with("conferenceProperties", conferences), c.Extra)
}

var conferences = json.RawMessage(`{"allowedConferenceSolutionTypes":["hangoutsMeet"]}`)

// entry encodes a calendar's entry in a user's list.
func (s *Server) entry(u *user, c *calendar, e *Entry) (*version, error) {
	v := &version{id: c.id, etag: s.stamp(), hidden: e.Hidden, role: c.roleOf(u.email), owner: c.owner, updated: s.now()}
	o, err := c.describe(v.etag)
	if err != nil {
		return nil, err
	}
	o = o.with("kind", "calendar#calendarListEntry").maybe("summaryOverride", e.SummaryOverride).maybe("colorId", e.ColorID).
		maybe("backgroundColor", e.BackgroundColor).maybe("foregroundColor", e.ForegroundColor)
	if e.Hidden {
		o = o.with("hidden", true)
	}
	if e.Selected {
		o = o.with("selected", true)
	}
	o = o.with("accessRole", v.role).with("defaultReminders", e.reminders())
	if c.id == u.email {
		o = o.with("primary", true)
	}
	if o, err = extend(o, e.Extra); err != nil {
		return nil, err
	}
	v.body = o.bytes()
	return v, nil
}

func (e *Entry) reminders() json.RawMessage {
	if e == nil || e.Reminders == "" {
		return json.RawMessage("[]")
	}
	return json.RawMessage(e.Reminders)
}

// goneEntry is the tombstone of an entry.
func (s *Server) goneEntry(id string) *version {
	v := &version{id: id, etag: s.stamp(), gone: true, updated: s.now()}
	v.body = object{}.with("kind", "calendar#calendarListEntry").with("etag", v.etag).with("id", id).with("deleted", true).bytes()
	return v
}
