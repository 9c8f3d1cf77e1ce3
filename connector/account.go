package connector

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// A collection that the home no longer lists is gone when a direct look says so in two polls running, or when it has
// been forbidden for an hour while the account is well.
const (
	goneAfterPolls = 2
	goneAfter403   = time.Hour
)

// household follows one account: its calendars stream, which says what else there is to follow, and a follower for each
// other stream.
type household struct {
	owner     *owner
	source    *Source
	account   Account
	calendars *task
	followers map[Stream]*follower
	own       slots
	wg        sync.WaitGroup

	absent    map[string]int       // looks in a row that found the collection gone
	forbidden map[string]time.Time // since when looks find it forbidden
	leaving   map[string]bool      // collections that are known to be gone
	shown     time.Time            // when the followers were last told what the home says
	told      int                  // number of the last signal that was handed to followers
}

func newHousehold(o *owner, s *Source, a Account) *household {
	h := &household{
		owner: o, source: s, account: a, followers: map[Stream]*follower{}, own: newSlots(s.passesPerAccount()),
		absent: map[string]int{}, forbidden: map[string]time.Time{}, leaving: map[string]bool{},
	}
	h.calendars = newTask(o, s, a, o.ledger.Open(h.stream("", Calendars)))
	h.calendars.home.departed = h.departed
	return h
}

// stream is one of the account's.
func (h *household) stream(collection string, k Kind) Stream {
	return Stream{Source: h.source.Name, Account: h.account.Name(), Collection: collection, Kind: k}
}

// perCollection are the kinds of stream that a collection can have.
var perCollection = []Kind{Events, ACL}

// run polls the account until ctx ends; it returns once its followers have. The first poll comes at once, the others
// at the interval with some jitter and from a moment of chance, so that accounts do not keep step.
func (h *household) run(ctx context.Context) {
	defer h.wg.Wait()
	retry := newBackOff(500*time.Millisecond, time.Minute)
	phase := rand.Float64()
	failing := false
	for {
		err := apart(func() error { return h.calendars.inSlot(ctx, failing, h.poll, h.owner.c.looks[h.source.Name]) })
		failing = err != nil
		if ctx.Err() != nil {
			return
		}
		if outcomeUnknown(err) {
			h.owner.lost(err)
			return
		}
		h.owner.c.obs.Account(h.source.Name, h.account.Name(), err)
		if err != nil {
			clear(h.forbidden) // the hour counts only while the account is well
		}
		wait := time.Duration((0.95 + 0.1*rand.Float64()) * float64(h.source.PollInterval))
		at := h.calendars.settle(err, retry)
		if !at.IsZero() {
			wait = time.Until(at)
		} else if phase > 0 {
			wait, phase = time.Duration(phase*float64(wait)), 0
		}
		if !h.rest(ctx, wait, !at.IsZero()) {
			return
		}
	}
}

// apart runs f in a goroutine of its own, which takes its stack with it: a thousand households that wait for their next poll keep none.
func apart(f func() error) error {
	done := make(chan error)
	go func() { done <- f() }()
	return <-done
}

// poll asks which collections there are and which have moved.
func (h *household) poll(ctx context.Context) error {
	if err := h.account.Connect(ctx); err != nil {
		return fmt.Errorf("connecting to %s/%s: %w", h.source.Name, h.account.Name(), err)
	}
	if h.source.follows(Settings) {
		h.rouse(ctx, h.stream("", Settings), func(f *follower) { f.show(Hint{}, time.Now(), h.account.ConfigHash(Settings)) })
	}
	if err := h.calendars.mend(ctx); err != nil {
		return err
	}
	h.calendars.configHash = h.account.ConfigHash(Calendars)
	asked := time.Now()
	if err := h.calendars.pass(ctx); err != nil {
		h.goOn(ctx, err)
		return err
	}
	h.shown = time.Now()
	listed := h.calendars.home.listed
	for _, id := range slices.Sorted(maps.Keys(listed)) { // always in one order, so that each waits as long for its turn
		delete(h.absent, id)
		delete(h.forbidden, id)
		delete(h.leaving, id)
		if listed[id].there {
			h.show(ctx, id, listed[id], asked)
		}
	}
	return h.look(ctx, h.unlisted())
}

// goOn has the collections polled that were listed before the calendars stream fell into trouble: it stays its own (Invariant 8).
// They are polled as the list is tried again, at most once an interval. Where polls go by what the home says, there is nothing to go by.
func (h *household) goOn(ctx context.Context, err error) {
	if ctx.Err() != nil || outcomeUnknown(err) || time.Since(h.shown) < h.source.PollInterval {
		return
	}
	h.shown = time.Now()
	for id, c := range h.calendars.home.listed {
		if c.there && c.hint.Value == "" {
			h.show(ctx, id, c, h.shown)
		}
	}
}

