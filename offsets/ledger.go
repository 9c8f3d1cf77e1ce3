package offsets

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/calcdc/calcdc/connector"
)

// Producer is a transactional id in the hands of its owner.
type Producer interface {
	// Fence makes this producer the only owner of its id and ends what an earlier one had left open.
	Fence(ctx context.Context) error
	// Commit makes recs visible whole or not at all and returns their offsets. It may be called at the same time by many. After
	// a *connector.TooLargeError nothing was sent. After any other error the outcome is unknown, and every Commit fails
	// until Fence has succeeded: offsets that are returned later must not be beyond a transaction in doubt.
	Commit(ctx context.Context, recs []connector.Record) (offsets []int64, err error)
	// Mark tells how long the partitions of recs are, one record each, by writing these so that nobody reads them. Errors are as
	// Commit's.
	Mark(ctx context.Context, recs []connector.Record) (offsets []int64, err error)
}

// Reader reads what was committed.
type Reader interface {
	// Read yields the committed records from ≤ offset < until in order, and ends once until has been passed. From 0 is the beginning
	// of the partition. An error comes last, with a record that means nothing.
	Read(ctx context.Context, topic string, partition int32, from, until int64) iter.Seq2[connector.Committed, error]
	// End is the end of a partition as the broker reports it.
	End(ctx context.Context, topic string, partition int32) (int64, error)
}

// Config says which partition a ledger keeps, and how.
type Config struct {
	Name      string // of the connector: the topics are <name>-offsets and <name>-state
	Partition int32  // of both
	DataTopic func(connector.Stream) string
	// Missing tells whether an error of Reader.End says that the topic does not exist. Nil: none does.
	Missing func(error) bool

	// Steps says that Producer.Commit makes no transactions: each commit is several, in an order in which none that is cut short loses
	// anything (at_least_once).
	Steps bool
	// Ensure makes both topics where they are missing; nil: somebody else does.
	Ensure func(context.Context) error

	// Cache keeps what is folded; nil: it is kept in memory.
	Cache *Cache
	// Identify tells the topics from others of the same names. Only a Cache needs it.
	Identify func(context.Context) (Identity, error)

	// What follows is needed by Mend alone.

	Notifications string // the topic
	Count         int32  // of partitions that the offsets have: an account maps to one of them; 0: to this one
	// Partitions is how many partitions a topic has, which is created where it is missing.
	Partitions func(ctx context.Context, topic string) (int32, error)
	// Start is the first offset that a partition still holds; nil: 0.
	Start func(ctx context.Context, topic string, partition int32) (int64, error)
	// Resource names the resource that a row belongs to, and the one that this goes with; row is nil where it was not kept.
	Resource func(s connector.Stream, source, id string, row []byte) (resource, parent string)
}

// Topic is the topic of the offsets of the connector name.
func Topic(name string) string { return name + "-offsets" }

// StateTopic is the topic of the state of the connector name.
func StateTopic(name string) string { return name + "-state" }

// Ledger is one partition of <name>-offsets and of <name>-state. It implements connector.Ledger.
type Ledger struct {
	cfg  Config
	p    Producer
	r    Reader
	log  hclog.Logger
	fold *fold

	commits *semaphore.Weighted // one held by each Commit, all by Load
	mending chan struct{}       // held by Mend

	told map[connector.Stream]int64 // epochs of streams that the notifications tell of; nil: not asked since Load. Mend's, and Load's

	folding sync.Mutex // held while what was committed is folded

	mu      sync.Mutex
	doubt   error    // why nothing may be committed until Load
	offsets position // how far the topics are folded
	state   position
	flights map[*flight]struct{}

	cached
}

var _ connector.Ledger = (*Ledger)(nil)

var errNotLoaded = errors.New("the ledger must be loaded first")

// NewLedger makes a ledger; Load makes it the owner of its partition. p's transactional id is <name>-<partition>.
func NewLedger(cfg Config, p Producer, r Reader, log hclog.Logger) *Ledger {
	return &Ledger{cfg: cfg, p: p, r: r, log: log, fold: newFold(cfg.Name, true), doubt: errNotLoaded,
		commits: semaphore.NewWeighted(allCommits), mending: make(chan struct{}, 1)}
}

// allCommits is more than there are commits at once.
const allCommits = 1 << 30

