package googleserver

import (
	"sort"
	"time"
)

// version is an item as it stands until its next change. Versions do not change.
type version struct {
	id      string
	seq     uint64 // of the list's change that deltas show it under
	etag    string // with its quotes
	body    []byte // in full lists; of a tombstone, where tombstones are asked for
	delta   []byte // in deltas; nil: body
	gone    bool   // not in full lists, unless deleted ones are asked for
	silent  bool   // not in deltas
	hidden  bool   // an entry of a calendarList that full lists show only when asked
	role    Role   // of an entry of a calendarList
	owner   string // of its calendar
	updated time.Time
	facts   *facts // of an event
}

// slot is the place of an id in the stable order of full lists.
type slot struct {
	birth uint64
	cur   *version
}

// logged is a change; it is stale when the slot has a later version.
type logged struct {
	seq  uint64
	slot *slot
}

// list is what one list request shows, with the log of its changes. Server.mu guards it.
type list struct {
	uid      uint64 // among all lists ever made: a namesake made later knows none of its tokens
	slots    map[string]*slot
	order    []*slot  // by birth
	log      []logged // by seq, each slot's last change among them
	stale    int      // entries of log that a later one replaces
	births   uint64
	seq      uint64 // of the last change that deltas show
	edition  uint64 // rises with every change, those that deltas leave out as well
	horizon  uint64 // tokens of an earlier seq lack tombstones that have been forgotten
	updated  time.Time
	lossy    bool                       // deletes leave nothing behind, as in generated calendars
	children map[string]map[string]bool // the exceptions of each series
	due      time.Time                  // before then no tombstone is old enough to be forgotten

	deaths    []Death            // of all tokens so far, by generation
	mine      map[string][]Death // of one user's tokens
	pageDeath int                // how often page tokens have been forgotten
}

func newList(uid uint64) *list {
	return &list{
		uid: uid, slots: map[string]*slot{}, children: map[string]map[string]bool{}, mine: map[string][]Death{},
	}
}

// current is the item's version, a tombstone too; nil where nothing is known of it.
func (l *list) current(id string) *version {
	if s := l.slots[id]; s != nil {
		return s.cur
	}
	return nil
}

// living is the item's version unless it is gone.
func (l *list) living(id string) *version {
	if v := l.current(id); v != nil && !v.gone {
		return v
	}
	return nil
}

// put makes v the item's version and logs it as a change.
func (l *list) put(v *version) {
	l.seq++
	v.seq = l.seq
	s := l.place(v)
	l.log = append(l.log, logged{v.seq, s})
	l.compact()
}

// amend makes v the item's version without a change that deltas show.
func (l *list) amend(v *version) {
	if old := l.current(v.id); old != nil {
		v.seq = old.seq
		l.place(v)
		l.stale--
	}
}

func (l *list) place(v *version) *slot {
	l.edition++
	if v.updated.After(l.updated) {
		l.updated = v.updated
	}
	s := l.slots[v.id]
	if s == nil {
		l.births++
		s = &slot{birth: l.births}
		l.slots[v.id] = s
		l.order = append(l.order, s)
	} else {
		l.stale++
	}
	s.cur = v
	return s
}

// drop takes an item away and leaves nothing behind.
func (l *list) drop(id string, now time.Time) {
	if l.slots[id] == nil {
		return
	}
	l.edition++
	l.updated = now
	s := l.slots[id]
	delete(l.slots, id)
	s.cur = nil
	l.sift()
}

// compact drops the stale half of the log.
func (l *list) compact() {
	if l.stale > 64 && l.stale > len(l.log)/2 {
		l.siftLog()
	}
}

func (l *list) sift() {
	l.siftLog()
	kept := l.order[:0:0]
	for _, s := range l.order {
		if s.cur != nil {
			kept = append(kept, s)
		}
	}
	l.order = kept
}

func (l *list) siftLog() {
	kept := l.log[:0:0]
	for _, e := range l.log {
		if e.slot.cur != nil && e.slot.cur.seq == e.seq {
			kept = append(kept, e)
		}
	}
	l.log, l.stale = kept, 0
}

// forgetTombstones drops what is gone and was last changed before t. Tokens older than the last of them die.
func (l *list) forgetTombstones(t time.Time) {
	found := false
	for id, s := range l.slots {
		if s.cur.gone && s.cur.updated.Before(t) {
			l.horizon = max(l.horizon, s.cur.seq)
			s.cur, found = nil, true
			delete(l.slots, id)
			delete(l.children, id)
		}
	}
	if found {
		l.sift()
	}
}

// age forgets the tombstones that are older than life.
func (l *list) age(now time.Time, life time.Duration) {
	if now.Before(l.due) {
		return
	}
	l.forgetTombstones(now.Add(-life))
	l.due = now.Add(life)
	for _, s := range l.slots {
		if end := s.cur.updated.Add(life); s.cur.gone && end.Before(l.due) {
			l.due = end
		}
	}
}

// since picks at most limit versions that changed after seq and that keep lets through, and says whether there are
// more and where the next page begins.
func (l *list) since(seq uint64, limit int, keep func(*version) bool) (vs []*version, next uint64, more bool) {
	from := sort.Search(len(l.log), func(i int) bool { return l.log[i].seq > seq })
	next = seq
	for _, e := range l.log[from:] {
		v := e.slot.cur
		if v == nil || v.seq != e.seq || !keep(v) {
			continue
		}
		if len(vs) == limit {
			return vs, next, true
		}
		vs, next = append(vs, v), e.seq
	}
	return vs, next, false
}

// after picks at most limit versions born after birth, in the stable order of full lists.
func (l *list) after(birth uint64, limit int, keep func(*version) bool) (vs []*version, next uint64, more bool) {
	from := sort.Search(len(l.order), func(i int) bool { return l.order[i].birth > birth })
	next = birth
	for _, s := range l.order[from:] {
		if s.cur == nil || !keep(s.cur) {
			continue
		}
		if len(vs) == limit {
			return vs, next, true
		}
		vs, next = append(vs, s.cur), s.birth
	}
	return vs, next, false
}

// back moves a full list's place by n items, towards the beginning for n < 0.
func (l *list) back(birth uint64, n int) uint64 {
	at := sort.Search(len(l.order), func(i int) bool { return l.order[i].birth > birth }) + n
	if at <= 0 {
		return 0
	}
	return l.order[min(at, len(l.order))-1].birth
}

func (l *list) adopt(parent, child string) {
	if l.children[parent] == nil {
		l.children[parent] = map[string]bool{}
	}
	l.children[parent][child] = true
}
