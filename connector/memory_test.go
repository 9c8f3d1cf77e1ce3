package connector

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// memLedger is a Ledger in memory: what it holds is what a fold of its committed transactions holds.
type memLedger struct {
	mu      sync.Mutex
	streams map[Stream]*memStream
	log     []Record
	txs     []Transaction
	fault   func(n int) (apply bool, err error) // of the n-th commit, from 1
	commits int
	loads   int
	slow    atomic.Int64 // how long a commit takes

	overtaken bool              // until the next Load
	doubt     error             // the same: what is committed is unknown, though no commit has failed
	lost      map[Stream]string // reasons, until Mend
	blank     bool              // what is lost does not show before a Mend has found out: nothing is known of it
	mend      func(Stream) error
	mends     int
	terms     int // of leases so far
	fenced    int // how often one was told that it is no longer the last
}

// fail sets what befalls commits; nil: nothing.
func (l *memLedger) fail(fault func(n int) (apply bool, err error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = fault
}

// failNext makes the next commit fail, and no other.
func (l *memLedger) failNext(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.commits + 1
	l.fault = func(n int) (bool, error) {
		if n == at {
			return false, err
		}
		return true, nil
	}
}

// lease is a memLedger in the hands of one of several owners: only the last that has loaded it can commit.
type lease struct {
	*memLedger
	term int
}

func (l *lease) Load(ctx context.Context) (map[Stream]*Checkpoint, error) {
	l.mu.Lock()
	l.terms++
	l.term = l.terms
	l.mu.Unlock()
	return l.memLedger.Load(ctx)
}

func (l *lease) Overtaken(context.Context) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.ours(), nil
}

func (l *lease) Commit(ctx context.Context, txs []Transaction) error {
	return l.commit(ctx, txs, l.ours)
}

// ours tells whether the lease is the last; the caller holds mu.
func (l *lease) ours() bool {
	if l.terms != l.term {
		l.fenced++
	}
	return l.terms == l.term
}

type memStream struct {
	mu        sync.RWMutex
	offset    *Offset
	state     *StreamState
	resources map[string]ResourceState
	rows      map[string]RowChange
}

var errLost = errors.New("connection lost")

func newMemLedger() *memLedger { return &memLedger{streams: map[Stream]*memStream{}} }

// only is the ledger of whatever partition: there is but one.
func (l *memLedger) only(int32) Ledger { return l }

func (l *memLedger) stream(s Stream) *memStream {
	m, ok := l.streams[s]
	if !ok {
		m = &memStream{resources: map[string]ResourceState{}, rows: map[string]RowChange{}}
		l.streams[s] = m
	}
	return m
}

func (l *memLedger) Load(context.Context) (map[Stream]*Checkpoint, error) {
	l.mu.Lock()
	all := map[Stream]*Checkpoint{}
	names := make([]Stream, 0, len(l.streams))
	l.loads++
	l.overtaken, l.doubt = false, nil
	for s, m := range l.streams {
		lost := l.lost[s] != ""
		if lost && !l.blank || !lost && (m.state != nil || m.offset != nil) {
			names = append(names, s)
		}
	}
	l.mu.Unlock()
	for _, s := range names {
		all[s] = l.Open(s)
	}
	return all, nil
}

func (l *memLedger) Open(s Stream) *Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.stream(s)
	cp := &Checkpoint{Stream: s, Index: m}
	if reason := l.lost[s]; reason != "" {
		if l.blank {
			return cp
		}
		cp.Lost = errors.New(reason)
		if reason == StateLost { // its record is missing
			return cp
		}
	}
	if m.offset != nil {
		o := *m.offset
		cp.Offset = &o
	}
	if m.state != nil {
		st := *m.state
		cp.State = &st
	}
	return cp
}

// Mend leaves everything known, and a reset due.
func (l *memLedger) Mend(_ context.Context, s Stream) (*Checkpoint, error) {
	l.mu.Lock()
	if l.lost[s] != "" {
		l.mends++
	}
	mend := l.mend
	l.mu.Unlock()
	if mend != nil {
		if err := mend(s); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	if l.lost[s] != "" && l.blank {
		l.blank = false
		l.mu.Unlock()
		return nil, ErrDoubt
	}
	if reason := l.lost[s]; reason != "" {
		m := l.streams[s]
		m.state.Due, m.offset = reason, nil
		if m.state.Phase == Snapshot {
			m.state.Phase = Streaming
		}
		delete(l.lost, s)
	}
	l.mu.Unlock()
	return l.Open(s), nil
}

func (l *memLedger) Overtaken(context.Context) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.overtaken, l.doubt
}

func (l *memLedger) Commit(ctx context.Context, txs []Transaction) error {
	return l.commit(ctx, txs, func() bool { return true })
}

func (l *memLedger) commit(ctx context.Context, txs []Transaction, ours func() bool) error {
	time.Sleep(time.Duration(l.slow.Load())) // not under the lock: in a bubble, time stands still while somebody waits for one
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if !ours() {
		return ErrFenced
	}
	l.commits++
	apply, err := true, error(nil)
	if l.fault != nil {
		apply, err = l.fault(l.commits)
	}
	for _, tx := range txs {
		if apply {
			l.apply(tx)
		}
	}
	return err
}

// records are what has been published.
func (l *memLedger) records() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.log)
}

// count is how many commits were tried.
func (l *memLedger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.commits
}

func (l *memLedger) apply(tx Transaction) {
	m := l.stream(tx.Stream)
	m.mu.Lock()
	defer m.mu.Unlock()
	l.log = append(l.log, tx.Records...)
	l.txs = append(l.txs, tx)
	if tx.State != nil {
		st := *tx.State
		m.state = &st
	}
	if tx.Forget {
		m.offset = nil
	} else if tx.Offset != nil {
		o := *tx.Offset
		m.offset = &o
	}
	for _, r := range tx.Resources {
		if r.State == nil {
			delete(m.resources, r.ID)
		} else {
			m.resources[r.ID] = *r.State
		}
	}
	for _, r := range tx.Rows {
		if r.Deleted {
			delete(m.rows, r.ID)
		} else {
			m.rows[r.ID] = r
		}
	}
}

func (m *memStream) Resource(id string) (ResourceState, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.resources[id]
	return r, ok
}

func (m *memStream) Row(id string) (Hash, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.rows[id]
	return r.Hash, ok
}

func (m *memStream) Body(id string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.rows[id].Body, nil
}

func (m *memStream) Resources() iter.Seq2[string, ResourceState] {
	m.mu.RLock()
	all := maps.Clone(m.resources)
	m.mu.RUnlock()
	return func(yield func(string, ResourceState) bool) {
		for _, id := range slices.Sorted(maps.Keys(all)) {
			if !yield(id, all[id]) {
				return
			}
		}
	}
}

func (m *memStream) Unread() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var ids []string
	for id, r := range m.resources {
		if r.Unknown {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *memStream) Children(parent string) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var ids []string
	for id, r := range m.resources {
		if parent != "" && r.Parent == parent {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// counts are the resources and rows held.
func (m *memStream) counts() (resources, rows int64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return int64(len(m.resources)), int64(len(m.rows))
}

type fixedTopics int32

func (n fixedTopics) Partitions(context.Context, string) (int32, error) { return int32(n), nil }

type noObserver struct{}

func (noObserver) Stream(Status)                    {}
func (noObserver) Published(Stream, map[string]int) {}
func (noObserver) Reset(Stream, string)             {}
func (noObserver) Account(string, string, error)    {}
func (noObserver) Assigned([]int32)                 {}
func (noObserver) Left(string, string)              {}