// Load implements connector.Ledger. A *RecordError says that a topic holds a record that cannot be decoded.
func (l *Ledger) Load(ctx context.Context) (map[connector.Stream]*connector.Checkpoint, error) {
	if err := l.p.Fence(ctx); err != nil {
		return nil, err
	}
	if err := l.commits.Acquire(ctx, allCommits); err != nil {
		return nil, err
	}
	defer l.commits.Release(allCommits)
	began := time.Now()
	ends, err := l.barrier(ctx)
	if err != nil {
		return nil, l.ensure(ctx, err)
	}
	if err := l.catchUp(ctx, ends, began); err != nil {
		return nil, err
	}
	all, err := l.checkpoints(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.doubt = nil
	l.mu.Unlock()
	l.told = nil
	l.log.Debug("loaded", "streams", len(all), "offsets", ends[0], "state", ends[1])
	return all, nil
}

// ensure makes the topics anew where err says that one is missing: the next Load finds what is lost with it.
func (l *Ledger) ensure(ctx context.Context, err error) error {
	if l.cfg.Ensure == nil || l.cfg.Missing == nil || !l.cfg.Missing(err) {
		return err
	}
	return errors.Join(err, l.cfg.Ensure(ctx))
}

// barrier commits a record to each topic and returns where they stand. (Invariant 4: the end of a log as a broker reports it is not
// trusted, our own record's offset is.)
func (l *Ledger) barrier(ctx context.Context) (ends [2]int64, err error) {
	at, err := l.p.Commit(ctx, []connector.Record{
		{Topic: Topic(l.cfg.Name), Partition: l.cfg.Partition, Key: barrierKey},
		{Topic: StateTopic(l.cfg.Name), Partition: l.cfg.Partition, Key: barrierKey},
	})
	if err == nil && len(at) != 2 {
		err = fmt.Errorf("%d offsets for 2 records", len(at))
	}
	if err != nil {
		return ends, fmt.Errorf("committing the barrier of partition %d: %w", l.cfg.Partition, err)
	}
	return [2]int64(at), nil
}

// catchUp folds both topics up to their barriers, which were committed after began: from where the fold stopped or, at first, a
// cache. Neither goes on in a topic that has become another.
func (l *Ledger) catchUp(ctx context.Context, ends [2]int64, began time.Time) error {
	if err := l.attach(ctx); err != nil {
		return err
	}
	if ends[0] < l.offsets.next || ends[1] < l.state.next {
		if err := l.anew(ctx, "it is ahead of the topics: one was deleted and made anew, or cut"); err != nil {
			return err
		}
	}
	err := l.goOn(ctx, ends)
	var why stale
	if errors.As(err, &why) {
		if err := l.anew(ctx, why); err != nil {
			return err
		}
		err = l.read(ctx, ends)
	}
	if err != nil {
		return err
	}
	l.fold.settle()
	return l.keepPlaces(began)
}

// read folds both topics.
func (l *Ledger) read(ctx context.Context, ends [2]int64) error {
	defer l.fold.shelf.hold()()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		w := l.fold.shelf.writing()
		err := l.offsets.read(ctx, l.r, Topic(l.cfg.Name), l.cfg.Partition, ends[0], func(key, value []byte) error {
			return l.fold.addOffset(w, key, value)
		})
		return errors.Join(w.write(l.fold, [2]*place{}), err)
	})
	g.Go(func() error {
		keys, w := &stateKeys{}, l.fold.shelf.writing()
		err := l.state.read(ctx, l.r, StateTopic(l.cfg.Name), l.cfg.Partition, ends[1], func(key, value []byte) error {
			if w.full() {
				err := w.write(l.fold, [2]*place{})
				if w = l.fold.shelf.writing(); err != nil {
					return err
				}
			}
			return l.fold.addState(w, keys, key, value)
		})
		return errors.Join(w.write(l.fold, [2]*place{}), err)
	})
	return g.Wait()
}

// Open implements connector.Ledger.
func (l *Ledger) Open(s connector.Stream) *connector.Checkpoint {
	l.fold.mu.Lock()
	defer l.fold.mu.Unlock()
	return l.fold.stream(s).checkpoint(s)
}

// checkpoint copies what the fold holds; the index is the one that goes on. The caller holds the fold's mu.
func (st *stream) checkpoint(s connector.Stream) *connector.Checkpoint {
	cp := &connector.Checkpoint{Stream: s, Index: st.index, Caveat: st.caveat}
	if lost := new(RefusalError); errors.As(st.refused, &lost) && lost.Due != "" {
		cp.Lost = st.refused
	} else {
		cp.Refused = st.refused
	}
	if st.offset != nil {
		o := *st.offset
		cp.Offset = &o
	}
	if st.state != nil {
		state := *st.state
		cp.State = &state
	}
	return cp
}

