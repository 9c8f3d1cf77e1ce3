package connector

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	signalsEvery = time.Second      // how often the signal topic is looked at
	signalsWait  = 10 * time.Second // how long a term waits for what stands in it
	maxSignals   = 10_000           // that are kept; of those that ask for the same, the last counts
	maxBoard     = 16 << 20         // bytes of all that are kept
)

// SignalReader reads the signal topic.
type SignalReader interface {
	// End is the offset behind the last record of a partition.
	End(ctx context.Context, topic string, partition int32) (int64, error)
	// Read yields the committed records from ≤ offset < until in order; an error comes last. From 0 is the beginning, wherever it is.
	Read(ctx context.Context, topic string, partition int32, from, until int64) iter.Seq2[Committed, error]
}

// board shows the signals that stand in the signal topic, as far as it has been read, to every stream of this process.
// What a stream has heeded is in its state: a signal that is shown again, here or in another process, is heeded once.
type board struct {
	reader SignalReader
	topic  string
	key    []byte // of signals: the topic prefix
	log    hclog.Logger
	ready  chan struct{} // closed once all that stood there at the start is shown

	mu    sync.Mutex
	all   []*Signal // in the order of seq
	size  int       // of all
	seq   int       // of the last
	at    *Position // of the last record read; nil: none
	fresh chan struct{}
	until time.Time // terms wait for the start no longer; zero: none has waited yet
	late  sync.Once // says so
}

func newBoard(cfg Config, log hclog.Logger) *board {
	b := &board{topic: cfg.SignalTopic(), key: []byte(cfg.TopicPrefix), log: log, ready: make(chan struct{}), fresh: make(chan struct{})}
	close(b.ready)
	return b
}

// Heed makes the connector carry out what is asked for in the signal topic. It comes before Run.
func (c *Connector) Heed(r SignalReader) { c.board.reader, c.board.ready = r, make(chan struct{}) }

// run reads the topic until ctx ends. After any trouble it is read from its beginning: it may be another topic by then.
func (b *board) run(ctx context.Context) {
	if b.reader == nil {
		return
	}
	var last *Committed
	failing, retry := false, newBackOff(signalsEvery, time.Minute)
	for {
		next, err := b.read(ctx, last)
		if err != nil && last != nil {
			b.log.Debug("reading the signals anew", "topic", b.topic, "error", err)
			next, err = b.read(ctx, nil)
		}
		if ctx.Err() != nil {
			return
		}
		wait := signalsEvery
		if err != nil {
			wait = retry.NextBackOff()
		} else {
			retry.Reset()
		}
		if err != nil && !failing {
			b.log.Warn("signals cannot be read, trying on", "topic", b.topic, "error", err)
		}
		last, failing = next, err != nil
		if !sleep(ctx, wait) {
			return
		}
	}
}

// read shows what stands behind last, nil: in the whole topic, and returns the last record. Its time is the latest so far.
func (b *board) read(ctx context.Context, last *Committed) (*Committed, error) {
	end, err := b.reader.End(ctx, b.topic, 0)
	if err != nil {
		return nil, err
	}
	from, known := int64(0), last != nil
	if known {
		from = last.Offset
	}
	if known && end == from+1 {
		return last, nil
	}
	if known && end <= from {
		return nil, fmt.Errorf("it ends at %d, before what stood at %d", end, from)
	}
	var found []*Signal
	for rec, err := range b.reader.Read(ctx, b.topic, 0, from, end) {
		if err != nil {
			return nil, err
		}
		if known { // again, to see that it is still there
			if rec.Offset != from || !bytes.Equal(rec.Value, last.Value) {
				return nil, fmt.Errorf("what stood at %d is no longer there", from)
			}
			known = false
			continue
		}
		if last != nil {
			rec.TimeMs = max(rec.TimeMs, last.TimeMs)
		}
		if s := b.signal(rec); s != nil {
			found = append(found, s)
		}
		last = &rec
	}
	b.show(found, last)
	return last, nil
}

// signal is what a record asks for, nil where it is no signal.
func (b *board) signal(rec Committed) *Signal {
	if !bytes.Equal(rec.Key, b.key) {
		b.log.Warn("a signal is skipped: its key is not the topic prefix", "topic", b.topic, "offset", rec.Offset, "prefix", string(b.key))
		return nil
	}
	s, err := ParseSignal(rec.Value)
	if err != nil {
		b.log.Warn("a signal is skipped: it cannot be understood", "topic", b.topic, "offset", rec.Offset, "error", err)
		return nil
	}
	s.At = Position{Offset: rec.Offset, TimeMs: rec.TimeMs}
	return &s
}

// show hangs up signals, and that all up to last is shown.
func (b *board) show(found []*Signal, last *Committed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range found {
		b.hang(s)
		if s.At.beyond(b.at) && b.started() {
			b.log.Info("signal", "type", string(s.Type), "id", s.ID, "offset", s.At.Offset, "topics", s.Topics, "account", s.Account, "collection", s.Collection)
		}
	}
	if last != nil {
		if at := (Position{Offset: last.Offset, TimeMs: last.TimeMs}); at.beyond(b.at) {
			b.at = &at
		}
	}
	if len(found) > 0 {
		close(b.fresh)
		b.fresh = make(chan struct{})
	}
	if !b.started() {
		close(b.ready)
	}
}

// hang keeps a signal, in place of one that asks for the same, and drops the oldest where there are too many. The caller holds mu.
func (b *board) hang(s *Signal) {
	b.all = slices.DeleteFunc(b.all, func(o *Signal) bool {
		if !o.same(s) {
			return false
		}
		b.size -= o.size
		return true
	})
	for len(b.all) > 0 && (len(b.all) >= maxSignals || b.size+s.size > maxBoard) {
		b.log.Warn("a signal is dropped: there are too many", "topic", b.topic, "offset", b.all[0].At.Offset, "id", b.all[0].ID)
		b.size -= b.all[0].size
		b.all = slices.Delete(b.all, 0, 1)
	}
	b.seq++
	s.seq = b.seq
	b.size += s.size
	b.all = append(b.all, s)
}

// started tells whether what stood in the topic at the start is shown.
func (b *board) started() bool {
	select {
	case <-b.ready:
		return true
	default:
		return false
	}
}

// since returns the signals behind seq, the number of the last, up to where the topic has been read, and what is closed when there are more.
func (b *board) since(seq int) (found []*Signal, last int, at *Position, fresh <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, _ := slices.BinarySearchFunc(b.all, seq+1, func(s *Signal, n int) int { return s.seq - n })
	return slices.Clone(b.all[i:]), b.seq, b.at, b.fresh
}

// await waits until what stood in the topic at the start is shown, for a while: a stream that begins before is read once too often. Where the
// topic cannot be read, that is waited for once, not by each term.
func (b *board) await(ctx context.Context) {
	wait := b.patience()
	if wait <= 0 || b.started() {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-b.ready:
	case <-ctx.Done():
	case <-timer.C:
		b.late.Do(func() { b.log.Warn("the streams go on before the signals have been read", "topic", b.topic) })
	}
}

// patience is how long a term may still wait.
func (b *board) patience() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		b.until = time.Now().Add(signalsWait)
	}
	return time.Until(b.until)
}
