package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// network is a network in memory. Its waits are on channels and on time, so that a bubble's time goes on while
// somebody waits for an answer.
type network struct {
	mu        sync.Mutex
	listeners map[string]*listener
	answers   map[string][]byte // to requests that a deposed leader might answer
	met       *tally
}

func newNetwork() *network {
	return &network{listeners: map[string]*listener{}, answers: map[string][]byte{}}
}

var (
	errRefused = errors.New("connection refused")
	errReset   = errors.New("connection reset by peer")
)

// Listen is a net.Listen.
func (n *network) Listen(_, _ string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &listener{n: n, addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9000 + len(n.listeners)}, queue: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[l.addr.String()] = l
	return l, nil
}

type listener struct {
	n      *network
	addr   *net.TCPAddr
	queue  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }

// fate is what becomes of one request on its way.
type fate struct {
	wait   time.Duration // before it arrives
	back   time.Duration // before its answer does
	lost   bool          // it never arrives, and the connection breaks
	mute   bool          // it arrives, and the connection breaks instead of bringing the answer
	silent bool          // it arrives, and no answer ever comes
	stale  bool          // it is answered as the same request was answered before, where it was
}

// host is one process on the network: what it sends has a fate, and it can be cut off.
type host struct {
	n    *network
	fate func(api int16, broker string) fate

	mu    sync.Mutex
	dead  bool
	until time.Time // nothing passes before
	conns map[*end]struct{}
}

func (n *network) host(f func(api int16, broker string) fate) *host {
	return &host{n: n, fate: f, conns: map[*end]struct{}{}}
}

// Dial is a net.Dialer's DialContext.
func (h *host) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	h.n.mu.Lock()
	l := h.n.listeners[address]
	h.n.mu.Unlock()
	h.mu.Lock()
	dead := h.dead
	h.mu.Unlock()
	if l == nil || dead {
		return nil, fmt.Errorf("dialing %s: %w", address, errRefused)
	}
	there, back := newPipe(), newPipe()
	client := &end{in: back, out: there, host: h, local: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, remote: l.addr}
	server := &end{in: there, out: back, peer: client, local: l.addr, remote: client.local}
	select {
	case l.queue <- server:
	case <-l.closed:
		return nil, fmt.Errorf("dialing %s: %w", address, errRefused)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead {
		_ = client.Close()
		return nil, errRefused
	}
	h.conns[client] = struct{}{}
	return client, nil
}

// stall holds back whatever the host sends or is sent for a while.
func (h *host) stall(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until = time.Now().Add(d)
}

func (h *host) held() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Until(h.until)
}

// kill cuts every connection of the host, and lets it make no more.
func (h *host) kill() {
	h.mu.Lock()
	h.dead = true
	conns := h.conns
	h.conns = nil
	h.mu.Unlock()
	for c := range conns {
		_ = c.Close()
	}
}

// pipe is one direction of a connection.
type pipe struct {
	mu      sync.Mutex
	buf     []byte
	err     error // after buf
	changed chan struct{}
}

func newPipe() *pipe { return &pipe{changed: make(chan struct{})} }

func (p *pipe) note() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pipe) write(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	p.buf = append(p.buf, b...)
	p.note()
	return nil
}

func (p *pipe) close(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		p.note()
	}
}

// end is one end of a connection.
type end struct {
	in, out       *pipe
	local, remote net.Addr
	host          *host // of a client's end
	peer          *end  // of a server's end

	mu       sync.Mutex
	deadline time.Time
	moved    chan struct{} // closed when the deadline moves
	pending  []byte        // of a client: a request that is not whole yet
	sent     []sent        // of a client: requests that wait for an answer, in order
}

// sent is a request on its way: what it asks for, its correlation id aside.
type sent struct {
	fate
	asks string
}

func (e *end) Read(b []byte) (int, error) {
	for {
		e.mu.Lock()
		deadline := e.deadline
		if e.moved == nil {
			e.moved = make(chan struct{})
		}
		moved := e.moved
		e.mu.Unlock()
		e.in.mu.Lock()
		if n := copy(b, e.in.buf); n > 0 {
			e.in.buf = e.in.buf[n:]
			e.in.mu.Unlock()
			return n, nil
		}
		err, changed := e.in.err, e.in.changed
		e.in.mu.Unlock()
		if err != nil {
			return 0, err
		}
		if !waitFor(changed, moved, deadline) {
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// waitFor is false where the deadline strikes first.
func waitFor(changed, moved <-chan struct{}, deadline time.Time) bool {
	var strikes <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		strikes = timer.C
	}
	select {
	case <-changed:
	case <-moved:
	case <-strikes:
		return false
	}
	return true
}

// Write sends whole requests, each to its fate, and answers as their requests' fates have it.
func (e *end) Write(b []byte) (int, error) {
	if e.host == nil {
		return e.answer(b)
	}
	e.pending = append(e.pending, b...)
	for len(e.pending) >= 6 {
		n := 4 + int(binary.BigEndian.Uint32(e.pending))
		if len(e.pending) < n {
			break
		}
		f := e.host.fate(int16(binary.BigEndian.Uint16(e.pending[4:])), e.remote.String())
		time.Sleep(max(f.wait, e.host.held()))
		if f.lost {
			_ = e.Close()
			return 0, errReset
		}
		e.mu.Lock()
		e.sent = append(e.sent, sent{f, string(e.pending[4:8]) + e.remote.String() + string(e.pending[12:n])})
		e.mu.Unlock()
		if err := e.out.write(e.pending[:n]); err != nil {
			return 0, err
		}
		e.pending = e.pending[n:]
	}
	return len(b), nil
}

func (e *end) answer(b []byte) (int, error) {
	c := e.peer
	c.mu.Lock()
	q := c.sent[0]
	c.sent = c.sent[1:]
	c.mu.Unlock()
	time.Sleep(max(q.back, c.host.held()))
	out := c.host.n.remembered(q, b)
	switch {
	case q.silent:
		return len(b), nil
	case q.mute:
		_ = c.Close()
		return 0, errReset
	}
	return len(b), e.out.write(out)
}

// remembered is what a deposed leader answers: what it, or another, answered before to the same request.
func (n *network) remembered(q sent, b []byte) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	before, known := n.answers[q.asks]
	if q.stale && known {
		n.met.add("stale answer")
		return append(append(slices.Clone(before[:4]), b[4:8]...), before[8:]...)
	}
	if api := int16(binary.BigEndian.Uint16([]byte(q.asks))); api == 1 || api == 2 {
		n.answers[q.asks] = slices.Clone(b)
	}
	return b
}

func (e *end) Close() error {
	e.in.close(net.ErrClosed)
	e.out.close(io.EOF)
	if h := e.host; h != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.conns, e)
	}
	return nil
}

func (e *end) SetDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deadline = t
	if e.moved != nil {
		close(e.moved)
		e.moved = nil
	}
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error  { return e.SetDeadline(t) }
func (e *end) SetWriteDeadline(t time.Time) error { return nil }
func (e *end) LocalAddr() net.Addr                { return e.local }
func (e *end) RemoteAddr() net.Addr               { return e.remote }
