package sim

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
)

// dice decides. Each decision is a function of the seed, of what is asked and of how often it was asked before: not
// of the order in which goroutines ask.
type dice struct {
	seed uint64

	mu    sync.Mutex
	asked map[string]uint64
}

func newDice(seed uint64) *dice { return &dice{seed: seed, asked: map[string]uint64{}} }

// roll is a source of chance for one more decision about what.
func (d *dice) roll(what string) *rand.Rand {
	d.mu.Lock()
	d.asked[what]++
	n := d.asked[what]
	d.mu.Unlock()
	h := fnv.New64a()
	_, _ = h.Write([]byte(what))
	return rand.New(rand.NewPCG(d.seed^h.Sum64(), n*0x9e3779b97f4a7c15+d.seed))
}
