package demo

import (
	"fmt"
	"strings"
	"sync"

	"github.com/calcdc/calcdc/internal/davserver"
)

// fold is what a consumer holds that keeps the last record of each key: what the calendars hold, if all is well.
type fold struct {
	dav *davserver.Server

	mu     sync.Mutex
	rows   map[string]row // by key
	counts map[string]int // records by op
	resets int
}

// row is an events row as far as the fold compares it.
type row struct {
	resource string // path
	raw      *string
}

func newFold(dav *davserver.Server) *fold {
	return &fold{dav: dav, rows: map[string]row{}, counts: map[string]int{}}
}

// add takes a record in.
func (f *fold) add(r record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[r.op()]++
	switch {
	case r.marker != "":
		if r.marker == "snapshot-reset" {
			f.resets++
		}
	case r.kind != "events":
	case r.value == nil || r.value.After == nil:
		delete(f.rows, r.rawKey)
	default:
		name, _, _ := strings.Cut(r.key.ID, "#")
		f.rows[r.rawKey] = row{r.key.Collection + name, r.value.After.Raw}
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

// compare holds the folded topic against the calendar server's own listing, not one through CalDAV.
func (f *fold) compare() score {
	held := map[string]string{}
	for _, name := range f.dav.Calendars(username) {
		path := f.dav.Path(username, name)
		for object, body := range f.dav.List(username, name) {
			held[path+object] = string(body)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := score{rows: len(f.rows), objects: len(held), same: true}
	seen := map[string]bool{}
	for _, r := range f.rows {
		body, there := held[r.resource]
		s.same = s.same && there && (r.raw == nil || *r.raw == body)
		seen[r.resource] = seen[r.resource] || r.raw != nil
	}
	for resource := range held {
		s.same = s.same && seen[resource]
	}
	return s
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
