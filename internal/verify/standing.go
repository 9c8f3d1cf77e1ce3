package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/calcdc/calcdc/connector"
)

// standing says where a stream is to be compared with, or why it is not compared: with both, it may have gone from there, or come to be there,
// just now. Both are nil where there is nothing to compare.
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
	case !h.has(s) && len(shelf.rows) == 0:
		return nil, nil
	case !h.has(s):
		return h, r.left(ctx, h, s, apart)
	}
	k := r.known[s]
	switch {
	case k.State == nil && k.Offset != nil:
		return nil, apart(Lost, saysNoState)
	case k.State == nil && len(shelf.rows) == 0, k.State != nil && k.State.Phase == connector.RemovedAll && len(shelf.rows) == 0:
		return h, apart(NotBegun, saysNotBegun)
	case k.State == nil, k.State.Phase == connector.RemovedAll:
	case k.State.DataEnd > end:
		return nil, apart(Lost, fmt.Sprintf("its data topic ends at %d, but was %d long: it was deleted, made anew or cut; a running calcdc mends it", end, k.State.DataEnd))
	case k.State.Mending != "":
		return nil, apart(Lost, saysMending)
	case k.State.Phase == connector.Removing:
		return nil, apart(Leaving, saysRemoving)
	case k.State.Phase == connector.Snapshot && k.State.Hold != nil:
		return nil, apart(Held, saysHeld)
	case shelf.Snapshot, k.State.Phase == connector.Snapshot && shelf.Epoch < k.State.Epoch:
		return nil, apart(InSnapshot, saysInSnapshot)
	case k.State.KeyFormat != "json":
		return nil, apart(Refused, fmt.Sprintf("its keys are of the format %q", k.State.KeyFormat))
	}
	return h, nil
}

// left says what becomes of the rows of a stream that its source does not have.
func (r *run) left(ctx context.Context, h *home, s Stream, apart func(why, detail string) *Apart) *Apart {
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
