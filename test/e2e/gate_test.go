//go:build integration

package e2e

import (
	"bytes"
	bigend "encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// The requests of a transaction (Kafka's protocol, API keys).
const (
	produceKey       = 0
	addPartitionsKey = 24
	endTxnKey        = 26
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
	ln     net.Listener
	target string
	wg     sync.WaitGroup

	mu              sync.Mutex
	conns           map[net.Conn]bool // nil: closed
	armed           *hold
	held            chan struct{} // closed once the transaction is held
	opened          chan struct{} // closed to end what is held
	open, committed tally
}

func newGate(t testing.TB) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{ln: ln, conns: map[net.Conn]bool{}}
	g.wg.Go(g.accept)
	t.Cleanup(g.close)
	return g
}

func (g *gate) addr() string { return g.ln.Addr().String() }

func (g *gate) close() {
	g.disarm()
	_ = g.ln.Close()
	g.mu.Lock()
	for conn := range g.conns {
		_ = conn.Close()
	}
	g.conns = nil
	g.mu.Unlock()
	g.wg.Wait()
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

func (g *gate) accept() {
	for {
		client, err := g.ln.Accept()
		if err != nil {
			return
		}
		broker, err := net.Dial("tcp", g.target)
		if err != nil || !g.keep(client, broker) {
			_ = client.Close()
			continue
		}
		late := make(chan (<-chan struct{}), 1)
		g.wg.Go(func() { g.requests(client, broker, late) })
		g.wg.Go(func() { g.answers(client, broker, late) })
	}
}

func (g *gate) keep(conns ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, conn := range conns {
		if g.conns == nil {
			_ = conn.Close()
			continue
		}
		g.conns[conn] = true
	}
	return g.conns != nil
}

func (g *gate) end(conns ...net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
		delete(g.conns, conn)
	}
}

// requests passes on what the client asks, until one is held.
func (g *gate) requests(client, broker net.Conn, late chan<- (<-chan struct{})) {
	defer g.end(client, broker)
	for {
		frame, err := readFrame(client)
		if err != nil {
			return
		}
		wait, answer := g.pass(frame)
		switch {
		case wait != nil && answer:
			late <- wait
		case wait != nil:
			<-wait
			return
		}
		if _, err := broker.Write(frame); err != nil {
			return
		}
	}
}

// answers passes on what the broker answers, but not the one that is held.
func (g *gate) answers(client, broker net.Conn, late <-chan (<-chan struct{})) {
	defer g.end(client, broker)
	for {
		frame, err := readFrame(broker)
		if err != nil {
			return
		}
		select {
		case wait := <-late:
			g.mu.Lock()
			close(g.held)
			g.mu.Unlock()
			<-wait
			return
		default:
		}
		if _, err := client.Write(frame); err != nil {
			return
		}
	}
}

// pass counts a request and tells whether it is held, or its answer, until wait is closed.
func (g *gate) pass(frame []byte) (wait <-chan struct{}, answer bool) {
	key, ours := header(frame)
	if !ours {
		return nil, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	at := -1
	switch key {
	case addPartitionsKey:
		if bytes.Contains(frame, []byte(".work.")) { // no barrier, of the internal topics alone
			at = int(beforeAdd)
		}
	case produceKey:
		g.open = g.open.plus(count(frame))
	case endTxnKey:
		at = int(beforeCommit)
	}
	if g.armed != nil && (at == int(g.armed.at) || at == int(beforeCommit) && g.armed.at == afterCommit) && g.armed.is(g.open, g.committed) {
		answer = g.armed.at == afterCommit
		g.armed = nil
		if !answer {
			close(g.held)
		}
		return g.opened, answer
	}
	if key == endTxnKey {
		g.committed, g.open = g.committed.plus(g.open), tally{}
	}
	return nil, false
}

// readFrame reads a request or an answer with its size before it.
func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := bigend.BigEndian.Uint32(size[:])
	if n > 64<<20 {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	frame := make([]byte, 4+n)
	copy(frame, size[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

// header reads a request's API key, and whether calcdc sent it: size, key, version, correlation id, client id.
func header(frame []byte) (key int, ours bool) {
	const fixed = 14
	if len(frame) < fixed {
		return 0, false
	}
	n := int(int16(bigend.BigEndian.Uint16(frame[12:])))
	if n < 0 || len(frame) < fixed+n {
		return 0, false
	}
	return int(bigend.BigEndian.Uint16(frame[4:])), strings.HasPrefix(string(frame[fixed:fixed+n]), "calcdc-")
}
