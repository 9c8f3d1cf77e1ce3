package connector

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// findEvery is how often a source is asked which accounts it has.
const findEvery = 10 * time.Minute

// roster is the accounts of a source as far as they are known.
type roster struct {
	c      *Connector
	source *Source

	mu       sync.Mutex
	accounts []Account
	changed  chan struct{} // closed at the next change
}

func newRoster(c *Connector, s *Source) *roster {
	return &roster{c: c, source: s, accounts: s.Accounts, changed: make(chan struct{})}
}

// keepRosters asks each source for its accounts, again and again, until ctx ends.
func (c *Connector) keepRosters(ctx context.Context) {
	var wg sync.WaitGroup
	for _, r := range c.rosters {
		wg.Go(func() { r.run(ctx) })
	}
	wg.Wait()
}

// run asks for the accounts, again and again, until ctx ends. While it cannot be told which there are, those that were
// known stay.
func (r *roster) run(ctx context.Context) {
	if r.source.Find == nil {
		return
	}
	retry := newBackOff(500*time.Millisecond, time.Minute)
	failing := false
	for {
		wait := findEvery
		found, err := r.source.Find(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			wait = retry.NextBackOff()
		default:
			retry.Reset()
			r.set(slices.Concat(r.source.Accounts, found))
		}
		if err != nil || failing {
			r.c.obs.Account(r.source.Name, "", err)
		}
		failing = err != nil
		if !sleep(ctx, wait) {
			return
		}
	}
}

func (r *roster) set(accounts []Account) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accounts = accounts
	close(r.changed)
	r.changed = make(chan struct{})
}

// now is the accounts, and what is closed when they are others.
func (r *roster) now() ([]Account, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accounts, r.changed
}

// host runs the households of a source's accounts that map to the owner's partition until ctx ends. An account that is no longer
// on the roster is left as it stands.
func (o *owner) host(ctx context.Context, r *roster) {
	running, left := map[string]*tenancy{}, map[string]bool{}
	defer func() {
		for _, t := range running {
			t.end()
		}
	}()
	for {
		accounts, changed := r.now()
		here := map[string]bool{}
		for _, a := range accounts {
			name := a.Name()
			if !o.has(r.source, name) || here[name] {
				continue
			}
			here[name] = true
			if left[name] {
				o.lost(fmt.Errorf("account %s/%s is back: what is committed of it has changed since it was loaded", r.source.Name, name))
				return
			}
			if running[name] == nil {
				running[name] = o.lodge(ctx, r.source, a)
			}
		}
		for name, t := range running {
			if !here[name] {
				t.end()
				delete(running, name)
				left[name] = true
				o.c.obs.Left(r.source.Name, name)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// tenancy is a household that runs.
type tenancy struct {
	stop context.CancelFunc
	done chan struct{}
}

// lodge starts the account's household.
func (o *owner) lodge(ctx context.Context, s *Source, a Account) *tenancy {
	ctx, stop := context.WithCancel(ctx)
	t := &tenancy{stop: stop, done: make(chan struct{})}
	h := newHousehold(o, s, a)
	go func() {
		defer close(t.done)
		h.run(ctx)
	}()
	return t
}

// end stops the household and waits for it.
func (t *tenancy) end() {
	t.stop()
	<-t.done
}
