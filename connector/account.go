package connector

import (
	"cmp"
	"context"
	"fmt"
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

// household follows one account: its calendars stream, which is the one cheap question of a poll, and a follower for
// each collection.
type household struct {
	owner     *owner
	source    *Source
	account   Account
	calendars *task
	followers map[string]*follower // by collection
	wg        sync.WaitGroup

	absent    map[string]int       // looks in a row that found the collection gone
	forbidden map[string]time.Time // since when looks find it forbidden
}

func newHousehold(o *owner, s *Source, a Account) *household {
	h := &household{
		owner: o, source: s, account: a, followers: map[string]*follower{},
		absent: map[string]int{}, forbidden: map[string]time.Time{},
	}
	home := Stream{Source: s.Name, Account: a.Name(), Kind: Calendars}
	h.calendars = newTask(o, s, a, o.ledger.Open(home))
	h.calendars.departed = h.departed
	return h
}

// run polls the account until ctx ends; it returns once its followers have. The first poll comes at once, the others
// at the interval with some jitter and from a moment of chance, so that accounts do not keep step.
func (h *household) run(ctx context.Context) {
	defer h.wg.Wait()
	retry := newBackOff(500*time.Millisecond, time.Minute)
	phase := rand.Float64()
	for {
		err := h.poll(ctx)
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
		if at := h.calendars.settle(err, retry); !at.IsZero() {
			wait = time.Until(at)
		} else if phase > 0 {
			wait, phase = time.Duration(phase*float64(wait)), 0
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

// poll asks which collections there are and which have moved.
func (h *household) poll(ctx context.Context) error {
	hash, err := h.account.Connect(ctx)
	if err != nil {
		return fmt.Errorf("connecting to %s/%s: %w", h.source.Name, h.account.Name(), err)
	}
	h.calendars.configHash = hash
	found, err := h.calendars.pass(ctx)
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, res := range found.listed {
		listed[res.ID] = true
		delete(h.absent, res.ID)
		delete(h.forbidden, res.ID)
		if res.Presence == Read {
			h.follower(ctx, res.ID).show(res.Hint, hash)
		}
	}
	return h.look(ctx, h.unlisted(found.missing, listed))
}

// follower is the collection's; it starts running when it is first asked for.
func (h *household) follower(ctx context.Context, collection string) *follower {
	f, ok := h.followers[collection]
	if !ok {
		s := Stream{Source: h.source.Name, Account: h.account.Name(), Collection: collection, Kind: Events}
		f = newFollower(newTask(h.owner, h.source, h.account, h.owner.ledger.Open(s)), h.owner.c.slots[h.source.Name])
		h.followers[collection] = f
		h.wg.Go(func() { f.run(ctx) })
	}
	return f
}

// unlisted are the collections that are known, by their row or by the store alone, and not listed by the home.
func (h *household) unlisted(missing []string, listed map[string]bool) []string {
	all := slices.Clone(missing)
	for s, cp := range h.owner.loaded {
		mine := s.Source == h.source.Name && s.Account == h.account.Name() && s.Kind == Events
		if mine && !listed[s.Collection] && cp.State != nil && cp.State.Phase != RemovedAll {
			all = append(all, s.Collection)
		}
	}
	for collection, f := range h.followers {
		if !listed[collection] {
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
		if h.removing(id) {
			h.follower(ctx, id).vanish() // decided before: a removal cut short goes on
			h.absent[id] = goneAfterPolls
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
				h.follower(ctx, id).vanish()
			}
		}
	}
	return failed
}

// removing tells whether the collection's removal has begun, in this run or an earlier one.
func (h *household) removing(id string) bool {
	if f, ok := h.followers[id]; ok && h.absent[id] >= goneAfterPolls {
		return !f.isEmptied()
	}
	cp := h.owner.loaded[Stream{Source: h.source.Name, Account: h.account.Name(), Collection: id, Kind: Events}]
	_, known := h.followers[id]
	return !known && cp != nil && cp.State != nil && cp.State.Phase == Removing
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
	f, ok := h.followers[id]
	return ok && f.isEmptied()
}

// sleep waits for d; it is false when ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
