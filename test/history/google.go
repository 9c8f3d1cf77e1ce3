package history

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/calcdc/calcdc/internal/googleserver"
)

// Google is a run of changes to the calendars of several users of a Google server. The same seed makes the same run.
type Google struct {
	// Log tells what was done, one line a step.
	Log []string
	// Quiet permits changes that no delta of calendars shows: of a name in others' lists, of a user's role.
	Quiet bool
	// Lost permits others that no delta shows: settings that vanish, a series that was deleted with its exceptions and is
	// back without them.
	Lost bool
	// Stamped keeps to changes that move an event's time of change.
	Stamped bool
	// Reborn are the ids of calendars that were deleted and made again.
	Reborn map[string]bool

	server *googleserver.Server
	rng    *rand.Rand
	users  []string
	made   int
	cals   map[string]*googleCalendar // by id; birthdays by user and id
	gone   []string                   // ids of calendars that were deleted
	roles  map[string]map[string]googleserver.Role
}

// googleCalendar is a calendar as the history left it.
type googleCalendar struct {
	id, owner string
	birthdays bool
	events    map[string]*googleEvent
	past      []string        // ids of events that were deleted
	readers   map[string]bool // in whose lists it is, beside its owner's
	rules     map[string]bool // beside the users' own
}

// NewGoogle begins a history on a server, whose users it adds.
func NewGoogle(server *googleserver.Server, seed uint64, users ...string) (*Google, error) {
	h := &Google{
		server: server, rng: rand.New(rand.NewPCG(seed, 0x9009)), users: users, cals: map[string]*googleCalendar{},
		Reborn: map[string]bool{}, roles: map[string]map[string]googleserver.Role{},
	}
	for _, u := range users {
		if err := server.AddUser(u); err != nil {
			return nil, err
		}
		h.cals[u] = newGoogleCalendar(u, u)
		h.cals[birthdaysOf(u)] = &googleCalendar{id: googleserver.Birthdays, owner: u, birthdays: true, events: map[string]*googleEvent{}}
		if err := server.AddGenerated(u, googleserver.Birthdays, googleserver.Calendar{Summary: "Birthdays"}); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func newGoogleCalendar(id, owner string) *googleCalendar {
	return &googleCalendar{id: id, owner: owner, events: map[string]*googleEvent{}, readers: map[string]bool{}, rules: map[string]bool{}}
}

func birthdaysOf(user string) string { return user + "/" + googleserver.Birthdays }

// Calendars are the ids of those of the owner's own, generated ones aside.
func (h *Google) Calendars(owner string) []string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(h.cals)) {
		if c := h.cals[id]; c.owner == owner && !c.birthdays {
			ids = append(ids, id)
		}
	}
	return ids
}

// Steps does n random changes.
func (h *Google) Steps(n int) error {
	for range n {
		if err := h.step(); err != nil {
			return fmt.Errorf("after %d steps: %w", len(h.Log), err)
		}
	}
	return nil
}

// step chooses: mostly changes of events, now and then of calendars, rules and settings.
func (h *Google) step() error {
	switch p := h.rng.IntN(100); {
	case p < 72:
		return h.Change(h.any(true))
	case p < 76:
		return h.newCalendar()
	case p < 78:
		return h.deleteCalendar()
	case p < 80:
		return h.rename()
	case p < 85:
		return h.share()
	case p < 88:
		return h.unshare()
	case p < 91:
		return h.appearance()
	case p < 96:
		return h.rule()
	default:
		return h.setting()
	}
}

func (h *Google) pick(from []string) string { return from[h.rng.IntN(len(from))] }

func (h *Google) note(format string, args ...any) {
	h.Log = append(h.Log, fmt.Sprintf(format, args...))
}

// any picks a calendar, generated ones too if asked to.
func (h *Google) any(generated bool) string {
	ids := slices.DeleteFunc(slices.Sorted(maps.Keys(h.cals)), func(id string) bool { return h.cals[id].birthdays && !generated })
	return h.pick(ids)
}

