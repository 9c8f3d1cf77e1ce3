package sim

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// service is a calendar service in memory: what it holds, what it held, and how it behaves.
type service struct {
	name string // of the source
	dice *dice
	note func(format string, args ...any)

	healed bool // by reconciles

	mu       sync.Mutex
	accounts []*account
	weather  weather
}

// weather is how likely each kind of request meets trouble; 0 is a fair day.
type weather struct {
	fail  float64 // an error, at once or after a while
	dead  float64 // a token that is no longer valid, though it is
	omit  float64 // a listing that leaves out a member, and says that it is complete; one that none will follow by itself does not
	lose  float64 // a body that is missing though it is listed
	deny  float64 // a body that is refused
	vague float64 // a look that answers wrongly once, or cannot tell

	flicker float64 // a change between the home's answer and the polls that it leads to, soon taken back
}

// traits are how an account's server behaves; they do not change while it lives.
type traits struct {
	page       int
	hint       string // version, token, hash, coarse, none: what stands for a collection in the home
	silent     bool   // a forgotten token is answered with what is there, without an error and without deletions
	lies       bool   // some changes leave the ETag as it was
	listsOnly  bool   // there are no tokens: each poll is a listing
	homeDeltas bool   // the list of collections has tokens
	overlap    bool   // deltas may show again what was shown before
	repeats    bool   // a resource may stand twice in an answer
	extra      bool   // acl and settings too
	noETag     bool
}

// account is one principal. It implements connector.Account in poll.go.
type account struct {
	*service
	name string
	traits
	config string // what ConfigHash answers

	collections map[string]*collection
	past        map[string]*collection // as they were when they went
	settings    *shelf
	homeLog     []string // by version: the collection that has changed
	homeOldest  int
	denied      map[rowKey]time.Time // bodies that are refused, until when
	history     history
}

// collection is one calendar.
type collection struct {
	events, acl *shelf
	hidden      string // "", "forbidden": how the account sees it
	since       time.Time
	title       int
}

// shelf is a versioned set of members: what one stream shows.
type shelf struct {
	generation int // tokens of another are unknown
	version    int
	oldest     int // tokens below are forgotten
	changed    time.Time
	members    map[string]member
	log        []change // by version
	wrong      bool     // a listing has left something out: what nobody knew of is missed until the next
}

type change struct {
	at   time.Time
	id   string
	was  member // as it was before, where it was there
	gone bool
	with string // the parent with which it went, unsaid
}

type member struct {
	etag   string
	body   string // its rows, "name=value" separated by commas
	parent string
}

func newShelf(generation int) *shelf {
	return &shelf{generation: generation, members: map[string]member{}}
}

func (s *shelf) has(id string) bool {
	_, ok := s.members[id]
	return ok
}

// wentAlong tells whether a member is gone because its parent is: whoever asks for it is told.
func (s *shelf) wentAlong(id string) bool {
	for _, c := range slices.Backward(s.log) {
		if c.id == id {
			return c.with != "" && !s.has(id)
		}
	}
	return false
}

func (s *shelf) token() string { return fmt.Sprintf("%d.%d", s.generation, s.version) }