// show tells the followers of a collection's streams what the home says of it that was asked then. A stream that it no longer has, as the
// acl of a calendar whose owner the account is no more, is emptied.
func (h *household) show(ctx context.Context, id string, c collection, asked time.Time) {
	has := c.streams
	if has == nil {
		has = []Kind{Events}
	}
	for _, k := range perCollection {
		s := h.stream(id, k)
		switch {
		case !h.source.follows(k):
		case slices.Contains(has, k):
			h.rouse(ctx, s, func(f *follower) { f.show(c.hint, asked, h.account.ConfigHash(k)) })
		case h.known(s):
			h.rouse(ctx, s, (*follower).vanish)
		}
	}
}

// known tells whether there may be rows of the stream.
func (h *household) known(s Stream) bool {
	if _, ok := h.followers[s]; ok {
		return true
	}
	cp := h.owner.loaded[s]
	return cp != nil && (cp.Lost != nil || cp.State != nil && cp.State.Phase != RemovedAll)
}

// rouse tells the stream's follower something, and has it look for what there is to do.
func (h *household) rouse(ctx context.Context, s Stream, tell func(*follower)) {
	f, ok := h.followers[s]
	if !ok {
		f = newFollower(newTask(h.owner, h.source, h.account, h.owner.ledger.Open(s)), h.own, h.owner.c.slots[h.source.Name])
		h.followers[s] = f
	}
	tell(f)
	f.rouse(ctx, &h.wg)
}

// unlisted are the collections that are known, by their row or by the store alone, and not listed by the home.
func (h *household) unlisted() []string {
	listed := h.calendars.home.listed
	all := slices.Clone(h.calendars.home.missing)
	for s := range h.owner.loaded {
		_, there := listed[s.Collection]
		mine := s.Source == h.source.Name && s.Account == h.account.Name() && slices.Contains(perCollection, s.Kind)
		if mine && !there && h.source.follows(s.Kind) && h.known(s) {
			all = append(all, s.Collection)
		}
	}
	for s, f := range h.followers {
		if _, there := listed[s.Collection]; !there && s.Kind != Settings {
			f.miss()
		}
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), h.departed)
}

// look asks directly for collections that the home does not list (Invariant 3), and has emptied those that are gone.
func (h *household) look(ctx context.Context, unlisted []string) error {
	var ask []string
	var failed error
	for _, id := range unlisted {
		if h.leaving[id] || h.removing(id) {
			h.vanish(ctx, id) // decided before: a removal cut short goes on
		} else {
			ask = append(ask, id)
		}
	}
	for part := range slices.Chunk(ask, lookPage) {
		there, err := h.account.Look(ctx, h.calendars.cp.Stream, part)
		if err == nil && len(there) != len(part) {
			err = fmt.Errorf("%d answers for %d", len(there), len(part))
		}
		if err != nil {
			failed = cmp.Or(failed, fmt.Errorf("looking for collections that the home does not list: %w", err))
		}
		if len(there) != len(part) {
			return failed
		}
		for i, id := range part {
			if h.gone(id, there[i]) {
				h.vanish(ctx, id)
			}
		}
	}
	return failed
}

// vanish has the streams of a collection emptied that is gone.
func (h *household) vanish(ctx context.Context, id string) {
	h.leaving[id] = true
	for _, k := range perCollection {
		if s := h.stream(id, k); h.source.follows(k) && h.known(s) {
			h.rouse(ctx, s, (*follower).vanish)
		}
	}
}

// removing tells whether an earlier run has begun to remove the collection. (The removal of its acl alone may have another reason.)
func (h *household) removing(id string) bool {
	s := h.stream(id, Events)
	cp := h.owner.loaded[s]
	_, running := h.followers[s]
	return !running && cp != nil && cp.State != nil && cp.State.Phase == Removing
}

// gone weighs what a look found.
func (h *household) gone(id string, at Presence) bool {
	switch at {
	case Gone:
		delete(h.forbidden, id)
		h.absent[id]++
	case Forbidden:
		delete(h.absent, id)
		if _, ok := h.forbidden[id]; !ok {
			h.forbidden[id] = time.Now()
		}
	default:
		delete(h.absent, id)
		delete(h.forbidden, id)
	}
	since, forbidden := h.forbidden[id]
	return h.absent[id] >= goneAfterPolls || forbidden && time.Since(since) >= goneAfter403
}

// departed tells whether nothing is left of the collection but its calendars row.
func (h *household) departed(id string) bool {
	if !h.leaving[id] {
		return false
	}
	for _, k := range perCollection {
		if f, ok := h.followers[h.stream(id, k)]; ok && !f.isEmptied() {
			return false
		}
	}
	return true
}

// sleep waits for d; it is false when ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool { return sleepUntil(ctx, d, nil) }

// sleepUntil waits for d, or until early receives; it is false when ctx has ended.
func sleepUntil(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-early:
	case <-timer.C:
	}
	return true
}
