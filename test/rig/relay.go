package rig

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Line is what the connections with a broker are like. The zero value is a good line.
type Line struct {
	Cut          bool          // none is there
	HoldRequests bool          // requests wait until the line changes, and come late then
	HoldAnswers  bool          // so do answers: what is asked is done, and nobody is told
	Delay        time.Duration // of each request and each answer
}

// Moment is where a request's connection ends.
type Moment int

// The moments of a request.
const (
	Never  Moment = iota
	Before        // the broker never sees the request
	Within        // the broker sees half of it
	After         // the broker does as asked, and its answer is lost
)

func (m Moment) String() string { return [...]string{"never", "before", "within", "after"}[m] }

// Fate is what becomes of a request: when its connection ends, and what is waited for at that moment (nil: nothing).
type Fate struct {
	At   Moment
	Wait func()
}

// Relay stands before a broker and passes on what its clients ask and what it answers.
type Relay struct {
	ln    net.Listener
	judge func(Request) Fate // nil: all pass
	wg    sync.WaitGroup
	ours  atomic.Int64

	mu      sync.Mutex
	target  string
	line    Line
	changed chan struct{}     // closed when line changes
	conns   map[net.Conn]bool // nil: closed
}

// NewRelay listens; judge is asked about each request, by many goroutines.
func NewRelay(t testing.TB, judge func(Request) Fate) *Relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{ln: ln, judge: judge, changed: make(chan struct{}), conns: map[net.Conn]bool{}}
	r.wg.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

// Addr is where clients find the relay.
func (r *Relay) Addr() string { return r.ln.Addr().String() }

// Answered is how many bytes the broker has answered to calcdc.
func (r *Relay) Answered() int64 { return r.ours.Load() }

// To sets the broker's address.
func (r *Relay) To(target string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = target
}

// Set changes the line.
func (r *Relay) Set(line Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.line = line
	close(r.changed)
	r.changed = make(chan struct{})
	if line.Cut {
		r.drop()
	}
}

// drop ends all connections.
func (r *Relay) drop() {
	for conn := range r.conns {
		_ = conn.Close()
		delete(r.conns, conn)
	}
}

func (r *Relay) close() {
	_ = r.ln.Close()
	r.mu.Lock()
	r.drop()
	r.conns, r.line = nil, Line{}
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	r.wg.Wait()
}

func (r *Relay) accept() {
	for {
		client, err := r.ln.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.serve(client) })
	}
}

// serve connects a client with the broker.
func (r *Relay) serve(client net.Conn) {
	r.mu.Lock()
	target := r.target
	r.mu.Unlock()
	broker, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil || !r.keep(client, broker) {
		_ = client.Close()
		return
	}
	p := &pair{Relay: r, client: client, broker: broker, last: make(chan Fate, 1)}
	r.wg.Go(p.requests)
	p.answers()
}

// keep tells whether the connections may be; if not it ends them.
func (r *Relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	may := r.conns != nil && !r.line.Cut
	for _, conn := range conns {
		if may {
			r.conns[conn] = true
		} else {
			_ = conn.Close()
		}
	}
	return may
}

// pass waits as long as the line wants it.
func (r *Relay) pass(held func(Line) bool) {
	for delayed := false; ; {
		r.mu.Lock()
		line, changed := r.line, r.changed
		r.mu.Unlock()
		switch {
		case held(line):
			<-changed
		case line.Delay > 0 && !delayed:
			delayed = true
			select {
			case <-changed:
			case <-time.After(line.Delay):
			}
		default:
			return
		}
	}
}

// pair is a client's connection with that to the broker.
type pair struct {
	*Relay
	client, broker net.Conn
	last           chan Fate // that of the request whose answer is lost
	ours           atomic.Bool
}

func (p *pair) end() {
	_ = p.client.Close()
	_ = p.broker.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, p.client)
	delete(p.conns, p.broker)
}

// requests passes on what the client asks.
func (p *pair) requests() {
	defer p.end()
	for {
		frame, err := readFrame(p.client)
		if err != nil {
			return
		}
		p.pass(func(l Line) bool { return l.HoldRequests })
		var fate Fate
		q := parse(frame)
		p.ours.Store(q.Ours)
		if p.judge != nil {
			fate = p.judge(q)
		}
		switch fate.At {
		case Never:
		case Before, Within:
			if fate.At == Within {
				_, _ = p.broker.Write(frame[:len(frame)/2])
			}
			fate.wait()
			return
		case After:
			select {
			case p.last <- fate:
			default: // an earlier answer ends the connection
			}
		}
		if _, err := p.broker.Write(frame); err != nil {
			return
		}
	}
}

// answers passes on what the broker answers, unless its answer is to be lost.
func (p *pair) answers() {
	defer p.end()
	for {
		frame, err := readFrame(p.broker)
		if err != nil {
			return
		}
		select {
		case fate := <-p.last:
			fate.wait()
			return
		default:
		}
		p.pass(func(l Line) bool { return l.HoldAnswers })
		if p.ours.Load() {
			p.Relay.ours.Add(int64(len(frame)))
		}
		if _, err := p.client.Write(frame); err != nil {
			return
		}
	}
}

func (f Fate) wait() {
	if f.Wait != nil {
		f.Wait()
	}
}
