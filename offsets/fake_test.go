package offsets

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/calcdc/calcdc/connector"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envKilled); dir != "" {
		if err := commitUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(twice{m})
}

// twice runs the tests with ledgers in memory, then with ledgers that have a cache.
type twice struct{ *testing.M }

func (m twice) Run() int {
	code := m.M.Run()
	for _, f := range []string{"bench", "fuzz", "list"} {
		if v := flag.Lookup("test." + f); code != 0 || v != nil && v.Value.String() != "" {
			return code
		}
	}
	dir, err := os.MkdirTemp("", "calcdc-offsets-")
	if err != nil {
		return 1
	}
	defer os.RemoveAll(dir)
	common = OpenCache(CacheConfig{Dir: dir, Name: "team", Memory: 1 << 20}, hclog.NewNullLogger())
	fmt.Println("again, with a local cache")
	code = m.M.Run()
	if err := common.Close(); err != nil {
		fmt.Println(err)
		return 1
	}
	return code
}

// common is the store of all ledgers, where each has a shelf; nil: they are in memory.
var (
	common  *Cache
	shelves atomic.Int32
)

func identify(context.Context) (Identity, error) {
	return Identity{Cluster: "c", Offsets: "o", State: "s", Retention: time.Hour}, nil
}

// fakeKafka is a log in memory. Each commit is followed by a marker, which takes an offset.
type fakeKafka struct {
	mu    sync.Mutex
	parts map[topicPartition]*fakePart
	epoch int // of the newest producer
	// ends, where set for a partition, are the answers of End, the last for good.
	ends map[topicPartition][]int64
	// badRead, where set, ends the next Read after so many records.
	badRead int
	reads   []string
}

type fakePart struct {
	records []connector.Committed
	next    int64
}

func newFakeKafka() *fakeKafka {
	return &fakeKafka{parts: map[topicPartition]*fakePart{}, ends: map[topicPartition][]int64{}}
}

func (k *fakeKafka) part(topic string, partition int32) *fakePart {
	tp := topicPartition{topic, partition}
	if k.parts[tp] == nil {
		k.parts[tp] = &fakePart{}
	}
	return k.parts[tp]
}

func (k *fakeKafka) append(recs []connector.Record) []int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	offsets := make([]int64, len(recs))
	touched := map[*fakePart]bool{}
	for i, r := range recs {
		p := k.part(r.Topic, r.Partition)
		offsets[i] = p.next
		r.Key, r.Value = slices.Clone(r.Key), slices.Clone(r.Value)
		p.records = append(p.records, connector.Committed{Record: r, Offset: p.next})
		p.next++
		touched[p] = true
	}
	for p := range touched {
		p.next++
	}
	return offsets
}

// write adds a record as an operator would.
func (k *fakeKafka) write(topic string, key, value string) {
	r := connector.Record{Topic: topic, Key: []byte(key)}
	if value != "" {
		r.Value = []byte(value)
	}
	k.append([]connector.Record{r})
}

func (k *fakeKafka) Read(_ context.Context, topic string, partition int32, from, until int64) iter.Seq2[connector.Committed, error] {
	k.mu.Lock()
	recs := slices.Clone(k.part(topic, partition).records)
	bad := k.badRead
	k.badRead = 0
	k.reads = append(k.reads, fmt.Sprintf("%s/%d %d-%d", topic, partition, from, until))
	k.mu.Unlock()
	return func(yield func(connector.Committed, error) bool) {
		n := 0
		for _, r := range recs {
			if r.Offset < from || r.Offset >= until {
				continue
			}
			if n++; n == bad {
				yield(connector.Committed{}, errors.New("connection reset"))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

var errMissing = errors.New("no such topic")

func (k *fakeKafka) End(_ context.Context, topic string, partition int32) (int64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	tp := topicPartition{topic, partition}
	end := k.part(topic, partition).next
	if answers := k.ends[tp]; len(answers) > 0 {
		end = answers[0]
		k.ends[tp] = answers[1:]
		if len(answers) == 1 {
			k.ends[tp] = answers
		}
	}
	if end < 0 {
		return 0, errMissing
	}
	return end, nil
}

// outcome is what becomes of a commit.
type outcome int

const (
	committed         outcome = iota
	committedAndError         // the answer is lost
	lost                      // nothing is written
	tooLarge                  // refused for its first record
)

// fakeProducer is one of several owners of a transactional id.
type fakeProducer struct {
	k      *fakeKafka
	mu     sync.Mutex
	epoch  int
	broken bool
	next   func(recs []connector.Record) outcome // of each commit; nil: committed
	sent   [][]connector.Record
}

func (p *fakeProducer) Fence(context.Context) error {
	p.k.mu.Lock()
	p.k.epoch++
	epoch := p.k.epoch
	p.k.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch, p.broken = epoch, false
	return nil
}

func (p *fakeProducer) Commit(_ context.Context, recs []connector.Record) ([]int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.k.mu.Lock()
	current := p.k.epoch
	p.k.mu.Unlock()
	if p.broken {
		return nil, errors.New("fence first")
	}
	if p.epoch != current {
		p.broken = true
		return nil, fmt.Errorf("producing: %w", connector.ErrFenced)
	}
	what := committed
	if p.next != nil {
		what = p.next(recs)
	}
	switch what {
	case tooLarge:
		return nil, fmt.Errorf("checking: %w", &connector.TooLargeError{Topic: recs[0].Topic, Key: recs[0].Key, Size: 9 << 20, Limit: 8 << 20})
	case lost:
		p.broken = true
		return nil, errors.New("i/o timeout")
	case committedAndError:
		p.k.append(recs)
		p.broken = true
		return nil, errors.New("i/o timeout")
	case committed:
	}
	p.sent = append(p.sent, recs)
	return p.k.append(recs), nil
}

// Mark leaves nothing but the offsets that it has taken.
func (p *fakeProducer) Mark(_ context.Context, recs []connector.Record) ([]int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	if p.broken || p.epoch != p.k.epoch {
		p.broken = true
		return nil, fmt.Errorf("producing: %w", connector.ErrFenced)
	}
	offsets := make([]int64, len(recs))
	for i, r := range recs {
		part := p.k.part(r.Topic, r.Partition)
		offsets[i] = part.next
		part.next += 2
	}
	return offsets, nil
}

func dataTopic(s connector.Stream) string { return "cal." + s.Source + "." + string(s.Kind) }

func testConfig() Config {
	return Config{Name: "team", DataTopic: dataTopic, Missing: func(err error) bool { return errors.Is(err, errMissing) },
		Partitions: func(context.Context, string) (int32, error) { return 6, nil }, Notifications: "cal.notifications",
		Resource: func(_ connector.Stream, _, id string, _ []byte) (string, string) { return "/" + id + ".ics", "" }}
}

// newTestLedger is a ledger on k, not loaded yet.
func newTestLedger(k *fakeKafka) (*Ledger, *fakeProducer) {
	p, cfg := &fakeProducer{k: k}, testConfig()
	if common != nil {
		cfg.Identify, cfg.Cache = identify, &Cache{db: common.db, first: shelves.Add(1), log: hclog.NewNullLogger(), flushed: time.Now()}
	}
	return NewLedger(cfg, p, k, hclog.NewNullLogger()), p
}

// loaded is a new ledger on k with what it loads.
func loaded(t *testing.T, k *fakeKafka) (*Ledger, map[connector.Stream]*connector.Checkpoint) {
	t.Helper()
	l, _ := newTestLedger(k)
	all, err := l.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l, all
}
