package davserver

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// home is the calendars of one user.
type home struct {
	calendars map[string]*calendar
	order     []string // names, in order of creation
}

// calendar is a collection and the log of its changes.
type calendar struct {
	Properties
	path       string // escaped, with its last slash
	hidden     int    // status that its requests get; 0: none
	birth      uint64 // which of the calendars ever made: a namesake made later knows none of its tokens
	generation uint64 // of its tokens; those of earlier ones are dead
	seq        uint64 // of the last change
	log        []*entry
	superseded int               // entries of log that a later one replaces
	last       map[string]*entry // by name, deletions included
}

// entry is the last change of one name: its state since then. Entries do not change, other than by going stale.
type entry struct {
	seq   uint64
	name  string
	href  []byte // escaped for XML
	etag  string // as sent
	body  []byte // nil: deleted
	data  []byte // body escaped for XML
	stale bool   // a later entry has this name; guarded by Server.mu
}

// Properties are what a listing says of a calendar.
type Properties struct {
	DisplayName string
	Description string
	Color       string   // #rrggbb
	Timezone    string   // a VCALENDAR with one VTIMEZONE; "" for none
	Components  []string // of its objects
	ReadOnly    bool     // the user may only read; said in its privileges, not enforced
}

// MakeCalendar adds a calendar, or replaces one of that name by an empty one. The user must be one of
// Options.Users or Options.Tokens; for others it does nothing.
func (s *Server) MakeCalendar(user, name, displayName string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeCalendar(user, name, Properties{DisplayName: displayName, Components: []string{"VEVENT", "VTODO"}})
}

func (s *Server) makeCalendar(user, name string, p Properties) {
	h := s.homes[user]
	if h == nil {
		return
	}
	if h.calendars[name] == nil {
		h.order = append(h.order, name)
	}
	s.births++
	h.calendars[name] = &calendar{
		Properties: p, path: s.path(user, "calendars", name), birth: s.births, last: map[string]*entry{},
	}
}

// Calendars lists the names of a user's calendars, hidden ones included, in order of creation.
func (s *Server) Calendars(user string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if h := s.homes[user]; h != nil {
		return slices.Clone(h.order)
	}
	return nil
}

// DeleteCalendar removes a calendar with all it holds, and reports whether it was there.
func (s *Server) DeleteCalendar(user, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calendar(user, name)
	if c == nil {
		return false
	}
	h := s.homes[user]
	delete(h.calendars, name)
	h.order = slices.DeleteFunc(h.order, func(n string) bool { return n == name })
	return true
}

// UpdateCalendar changes what a listing says of a calendar.
func (s *Server) UpdateCalendar(user, name string, change func(*Properties)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calendar(user, name)
	if c != nil {
		change(&c.Properties)
	}
	return c != nil
}

// Calendar returns what a listing says of a calendar.
func (s *Server) Calendar(user, name string) (Properties, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c := s.calendar(user, name); c != nil {
		p := c.Properties
		p.Components = slices.Clone(p.Components)
		return p, true
	}
	return Properties{}, false
}

// RenameCalendar gives a calendar another display name.
func (s *Server) RenameCalendar(user, name, displayName string) bool {
	return s.UpdateCalendar(user, name, func(p *Properties) { p.DisplayName = displayName })
}

// Hide takes a calendar out of its home's listing, and answers requests for it with status (404, 410, 403 …), until
// Hide with status 0 brings it back as it was, tokens included.
func (s *Server) Hide(user, name string, status int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calendar(user, name)
	if c != nil {
		c.hidden = status
	}
	return c != nil
}

// InvalidateTokens forgets the calendar's log: no token given so far is known any more.
func (s *Server) InvalidateTokens(user, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calendar(user, name)
	if c != nil {
		c.generation++
	}
	return c != nil
}

// Put stores an object and returns its ETag. The bytes that are already there are no change. A missing calendar
// is "".
func (s *Server) Put(user, cal, name string, body []byte) (etag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calendar(user, cal)
	if c == nil {
		return ""
	}
	if e := c.object(name); e != nil && string(e.body) == string(body) {
		return e.etag
	}
	return s.put(c, name, body).etag
}

// Touch reports an object as changed although not a byte of it has, as servers do that forget silently.
func (s *Server) Touch(user, cal, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calendar(user, cal)
	if c == nil || c.object(name) == nil {
		return false
	}
	s.put(c, name, c.object(name).body)
	return true
}

