package connector

import (
	"maps"
	"slices"
)

// kin is what a delta says of parents and children: what it has reported removed takes its children with it. It holds hashes, but
// for those removed that have children.
type kin struct {
	index   Index
	removed IDs                 // reported removed, and not shown again since
	named   IDs                 // parents of what was shown
	lost    map[string]struct{} // removed once, with children known or shown
}

func newKin(x Index) *kin {
	return &kin{index: x, removed: IDs{}, named: IDs{}, lost: map[string]struct{}{}}
}

// note takes in what a poll shows.
func (k *kin) note(res Resource) {
	if res.Presence == Removed {
		k.removed.Add(res.ID)
		if k.named.Has(res.ID) || len(k.index.Children(res.ID)) > 0 {
			k.lost[res.ID] = struct{}{}
		}
		return
	}
	k.removed.Remove(res.ID)
	if res.Parent == "" {
		return
	}
	k.named.Add(res.Parent)
	if k.removed.Has(res.Parent) {
		k.lost[res.Parent] = struct{}{}
	}
}

// bereft tells whether there may be children without a parent.
func (k *kin) bereft() bool { return len(k.lost) > 0 }

// parents are those that are removed and may have children, sorted.
func (k *kin) parents() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(k.lost)), func(id string) bool { return !k.removed.Has(id) })
}
