package connector

import (
	"errors"
	"fmt"
)

// refusedBodies are bodies for which a pass must not end well. The first stands for all: there may be as many as
// there are resources.
type refusedBodies struct {
	count int
	first error
}

func (r *refusedBodies) add(err error) {
	if r.count++; r.count == 1 {
		r.first = err
	}
}

func (r *refusedBodies) Error() string {
	if r.count == 1 {
		return r.first.Error()
	}
	return fmt.Sprintf("%d bodies could not be had, the first: %v", r.count, r.first)
}

func (r *refusedBodies) Unwrap() error { return r.first }

// weigh says what one entry of a page comes to, or the error for which the pass must not end well.
func (p *pass) weigh(v view, res Resource) (outcome, error) {
	if res.Presence != Failed {
		delete(p.refusals, res.ID)
	}
	switch res.Presence {
	case Listed:
		if !v.ok || p.snap && v.known.Epoch != v.epoch {
			return outcome{}, errors.New("the source has listed it without the body that was asked for")
		}
		return outcome{state: &v.known, same: true}, nil
	case Read:
		return diffRead(v, res), nil
	case Removed, Gone:
		return diffGone(v), nil
	case Missing:
		return diffUnread(v, true, nil, p.kept), nil
	case Ignored, Forbidden:
		if !v.ok {
			return outcome{same: true}, nil
		}
		return diffUnread(v, false, nil, p.kept), nil
	case Failed:
	}
	if p.refusals == nil {
		p.refusals = map[string]int{}
	}
	if p.refusals[res.ID]++; p.refusals[res.ID] < giveUpAfter {
		return outcome{}, res.Err
	}
	return diffUnread(v, true, res.Rows, p.kept), nil
}

// view is what is known of a resource, seen from the epoch of this pass.
func (p *pass) view(id string) view {
	known, ok := p.cp.Index.Resource(id)
	v := view{known: known, ok: ok, row: p.cp.Index.Row, snapshot: p.snap && !p.brief, brief: p.brief, epoch: p.state.Epoch}
	if p.mark != nil {
		v.epoch++
	}
	return v
}

// kept is a row as it was last published, nil where it was not kept.
func (p *pass) kept(id string, hash Hash) *Row {
	body, err := p.cp.Index.Body(id)
	if err != nil || body == nil {
		return nil
	}
	return &Row{ID: id, JSON: body, Hash: hash}
}
