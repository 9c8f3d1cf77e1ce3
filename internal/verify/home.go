package verify

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// asking bounds how long a source may take to find its accounts, and an account to list its collections.
const asking = 2 * time.Minute

// home is an account as its source shows it.
type home struct {
	source  *connector.Source
	account connector.Account
	listed  map[string]connector.Resource // collections by id, without their rows
	err     error

	mu    sync.Mutex
	looks map[string]look // at collections that are not listed
}

// look is what a direct look at a collection found.
type look struct {
	at  connector.Presence
	err error
}

// kindsOf are the kinds of stream that a source follows.
func kindsOf(s *connector.Source) []connector.Kind {
	if s.Streams == nil {
		return []connector.Kind{connector.Events, connector.Calendars}
	}
	return s.Streams
}

// findHomes asks every source for its accounts, and every account for its collections.
func (r *run) findHomes(ctx context.Context) {
	var wg sync.WaitGroup
	for i := range r.cfg.Sources {
		source := &r.cfg.Sources[i]
		accounts, err := accountsOf(ctx, source)
		if err != nil {
			r.setApart(Apart{Stream{Source: source.Name}, Failing, err.Error(), 0})
		}
		homes := map[string]*home{}
		r.homes[source.Name] = homes
		slots := newSlots(source)
		for _, a := range accounts {
			h := &home{source: source, account: a, looks: map[string]look{}}
			homes[a.Name()] = h
			if r.wantsAccount(source, a.Name()) {
				wg.Go(func() { h.err = slots.do(ctx, a.Name(), func() error { return h.list(ctx) }) })
			}
		}
	}
	wg.Wait()
	for _, homes := range r.homes {
		for name, h := range homes {
			if h.err != nil {
				r.setApart(Apart{Stream{Source: h.source.Name, Account: name}, Failing, h.err.Error(), 0})
			}
		}
	}
}

func accountsOf(ctx context.Context, s *connector.Source) ([]connector.Account, error) {
	if s.Find == nil {
		return s.Accounts, nil
	}
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	found, err := s.Find(ctx)
	return slices.Concat(s.Accounts, found), err
}

// wantsAccount tells whether any stream of the account may be selected.
func (r *run) wantsAccount(source *connector.Source, account string) bool {
	if r.cfg.SelectsAccount == nil {
		return true
	}
	return r.cfg.SelectsAccount(source.Name, account)
}

// list asks which collections the account has.
func (h *home) list(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	if err := h.account.Connect(ctx); err != nil {
		return fmt.Errorf("connecting to %s/%s: %w", h.source.Name, h.account.Name(), err)
	}
	h.listed = map[string]connector.Resource{}
	everything := func(string, string) bool { return true }
	return poll(ctx, h.account, connector.Query{Stream: h.stream("", connector.Calendars), Fresh: true, Needs: everything}, func(res connector.Resource) error {
		res.Rows = nil
		h.listed[res.ID] = res
		return nil
	})
}

func (h *home) stream(collection string, k connector.Kind) Stream {
	return Stream{Source: h.source.Name, Account: h.account.Name(), Collection: collection, Kind: k}
}

// has tells whether the source has the stream, of a collection that is listed or of the account itself.
func (h *home) has(s Stream) bool {
	if s.Collection == "" {
		return true
	}
	res, ok := h.listed[s.Collection]
	if !ok || res.Presence != connector.Read {
		return false
	}
	if res.Streams == nil {
		return s.Kind == connector.Events
	}
	return slices.Contains(res.Streams, s.Kind)
}

// expected are the streams that the configuration and the sources name.
func (r *run) expected() iter.Seq[Stream] {
	return func(yield func(Stream) bool) {
		for _, homes := range r.homes {
			for _, h := range homes {
				for s := range h.streams() {
					if !yield(s) {
						return
					}
				}
			}
		}
	}
}

// streams are those of the account; none where it could not be asked.
func (h *home) streams() iter.Seq[Stream] {
	return func(yield func(Stream) bool) {
		if h.listed == nil || h.err != nil {
			return
		}
		for _, k := range kindsOf(h.source) {
			if k == connector.Calendars || k == connector.Settings {
				if !yield(h.stream("", k)) {
					return
				}
				continue
			}
			for id := range h.listed {
				if s := h.stream(id, k); h.has(s) && !yield(s) {
					return
				}
			}
		}
	}
}

