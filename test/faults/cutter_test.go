//go:build integration

package faults

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/calcdc/calcdc/test/rig"
)

// cutter stands before a broker and cuts calcdc's connections at moments of chance, on purpose the worst ones.
type cutter struct {
	*rig.Relay

	mu   sync.Mutex
	rng  *rand.Rand
	odds map[int]int // by API key: one in so many requests is cut; nil: none
	cuts map[string]int
}

func newCutter(t testing.TB, seed uint64) *cutter {
	t.Helper()
	c := &cutter{rng: rand.New(rand.NewPCG(seed, 0xc07)), cuts: map[string]int{}}
	c.Relay = rig.NewRelay(t, c.choose)
	return c
}

// arm sets the odds.
func (c *cutter) arm(odds map[int]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.odds = odds
}

// counts are the cuts so far, by API key and moment.
func (c *cutter) counts() (all int, by string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.cuts {
		all += n
	}
	return all, fmt.Sprint(c.cuts)
}

// choose says whether and when to cut.
func (c *cutter) choose(q rig.Request) rig.Fate {
	c.mu.Lock()
	defer c.mu.Unlock()
	odds := c.odds[q.Key]
	if !q.Ours || odds == 0 || c.rng.IntN(odds) > 0 {
		return rig.Fate{}
	}
	at := []rig.Moment{rig.Before, rig.Within, rig.After, rig.After}[c.rng.IntN(4)]
	c.cuts[fmt.Sprintf("%d %s", q.Key, at)]++
	return rig.Fate{At: at}
}