// sum is a hash of what there is, and another once tokens are forgotten.
func (s *shelf) sum() string {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %d;", s.generation, s.oldest)
	for _, id := range slices.Sorted(maps.Keys(s.members)) {
		_, _ = fmt.Fprintf(h, "%s %s %s;", id, s.members[id].body, s.members[id].parent)
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// parse is the version that a token names; false where it is of another generation.
func (s *shelf) parse(token string) (int, bool) {
	g, v, _ := strings.Cut(token, ".")
	version, err := strconv.Atoi(v)
	return version, err == nil && g == strconv.Itoa(s.generation)
}

func (s *shelf) record(c change) {
	s.version++
	s.changed = time.Now()
	c.at = s.changed
	s.log = append(s.log, c)
}

// at is when a version came to be.
func (s *shelf) at(version int) time.Time {
	if version == 0 {
		return time.Time{}
	}
	return s.log[version-1].at
}

// put stores a member, with a new ETag unless the server lies about it.
func (a *account) put(stream connector.Stream, s *shelf, id, body, parent string, lie bool) {
	was, there := s.members[id]
	m := member{etag: fmt.Sprintf("e%d.%d", s.generation, s.version+1), body: body, parent: parent}
	if lie && there {
		m.etag = was.etag
	}
	if a.noETag {
		m.etag = ""
	}
	s.record(change{id: id, was: was})
	s.members[id] = m
	a.history.hold(stream, id, was, m)
	a.note("put %s %s %s parent %q", stream, id, body, parent)
}

// del removes a member and what goes with it.
func (a *account) del(stream connector.Stream, s *shelf, id string) {
	was, there := s.members[id]
	if !there {
		return
	}
	s.record(change{id: id, was: was, gone: true})
	delete(s.members, id)
	a.history.hold(stream, id, was, member{})
	a.note("del %s %s", stream, id)
	for _, child := range slices.Sorted(maps.Keys(s.members)) {
		if m := s.members[child]; m.parent == id {
			s.record(change{id: child, was: m, gone: true, with: id})
			delete(s.members, child)
			a.history.hold(stream, child, m, member{})
			a.note("del %s %s with %s", stream, child, id)
		}
	}
}

// moved is the version of what a stream shows of the account's collections.
func (a *account) moved(collection string) {
	a.homeLog = append(a.homeLog, collection)
}

func (a *account) stream(kind connector.Kind, collection string) connector.Stream {
	return connector.Stream{Source: a.service.name, Account: a.name, Collection: collection, Kind: kind}
}

// visible tells whether the account sees the collection.
func (a *account) visible(name string) bool {
	c, ok := a.collections[name]
	return ok && c.hidden == ""
}

// shelfOf is what the stream shows, nil where it is not there.
func (a *account) shelfOf(s connector.Stream) *shelf {
	if s.Kind == connector.Settings {
		return a.settings
	}
	c, ok := a.collections[s.Collection]
	switch {
	case !ok:
		return nil
	case s.Kind == connector.ACL:
		return c.acl
	}
	return c.events
}

// rowIDs are the rows of a member by id: their values.
func rowsOf(id string, m member) map[string]string {
	rows := map[string]string{}
	if m.body == "" {
		return rows
	}
	for part := range strings.SplitSeq(m.body, ",") {
		name, value, _ := strings.Cut(part, "=")
		if name != "" {
			rows[id+"#"+name] = value
		} else {
			rows[id] = value
		}
	}
	return rows
}

// row encodes a row of a stream.
func row(s connector.Stream, id, etag, value string) connector.Row {
	switch s.Kind {
	case connector.ACL:
		r := &connector.Rule{Source: s.Source, Account: s.Account, Collection: s.Collection, ID: id, Role: &value}
		return r.Row()
	case connector.Settings:
		r := &connector.Setting{Source: s.Source, Account: s.Account, ID: id, Value: &value}
		return r.Row()
	case connector.Calendars:
		r := &connector.Calendar{Source: s.Source, Account: s.Account, Collection: id, Name: &value}
		return r.Row()
	default:
		e := &connector.Event{}
		e.Source, e.Account, e.Collection, e.ID, e.Summary = s.Source, s.Account, s.Collection, id, &value
		if etag != "" {
			e.ETag = &etag
		}
		return e.Row(0)
	}
}

// holds is what a mirror of the account holds, by stream and row: the truth. What is forbidden is left out.
func (a *account) holds() map[connector.Stream]map[string]string {
	all := map[connector.Stream]map[string]string{}
	home := map[string]string{}
	all[a.stream(connector.Calendars, "")] = home
	add := func(s connector.Stream, shelf *shelf) {
		rows := map[string]string{}
		for id, m := range shelf.members {
			maps.Copy(rows, rowsOf(id, m))
		}
		all[s] = rows
	}
	for name, c := range a.collections {
		if c.hidden != "" {
			continue
		}
		home[name] = strconv.Itoa(c.title)
		add(a.stream(connector.Events, name), c.events)
		if a.extra {
			add(a.stream(connector.ACL, name), c.acl)
		}
	}
	if a.extra {
		add(a.stream(connector.Settings, ""), a.settings)
	}
	return all
}