// other picks a user who is not this one.
func (h *Google) other(user string) string {
	return h.pick(slices.DeleteFunc(slices.Clone(h.users), func(u string) bool { return u == user }))
}

func (h *Google) newCalendar() error {
	owner := h.pick(h.users)
	if len(h.cals) > 5*len(h.users) {
		return h.setting()
	}
	h.made++
	id := fmt.Sprintf("c/%d?ü@group.calendar.google.com", h.made)
	if len(h.gone) > 0 && h.rng.IntN(3) == 0 { // one that was deleted may come back
		id, h.gone = h.gone[len(h.gone)-1], h.gone[:len(h.gone)-1]
		h.Reborn[id] = true
	}
	h.note("new calendar %s of %s", id, owner)
	h.cals[id] = newGoogleCalendar(id, owner)
	return h.server.AddCalendar(owner, id, googleserver.Calendar{Summary: h.words(), TimeZone: "Europe/Berlin", Extra: `"future":[1, 2.50]`})
}

// secondary picks a calendar that is no primary one, "" where there is none.
func (h *Google) secondary() string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(h.cals)) {
		if c := h.cals[id]; !c.birthdays && c.id != c.owner {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	return h.pick(ids)
}

func (h *Google) deleteCalendar() error {
	id := h.secondary()
	if id == "" {
		return h.newCalendar()
	}
	h.note("delete calendar %s", id)
	delete(h.cals, id)
	delete(h.roles, id)
	h.gone = append(h.gone, id)
	return h.server.DeleteCalendar(id)
}

func (h *Google) rename() error {
	c := h.cals[h.any(false)]
	if len(c.readers) > 0 && !h.Quiet {
		return h.setting() // its readers' deltas would not show it
	}
	h.note("rename %s", c.id)
	return h.server.Rename(c.owner, c.id, h.words())
}

// share gives a user a role and puts the calendar into the user's list; a role that is another changes quietly.
func (h *Google) share() error {
	c := h.cals[h.any(false)]
	user := h.other(c.owner)
	had := h.roles[c.id][user]
	role := []googleserver.Role{googleserver.Reader, googleserver.Writer, googleserver.Owner, googleserver.FreeBusyReader}[h.rng.IntN(4)]
	if had != "" && !h.Quiet {
		role = had
	}
	if h.roles[c.id] == nil {
		h.roles[c.id] = map[string]googleserver.Role{}
	}
	h.note("share %s with %s as %s", c.id, user, role)
	if role != had {
		h.roles[c.id][user] = role
		if err := h.server.Share(c.id, user, role); err != nil {
			return err
		}
	}
	c.readers[user] = true
	return h.server.Subscribe(user, c.id, googleserver.Entry{Selected: true, ColorID: fmt.Sprint(h.rng.IntN(9))})
}

// unshare takes a reader's role away, or only the calendar out of the reader's list.
func (h *Google) unshare() error {
	c := h.cals[h.any(false)]
	if len(c.readers) == 0 {
		return h.share()
	}
	user := h.pick(slices.Sorted(maps.Keys(c.readers)))
	delete(c.readers, user)
	if h.rng.IntN(2) == 0 {
		h.note("unsubscribe %s from %s", user, c.id)
		return h.server.Unsubscribe(user, c.id)
	}
	h.note("unshare %s with %s", c.id, user)
	delete(h.roles[c.id], user)
	return h.server.Unshare(c.id, user)
}

// appearance changes what a user's list says of a calendar: hidden, a name of the user's own, reminders.
func (h *Google) appearance() error {
	c := h.cals[h.any(false)]
	user := c.owner
	if len(c.readers) > 0 && h.rng.IntN(2) == 0 {
		user = h.pick(slices.Sorted(maps.Keys(c.readers)))
	}
	h.note("entry of %s in the list of %s", c.id, user)
	e := googleserver.Entry{Hidden: h.rng.IntN(3) == 0 && c.id != user, ColorID: fmt.Sprint(h.rng.IntN(20)), BackgroundColor: "#9fe1e7"}
	if h.rng.IntN(2) == 0 {
		e.SummaryOverride = h.words()
	}
	if h.rng.IntN(2) == 0 {
		e.Reminders = `[{"method":"popup", "minutes":10}]`
	}
	return h.server.Subscribe(user, c.id, e)
}

// rule puts, changes or deletes a rule that is no user's of the history; quietly, one that is.
func (h *Google) rule() error {
	c := h.cals[h.any(false)]
	if h.Quiet && len(c.readers) > 0 && h.rng.IntN(3) == 0 {
		return h.demote(c)
	}
	if len(c.rules) > 0 && h.rng.IntN(3) == 0 {
		id := h.pick(slices.Sorted(maps.Keys(c.rules)))
		h.note("delete rule %s of %s", id, c.id)
		delete(c.rules, id)
		return h.server.DeleteRule(c.id, id)
	}
	id := h.pick([]string{"group:team@example.org", "user:guest@elsewhere.example", "domain:elsewhere.example", "group:ü@example.org"})
	h.note("rule %s of %s", id, c.id)
	c.rules[id] = true
	return h.server.PutRule(c.id, id, []googleserver.Role{googleserver.Reader, googleserver.Writer, googleserver.FreeBusyReader}[h.rng.IntN(3)])
}

// demote makes a reader the owner and the owner a reader, or undoes it.
func (h *Google) demote(c *googleCalendar) error {
	user := h.pick(slices.Sorted(maps.Keys(c.readers)))
	high, low := googleserver.Owner, googleserver.Reader
	if h.roles[c.id][user] == googleserver.Owner {
		high, low = low, high
	}
	h.note("%s of %s is now %s, %s %s", user, c.id, high, c.owner, low)
	h.roles[c.id][user] = high
	return errors.Join(h.server.Share(c.id, user, high), h.server.Share(c.id, c.owner, low))
}

func (h *Google) setting() error {
	user := h.pick(h.users)
	id := h.pick([]string{"locale", "timezone", "weekStart", "hideWeekends"})
	if h.Lost && h.rng.IntN(4) == 0 {
		h.note("drop setting %s of %s", id, user)
		if err := h.server.DropSetting(user, id); !errors.Is(err, googleserver.ErrNoItem) {
			return err
		}
	}
	h.note("setting %s of %s", id, user)
	return h.server.PutSetting(user, id, h.words())
}

func (h *Google) words() string {
	return fmt.Sprintf("%s %d", h.pick([]string{"Planning", "Mittag, Kantine", "Ünïcode 日本", `Review <a> & "b"`, "Dentist\t\u2028"}), h.rng.IntN(100000))
}

// Check returns what a user's listing of calendars and events, by id, has otherwise than the history left it: calendars,
// and events that are no exceptions.
func (h *Google) Check(user string, calendars map[string]string, events map[string]map[string]string) (found []string) {
	n := 0
	for _, c := range h.cals {
		if c.owner != user && (c.birthdays || !c.readers[user]) {
			continue
		}
		n++
		if _, ok := calendars[c.id]; !ok {
			found = append(found, c.id+" is not listed")
		}
		for id := range c.events {
			if _, ok := events[c.id][id]; !ok {
				found = append(found, fmt.Sprintf("%s of %s is not listed", id, c.id))
			}
		}
		for id := range events[c.id] {
			if series, _, _ := strings.Cut(id, "_"); c.events[series] == nil {
				found = append(found, fmt.Sprintf("%s of %s is listed", id, c.id))
			}
		}
	}
	if n != len(calendars) {
		found = append(found, fmt.Sprintf("%d calendars are listed, not %d", len(calendars), n))
	}
	return found
}
