package googleserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors of the methods that change what the server holds.
var (
	ErrNoUser     = errors.New("no such user")
	ErrNoCalendar = errors.New("no such calendar")
	ErrNoItem     = errors.New("no such item")
	ErrExists     = errors.New("exists already")
)

// AddUser adds an account with a primary calendar of the same id and a few settings.
func (s *Server) AddUser(email string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[email] != nil {
		return fmt.Errorf("adding user %s: %w", email, ErrExists)
	}
	u := &user{email: email, entries: s.newList(), subs: map[string]*Entry{}, settings: s.newList(), own: map[string]*calendar{}}
	s.users[email] = u
	for _, p := range [][2]string{{"timezone", "UTC"}, {"locale", "en"}, {"weekStart", "1"}, {"format24HourTime", "true"}} {
		u.settings.put(s.setting(p[0], p[1]))
	}
	return s.addCalendar(email, email, Calendar{Summary: email})
}

// AddCalendar adds a calendar of owner's, to the owner's list too.
func (s *Server) AddCalendar(owner, id string, p Calendar) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addCalendar(owner, id, p)
}

func (s *Server) addCalendar(owner, id string, p Calendar) error {
	if s.users[owner] == nil {
		return fmt.Errorf("adding calendar %s: %w: %s", id, ErrNoUser, owner)
	}
	if s.calendars[id] != nil {
		return fmt.Errorf("adding calendar %s: %w", id, ErrExists)
	}
	c := &calendar{
		Calendar: p, id: id, owner: owner, etag: s.stamp(), events: s.newList(), acl: s.newList(), rules: map[string]Role{},
	}
	c.events.updated = s.now()
	s.calendars[id] = c
	s.putRule(c, "user:"+owner, Owner)
	return s.subscribe(s.users[owner], c, Entry{Selected: true})
}

// AddGenerated adds a calendar that Google makes for a user, as Birthdays or
// en.usa#holiday@group.v.calendar.google.com: read-only, the user's own, and without deletes in its deltas.
func (s *Server) AddGenerated(email, id string, p Calendar) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[email]
	if u == nil {
		return fmt.Errorf("adding calendar %s: %w: %s", id, ErrNoUser, email)
	}
	if u.own[id] != nil {
		return fmt.Errorf("adding calendar %s: %w", id, ErrExists)
	}
	c := &calendar{Calendar: p, id: id, owner: id, generated: true, role: Reader, etag: s.stamp(), events: s.newList(), acl: s.newList()}
	c.events.lossy, c.events.updated = true, s.now()
	u.own[id] = c
	return s.subscribe(u, c, Entry{Selected: true})
}

// find resolves a calendar's id as a user writes it; email may be "" for calendars that are nobody's own.
func (s *Server) find(email, id string) *calendar {
	u := s.users[email]
	if u != nil && id == "primary" {
		id = u.email
	}
	if u != nil && u.own[id] != nil {
		return u.own[id]
	}
	return s.calendars[id]
}

func (s *Server) mustFind(email, id string) (*calendar, error) {
	if c := s.find(email, id); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoCalendar, id)
}

// Subscribe puts a calendar into a user's list, or changes its entry there.
func (s *Server) Subscribe(email, id string, e Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[email]
	if u == nil {
		return fmt.Errorf("subscribing to %s: %w: %s", id, ErrNoUser, email)
	}
	c, err := s.mustFind(email, id)
	if err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	return s.subscribe(u, c, e)
}

func (s *Server) subscribe(u *user, c *calendar, e Entry) error {
	if e.Reminders != "" && !json.Valid([]byte(e.Reminders)) {
		return fmt.Errorf("subscribing to %s: the default reminders are not JSON", c.id)
	}
	v, err := s.entry(u, c, &e)
	if err != nil {
		return fmt.Errorf("subscribing to %s: %w", c.id, err)
	}
	u.subs[c.id] = &e
	u.entries.put(v)
	return nil
}

