package connector

import (
	"context"
	"fmt"
	"iter"
	"slices"
)

// sweepPage is how many resources' deletions one transaction holds, and sweepBytes about how many bytes of records;
// lookPage how many are looked at in one request.
const (
	sweepPage  = 500
	sweepBytes = 4 << 20
	lookPage   = 100
)

// sweep deletes what is gone. The last transaction is left open.
func (p *pass) sweep(ctx context.Context, listing bool) (*builder, error) {
	gone, err := p.vanished(ctx, listing)
	if err != nil {
		return nil, err
	}
	b, _, err := p.erase(ctx, p.begin(), gone)
	if err != nil {
		return nil, err
	}
	if p.verdict == kept && p.snap && !p.brief && !p.stays() {
		return p.carry(ctx, b)
	}
	return b, p.keep(b)
}

// erase deletes resources, from the open transaction b on, and tells how many. The last transaction is left open.
func (p *pass) erase(ctx context.Context, b *builder, ids iter.Seq[string]) (*builder, int, error) {
	n := 0
	for id := range ids {
		v := p.view(id)
		if err := b.add(id, v, diffGone(v)); err != nil {
			return nil, n, err
		}
		if n++; n%sweepPage == 0 || b.full() {
			if err := p.submit(ctx, b); err != nil {
				return nil, n, err
			}
			b = p.begin()
		}
	}
	return b, n, nil
}

// vanished are the known resources that this very poll has found gone without a word of each: those that its listing did not
// show, or the children of what its delta has reported removed.
func (p *pass) vanished(ctx context.Context, listing bool) (iter.Seq[string], error) {
	if !listing && p.home == nil && !p.kin.bereft() {
		return slices.Values[[]string](nil), nil
	}
	if err := p.lane.flush(); err != nil {
		return nil, err
	}
	switch {
	case p.home != nil:
		return slices.Values(p.home.left(p.shown, listing, p.cp.Index)), nil
	case listing:
		return p.weighed(ctx)
	}
	orphans, err := p.orphans(ctx)
	return slices.Values(orphans), err
}

// orphans are the children of what a delta has reported removed. One that the same delta has shown may outlive its parent: it is
// looked at (Invariant 3).
func (p *pass) orphans(ctx context.Context) ([]string, error) {
	var orphans, shown []string
	for _, id := range p.kin.parents() {
		for _, child := range p.cp.Index.Children(id) {
			if p.seen.Has(child) {
				shown = append(shown, child)
			} else {
				orphans = append(orphans, child)
			}
		}
	}
	for part := range slices.Chunk(shown, lookPage) {
		there, err := p.look(ctx, part)
		if err != nil {
			return nil, err
		}
		for i, at := range there {
			if at == Gone {
				orphans = append(orphans, part[i])
			}
		}
	}
	return orphans, nil
}

// look asks directly for what a listing or a delta leaves in doubt.
func (p *pass) look(ctx context.Context, ids []string) ([]Presence, error) {
	there, err := p.account.Look(ctx, p.cp.Stream, ids)
	if err == nil && len(there) != len(ids) {
		err = fmt.Errorf("%d answers for %d", len(there), len(ids))
	}
	if err != nil {
		return nil, fmt.Errorf("looking at what %s did not show: %w", p.cp.Stream, err)
	}
	return there, nil
}

// weighed is what is to be deleted of what the listing does not show: all of it, or nothing.
func (p *pass) weighed(ctx context.Context) (iter.Seq[string], error) {
	m, err := p.absent(ctx)
	if err != nil {
		return nil, err
	}
	if p.verdict = p.judge(m); p.verdict == believed {
		return p.unseen, nil
	}
	return slices.Values[[]string](nil), nil
}

// absent looks directly at each known resource that this listing did not show (Invariant 3): all of them must be gone before one
// is deleted. Where none will be, there is nothing to look at.
func (p *pass) absent(ctx context.Context) (missing, error) {
	m := missing{ids: IDs{}}
	part, keeps := make([]string, 0, lookPage), p.keeps()
	for id, r := range p.cp.Index.Resources() {
		if p.seen.Has(id) {
			continue
		}
		m.add(id, r, p.watch)
		if keeps {
			continue
		}
		if part = append(part, id); len(part) < lookPage {
			continue
		}
		if err := p.confirm(ctx, part); err != nil {
			return m, err
		}
		part = part[:0]
	}
	return m, p.confirm(ctx, part)
}

// confirm sees that all of ids are gone.
func (p *pass) confirm(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	there, err := p.look(ctx, ids)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(there, func(at Presence) bool { return at != Gone }); i >= 0 {
		return fmt.Errorf("the listing of %s left out %s, which is there: it was not complete", p.cp.Stream, ids[i])
	}
	return nil
}

// unseen runs over the known resources that this poll has not shown, however many.
func (p *pass) unseen(yield func(id string) bool) {
	for id := range p.cp.Index.Resources() {
		if !p.seen.Has(id) && !yield(id) {
			return
		}
	}
}

// keep carries the rows of collections that are missing, but not yet known to be gone, into a new epoch.
func (p *pass) keep(b *builder) error {
	if p.home == nil || !p.snap {
		return nil
	}
	for _, id := range p.home.missing {
		if p.home.departed(id) {
			continue
		}
		v := p.view(id)
		if err := b.add(id, v, diffUnread(v, false, nil, p.kept)); err != nil {
			return err
		}
	}
	return nil
}
