package connector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// giveUpAfter is how many passes one refused body holds up its stream; trustAfter how many comparisons in a row that
// found nothing it takes until a suspect delta is believed.
const (
	giveUpAfter = 3
	trustAfter  = 3
)

// defaultCollections is how many an account may have where nothing is said: what is known of each takes some KB.
const defaultCollections = 10_000

// errSuspect is how a delta ends that cannot be right: it lists a known member whose ETag and bytes are unchanged,
// as servers do that have silently forgotten the token.
var errSuspect = errors.New("the delta lists what has not changed")

// pass reads one stream once. What outlives it is in the task.
type pass struct {
	*task
	lane    *lane
	first   int64       // commit number at the pass's begin
	state   StreamState // as of the last transaction submitted
	prior   *Offset     // as of the pass's begin
	mark    *marker     // set in a snapshot whose first transaction is yet to be submitted: its marker
	snap    bool        // a snapshot
	brief   bool        // one that publishes only what differs
	timed   bool        // a comparison by schedule
	seen    IDs         // what the poll has shown
	held    refusedBodies
	kin     *kin
	shown   []Resource // what a poll of a calendars stream has shown
	before  int64      // rows at the pass's begin
	verdict verdict    // on what the listing does not show
	hold    *Hold      // what the state shall say of it
	heard   *Position  // how far the signals had been read when it began
}

// pass brings the stream up to date. On success the token of a complete, error-free poll is committed (Invariant 2)
// or, where nothing else was to be committed, kept to go with the next transaction.
func (t *task) pass(ctx context.Context) error {
	if err := t.held(); err != nil {
		return err
	}
	p := &pass{task: t, prior: t.cp.Offset, heard: t.listen()}
	if t.cp.State != nil {
		p.state = *t.cp.State
	}
	p.first, p.before, p.hold = p.state.Commit, p.state.Rows, p.state.Hold
	p.lane, ctx = openLane(ctx, t.owner.ledger, t.owner.c.room, t.committed)
	err := p.run(ctx)
	if closing := p.lane.close(); closing != nil {
		err = closing
	}
	return err
}

// run chooses what kind of pass it is.
func (p *pass) run(ctx context.Context) error {
	if m := p.due(); m != nil {
		return p.snapshot(ctx, m)
	}
	if p.state.Phase == Snapshot {
		return p.snapshot(ctx, nil)
	}
	scheduled := p.reconcileDue()
	if scheduled || p.stormy() || p.confirmDue() {
		return p.compare(ctx, scheduled)
	}
	err := p.delta(ctx)
	switch {
	case errors.Is(err, errSuspect):
		return p.suspect(ctx)
	case errors.Is(err, ErrTokenInvalid):
		return p.expired(ctx, err)
	case err == nil && p.home != nil && p.home.listed == nil:
		return p.compare(ctx, false) // the first poll after a start: which collections there are is kept in memory only
	}
	return err
}

// due is the marker with which the stream must begin anew, nil where it goes on.
func (p *pass) due() *marker {
	switch offset := p.prior; {
	case p.cp.State == nil, p.state.Epoch == 0: // of the latter, nothing but an intention was committed
		return &marker{Type: markBegin, Reason: reasonInitial}
	case p.state.Phase == Removing, p.state.Phase == RemovedAll:
		return &marker{Type: markBegin, Reason: reasonReturned}
	case offset == nil, p.state.Phase == Streaming && offset.Token == "":
		return &marker{Type: markReset, Reason: cmp.Or(p.state.Due, reasonRequested)}
	case offset.ConfigHash != "" && offset.ConfigHash != p.configHash: // an operator's token belongs to what is configured
		return &marker{Type: markReset, Reason: reasonConfiguration}
	case p.asked():
		return &marker{Type: markReset, Reason: reasonRequested}
	}
	return nil
}

