package connector

import (
	"context"
	"fmt"
	"time"
)

// Guard holds what a listing would delete where that is too much at once to be believed.
type Guard struct {
	MaxFraction  float64       // of a stream's rows; more than that is held
	AboveRows    int64         // a stream of so many rows, or fewer, is not guarded
	ConfirmAfter time.Duration // how long after the first look another must come to the same
}

// beyond tells whether so many rows, of those that there were, are too many to be deleted at once.
func (g *Guard) beyond(rows, of int64) bool {
	return g != nil && of > g.AboveRows && float64(rows) > g.MaxFraction*float64(of)
}

// Hold says, in a stream's state, that a listing would delete more than may be believed at once.
type Hold struct {
	SinceMs int64     `json:"since_ms"`         // when the listing was seen, ms since 1970
	Rows    int64     `json:"rows"`             // that would be deleted
	Of      int64     `json:"of"`               // that the stream had
	Kept    bool      `json:"kept,omitempty"`   // refused: listings delete nothing until one shows all again, or it is approved
	Signal  *Position `json:"signal,omitempty"` // how far the signals had been read: what was decided before is not meant
}

// decided tells whether a signal is a decision about h.
func (h *Hold) decided(s *Signal) bool {
	if s.Held != 0 && s.Held != h.SinceMs {
		return false
	}
	return s.At.beyond(h.Signal) && (h.Signal != nil || s.At.TimeMs >= h.SinceMs)
}

// watch is what an earlier look at a listing has found missing. It is kept in memory only: after a start there are two looks again.
type watch struct {
	since time.Time
	ids   IDs
}

// missing is what a listing does not show.
type missing struct {
	rows  int64
	fresh int64 // of them, rows that the look before had not missed
	ids   IDs
}

// add counts a resource, beside what was missing at the last look.
func (m *missing) add(id string, r ResourceState, last *watch) {
	m.rows += int64(len(r.Rows))
	if last != nil && !last.ids.Has(id) {
		m.fresh += int64(len(r.Rows))
	}
	m.ids.Add(id)
}

// verdict says what becomes of it.
type verdict int

const (
	believed verdict = iota // it is deleted
	held                    // nothing is, nor is the token committed: another look must come to the same
	kept                    // nothing is, because somebody has said so
)

// ruling is what somebody has decided about the stream's hold, "" where nobody has.
func (t *task) ruling() SignalType {
	if !t.decides(t.ruled) {
		return ""
	}
	return t.ruled.Type
}

// decides tells whether a signal is a decision about what is held now.
func (t *task) decides(s *Signal) bool {
	return s != nil && t.cp.State != nil && t.cp.State.Hold != nil && t.cp.State.Hold.decided(s)
}

// confirmDue tells whether a full look shall decide about what is held.
func (t *task) confirmDue() bool {
	state := t.cp.State
	if state == nil || state.Hold == nil {
		return false
	}
	if rule := t.ruling(); rule != "" || state.Hold.Kept {
		return rule != ""
	}
	guard := t.owner.c.cfg.Guard
	return t.watch == nil || guard == nil || time.Since(t.watch.since) >= guard.ConfirmAfter
}

// waits tells that a listing is held which another is to confirm, and that it is not time for that one yet.
func (t *task) waits() bool {
	state := t.cp.State
	return state != nil && state.Hold != nil && !state.Hold.Kept && !t.confirmDue()
}

// keeps tells whether nothing is to be deleted whatever the listing shows.
func (p *pass) keeps() bool {
	rule, hold := p.ruling(), p.state.Hold
	return rule == RefuseDeletes || hold != nil && hold.Kept && rule != ApproveDeletes
}

// judge weighs what a listing does not show, and notes in p.hold what the state shall say of it from then on.
func (p *pass) judge(m missing) verdict {
	guard, hold, rule := p.owner.c.cfg.Guard, p.state.Hold, p.ruling()
	of := p.base()
	switch {
	case m.ids.Len() == 0:
		p.hold, p.watch = nil, nil
		return believed
	case p.keeps():
		p.watch = nil
		next := Hold{SinceMs: hold.SinceMs, Rows: m.rows, Of: of, Kept: true, Signal: hold.Signal}
		if rule == RefuseDeletes {
			next.Signal = &p.ruled.At
		}
		p.keepHold(next)
		return kept
	case rule == ApproveDeletes && !guard.beyond(p.excess(m), of):
		p.hold, p.watch = nil, nil
		return believed
	case rule == "" && !guard.beyond(m.rows, of):
		p.hold, p.watch = nil, nil
		return believed
	}
	return p.doubt(m, of)
}

