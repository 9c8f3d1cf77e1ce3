package connector

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
)

// TestIDs puts ids in, and takes them out, beside a map that is asked the same.
func TestIDs(t *testing.T) {
	for _, tt := range []struct{ ids, steps int }{{1, 10}, {10, 200}, {40, 2_000}, {1_100, 8_000}, {20_000, 200_000}} {
		t.Run(strconv.Itoa(tt.ids), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(tt.ids)))
			s, want := IDs{}, map[string]bool{}
			for range tt.steps {
				id := strconv.Itoa(r.IntN(tt.ids))
				if r.IntN(3) > 0 {
					if got := s.Add(id); got == want[id] {
						t.Fatalf("adding %s: %v", id, got)
					}
					want[id] = true
				} else {
					s.Remove(id)
					delete(want, id)
				}
			}
			if s.Len() != len(want) {
				t.Errorf("%d ids, not %d", s.Len(), len(want))
			}
			for i := range tt.ids + 10 {
				if id := strconv.Itoa(i); s.Has(id) != want[id] {
					t.Errorf("%s: %v", id, s.Has(id))
				}
			}
		})
	}
}

// TestIDsAreSmall holds what an id takes, at each size that a set grows through.
func TestIDsAreSmall(t *testing.T) {
	s, before := IDs{}, heapNow()
	for i := range 400_000 {
		s.Add("/calendars/alice/work/" + strconv.Itoa(i) + ".ics")
		if i%40_000 != 39_999 {
			continue
		}
		if took := float64(heapNow()-before) / float64(i+1); took > 13 {
			t.Errorf("%d ids take %.1f bytes each", i+1, took)
		}
	}
	runtime.KeepAlive(s.tables)
}

func heapNow() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
