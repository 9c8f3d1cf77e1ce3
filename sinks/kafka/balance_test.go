package kafka

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
)

// divided fails the test unless each of n partitions has one member and shares are even.
func divided(t *testing.T, shares map[string][]int, n int32) {
	t.Helper()
	var all []int
	least, most := int(n), 0
	for _, share := range shares {
		all = append(all, share...)
		least, most = min(least, len(share)), max(most, len(share))
	}
	slices.Sort(all)
	if len(all) != int(n) || len(slices.Compact(all)) != int(n) {
		t.Fatalf("not each of %d partitions once: %v", n, shares)
	}
	if most-least > 1 {
		t.Fatalf("uneven: %v", shares)
	}
}

// moved counts the partitions that a member did not hold before.
func moved(before, after map[string][]int) int {
	n := 0
	for id, share := range after {
		for _, p := range share {
			if !slices.Contains(before[id], p) {
				n++
			}
		}
	}
	return n
}

// asClaims makes of shares what the members say when they join again.
func asClaims(shares map[string][]int, generation int32) map[string]claim {
	claims := map[string]claim{}
	for id, share := range shares {
		c := claim{Generation: generation}
		for _, p := range share {
			c.Partitions = append(c.Partitions, int32(p))
		}
		claims[id] = c
	}
	return claims
}

// Members come and go: shares are even at once, and no more partitions move than must.
func TestBalanceMovesNoMoreThanItMust(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		n := 1 + rnd.Int32N(40)
		shares, generation, born := map[string][]int{}, int32(0), 0
		for range 12 {
			before := maps.Clone(shares)
			claims := asClaims(shares, generation)
			for range 1 + rnd.IntN(2) {
				if ids := slices.Sorted(maps.Keys(claims)); len(ids) > 1 && rnd.IntN(2) == 0 {
					delete(claims, ids[rnd.IntN(len(ids))])
				} else {
					born++
					claims[fmt.Sprint("m", rnd.IntN(100), "-", born)] = claim{}
				}
			}
			generation++
			shares = balance(claims, n)
			divided(t, shares, n)
			least, more := int(n)/len(claims), int(n)%len(claims)
			must := int(n) // but for what those that stay can keep: of most, the larger share
			var sizes []int
			for id := range claims {
				sizes = append(sizes, len(before[id]))
			}
			slices.SortFunc(sizes, func(a, b int) int { return b - a })
			for i, size := range sizes {
				keep := least
				if i < more {
					keep++
				}
				must -= min(size, keep)
			}
			if got := moved(before, shares); got != must {
				t.Fatalf("seed %d: %d partitions moved, %d had to: %v, then %v", seed, got, must, before, shares)
			}
		}
	}
}

// A member that was paused claims what others have got since: theirs is the later claim.
func TestTheLaterClaimWins(t *testing.T) {
	shares := balance(map[string]claim{
		"paused": {Generation: 4, Partitions: []int32{0, 1, 2, 3}},
		"b":      {Generation: 5, Partitions: []int32{0, 1, 4}},
		"c":      {Generation: 5, Partitions: []int32{2, 3, 5}},
	}, 6)
	divided(t, shares, 6)
	for id, may := range map[string][]int{"b": {0, 1, 4}, "c": {2, 3, 5}} {
		for _, p := range shares[id] {
			if !slices.Contains(may, p) {
				t.Errorf("%s got %d: %v", id, p, shares)
			}
		}
	}
}

// Claims that cannot be, and members that say nothing sensible, do no harm.
func TestBalanceOfNonsense(t *testing.T) {
	divided(t, balance(map[string]claim{
		"a": {Generation: 7, Partitions: []int32{-1, 0, 0, 99, 1 << 30, 0}},
		"b": {Generation: 7, Partitions: []int32{0, 0}},
	}, 3), 3)
	if got := balance(nil, 3); len(got) != 0 {
		t.Error(got)
	}
	s := sticky{topic: "team-offsets", partitions: 2, claim: func() claim { return claim{3, []int32{1}} }}
	mine, err := s.UserData()
	if err != nil {
		t.Fatal(err)
	}
	got := s.AssignGroups([]kafkago.GroupMember{{ID: "a", UserData: []byte("\x00\x01range")}, {ID: "b", UserData: mine}, {ID: "c"}}, nil)
	if len(got) != 3 || !slices.Equal(got["b"]["team-offsets"], []int{1}) || !slices.Equal(got["a"]["team-offsets"], []int{0}) {
		t.Error(got)
	}
}
