package offsets

import (
	"testing"
	"time"
)

// A cache counts nothing as folded where a commit that is under way may still land, however far others have come meanwhile; nor is what
// others prove younger than that commit.
func TestCacheCountsNothingInFlight(t *testing.T) {
	l := &Ledger{fold: newFold("n", true)}
	l.fold.shelf = &shelf{}
	l.offsets.next, l.state.next = 10, 100
	slow := l.depart()
	slow.began = slow.began.Add(-time.Hour)
	fast := l.depart()
	places := l.advance(fast, [2]print{{Offset: 20, Sum: 1}, {Offset: 200, Sum: 1}})
	if places[0].Next != 10 || places[1].Next != 100 || places[0].Ms != slow.began.UnixMilli() {
		t.Errorf("with one under way: %+v, %+v", places[0], places[1])
	}
	if l.offsets.next != 21 || l.state.next != 201 {
		t.Errorf("the fold itself is at %d and %d", l.offsets.next, l.state.next)
	}
	places = l.advance(slow, [2]print{{Offset: 15, Sum: 1}, {Offset: 150, Sum: 1}})
	if places[0].Next != 21 || places[1].Next != 201 {
		t.Errorf("with none under way: %+v, %+v", places[0], places[1])
	}
}
