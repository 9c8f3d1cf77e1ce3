package connector

import "context"

// remove empties a stream whose collection is gone: its first transaction forgets the offset, so that a removal cut
// short goes on; then a d for each row. There is no marker. A stream that is empty already is left alone.
func (t *task) remove(ctx context.Context) error {
	if err := t.held(); err != nil {
		return err
	}
	if t.cp.State == nil || t.cp.State.Phase == RemovedAll {
		return nil
	}
	p := &pass{task: t, state: *t.cp.State, prior: t.cp.Offset}
	p.lane, ctx = openLane(ctx, t.owner.ledger, t.owner.c.room, t.committed)
	err := p.empty(ctx)
	if closing := p.lane.close(); closing != nil {
		err = closing
	}
	return err
}

func (p *pass) empty(ctx context.Context) error {
	b := p.begin()
	if p.state.Phase != Removing || p.prior != nil {
		b.tx.Forget, b.state.Phase = true, Removing
	}
	all := func(yield func(id string) bool) {
		for id := range p.cp.Index.Resources() {
			if !yield(id) {
				return
			}
		}
	}
	b, n, err := p.erase(ctx, b, all)
	if err != nil {
		return err
	}
	if n > 0 { // the end has a transaction of its own
		if err := p.submit(ctx, b); err != nil {
			return err
		}
		b = p.begin()
	}
	b.state.Phase, b.state.Hold, p.watch = RemovedAll, nil, nil
	if err := p.submit(ctx, b); err != nil {
		return err
	}
	return p.lane.flush()
}

// Retire publishes a d for each row of streams that the configuration no longer names, and forgets their offsets. The
// calendars row of a collection goes with its events. ledger must hold the streams' partition, loaded.
func (c *Connector) Retire(ctx context.Context, ledger Ledger, streams ...Stream) error {
	o := &owner{c: c, ledger: ledger}
	for _, s := range streams {
		cp := ledger.Open(s)
		source := &Source{Name: s.Source, Connector: "caldav"} // as all were when states did not say
		if cp.State != nil && cp.State.Connector != "" {
			source.Connector = cp.State.Connector
		}
		t := newTask(o, source, nil, cp)
		if err := t.mend(ctx); err != nil {
			return err
		}
		if err := t.remove(ctx); err != nil {
			return err
		}
		if s.Kind != Events {
			continue
		}
		home := Stream{Source: s.Source, Account: s.Account, Kind: Calendars}
		calendars := newTask(o, source, nil, ledger.Open(home))
		if err := calendars.mend(ctx); err != nil {
			return err
		}
		if err := calendars.drop(ctx, s.Collection); err != nil {
			return err
		}
	}
	return nil
}

// drop deletes one resource's rows.
func (t *task) drop(ctx context.Context, id string) error {
	if err := t.held(); err != nil || t.cp.State == nil {
		return err
	}
	p := &pass{task: t, state: *t.cp.State, prior: t.cp.Offset}
	b := p.begin()
	v := p.view(id)
	if err := b.add(id, v, diffGone(v)); err != nil || b.empty() {
		return err
	}
	return t.owner.ledger.Commit(ctx, []Transaction{b.transaction()})
}