// expired answers a dead token: with a reset or, where tokens die faster than they are of use, with a comparison.
func (p *pass) expired(ctx context.Context, cause error) error {
	p.log.Warn("sync token is no longer valid", "stream", p.cp.Stream.String(), "error", cause)
	if p.tokenDied(time.UnixMilli(p.prior.CommittedMs)) {
		return p.compare(ctx, false)
	}
	return p.snapshot(ctx, &marker{Type: markReset, Reason: reasonTokenInvalid})
}

// suspect compares everything before the token of a delta that cannot be right is committed.
func (p *pass) suspect(ctx context.Context) error {
	p.log.Info("the server lists what has not changed: comparing everything", "stream", p.cp.Stream.String())
	before := p.state.Commit
	if err := p.compare(ctx, false); err != nil {
		return err
	}
	p.suspicions++
	if p.state.Commit != before {
		p.suspicions = 0
	}
	return nil
}

// snapshot lists everything under a null token. m is nil when it goes on where an earlier one was cut short: then
// what was published in this epoch is not published again, nor fetched.
func (p *pass) snapshot(ctx context.Context, m *marker) error {
	if err := p.lane.flush(); err != nil {
		return err
	}
	p.snap, p.mark = true, m
	epoch, reason := p.state.Epoch, p.state.Reason
	if m != nil {
		epoch, reason = epoch+1, m.Reason
	}
	p.brief = p.owner.c.cfg.Changes && knowsAll(reason)
	if err := p.place(ctx); err != nil {
		return err
	}
	return p.list(ctx, m != nil, func(id, etag string) bool {
		k, ok := p.cp.Index.Resource(id)
		return !ok || k.Epoch != epoch || differs(k, etag)
	})
}

// knowsAll tells, of a snapshot's reason, whether consumers have had every row that is known.
func knowsAll(reason string) bool {
	return reason == reasonTokenInvalid || reason == reasonRequested || reason == reasonConfiguration
}

// compare lists everything and publishes what differs, under the same epoch and without a marker. A scheduled one
// trusts ETags six times of seven.
func (p *pass) compare(ctx context.Context, scheduled bool) error {
	p.timed = scheduled
	trust := !scheduled || p.state.Compares%7 != 6
	return p.list(ctx, !trust, func(id, etag string) bool {
		k, ok := p.cp.Index.Resource(id)
		return !trust || !ok || differs(k, etag)
	})
}

// differs tells whether a listed ETag leaves it open that the resource is another than the one known.
func differs(k ResourceState, etag string) bool { return k.Unknown || etag == "" || etag != k.ETag }

// list reads everything and ends with the token of the listing. fresh: nearly every body is needed.
func (p *pass) list(ctx context.Context, fresh bool, needs func(id, etag string) bool) error {
	last, err := p.read(ctx, Query{Stream: p.cp.Stream, Fresh: fresh, Needs: needs})
	if err != nil {
		return err
	}
	return p.finish(ctx, last, true)
}

// delta reads what has changed since the token. A stream that can only list answers with a listing.
func (p *pass) delta(ctx context.Context) error {
	last, err := p.read(ctx, Query{
		Stream: p.cp.Stream, Token: p.token(), Pending: p.unreadIDs(),
		Needs: func(id, etag string) bool {
			k, ok := p.cp.Index.Resource(id)
			return !ok || differs(k, etag)
		},
	})
	if err != nil {
		return err
	}
	p.tokenLived()
	p.deltas = !last.Listing
	return p.finish(ctx, last, false)
}