// Commit implements connector.Ledger.
func (l *Ledger) Commit(ctx context.Context, txs []connector.Transaction) error {
	if err := l.commits.Acquire(ctx, 1); err != nil {
		return err
	}
	defer l.commits.Release(1)
	if err := l.inDoubt(); err != nil {
		return err
	}
	b := batch{l: l}
	b.grow(txs)
	for i := range txs {
		if err := b.add(&txs[i]); err != nil {
			return err
		}
	}
	return l.commit(ctx, &b)
}

// commit publishes a batch and folds what it says of offsets and state.
func (l *Ledger) commit(ctx context.Context, b *batch) error {
	if len(b.records) == 0 {
		return nil
	}
	var err error
	for _, step := range b.steps() {
		if err = l.publish(ctx, step); err != nil {
			break
		}
	}
	var large *connector.TooLargeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return b.refusal(large)
	}
	l.fail(err)
	return errors.Join(fmt.Errorf("committing to partition %d: %w", l.cfg.Partition, err), l.replace(ctx, b, err))
}

// replace makes the topics of a batch anew where err says that one is missing. That there was something in it the next Load finds; where there
// was not, as of streams that had gone, nobody else would.
func (l *Ledger) replace(ctx context.Context, b *batch, err error) error {
	if l.cfg.Missing == nil || l.cfg.Partitions == nil || !l.cfg.Missing(err) {
		return nil
	}
	asked := map[string]bool{}
	for i := range b.records {
		topic := b.records[i].Topic
		if b.kinds[i] != dataRecord || asked[topic] {
			continue
		}
		asked[topic] = true
		if _, err := l.cfg.Partitions(ctx, topic); err != nil {
			return err
		}
	}
	return nil
}

// publish makes a batch visible and folds it.
func (l *Ledger) publish(ctx context.Context, b *batch) error {
	if len(b.records) == 0 {
		return nil
	}
	if err := b.learn(); err != nil {
		return err
	}
	f := l.depart()
	offsets, err := l.p.Commit(ctx, b.records)
	if err == nil && len(offsets) != len(b.records) {
		err = fmt.Errorf("%d offsets for %d records", len(offsets), len(b.records))
	}
	if err == nil {
		err = l.apply(b, offsets, f)
	}
	if err != nil {
		var large *connector.TooLargeError
		if !errors.As(err, &large) {
			l.fail(err)
		}
	}
	l.land(f)
	return err
}

// fail lets nothing be committed until Load.
func (l *Ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubt = fmt.Errorf("%w: an earlier commit failed: %w", errNotLoaded, err)
}

// apply folds records that have become visible, as Load would: what is in memory is what another process reads.
func (l *Ledger) apply(b *batch, offsets []int64, f *flight) error {
	l.folding.Lock()
	defer l.folding.Unlock()
	w := l.fold.shelf.writing()
	last, err := l.foldBatch(w, b, offsets)
	if err == nil {
		err = b.raiseDataEnds(offsets)
	}
	var places [2]*place
	if err == nil {
		places = l.advance(f, last)
	}
	return errors.Join(w.write(l.fold, places), err) // what is folded is written in any case: it counts
}

// foldBatch folds a batch and returns the last record that stands in each topic.
func (l *Ledger) foldBatch(w *writing, b *batch, offsets []int64) (last [2]print, err error) {
	keys := &stateKeys{}
	ends := [2]int{-1, -1}
	for i := range b.records {
		rec := &b.records[i]
		var err error
		switch b.kinds[i] {
		case stateRecord:
			ends[1] = i
			err = l.fold.addState(w, keys, rec.Key, rec.Value)
		case offsetRecord:
			ends[0] = i
			err = l.fold.addOffset(w, rec.Key, rec.Value)
		case dataRecord:
		}
		if err != nil {
			return last, fmt.Errorf("reading what was just written, key %s: %w", show(rec.Key), err)
		}
	}
	for topic, i := range ends {
		if i >= 0 {
			last[topic] = printOf(offsets[i], b.records[i].Key, b.records[i].Value)
		}
	}
	return last, nil
}

func (l *Ledger) inDoubt() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.doubt == nil && l.fold.shelf != nil {
		if err := l.fold.shelf.failed(); err != nil {
			return fmt.Errorf("%w: the local store has failed: %w", errNotLoaded, err)
		}
	}
	return l.doubt
}
