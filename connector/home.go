package connector

import "slices"

// home is what is known of an account's collections since the start. It is kept in memory only.
type home struct {
	listed   map[string]collection        // of the account; nil until a poll has listed them all
	missing  []string                     // collections that have a row and are not listed
	departed func(collection string) bool // tells whether nothing is left of a missing collection but its row
}

// collection is what a home says of one.
type collection struct {
	hint    Hint
	streams []Kind // that it has
	there   bool   // it was read as it is
}

// left takes over what a poll of the calendars stream has shown, and returns the collections whose rows are to be deleted:
// those that are not listed and whose own streams are empty.
func (h *home) left(shown []Resource, listing bool, known Index) []string {
	if listing {
		h.listed = map[string]collection{}
	}
	if h.listed == nil {
		return nil
	}
	for _, res := range shown {
		if res.Presence == Removed {
			delete(h.listed, res.ID)
			continue
		}
		h.listed[res.ID] = collection{hint: res.Hint, streams: res.Streams, there: res.Presence == Read}
	}
	h.missing = nil
	for id := range known.Resources() {
		if _, ok := h.listed[id]; !ok {
			h.missing = append(h.missing, id)
		}
	}
	slices.Sort(h.missing)
	var gone []string
	for _, id := range h.missing {
		if h.departed(id) {
			gone = append(gone, id)
		}
	}
	return gone
}
