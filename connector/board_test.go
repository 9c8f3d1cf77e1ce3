package connector

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// shown are the offsets of the signals that the board shows, and how far it has read.
func shown(b *board) (offsets []int64, at Position) {
	found, _, last, _ := b.since(0)
	for _, s := range found {
		offsets = append(offsets, s.At.Offset)
	}
	if last != nil {
		at = *last
	}
	return offsets, at
}

func newTestBoard(m *memSignals) *board {
	b := newBoard(Config{TopicPrefix: "cal"}, hclog.NewNullLogger())
	b.reader, b.ready = m, make(chan struct{})
	return b
}

// A signal that is skipped, as of somebody who forgot the key, says so and why.
func TestBoardSaysWhatItSkips(t *testing.T) {
	const value = `{"id":"1","type":"execute-snapshot","data":{"data-collections":["cal.work.events"]}}`
	for _, c := range []struct{ key, value, says string }{
		{"cal", value, ""},
		{"", value, "its key is not the topic prefix"},
		{"other", value, "its key is not the topic prefix"},
		{"cal", "", "cannot be understood"},
		{"cal", "{}", "cannot be understood"},
	} {
		var log strings.Builder
		b := newBoard(Config{TopicPrefix: "cal"}, hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Info}))
		rec := Committed{Offset: 7}
		rec.Key, rec.Value = []byte(c.key), []byte(c.value)
		if got := b.signal(rec); (got != nil) != (c.says == "") {
			t.Errorf("%+v: %+v", c, got)
		}
		if !strings.Contains(log.String(), c.says) || (log.Len() == 0) != (c.says == "") {
			t.Errorf("%+v: says %q", c, log.String())
		}
	}
}

// A record's time is that of the latest so far: by it the topic is told from another of its name, not by a clock that went back.
func TestBoardTimes(t *testing.T) {
	m := &memSignals{}
	for i, topic := range []string{"a", "b", "c"} {
		m.snapshot(topic, "")
		m.recs[i].TimeMs = []int64{100, 50, 200}[i]
	}
	b := newTestBoard(m)
	if _, err := b.read(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	found, _, at, _ := b.since(0)
	for i, want := range []int64{100, 100, 200} {
		if found[i].At.TimeMs != want {
			t.Errorf("%d: %+v", i, found[i].At)
		}
	}
	if *at != (Position{2, 200}) {
		t.Errorf("read up to %+v", *at)
	}
}

// What is read where the last record stood is no longer that record: the topic is read from its beginning.
func TestBoardSeesAnotherTopic(t *testing.T) {
	m := &memSignals{}
	m.snapshot("a", "")
	b := newTestBoard(m)
	last, err := b.read(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	m.recs = nil
	m.snapshot("b", "")
	m.snapshot("c", "")
	if _, err := b.read(t.Context(), last); err == nil {
		t.Error("it was not noticed")
	}
	if _, err := b.read(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if offsets, _ := shown(b); len(offsets) != 3 {
		t.Errorf("shown %v", offsets)
	}
}

// A broker that shows an old log does not lead back: a stream would heed what it has heeded.
func TestBoardIsNotLedBack(t *testing.T) {
	m := &memSignals{}
	m.snapshot("a", "")
	m.snapshot("b", "")
	b := newTestBoard(m)
	if _, err := b.read(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	_, before := shown(b)
	m.recs = m.recs[:1]
	if _, err := b.read(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, at := shown(b); at != before {
		t.Errorf("read up to %+v, then to %+v", before, at)
	}
}

// Of signals that ask for the same the last is kept, and of others so many.
func TestBoardIsBounded(t *testing.T) {
	b := newTestBoard(&memSignals{})
	for b.seq = range maxSignals {
		b.all = append(b.all, &Signal{Type: ExecuteSnapshot, Account: fmt.Sprint(b.seq), At: Position{Offset: int64(b.seq)}, seq: b.seq})
	}
	for offset, account := range []string{"x", "5", "y", "x"} {
		b.show([]*Signal{{Type: ExecuteSnapshot, Account: account, At: Position{Offset: int64(maxSignals + offset)}}}, nil)
	}
	offsets, _ := shown(b)
	if n := len(offsets); n != maxSignals || offsets[0] != 2 || offsets[n-3] != maxSignals+1 || slices.Contains(offsets, 5) {
		t.Errorf("%d are kept from %d", n, offsets[0])
	}
	if more, last, _, _ := b.since(b.seq - 1); len(more) != 1 || last != b.seq {
		t.Errorf("%d follow", len(more))
	}
}

// What is kept takes so many bytes at most, the regular expressions counted.
func TestBoardIsBoundedInBytes(t *testing.T) {
	m := &memSignals{}
	pattern := strings.Repeat("(a{900})", 20)
	for i := range 40 {
		m.snapshot(pattern, fmt.Sprintf(`,"account":"%d"`, i))
	}
	b := newTestBoard(m)
	if _, err := b.read(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	offsets, _ := shown(b)
	if n := len(offsets); n < 5 || n > 20 || offsets[n-1] != 39 || b.size > maxBoard {
		t.Errorf("%d signals of %d bytes: %v", n, b.size, offsets)
	}
	m.snapshot("a", `,"account":"39"`)
	m.snapshot(pattern, `,"account":"39"`)
	before := b.size
	if _, err := b.read(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	sum := 0
	found, _, _, _ := b.since(0)
	for _, s := range found {
		sum += s.size
	}
	if b.size != sum || b.size > maxBoard || before > maxBoard {
		t.Errorf("%d bytes, counted %d", sum, b.size)
	}
}

// A signal topic that cannot be read holds up the start, for a while, and no term after it.
func TestSignalsThatCannotBeReadAreWaitedForOnce(t *testing.T) {
	withWorld(t, func(t *testing.T, w *world) {
		w.asked.err = errLost
		w.up.put(w.up.add("/a/"), "1", "=1")
		w.start()
		time.Sleep(signalsWait - time.Second)
		if n := len(w.ledger.records()); n != 0 {
			t.Errorf("%d records before the signals", n)
		}
		w.polls(1)
		w.check("/a/")
		var polled atomic.Int64 // ms since 1970
		w.up.fail(func(kind string, _ int) error {
			if kind == "home" {
				polled.Store(time.Now().UnixMilli())
			}
			return nil
		})
		loads := func() int {
			w.ledger.mu.Lock()
			defer w.ledger.mu.Unlock()
			return w.ledger.loads
		}
		for range 3 {
			w.ledger.mu.Lock()
			w.ledger.overtaken = true
			w.ledger.mu.Unlock()
			for before := loads(); loads() == before; {
				time.Sleep(time.Second)
			}
			synctest.Wait()
			if since := time.Since(time.UnixMilli(polled.Load())); since > time.Second {
				t.Errorf("the term has begun, and the last poll was %v ago", since)
			}
		}
	})
}