// standing says where a stream is to be compared with, or why it is not compared. Both are nil where there is nothing to compare.
func (r *run) standing(ctx context.Context, s Stream, shelf *shelf, end int64) (*home, *Apart) {
	apart := func(why, detail string) *Apart { return &Apart{s, why, detail, len(shelf.rows)} }
	h := r.homes[s.Source][s.Account]
	switch {
	case h == nil && len(shelf.rows) == 0:
		return nil, nil
	case h == nil:
		return nil, apart(NotFollowed, "its account is not in the configuration, or not found by its source")
	case h.err != nil:
		return nil, nil // told of the account as a whole
	case !h.has(s):
		return nil, r.left(ctx, h, s, apart, len(shelf.rows))
	}
	k := r.known[s]
	switch {
	case k.State == nil && k.Offset != nil:
		return nil, apart(Lost, saysNoState)
	case k.State == nil && len(shelf.rows) == 0, k.State != nil && k.State.Phase == connector.RemovedAll && len(shelf.rows) == 0:
		return nil, apart(NotBegun, saysNotBegun)
	case k.State == nil, k.State.Phase == connector.RemovedAll:
	case k.State.DataEnd > end:
		return nil, apart(Lost, fmt.Sprintf("its data topic ends at %d, but was %d long: it was deleted, made anew or cut; a running calcdc mends it", end, k.State.DataEnd))
	case k.State.Mending != "":
		return nil, apart(Lost, saysMending)
	case k.State.Phase == connector.Removing:
		return nil, apart(Leaving, saysRemoving)
	case shelf.Snapshot, k.State.Phase == connector.Snapshot && shelf.Epoch < k.State.Epoch:
		return nil, apart(InSnapshot, saysInSnapshot)
	case k.State.KeyFormat != "json":
		return nil, apart(Refused, fmt.Sprintf("its keys are of the format %q", k.State.KeyFormat))
	}
	return h, nil
}

// left says what becomes of the rows of a stream that its source does not have.
func (r *run) left(ctx context.Context, h *home, s Stream, apart func(why, detail string) *Apart, rows int) *Apart {
	if rows == 0 {
		return nil
	}
	res, listed := h.listed[s.Collection]
	if listed && res.Presence == connector.Read {
		return apart(Leaving, saysRemoving) // the acl of a calendar whose owner the account is no more
	}
	if listed {
		return apart(NotFollowed, "its collection is listed, and the configuration does not follow it")
	}
	if k := r.known[s]; k.State != nil && k.State.Phase == connector.Removing {
		return apart(Leaving, saysRemoving)
	}
	switch at, err := h.look(ctx, s.Collection); {
	case at == connector.Gone:
		return apart(Leaving, saysGone)
	case at == connector.Forbidden:
		return apart(Forbidden, saysForbidden)
	case err != nil:
		return apart(Failing, err.Error())
	}
	return apart(Failing, saysUnlisted)
}

// look asks directly for a collection that is not listed, once.
func (h *home) look(ctx context.Context, collection string) (connector.Presence, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if found, ok := h.looks[collection]; ok {
		return found.at, found.err
	}
	found := look{at: connector.Failed}
	there, err := h.account.Look(ctx, h.stream("", connector.Calendars), []string{collection})
	if found.err = err; len(there) == 1 {
		found.at = there[0]
	}
	h.looks[collection] = found
	return found.at, found.err
}

// unnamed tells of streams of which the store knows, and which the configuration does not name: their topics may not even be read.
func (r *run) unnamed() {
	for s, k := range r.known {
		if k.State == nil || k.State.Rows == 0 || !r.cfg.selects(s) || r.examined[s] {
			continue
		}
		i := slices.IndexFunc(r.cfg.Sources, func(c connector.Source) bool { return c.Name == s.Source })
		if i < 0 || !slices.Contains(kindsOf(&r.cfg.Sources[i]), s.Kind) {
			r.setApart(Apart{s, NotFollowed, "the configuration does not name it", int(k.State.Rows)})
		}
	}
}

// slots are the streams of a source that are read at once, and of one of its accounts.
type slots struct {
	source  chan struct{}
	each    int
	mu      sync.Mutex
	account map[string]chan struct{}
}

// passesPerSource is what run, too, reads at once of a source that does not say otherwise.
const passesPerSource = 8

func newSlots(s *connector.Source) *slots {
	n := cmp.Or(s.Passes, passesPerSource)
	return &slots{source: make(chan struct{}, n), each: min(n, cmp.Or(s.PassesPerAccount, n)), account: map[string]chan struct{}{}}
}

// do runs work once the account, and then the source, has room.
func (s *slots) do(ctx context.Context, account string, work func() error) error {
	s.mu.Lock()
	own := s.account[account]
	if own == nil {
		own = make(chan struct{}, s.each)
		s.account[account] = own
	}
	s.mu.Unlock()
	for _, slot := range []chan struct{}{own, s.source} {
		select {
		case slot <- struct{}{}:
			defer func() { <-slot }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return work()
}