// read publishes a poll's pages as they come and returns the last; its token and the deletions of a listing are
// finish's.
func (p *pass) read(ctx context.Context, q Query) (Page, error) {
	if err := p.lane.flush(); err != nil {
		return Page{}, err
	}
	p.seen, p.kin, p.shown, p.held = IDs{}, newKin(p.cp.Index), nil, refusedBodies{}
	suspect := false
	for page, err := range p.account.Poll(ctx, q) {
		if err != nil {
			return Page{}, fmt.Errorf("polling %s: %w", p.cp.Stream, err)
		}
		stale, err := p.publish(ctx, page, q.Token == "")
		if err != nil {
			return Page{}, err
		}
		suspect = suspect || stale && !page.Overlap
		if !page.Last {
			continue
		}
		if p.held.count > 0 {
			return Page{}, &p.held
		}
		if suspect && q.Token != "" && !page.Listing && p.suspicions < trustAfter {
			return Page{}, errSuspect
		}
		return page, nil
	}
	if err := context.Cause(ctx); err != nil {
		return Page{}, err
	}
	return Page{}, fmt.Errorf("polling %s: the answer ended early", p.cp.Stream)
}

// publish submits what a page changes. stale: the page lists a known member that is as it was. Bodies for which the
// pass must not end well are held.
func (p *pass) publish(ctx context.Context, page Page, listing bool) (stale bool, err error) {
	b := p.begin()
	for _, res := range page.Resources {
		if listing && res.Presence == Removed {
			continue // a listing shows what is there: the sweep looks at the rest (Invariant 3)
		}
		if p.home != nil {
			p.shown = append(p.shown, res)
			if most := cmp.Or(p.owner.c.cfg.Collections, defaultCollections); len(p.shown) > most {
				return false, fmt.Errorf("the account has more than %d collections: raise limits.collections", most)
			}
			if res.Presence == Removed {
				continue // decided by the account, once the collection's own streams are empty
			}
		}
		p.kin.note(res)
		again := p.seen.Has(res.ID)
		if again {
			if b, err = p.renew(ctx, b); err != nil {
				return false, err
			}
		}
		p.seen.Add(res.ID)
		v := p.view(res.ID)
		out, held := p.weigh(v, res)
		if held != nil {
			p.held.add(fmt.Errorf("fetching %s: %w", res.ID, held))
			continue
		}
		stale = stale || res.Presence == Read && v.ok && out.same && !again
		if err := b.add(res.ID, v, out); err != nil {
			return false, err
		}
	}
	return stale, p.submit(ctx, b)
}

// renew commits what b holds and opens the next: a resource that this pass shows again, on this page or an earlier
// one, is compared with what it came to.
func (p *pass) renew(ctx context.Context, b *builder) (*builder, error) {
	if err := p.submit(ctx, b); err != nil {
		return nil, err
	}
	if err := p.lane.flush(); err != nil {
		return nil, err
	}
	return p.begin(), nil
}

// finish ends a complete poll: the sweep, then the token, with the last of the deletions and in a snapshot the end
// marker.
func (p *pass) finish(ctx context.Context, last Page, compared bool) error {
	b, err := p.sweep(ctx, last.Listing || compared)
	if err != nil {
		return err
	}
	if p.stays() {
		return p.withhold(ctx, b)
	}
	offset := p.offset(last.Token)
	if compared {
		offset.ReconciledMs = time.Now().UnixMilli()
	}
	if p.snap {
		if p.mark != nil { // nothing was listed: the begin has a transaction of its own
			if err := p.submit(ctx, b); err != nil {
				return err
			}
			b = p.begin()
		}
		b.end()
	}
	if p.timed {
		b.state.Compares++
	}
	b.state.Hold = p.hold
	if b.empty() && !compared && p.postpone(offset) {
		return p.lane.flush()
	}
	b.tx.Offset = &offset
	if err := p.submit(ctx, b); err != nil {
		return err
	}
	p.leave() // nothing more is asked of the source
	return p.lane.flush()
}

// submit hands the transaction to the lane, if there is anything in it.
func (p *pass) submit(ctx context.Context, b *builder) error {
	if b.empty() && b.tx.Offset == nil {
		return nil
	}
	tx := b.transaction()
	if tx.State != nil {
		p.state = *tx.State
	}
	p.mark = nil
	return p.lane.submit(ctx, tx, b.size)
}
