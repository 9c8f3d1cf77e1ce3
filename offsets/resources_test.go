package offsets_test

import (
	"slices"
	"testing"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/offsets"
)

// Beside an owner the records of one stream's resources are shown in order, removals too.
func TestResourcesFromBeside(t *testing.T) {
	client := broker(t)
	l := ledger(client)
	load(t, l)
	other := page(1)
	other.Stream.Collection = "/alice/home/"
	removed := page(3)
	removed.State.Resources, removed.Resources = 1, append(removed.Resources, connector.ResourceChange{ID: "/1"})
	for _, tx := range []connector.Transaction{page(1), page(2), other, removed} {
		if err := l.Commit(t.Context(), []connector.Transaction{tx}); err != nil {
			t.Fatal(err)
		}
	}
	var seen []string
	err := offsets.Resources(t.Context(), client, "team", 2, stream, func(id string, state *connector.ResourceState) {
		if state == nil {
			id = "-" + id
		} else if !slices.Equal(state.Rows, []string{id[1:]}) {
			t.Errorf("%s: %+v", id, state)
		}
		seen = append(seen, id)
	})
	if err != nil || !slices.Equal(seen, []string{"/1", "/2", "/3", "-/1"}) {
		t.Errorf("seen %q, %v", seen, err)
	}
}
