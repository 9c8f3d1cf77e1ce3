package connector

import (
	"context"
	"fmt"
	"slices"
)

// sweepPage is how many resources' deletions one transaction holds, and sweepBytes about how many bytes of records;
// lookPage how many are looked at in one request.
const (
	sweepPage  = 500
	sweepBytes = 4 << 20
	lookPage   = 100
)

// sweep deletes what the listing of this very pass does not show. The last transaction is left open.
func (p *pass) sweep(ctx context.Context) (*builder, error) {
	gone, err := p.absent(ctx)
	if err != nil {
		return nil, err
	}
	b := p.begin()
	for i, id := range gone {
		v := p.view(id)
		if err := b.add(id, v, diffGone(v)); err != nil {
			return nil, err
		}
		if (i+1)%sweepPage == 0 || b.full() {
			if err := p.submit(ctx, b); err != nil {
				return nil, err
			}
			b = p.begin()
		}
	}
	return b, p.keep(b)
}

// absent lists the known resources that this listing did not show, having looked at each directly (Invariant 3).
func (p *pass) absent(ctx context.Context) ([]string, error) {
	if err := p.lane.flush(); err != nil {
		return nil, err
	}
	var missing []string
	for id := range p.cp.Index.Resources() {
		if _, ok := p.seen[id]; !ok {
			missing = append(missing, id)
		}
	}
	slices.Sort(missing)
	if p.cp.Stream.Kind == Calendars { // decided by the account, once the collection's own streams are empty
		p.home.missing = missing
		return slices.DeleteFunc(slices.Clone(missing), func(id string) bool { return !p.departed(id) }), nil
	}
	for part := range slices.Chunk(missing, lookPage) {
		there, err := p.account.Look(ctx, p.cp.Stream, part)
		if err != nil {
			return nil, fmt.Errorf("looking at what the listing of %s left out: %w", p.cp.Stream, err)
		}
		if len(there) != len(part) {
			return nil, fmt.Errorf("looking at what the listing of %s left out: %d answers for %d", p.cp.Stream, len(there), len(part))
		}
		if i := slices.IndexFunc(there, func(at Presence) bool { return at != Gone }); i >= 0 {
			return nil, fmt.Errorf("the listing of %s left out %s, which is there: it was not complete", p.cp.Stream, part[i])
		}
	}
	return missing, nil
}

// keep carries the rows of collections that are missing, but not yet known to be gone, into a new epoch.
func (p *pass) keep(b *builder) error {
	for _, id := range p.home.missing {
		if !p.snap || p.departed(id) {
			continue
		}
		v := p.view(id)
		if err := b.add(id, v, diffUnread(v, false, nil, p.kept)); err != nil {
			return err
		}
	}
	return nil
}
