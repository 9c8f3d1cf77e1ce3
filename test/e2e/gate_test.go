//go:build integration

package e2e

import (
	"bytes"
	"sync"
	"testing"

	"github.com/calcdc/calcdc/test/rig"
)

// moment is where a gate holds a transaction up.
type moment int

const (
	beforeAdd    moment = iota // everything is at hand, and the transaction has not begun
	beforeCommit               // its records are in the log, and EndTxn does not come
	afterCommit                // it is committed, and calcdc is not told
)

func (m moment) String() string {
	return [...]string{"before AddPartitionsToTxn", "between produce and EndTxn", "after EndTxn, unanswered"}[m]
}

// tally counts what is in transactions, by their envelopes and markers.
type tally struct{ reads, changes, deletes, calendars, ends int }

func (a tally) plus(b tally) tally {
	return tally{a.reads + b.reads, a.changes + b.changes, a.deletes + b.deletes, a.calendars + b.calendars, a.ends + b.ends}
}

// count reads a produce request whose batches are not compressed.
func count(frame []byte) tally {
	n := func(s string) int { return bytes.Count(frame, []byte(s)) }
	return tally{n(`"op":"r"`), n(`"op":"c"`) + n(`"op":"u"`), n(`"op":"d"`), n(`"table":"calendars"`), n("snapshot-end")}
}

// hold says which transaction a gate holds up, and where: the first of the data topics for which it is true, told
// what the transaction holds (nothing at beforeAdd) and what has been committed since the gate was armed.
type hold struct {
	at moment
	is func(open, committed tally) bool
}

// gate stands before the broker of one calcdc with one transactional id.
type gate struct {
	*rig.Relay

	mu              sync.Mutex
	armed           *hold
	held            chan struct{} // closed once the transaction is held
	opened          chan struct{} // closed to end what is held
	open, committed tally
}

func newGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{}
	g.Relay = rig.NewRelay(t, g.judge)
	t.Cleanup(g.disarm)
	return g
}

// arm has the gate hold a transaction; the channel is closed once it does.
func (g *gate) arm(h hold) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed, g.held, g.opened = &h, make(chan struct{}), make(chan struct{})
	g.open, g.committed = tally{}, tally{}
	return g.held
}

// disarm ends the connections that are held; what is held never reaches its end.
func (g *gate) disarm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = nil
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

// judge counts a request and tells whether it is held, or its answer.
func (g *gate) judge(q rig.Request) rig.Fate {
	if !q.Ours {
		return rig.Fate{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	at := -1
	switch q.Key {
	case rig.AddPartitions:
		if bytes.Contains(q.Frame, []byte(".work.")) { // no barrier, of the internal topics alone
			at = int(beforeAdd)
		}
	case rig.Produce:
		g.open = g.open.plus(count(q.Frame))
	case rig.EndTransaction:
		at = int(beforeCommit)
	}
	if g.armed != nil && (at == int(g.armed.at) || at == int(beforeCommit) && g.armed.at == afterCommit) && g.armed.is(g.open, g.committed) {
		return g.hold()
	}
	if q.Key == rig.EndTransaction {
		g.committed, g.open = g.committed.plus(g.open), tally{}
	}
	return rig.Fate{}
}

// hold is the fate of what is held until the gate is opened; then its connection ends.
func (g *gate) hold() rig.Fate {
	at := rig.Before
	if g.armed.at == afterCommit {
		at = rig.After
	}
	held, opened := g.held, g.opened
	g.armed = nil
	return rig.Fate{At: at, Wait: func() {
		close(held)
		<-opened
	}}
}
