package verify

import (
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
				wg.Go(func() {
					h.err = slots.do(ctx, a.Name(), func() error { return attempt(ctx, func() error { return h.list(ctx) }) })
				})
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
	var found []connector.Account
	err := attempt(ctx, func() (err error) {
		ctx, cancel := context.WithTimeout(ctx, asking)
		defer cancel()
		found, err = s.Find(ctx)
		return err
	})
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

// look asks directly for a collection that is not listed, once.
func (h *home) look(ctx context.Context, collection string) (connector.Presence, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if found, ok := h.looks[collection]; ok {
		return found.at, found.err
	}
	found := look{at: connector.Failed}
	found.err = attempt(ctx, func() error {
		there, err := h.account.Look(ctx, h.stream("", connector.Calendars), []string{collection})
		if len(there) == 1 {
			found.at = there[0]
		}
		return err
	})
	h.looks[collection] = found
	return found.at, found.err
}
