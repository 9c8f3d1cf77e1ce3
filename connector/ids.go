package connector

import (
	"hash/maphash"
	"math/bits"
)

// IDs is a set of ids that holds a hash of 64 bits of each: some 10 bytes, however long they are. The hash is keyed anew in each process, so
// that nobody can make two ids of one hash, and of a million ids one more has the hash of another once in 18 million million tries. Nothing
// is lost for good then: what this process takes for shown, the next does not. The zero value is empty.
type IDs struct {
	tables []table // by the hash's lower bits: one, or splitInto of them, so that they grow one at a time
	n      int
}

// A set of more than splitAt ids has splitInto tables.
const (
	splitAt   = 1 << 10
	splitInto = 1 << 8
)

var idSeed = maphash.MakeSeed()

// hashOfID is never 0, which is an empty place in a table.
func hashOfID(id string) uint64 { return max(maphash.String(idSeed, id), 1) }

// Len is how many ids are in.
func (s *IDs) Len() int { return s.n }

// Has tells whether an id is in.
func (s *IDs) Has(id string) bool {
	h := hashOfID(id)
	t := s.table(h)
	return t != nil && t.has(h)
}

// Add puts an id in and tells whether it was not.
func (s *IDs) Add(id string) bool {
	if len(s.tables) == 0 {
		s.tables = make([]table, 1)
	} else if len(s.tables) == 1 && s.n == splitAt {
		s.split()
	}
	h := hashOfID(id)
	added := s.table(h).add(h)
	if added {
		s.n++
	}
	return added
}

// Remove takes an id out.
func (s *IDs) Remove(id string) {
	h := hashOfID(id)
	if t := s.table(h); t != nil && t.remove(h) {
		s.n--
	}
}

// table is the one that h belongs in.
func (s *IDs) table(h uint64) *table {
	switch len(s.tables) {
	case 0:
		return nil
	case 1:
		return &s.tables[0]
	}
	return &s.tables[h%splitInto]
}

func (s *IDs) split() {
	all := s.tables[0].places
	s.tables = make([]table, splitInto)
	for _, h := range all {
		if h != 0 {
			s.table(h).add(h)
		}
	}
}

// table is an open hash table: each hash stands at its home, which its upper bits say, or in the next free place after it.
type table struct {
	places []uint64 // 0 where free; one in eight is
	n      int
}

func (t *table) home(h uint64) int {
	at, _ := bits.Mul64(h, uint64(len(t.places)))
	return int(at)
}

// find is where h stands, or the free place where it would.
func (t *table) find(h uint64) int {
	at := t.home(h)
	for t.places[at] != 0 && t.places[at] != h {
		at = t.after(at)
	}
	return at
}

func (t *table) after(at int) int {
	if at++; at == len(t.places) {
		return 0
	}
	return at
}

func (t *table) has(h uint64) bool { return t.n > 0 && t.places[t.find(h)] == h }

func (t *table) add(h uint64) bool {
	if t.n >= len(t.places)/8*7 {
		t.grow()
	}
	at := t.find(h)
	if t.places[at] == h {
		return false
	}
	t.places[at] = h
	t.n++
	return true
}

// grow makes room for a quarter more.
func (t *table) grow() {
	old := t.places
	t.places = make([]uint64, (len(old)+len(old)/4)/8*8+8)
	for _, h := range old {
		if h != 0 {
			t.places[t.find(h)] = h
		}
	}
}

// remove takes h out, and moves what stands behind it to where it would stand without it.
func (t *table) remove(h uint64) bool {
	if !t.has(h) {
		return false
	}
	hole := t.find(h)
	for at := t.after(hole); t.places[at] != 0; at = t.after(at) {
		if t.distance(t.home(t.places[at]), at) >= t.distance(hole, at) {
			t.places[hole] = t.places[at]
			hole = at
		}
	}
	t.places[hole] = 0
	t.n--
	return true
}

// distance is how many places to lies behind from.
func (t *table) distance(from, to int) int {
	if to < from {
		to += len(t.places)
	}
	return to - from
}
