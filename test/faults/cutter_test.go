//go:build integration

package faults

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
)

// The requests of a transaction (Kafka's protocol, API keys).
const (
	produce         = 0
	initProducerID  = 22
	addPartitions   = 24
	endTransaction  = 26
	longestRequest  = 64 << 20
	cutBefore       = "before"  // the broker never sees the request
	cutWithin       = "within"  // the broker sees half of it
	cutAfter        = "after"   // the broker does as asked, and its answer is lost
	clientOfCalcdc  = "calcdc-" // how calcdc's client ids begin
	requestOverhead = 14        // api key, version, correlation id, length of the client id …
)

// cutter stands before a broker and cuts calcdc's connections at moments of chance, on purpose the worst ones.
type cutter struct {
	ln     net.Listener
	target string
	wg     sync.WaitGroup

	mu    sync.Mutex
	rng   *rand.Rand
	odds  map[int]int // by API key: one in so many requests is cut; nil: none
	cuts  map[string]int
	conns map[net.Conn]bool // nil: closed
}

func newCutter(t testing.TB, seed uint64) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{ln: ln, rng: rand.New(rand.NewPCG(seed, 0xc07)), cuts: map[string]int{}, conns: map[net.Conn]bool{}}
	c.wg.Go(c.accept)
	t.Cleanup(c.close)
	return c
}

func (c *cutter) addr() string { return c.ln.Addr().String() }

func (c *cutter) close() {
	_ = c.ln.Close()
	c.mu.Lock()
	for conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
	c.mu.Unlock()
	c.wg.Wait()
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

func (c *cutter) accept() {
	for {
		client, err := c.ln.Accept()
		if err != nil {
			return
		}
		broker, err := net.Dial("tcp", c.target)
		if err != nil || !c.keep(client, broker) {
			_ = client.Close()
			continue
		}
		p := &pair{cutter: c, client: client, broker: broker}
		c.wg.Go(p.requests)
		c.wg.Go(p.answers)
	}
}

func (c *cutter) keep(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		if c.conns == nil {
			_ = conn.Close()
			continue
		}
		c.conns[conn] = true
	}
	return c.conns != nil
}

// choose says whether and when to cut.
func (c *cutter) choose(key int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	odds := c.odds[key]
	if odds == 0 || c.rng.IntN(odds) > 0 {
		return ""
	}
	moment := []string{cutBefore, cutWithin, cutAfter, cutAfter}[c.rng.IntN(4)]
	c.cuts[fmt.Sprintf("%d %s", key, moment)]++
	return moment
}

// pair is a client's connection with that to the broker.
type pair struct {
	*cutter
	client, broker net.Conn

	state sync.Mutex
	muted bool // the next answer ends the connection
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
		moment := ""
		if key, ours := header(frame); ours {
			moment = p.choose(key)
		}
		switch moment {
		case cutBefore:
			return
		case cutWithin:
			_, _ = p.broker.Write(frame[:len(frame)/2])
			return
		case cutAfter:
			p.state.Lock()
			p.muted = true
			p.state.Unlock()
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
		p.state.Lock()
		muted := p.muted
		p.state.Unlock()
		if muted {
			return
		}
		if _, err := p.client.Write(frame); err != nil {
			return
		}
	}
}

// readFrame reads a request or an answer with its size before it.
func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > longestRequest {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	frame := make([]byte, 4+n)
	copy(frame, size[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

// header reads a request's API key, and whether calcdc sent it.
func header(frame []byte) (key int, ours bool) {
	if len(frame) < requestOverhead {
		return 0, false
	}
	n := int(int16(binary.BigEndian.Uint16(frame[12:])))
	if n < 0 || len(frame) < requestOverhead+n {
		return 0, false
	}
	return int(binary.BigEndian.Uint16(frame[4:])), strings.HasPrefix(string(frame[14:14+n]), clientOfCalcdc)
}