// Delete removes an object and reports whether it was there.
func (s *Server) Delete(user, cal, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calendar(user, cal)
	return c != nil && s.remove(c, name)
}

// List returns what a calendar holds, by name: what an oracle compares with. It does not go through the protocol.
func (s *Server) List(user, cal string) map[string][]byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.calendar(user, cal)
	if c == nil {
		return nil
	}
	all := make(map[string][]byte, len(c.last))
	for name, e := range c.last {
		if e.body != nil {
			all[name] = slices.Clone(e.body)
		}
	}
	return all
}

// Path is the path of a calendar as the server writes it, with its last slash.
func (s *Server) Path(user, cal string) string { return s.path(user, "calendars", cal) }

// calendar finds a calendar, nil where there is none. s.mu is held.
func (s *Server) calendar(user, name string) *calendar {
	if h := s.homes[user]; h != nil {
		return h.calendars[name]
	}
	return nil
}

// seen finds a calendar as requests see it: a status says why not. s.mu is held.
func (s *Server) seen(at target) (*calendar, int) {
	c := s.calendar(at.user, at.calendar)
	if c == nil {
		return nil, http.StatusNotFound
	}
	return c, c.hidden
}

func (s *Server) put(c *calendar, name string, body []byte) *entry {
	body = append(make([]byte, 0, len(body)), body...) // ours, and not nil
	e := &entry{name: name, body: body, href: appendEscaped(nil, []byte(c.path+s.segment(name)), false)}
	e.data = body
	if needsEscape(body, s.opts.BareCR) {
		e.data = appendEscaped(make([]byte, 0, len(body)+len(body)/4), body, s.opts.BareCR)
	}
	c.append(e)
	e.etag = s.etag(body, c.seq)
	return e
}

func (s *Server) remove(c *calendar, name string) bool {
	old := c.object(name)
	if old == nil {
		return false
	}
	c.append(&entry{name: name, href: old.href})
	return true
}

// append logs e as its name's last change.
func (c *calendar) append(e *entry) {
	c.seq++
	e.seq = c.seq
	if old := c.last[e.name]; old != nil {
		old.stale = true
		c.superseded++
	}
	c.log = append(c.log, e)
	c.last[e.name] = e
	if c.superseded > 1000 && c.superseded > len(c.log)/2 {
		c.log = slices.DeleteFunc(c.log, func(e *entry) bool { return e.stale })
		c.superseded = 0
	}
}

// since returns the last change of each name that changed after seq, oldest first; deletions where asked for. At most
// limit of them (0: all); more says that others follow.
func (c *calendar) since(seq uint64, deletions bool, limit int) (changes []*entry, more bool) {
	at := sort.Search(len(c.log), func(i int) bool { return c.log[i].seq > seq })
	changes = make([]*entry, 0, max(0, min(len(c.log)-at, limit)))
	for _, e := range c.log[at:] {
		if e.stale || e.body == nil && !deletions {
			continue
		}
		if limit > 0 && len(changes) == limit {
			return changes, true
		}
		changes = append(changes, e)
	}
	return changes, false
}

// object returns the member of that name, nil where there is none.
func (c *calendar) object(name string) *entry {
	if e := c.last[name]; e != nil && e.body != nil {
		return e
	}
	return nil
}

// token is the calendar's sync-token: a URI, as RFC 6578 wants it.
func (s *Server) token(c *calendar, seq uint64) string {
	return fmt.Sprintf("urn:calcdc:sync:%s-%d-%d-%d", s.instance, c.birth, c.generation, seq)
}

// sequence reads a token back. A token of another life of the calendar, or of a future, is not known.
func (s *Server) sequence(c *calendar, token string) (seq uint64, known bool) {
	prefix := strings.TrimSuffix(s.token(c, 0), "0")
	digits, ok := strings.CutPrefix(token, prefix)
	if !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	return seq, err == nil && seq <= c.seq
}

func (s *Server) etag(body []byte, n uint64) string {
	if s.opts.ETag != nil {
		return s.opts.ETag(body, n)
	}
	sum := sha256.Sum256(body)
	return fmt.Sprintf(`"%x"`, sum[:8])
}

func (s *Server) segment(name string) string {
	if s.opts.Segment != nil {
		return s.opts.Segment(name)
	}
	return url.PathEscape(name)
}

// path is an escaped path of segments, with its last slash.
func (s *Server) path(segments ...string) string {
	p := "/"
	for _, name := range segments {
		p += s.segment(name) + "/"
	}
	return p
}
