package connector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// passesPerSource bounds the passes of one source that run at once, and so the pages held in memory, where the source
// does not say otherwise.
const passesPerSource = 8

// fencedTwice is the span in which being fenced twice means that another process with this name is running.
const fencedTwice = time.Minute

// fencedPause leaves an offset tool the time to finish what it has become the owner for: taking the partition back at
// once would only make it try again.
const fencedPause = 3 * time.Second

// watchEvery is how soon an idle owner notices that it is no longer one.
const watchEvery = 5 * time.Second

// Connector runs every stream of its sources.
type Connector struct {
	cfg     Config
	sources []Source
	ledgers map[int32]Ledger // by partition of <name>-offsets
	topics  Topics
	obs     Observer
	log     hclog.Logger
	slots   map[string]slots // by source
	rosters []*roster
}

// New wires a connector. ledgers has one Ledger for each partition of <name>-offsets.
func New(cfg Config, sources []Source, ledgers map[int32]Ledger, topics Topics, obs Observer, log hclog.Logger) *Connector {
	c := &Connector{cfg: cfg, sources: sources, ledgers: ledgers, topics: topics, obs: obs, log: log, slots: map[string]slots{}}
	for _, s := range sources {
		c.slots[s.Name] = newSlots(s.passes())
	}
	for i := range c.sources {
		c.rosters = append(c.rosters, newRoster(c, &c.sources[i]))
	}
	return c
}

// Run follows the sources until ctx ends (then it returns nil, once what was being committed has been) or until
// it cannot go on: another process with this name keeps taking its partitions.
func (c *Connector) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, r := range c.rosters {
		wg.Go(func() { r.run(ctx) })
	}
	for partition, ledger := range c.ledgers {
		wg.Go(func() {
			o := &owner{c: c, partition: partition, ledger: ledger}
			if err := o.run(ctx); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
				cancel(err)
			}
		})
	}
	wg.Wait()
	return failed
}

// owner holds one partition of <name>-offsets and runs the accounts that map to it. After doubt it loads again: a
// failed commit is never retried in place (Invariant 7).
type owner struct {
	c         *Connector
	partition int32
	ledger    Ledger
	loaded    map[Stream]*Checkpoint
	stop      context.CancelCauseFunc // ends the accounts' tasks, until the next load
	fenced    time.Time               // the last time
}

// run owns the partition until ctx ends.
func (o *owner) run(ctx context.Context) error {
	retry := newBackOff(100*time.Millisecond, 30*time.Second)
	for ctx.Err() == nil {
		began := time.Now()
		err := o.term(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrFenced) {
			if time.Since(o.fenced) < fencedTwice && !o.fenced.IsZero() {
				return fmt.Errorf("partition %d was taken twice within a minute: another process with this name is running; "+
					"stop it, or give this one another name: %w", o.partition, err)
			}
			o.fenced = time.Now()
			if !sleep(ctx, fencedPause) {
				return nil
			}
		}
		if time.Since(began) > 10*time.Second {
			retry.Reset()
		}
		wait := retry.NextBackOff()
		o.c.log.Warn("loading again", "partition", o.partition, "in", wait.Round(time.Millisecond).String(), "error", err)
		if !sleep(ctx, wait) {
			return nil
		}
	}
	return nil
}

// term is one term of office: fence, load, run the accounts until ctx ends or a commit's outcome is unknown.
func (o *owner) term(ctx context.Context) error {
	loaded, err := o.ledger.Load(ctx)
	if err != nil {
		return fmt.Errorf("loading partition %d: %w", o.partition, err)
	}
	o.loaded = loaded
	ctx, o.stop = context.WithCancelCause(ctx)
	defer o.stop(nil)
	var wg sync.WaitGroup
	for _, r := range o.c.rosters {
		wg.Go(func() { o.host(ctx, r) })
	}
	o.watch(ctx)
	wg.Wait()
	return context.Cause(ctx)
}

// watch ends the term when somebody else has become the owner while there was nothing to commit. It returns when the
// term has ended.
func (o *owner) watch(ctx context.Context) {
	for sleep(ctx, watchEvery) {
		overtaken, err := o.ledger.Overtaken(ctx)
		if err != nil {
			o.c.log.Debug("looking whether the partition is still ours", "partition", o.partition, "error", err)
		}
		if overtaken {
			o.lost(fmt.Errorf("partition %d: somebody else has committed to it: %w", o.partition, ErrFenced))
		}
	}
}

// lost ends the term: what is committed is unknown.
func (o *owner) lost(err error) { o.stop(err) }
