package offsets

import (
	"hash/maphash"
	"sync"
)

// filter tells of most keys that were never put in that they were not, in about two bytes a key: a first snapshot, and a load,
// ask of each key whether there is something of it.
type filter struct {
	mu    sync.RWMutex
	parts []filterPart // each four times as large as the one before
}

type filterPart struct {
	bits []uint64
	room int // for so many keys more
}

const (
	filterFirst  = 8 // words of the first part
	filterProbes = 9
	filterBits   = 16 // a key
)

var filterSeed = maphash.MakeSeed()

func (f *filter) add(key []byte) {
	h := maphash.Bytes(filterSeed, key)
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.parts)
	if n == 0 || f.parts[n-1].room == 0 {
		words := filterFirst << (2 * n)
		f.parts = append(f.parts, filterPart{bits: make([]uint64, words), room: words * 64 / filterBits})
		n++
	}
	p := &f.parts[n-1]
	p.room--
	for i := range uint64(filterProbes) {
		at := probe(h, i, len(p.bits))
		p.bits[at/64] |= 1 << (at % 64)
	}
}

// may tells whether the key may have been added.
func (f *filter) may(key []byte) bool {
	h := maphash.Bytes(filterSeed, key)
	f.mu.RLock()
	defer f.mu.RUnlock()
	for n := len(f.parts) - 1; n >= 0; n-- {
		if f.parts[n].has(h) {
			return true
		}
	}
	return false
}

func (p *filterPart) has(h uint64) bool {
	for i := range uint64(filterProbes) {
		if at := probe(h, i, len(p.bits)); p.bits[at/64]&(1<<(at%64)) == 0 {
			return false
		}
	}
	return true
}

// probe is the i-th bit of a key; the number of words is a power of two.
func probe(h, i uint64, words int) uint64 {
	return (h>>32 + i*(h|1)) & uint64(words*64-1)
}