// Unsubscribe takes a calendar out of a user's list; its delta has a tombstone.
func (s *Server) Unsubscribe(email, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[email]
	if u == nil || u.subs[id] == nil {
		return fmt.Errorf("unsubscribing %s from %s: %w", email, id, ErrNoItem)
	}
	delete(u.subs, id)
	u.entries.put(s.goneEntry(id))
	return nil
}

// UpdateCalendar changes what a calendar says of itself. Google leaves read-only changes out of the deltas of
// calendarLists: only the owner's shows this one, and with Options.QuietRenames nobody's.
func (s *Server) UpdateCalendar(email, id string, change func(*Calendar)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.mustFind(email, id)
	if err != nil {
		return fmt.Errorf("updating a calendar: %w", err)
	}
	change(&c.Calendar)
	c.etag = s.stamp()
	c.events.edition++
	c.events.updated = s.now()
	return s.refresh(c, func(u *user) (touched, loud bool) { return true, u.email == c.owner && !s.opts.QuietRenames })
}

// Rename gives a calendar another summary.
func (s *Server) Rename(email, id, summary string) error {
	return s.UpdateCalendar(email, id, func(c *Calendar) { c.Summary = summary })
}

// refresh encodes a calendar's entries anew, of the users whom the change touches. Deltas show those that are loud.
func (s *Server) refresh(c *calendar, which func(*user) (touched, loud bool)) error {
	for _, u := range s.users {
		e := u.subs[c.id]
		touched, loud := which(u)
		if e == nil || !touched || s.find(u.email, c.id) != c {
			continue
		}
		v, err := s.entry(u, c, e)
		if err != nil {
			return fmt.Errorf("refreshing the entry of %s: %w", c.id, err)
		}
		if loud {
			u.entries.put(v)
		} else {
			u.entries.amend(v)
		}
	}
	return nil
}

// DeleteCalendar takes a calendar away; the lists it stood in have a tombstone. A primary calendar stays.
func (s *Server) DeleteCalendar(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calendars[id]
	if c == nil || c.owner == id {
		return fmt.Errorf("deleting a calendar: %w: %s", ErrNoCalendar, id)
	}
	delete(s.calendars, id)
	for _, u := range s.users {
		if u.subs[id] != nil && u.own[id] == nil {
			delete(u.subs, id)
			u.entries.put(s.goneEntry(id))
		}
	}
	return nil
}

// Share gives a user a role on a calendar. The calendar does not enter the user's list by that: see Subscribe.
func (s *Server) Share(id, email string, r Role) error { return s.PutRule(id, "user:"+email, r) }

// Unshare takes a user's role away.
func (s *Server) Unshare(id, email string) error { return s.DeleteRule(id, "user:"+email) }

// PutRule sets a rule of a calendar's access control list: "default", "user:…", "group:…" or "domain:…". Sync tokens
// of the events die for every user whose role has changed by it; the entries' roles change without their deltas.
func (s *Server) PutRule(id, rule string, r Role) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calendars[id]
	if c == nil {
		return fmt.Errorf("putting rule %s: %w: %s", rule, ErrNoCalendar, id)
	}
	return s.regulate(c, func() { s.putRule(c, rule, r) })
}

// DeleteRule removes a rule; the delta shows it with role none.
func (s *Server) DeleteRule(id, rule string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calendars[id]
	if c == nil || c.acl.living(rule) == nil {
		return fmt.Errorf("deleting rule %s of %s: %w", rule, id, ErrNoItem)
	}
	return s.regulate(c, func() { s.putRule(c, rule, None) })
}

func (s *Server) putRule(c *calendar, rule string, r Role) {
	kind, value, _ := strings.Cut(rule, ":")
	scope := object{}.with("type", kind).maybe("value", value)
	v := &version{id: rule, etag: s.stamp(), gone: r == None, updated: s.now()}
	v.body = object{}.with("kind", "calendar#aclRule").with("etag", v.etag).with("id", rule).
		with("scope", json.RawMessage(scope.bytes())).with("role", r).bytes()
	c.rules[rule] = r
	c.acl.put(v)
}

