package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/calcdc/calcdc/connector"
)

var (
	names = []string{"/a/", "/b/", "/c/"}
	hints = []string{"version", "token", "hash", "coarse", "coarse", "none"}
)

// newService is a service whose behaviour the seed decides. What only a reconcile could make good it does where there is one.
func newService(d *dice, note func(string, ...any), healed bool) *service {
	s := &service{name: source, dice: d, note: note, healed: healed}
	for _, name := range []string{"alice", "bob"} {
		r := d.roll("traits " + name)
		a := &account{service: s, name: name, config: "1", collections: map[string]*collection{}, past: map[string]*collection{}, settings: newShelf(0), denied: map[rowKey]time.Time{}, history: history{}}
		a.traits = traits{
			page: 1 + r.IntN(4), hint: hints[r.IntN(len(hints))],
			silent: r.IntN(4) == 0 && healed, lies: r.IntN(16) == 0 && healed, listsOnly: r.IntN(8) == 0, homeDeltas: r.IntN(3) == 0,
			overlap: r.IntN(4) == 0, repeats: r.IntN(4) == 0, extra: r.IntN(3) == 0, noETag: r.IntN(8) == 0,
		}
		if a.homeDeltas {
			a.hint = "none"
		}
		note("account %s %+v", name, a.traits)
		s.accounts = append(s.accounts, a)
		for i, name := range names {
			if i == 0 || r.IntN(3) > 0 {
				a.appear(name, r)
			}
		}
	}
	return s
}

// appear makes a collection, with something in it.
func (a *account) appear(name string, r *rand.Rand) {
	g := 1 + r.IntN(1<<20)
	c := &collection{events: newShelf(g), acl: newShelf(g), title: r.IntN(10)}
	a.collections[name] = c
	a.reveal(name, c)
	for range r.IntN(5) {
		a.write(name, c, r)
	}
}

// reveal notes that the account sees a collection with all that is in it.
func (a *account) reveal(name string, c *collection) {
	a.moved(name)
	a.note("%s/%s is there", a.name, name)
	a.history.add(rowKey{a.stream(connector.Calendars, ""), name}, span{there: true, value: fmt.Sprint(c.title)})
	a.each(name, c, func(s connector.Stream, id string, m member) { a.history.hold(s, id, member{}, m) })
}

// conceal notes that it sees it no longer.
func (a *account) conceal(name string, c *collection, veil bool) {
	a.moved(name)
	a.note("%s%s is not there, veil %v", a.name, name, veil)
	a.history.add(rowKey{a.stream(connector.Calendars, ""), name}, span{veil: veil})
	a.each(name, c, func(s connector.Stream, id string, m member) { a.history.turn(s, id, m, member{}, veil) })
}

func (a *account) each(name string, c *collection, do func(connector.Stream, string, member)) {
	for id, m := range c.events.members {
		do(a.stream(connector.Events, name), id, m)
	}
	for id, m := range c.acl.members {
		do(a.stream(connector.ACL, name), id, m)
	}
}

// write changes something in a collection.
func (a *account) write(name string, c *collection, r *rand.Rand) {
	shelf, stream := c.events, a.stream(connector.Events, name)
	if a.extra && r.IntN(6) == 0 {
		shelf, stream = c.acl, a.stream(connector.ACL, name)
	}
	id := string(rune('a' + r.IntN(6)))
	if r.IntN(3) == 0 {
		a.del(stream, shelf, id)
		return
	}
	body := fmt.Sprintf("=%d", r.IntN(3))
	switch r.IntN(4) {
	case 0:
		body += fmt.Sprintf(",x=%d", r.IntN(3))
	case 1:
		body = fmt.Sprintf("x=%d,y=%d", r.IntN(3), r.IntN(3))
	}
	parent := ""
	if p := string(rune('a' + r.IntN(2))); id > "c" && r.IntN(2) == 0 {
		if _, ok := shelf.members[p]; ok || r.IntN(4) == 0 {
			parent = p
		}
	}
	a.put(stream, shelf, id, body, parent, a.lies && r.IntN(3) == 0)
}

// unsettle changes something at the service.
func (s *service) unsettle(r *rand.Rand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[r.IntN(len(s.accounts))]
	name := names[r.IntN(len(names))]
	c, there := a.collections[name]
	if !there {
		if r.IntN(3) == 0 {
			a.comeBack(name, r)
		}
		return
	}
	if c.hidden != "" {
		if r.IntN(3) == 0 {
			c.hidden = ""
			a.reveal(name, c)
		}
		return
	}
	switch k := r.IntN(40); {
	case k < 29:
		a.write(name, c, r)
	case k >= 30 && k < 32:
		a.forget(c.events)
	case k == 32: // most of it goes, and no token tells
		for _, id := range slices.Sorted(maps.Keys(c.events.members)) {
			if r.IntN(3) > 0 {
				a.del(a.stream(connector.Events, name), c.events, id)
			}
		}
		a.forget(c.events)
	case k == 33:
		for _, n := range names {
			if c := a.collections[n]; c != nil {
				a.forget(c.events)
				a.forget(c.acl)
			}
		}
		a.homeOldest = len(a.homeLog) + 1
		a.moved("/none/")
	case k == 34:
		c.title++
		a.moved(name)
		a.history.add(rowKey{a.stream(connector.Calendars, ""), name}, span{there: true, value: fmt.Sprint(c.title)})
	case k == 35 && a.extra:
		a.put(a.stream(connector.Settings, ""), a.settings, string(rune('a'+r.IntN(3))), fmt.Sprintf("=%d", r.IntN(3)), "", false)
	case k == 36, k == 29:
		a.conceal(name, c, true)
		c.hidden = "forbidden"
	case k > 36:
		a.conceal(name, c, false)
		a.past[name] = c
		delete(a.collections, name)
	}
}

// comeBack lets a collection be there again: as it was, or another of that name.
func (a *account) comeBack(name string, r *rand.Rand) {
	c := a.past[name]
	if c == nil || r.IntN(2) == 0 {
		a.appear(name, r)
		return
	}
	a.collections[name] = c
	a.reveal(name, c)
}

// forget makes every token invalid that was given out so far.
func (a *account) forget(s *shelf) {
	s.record(change{})
	s.oldest = s.version
	a.note("%s forgets its tokens", a.name)
}

// flicker changes something while the account's home is being listed, and takes it back before it is listed again.
func (a *account) flicker() {
	r := a.dice.roll("flicker " + a.name)
	a.mu.Lock()
	defer a.mu.Unlock()
	name, id := names[r.IntN(len(names))], string(rune('a'+r.IntN(6)))
	if r.Float64() >= a.weather.flicker || !a.visible(name) {
		return
	}
	c, s := a.collections[name], a.stream(connector.Events, name)
	was, there := c.events.members[id]
	a.put(s, c.events, id, "=7", was.parent, false)
	time.AfterFunc(time.Second+time.Duration(r.Int64N(int64(4*time.Second))), func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.collections[name] != c || c.hidden != "" || c.events.members[id].body != "=7" {
			return
		}
		if there {
			a.put(s, c.events, id, was.body, was.parent, false)
		} else {
			a.del(s, c.events, id)
		}
	})
}

// fair shows what was forbidden.
func (s *service) fair() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accounts {
		for _, name := range names {
			if c := a.collections[name]; c != nil && c.hidden != "" {
				c.hidden = ""
				a.reveal(name, c)
			}
		}
	}
}
