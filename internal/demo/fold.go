package demo

import (
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/calcdc/calcdc/internal/davserver"
)

// fold is what a consumer holds that keeps the last record of each key: what the calendars hold, if all is well.
type fold struct {
	dav *davserver.Server

	mu     sync.Mutex
	rows   map[string]row     // of the events topic, by key
	names  map[string]*string // of the calendars topic, by path
	open   map[string]bool    // streams in a snapshot, by the key of their markers
	counts map[string]int     // records by op
	resets int
}

// row is an events row as far as the fold compares it.
type row struct {
	resource string // path, decoded
	raw      *string
}

func newFold(dav *davserver.Server) *fold {
	return &fold{dav: dav, rows: map[string]row{}, names: map[string]*string{}, open: map[string]bool{}, counts: map[string]int{}}
}

// add takes a record in.
func (f *fold) add(r record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[r.op()]++
	gone := r.value == nil || r.value.After == nil
	switch {
	case r.marker == "snapshot-end":
		delete(f.open, r.kind+r.rawKey)
	case r.marker != "":
		f.open[r.kind+r.rawKey] = true
		if r.marker == "snapshot-reset" {
			f.resets++
		}
	case gone && r.kind == "calendars":
		delete(f.names, r.key.Collection)
	case gone:
		delete(f.rows, r.rawKey)
	case r.kind == "calendars":
		f.names[r.key.Collection] = r.value.After.Name
	default:
		name, _, _ := strings.Cut(r.key.ID, "#")
		f.rows[r.rawKey] = row{r.key.Collection + decoded(name), r.value.After.Raw}
	}
}

// score is how the topic compares with the calendars.
type score struct {
	rows, objects int
	same          bool
}

func (s score) String() string {
	if !s.same {
		return fmt.Sprintf("… the topic, folded, is not yet the calendars (%s in %s)", plural(s.objects, "object"), plural(s.rows, "row"))
	}
	return fmt.Sprintf("✓ the topic, folded, is the calendars: %s in %s, byte for byte", plural(s.objects, "object"), plural(s.rows, "row"))
}

// compare holds the folded topics against the calendar server's own listing, not one through CalDAV.
func (f *fold) compare() score {
	held, names := map[string]string{}, map[string]string{}
	for _, name := range f.dav.Calendars(username) {
		path := decoded(f.dav.Path(username, name))
		properties, _ := f.dav.Calendar(username, name)
		names[path] = properties.DisplayName
		for object, body := range f.dav.List(username, name) {
			held[path+object] = string(body)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	same := len(f.open) == 0 && f.holdsNames(names) && f.holdsObjects(held)
	return score{rows: len(f.rows), objects: len(held), same: same}
}

// decoded reads a path, and a resource's name in an id, where # and % are escaped.
func decoded(escaped string) string {
	if name, err := url.PathUnescape(escaped); err == nil {
		return name
	}
	return escaped
}

func (f *fold) holdsNames(names map[string]string) bool {
	for path, name := range f.names {
		if listed, there := names[path]; !there || text(name) != listed {
			return false
		}
	}
	return len(f.names) == len(names)
}

// holdsObjects tells whether the rows' raw texts are the objects, all of them, and the rows without one belong to them.
func (f *fold) holdsObjects(held map[string]string) bool {
	seen := map[string]bool{}
	for _, r := range f.rows {
		body, there := held[r.resource]
		if !there || r.raw != nil && *r.raw != body {
			return false
		}
		seen[r.resource] = seen[r.resource] || r.raw != nil
	}
	for resource := range held {
		if !seen[resource] {
			return false
		}
	}
	return true
}

func (f *fold) agrees() bool { return f.compare().same }

// summary is what is said at the end.
func (s *stage) summary() string {
	sc := s.fold.compare()
	s.fold.mu.Lock()
	defer s.fold.mu.Unlock()
	c := s.fold.counts
	return fmt.Sprintf("Published: %d c, %d u, %d d, %d r; %s. In the end:\n%s", c["c"], c["u"], c["d"], c["r"], plural(s.fold.resets, "reset"), sc)
}
