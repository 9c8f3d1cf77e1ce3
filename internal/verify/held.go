package verify

import (
	"context"
	"fmt"

	"github.com/calcdc/calcdc/connector"
)

// holds marks the rows that the topic alone has because their deletes are held. A row that the state does not know is none of them.
func (r *run) holds(ctx context.Context) error {
	recalled := false
	for _, b := range r.batches {
		for s, verdicts := range b.verdicts {
			if b.astray[s] || !extra(verdicts) {
				continue
			}
			if !recalled { // what is held may have been published, or not, since the run began
				if err := r.recall(ctx); err != nil {
					return err
				}
				recalled = true
			}
			if k := r.known[s]; k.State == nil || k.State.Hold == nil {
				continue
			}
			if err := r.markHeld(ctx, s, verdicts); err != nil {
				return err
			}
		}
	}
	return nil
}

// extra tells whether the source does not have one of the rows.
func extra(verdicts map[connector.Hash]*doubt) bool {
	for _, d := range verdicts {
		if d.source == none {
			return true
		}
	}
	return false
}

func (r *run) markHeld(ctx context.Context, s Stream, verdicts map[connector.Hash]*doubt) error {
	of := map[string][]*doubt{} // by resource
	err := r.cfg.Resources(ctx, s, func(id string, state *connector.ResourceState) {
		if delete(of, id); state == nil {
			return
		}
		for _, row := range state.Rows {
			if d := verdicts[hashOfID(row)]; d != nil && d.source == none {
				of[id] = append(of[id], d)
			}
		}
	})
	if err != nil {
		return fmt.Errorf("looking up the rows of %s whose deletes are held: %w", s, err)
	}
	for _, doubts := range of {
		for _, d := range doubts {
			d.held = true
			r.report.Held++
		}
	}
	return nil
}

// holdText says what has become of the stream's deletes.
func (r *run) holdText(s Stream) string {
	if r.known[s].State.Hold.Kept {
		return "the topic has it, the source does not: its delete is refused, until it is approved or the source has it again"
	}
	return "the topic has it, the source does not: its delete is held, until another look finds the same, or it is approved or refused"
}