// regulate changes the rules and then what follows from the roles.
func (s *Server) regulate(c *calendar, change func()) error {
	before := map[*user]Role{}
	for _, u := range s.users {
		before[u] = c.roleOf(u.email)
	}
	change()
	for u, old := range before {
		role := c.roleOf(u.email)
		if role == old {
			delete(before, u) // nothing of the user's entry has changed
			continue
		}
		c.events.mine[u.email] = append(c.events.mine[u.email], ByFullSync)
		if role == None && u.subs[c.id] != nil && u.own[c.id] == nil {
			s.evict(u, c)
		}
	}
	return s.refresh(c, func(u *user) (touched, loud bool) {
		_, touched = before[u]
		return touched, false
	})
}

// evict takes a calendar out of the list of a user who may not see it any more.
func (s *Server) evict(u *user, c *calendar) {
	delete(u.subs, c.id)
	if s.opts.QuietUnshare {
		u.entries.drop(c.id, s.now())
		return
	}
	u.entries.put(s.goneEntry(c.id))
}

// PutSetting sets one of a user's settings.
func (s *Server) PutSetting(email, id, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[email]
	if u == nil {
		return fmt.Errorf("putting setting %s: %w: %s", id, ErrNoUser, email)
	}
	u.settings.put(s.setting(id, value))
	return nil
}

// DropSetting takes a setting away. The API has no such thing, and its deltas do not show it.
func (s *Server) DropSetting(email, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[email]
	if u == nil || u.settings.living(id) == nil {
		return fmt.Errorf("dropping setting %s of %s: %w", id, email, ErrNoItem)
	}
	u.settings.drop(id, s.now())
	return nil
}

func (s *Server) setting(id, value string) *version {
	v := &version{id: id, etag: s.stamp(), updated: s.now()}
	v.body = object{}.with("kind", "calendar#setting").with("etag", v.etag).with("id", id).with("value", value).bytes()
	return v
}

// listOf is the list that a list request shows. email may be "" for calendars that are nobody's own.
func (s *Server) listOf(kind Kind, email, id string) *list {
	u, c := s.users[email], s.find(email, id)
	switch {
	case kind == CalendarListList && u != nil:
		return u.entries
	case kind == SettingsList && u != nil:
		return u.settings
	case (kind == EventsList || kind == EventsInstances) && c != nil:
		return c.events
	case kind == ACLList && c != nil:
		return c.acl
	}
	return nil
}

// Forget lets every sync token of a list die that has been given so far. kind is EventsList, CalendarListList, ACLList
// or SettingsList; email may be "" for the lists of a calendar that is nobody's own, id is "" for the others.
func (s *Server) Forget(kind Kind, email, id string, d Death) error {
	return s.onList(kind, email, id, func(l *list) { l.deaths = append(l.deaths, d) })
}

// ForgetPages lets the page tokens of a list die that have been given so far.
func (s *Server) ForgetPages(kind Kind, email, id string) error {
	return s.onList(kind, email, id, func(l *list) { l.pageDeath++ })
}

// ForgetTombstones drops what is known of a list's deleted items; sync tokens from before the last deletion die.
func (s *Server) ForgetTombstones(kind Kind, email, id string) error {
	return s.onList(kind, email, id, func(l *list) { l.forgetTombstones(s.now().Add(time.Nanosecond)) })
}

func (s *Server) onList(kind Kind, email, id string, do func(*list)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listOf(kind, email, id)
	if l == nil {
		return fmt.Errorf("%s of %q, calendar %q: %w", kind, email, id, ErrNoCalendar)
	}
	do(l)
	return nil
}

// ForgetAll lets every sync token die that has been given so far.
func (s *Server) ForgetAll(d Death) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.allLists() {
		l.deaths = append(l.deaths, d)
	}
}

func (s *Server) allLists() []*list {
	var all []*list
	for _, c := range s.calendars {
		all = append(all, c.events, c.acl)
	}
	for _, u := range s.users {
		all = append(all, u.entries, u.settings)
		for _, c := range u.own {
			all = append(all, c.events, c.acl)
		}
	}
	return all
}
