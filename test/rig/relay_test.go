package rig

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a broker that answers each request with its own bytes, and counts them.
type echo struct {
	ln    net.Listener
	wg    sync.WaitGroup
	asked atomic.Int64
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{ln: ln}
	e.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			e.wg.Go(func() {
				defer conn.Close()
				for {
					frame, err := readFrame(conn)
					if err != nil {
						return
					}
					e.asked.Add(1)
					_, _ = conn.Write(frame)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		e.wg.Wait()
	})
	return e
}

// relayed is a relay before an echo.
func relayed(t *testing.T, judge func(Request) Fate) (*Relay, *echo) {
	t.Helper()
	e := newEcho(t)
	r := NewRelay(t, judge)
	r.To(e.ln.Addr().String())
	return r, e
}

func request(key int) []byte {
	client := clientOfCalcdc + "x"
	frame := binary.BigEndian.AppendUint32(nil, uint32(fixedHeader-4+len(client)))
	frame = binary.BigEndian.AppendUint16(frame, uint16(key))
	frame = append(frame, 0, 0, 0, 0, 0, 0) // version, correlation id
	return append(binary.BigEndian.AppendUint16(frame, uint16(len(client))), client...)
}

func dial(t *testing.T, r *Relay) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask sends a request and waits for its answer for as long as within.
func ask(conn net.Conn, key int, within time.Duration) error {
	frame := request(key)
	if _, err := conn.Write(frame); err != nil {
		return err
	}
	return answered(conn, frame, within)
}

func answered(conn net.Conn, frame []byte, within time.Duration) error {
	_ = conn.SetReadDeadline(time.Now().Add(within))
	got := make([]byte, len(frame))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if !bytes.Equal(got, frame) {
		return errors.New("another answer")
	}
	return nil
}

const (
	moment = 100 * time.Millisecond
	enough = 10 * time.Second
)

func TestRelayHoldsAndPassesOnLate(t *testing.T) {
	for name, line := range map[string]Line{"requests": {HoldRequests: true}, "answers": {HoldAnswers: true}} {
		t.Run(name, func(t *testing.T) {
			r, e := relayed(t, nil)
			conn := dial(t, r)
			if err := ask(conn, Produce, enough); err != nil {
				t.Fatal(err)
			}
			r.Set(line)
			if err := ask(conn, Produce, moment); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("an answer came: %v", err)
			}
			if n := e.asked.Load(); line.HoldRequests && n != 1 || line.HoldAnswers && n != 2 {
				t.Errorf("the broker was asked %d times", n)
			}
			r.Set(Line{})
			if err := answered(conn, request(Produce), enough); err != nil {
				t.Errorf("what was held does not come: %v", err)
			}
		})
	}
}

func TestRelayCuts(t *testing.T) {
	r, _ := relayed(t, nil)
	conn := dial(t, r)
	if err := ask(conn, Produce, enough); err != nil {
		t.Fatal(err)
	}
	r.Set(Line{Cut: true})
	for _, c := range []net.Conn{conn, dial(t, r)} {
		if err := ask(c, Produce, enough); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a connection is there: %v", err)
		}
	}
	r.Set(Line{Delay: 2 * moment})
	began := time.Now()
	if err := ask(dial(t, r), Produce, enough); err != nil || time.Since(began) < 4*moment {
		t.Errorf("an answer after %v, error %v", time.Since(began), err)
	}
}

func TestRelayEndsConnectionsAtRequests(t *testing.T) {
	for at, asked := range map[Moment]int64{Before: 0, Within: 0, After: 1} {
		var waited atomic.Bool
		r, e := relayed(t, func(q Request) Fate {
			if !q.Ours || q.Key != EndTransaction {
				return Fate{}
			}
			return Fate{At: at, Wait: func() { waited.Store(true) }}
		})
		conn := dial(t, r)
		if err := ask(conn, AddPartitions, enough); err != nil {
			t.Fatal(err)
		}
		if err := ask(conn, EndTransaction, enough); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v: %v", at, err)
		}
		if n := e.asked.Load() - 1; n != asked || !waited.Load() {
			t.Errorf("%v: the broker saw %d requests, want %d; waited %t", at, n, asked, waited.Load())
		}
	}
}