// doubt is judge's for what is too much at once.
func (p *pass) doubt(m missing, of int64) verdict {
	guard, hold := p.owner.c.cfg.Guard, p.state.Hold
	again := p.watch != nil && hold != nil && p.ruling() == "" && !guard.beyond(m.fresh, of)
	if again && time.Since(p.watch.since) >= guard.ConfirmAfter {
		p.hold, p.watch = nil, nil
		return believed
	}
	next := Hold{SinceMs: time.Now().UnixMilli(), Rows: m.rows, Of: of}
	switch {
	case again:
		next.SinceMs, next.Signal = hold.SinceMs, hold.Signal
		p.watch.ids = m.ids
	case hold != nil && p.watch == nil && p.ruling() == "": // begun before a restart: what is decided about it, read or not yet, is meant still
		next.SinceMs, next.Signal = hold.SinceMs, hold.Signal
		p.watch = &watch{since: time.Now(), ids: m.ids}
	default:
		next.Signal = p.listen()
		p.watch = &watch{since: time.Now(), ids: m.ids}
	}
	p.keepHold(next)
	return held
}

// excess is how many rows are missing beyond those of which somebody has decided.
func (p *pass) excess(m missing) int64 {
	if p.watch != nil {
		return m.fresh
	}
	return max(0, m.rows-p.state.Hold.Rows)
}

// base is how many rows the stream had before the listing, and the snapshot that it is part of.
func (p *pass) base() int64 {
	of := p.before
	if p.snap && p.mark == nil && p.state.Base > 0 {
		of = p.state.Base
	}
	if p.state.Hold != nil {
		of = min(of, p.state.Hold.Of)
	}
	return of
}

// keepHold notes the hold, as it was where nothing of it has changed.
func (p *pass) keepHold(next Hold) {
	if old := p.state.Hold; old != nil && old.SinceMs == next.SinceMs && old.Rows == next.Rows && old.Of == next.Of && old.Kept == next.Kept &&
		old.Signal == next.Signal {
		p.hold = old
		return
	}
	p.hold = &next
}

// carry reads the rows that are kept again into a new epoch, from what was kept of them, from the open transaction b on.
func (p *pass) carry(ctx context.Context, b *builder) (*builder, error) {
	n := 0
	for id := range p.unseen {
		v := p.view(id)
		if v.known.Epoch == v.epoch {
			continue
		}
		for _, row := range v.known.Rows {
			if hash, ok := v.row(row); !ok || p.kept(row, hash) == nil {
				return nil, fmt.Errorf("the row %s, which is to be kept, cannot be read again: it was published under another events.before; "+
					"approve the deletes of %s (calcdc deletes approve)", row, p.cp.Stream)
			}
		}
		if err := b.add(id, v, diffUnread(v, false, nil, p.kept)); err != nil {
			return nil, err
		}
		if n++; n%sweepPage == 0 || b.full() {
			if err := p.submit(ctx, b); err != nil {
				return nil, err
			}
			b = p.begin()
		}
	}
	return b, nil
}

// stays tells whether the pass ends without a token: what the listing does not show is neither deleted nor carried on.
func (p *pass) stays() bool {
	return p.verdict == held || p.verdict == kept && p.snap && !p.brief && p.owner.c.cfg.Before != BeforeFull
}

// withhold ends a pass over a listing that is not believed: its token is not committed, and in a snapshot there is no end.
func (p *pass) withhold(ctx context.Context, b *builder) error {
	b.state.Hold = p.hold
	if p.verdict == held && p.hold != p.state.Hold {
		p.log.Warn("a listing would delete too much at once: nothing is deleted until another comes to the same, or somebody decides",
			"stream", p.cp.Stream.String(), "rows", p.hold.Rows, "of", p.hold.Of)
	}
	if err := p.submit(ctx, b); err != nil {
		return err
	}
	p.leave()
	return p.lane.flush()
}
