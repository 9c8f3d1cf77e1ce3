package verify

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// Reader reads what was committed.
type Reader interface {
	// Read yields the committed records from ≤ offset < until in order, and ends once until has been passed, having waited for
	// transactions that are open before it.
	Read(ctx context.Context, topic string, partition int32, from, until int64) iter.Seq2[connector.Committed, error]
	// End is the end of a partition as the broker reports it.
	End(ctx context.Context, topic string, partition int32) (int64, error)
}

// Config is what a run needs of others.
type Config struct {
	Reader  Reader
	Sources []connector.Source
	Topic   func(Stream) string // of a stream's rows
	// Partitions is how many partitions a topic has, 0 where it does not exist.
	Partitions func(ctx context.Context, topic string) (int32, error)
	// Known is what is committed of each stream.
	Known func(ctx context.Context) ([]Known, error)
	// Resources shows each record of the stream's resources in the state, in order; nil: the resource was removed.
	Resources func(ctx context.Context, s Stream, visit func(id string, state *connector.ResourceState)) error
	// Selected tells which streams are wanted; nil: all.
	Selected func(Stream) bool
	// SelectsAccount tells which accounts have any; nil: all.
	SelectsAccount func(source, account string) bool
	// Patience is how long a row must have been at its source as it is before the topic's lack of it is a difference. Nil: the
	// source's interval between polls, a tenth more, and five seconds.
	Patience *time.Duration
	Limit    int               // of the differences that are reported one by one
	Tell     func(text string) // what is being done; nil: nobody wants to know
}

// Known is what is committed of a stream.
type Known struct {
	Stream Stream
	Offset *connector.Offset
	State  *connector.StreamState
}

func (c *Config) selects(s Stream) bool { return c.Selected == nil || c.Selected(s) }

func (c *Config) patience(s *connector.Source) time.Duration {
	if c.Patience != nil {
		return *c.Patience
	}
	return s.PollInterval + s.PollInterval/10 + 5*time.Second
}

// run is one verification.
type run struct {
	cfg   Config
	known map[Stream]Known
	homes map[string]map[string]*home // by source and account
	room  room

	mu       sync.Mutex
	report   Report
	met      map[Stream]int32 // where a stream's rows are: its partition
	examined map[Stream]bool
	batches  []*batch
	late     map[Stream]*late
}

// batch is what is in doubt of a partition, up to a position in it.
type batch struct {
	topic     string
	partition int32
	begin     int64 // where the first look ended
	end       int64
	listings  map[Stream]*listing
	astray    map[Stream]bool // whose rows should be in another partition
	verdicts  map[Stream]map[connector.Hash]*doubt
}

func newBatch(topic string, partition int32) *batch {
	return &batch{topic: topic, partition: partition, listings: map[Stream]*listing{}, astray: map[Stream]bool{},
		verdicts: map[Stream]map[connector.Hash]*doubt{}}
}

// Run folds the topics, lists the sources, and reports the differences. It takes nothing from a running calcdc, and writes nothing.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	r := &run{cfg: cfg, homes: map[string]map[string]*home{}, met: map[Stream]int32{}, examined: map[Stream]bool{}, late: map[Stream]*late{}}
	r.report.Differences, r.report.NotCompared = []Difference{}, []Apart{}
	if err := r.recall(ctx); err != nil {
		return nil, err
	}
	r.say("asking the sources for their accounts and collections …")
	r.findHomes(ctx)
	for _, step := range []func(context.Context) error{r.topics, r.rest, r.lookAgain, r.show} {
		if err := step(ctx); err != nil {
			return nil, err
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(r.report.Differences, func(a, b Difference) int { return compareTexts(a.Stream.String(), b.Stream.String(), a.ID, b.ID) })
	slices.SortFunc(r.report.NotCompared, func(a, b Apart) int { return compareTexts(a.Stream.String(), b.Stream.String()) })
	return &r.report, nil
}

// recall reads what is committed.
func (r *run) recall(ctx context.Context) error {
	known, err := r.cfg.Known(ctx)
	if err != nil {
		return err
	}
	r.known = map[Stream]Known{}
	for _, k := range known {
		r.known[k.Stream] = k
	}
	return nil
}

func compareTexts(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		switch a, b := pairs[i], pairs[i+1]; {
		case a < b:
			return -1
		case a > b:
			return 1
		}
	}
	return 0
}

func (r *run) say(format string, args ...any) {
	if r.cfg.Tell != nil {
		r.cfg.Tell(fmt.Sprintf(format, args...))
	}
}

// tell says now and then how many rows have been compared.
func (r *run) tell(l *listing) {
	if l.rows%50_000 == 0 {
		r.say("%s: %d rows are the same so far …", l.stream, l.rows)
	}
}

// topics compares the topics of every source, one partition after the other: so the memory that is needed is that of the largest.
func (r *run) topics(ctx context.Context) error {
	for i := range r.cfg.Sources {
		source := &r.cfg.Sources[i]
		for _, kind := range kindsOf(source) {
			topic := r.cfg.Topic(Stream{Source: source.Name, Kind: kind})
			if !r.wanted(source.Name, kind) {
				continue
			}
			n, err := r.cfg.Partitions(ctx, topic)
			if err != nil {
				return err
			}
			for p := range n {
				if err := r.partition(ctx, source, topic, p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// wanted tells whether any stream of a source and kind is selected.
func (r *run) wanted(source string, kind connector.Kind) bool {
	for s := range r.known {
		if s.Source == source && s.Kind == kind && r.cfg.selects(s) {
			return true
		}
	}
	for s := range r.expected() {
		if s.Source == source && s.Kind == kind && r.cfg.selects(s) {
			return true
		}
	}
	return false
}

// rest looks at the streams that the sources have, and no topic.
func (r *run) rest(ctx context.Context) error {
	for i := range r.cfg.Sources {
		source := &r.cfg.Sources[i]
		shelves := map[Stream]*shelf{}
		for s := range r.expected() {
			if s.Source == source.Name && !r.examined[s] && r.cfg.selects(s) {
				shelves[s] = newShelf()
			}
		}
		if err := r.examineAll(ctx, source, newBatch("", -1), shelves); err != nil {
			return err
		}
	}
	r.unnamed()
	return nil
}
