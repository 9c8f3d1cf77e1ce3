package connector

import (
	"cmp"
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

// fencedPause is how long, more or less, an owner that was fenced waits before it takes the partition back: if the partition was
// taken away, it is told so meanwhile (a heartbeat of the group is 300 ms); if an offset tool has become the owner for a moment, it
// ends meanwhile. Told that the partition is still its own, it waits no longer. Each time in a row that it is fenced soon after it has
// begun it waits longer, and so it does each time in a row before a term has lasted, once there have been more than a user's few offset tools: two
// that both take themselves for the owner (each in a group of its own, behind coordinators that only one of them reaches) do not fence each
// other in a loop.
const (
	fencedPause     = 3 * time.Second
	longFencedPause = 30 * time.Second
	lastingTerm     = 5 * time.Minute
	guestsInARow    = 5
)

// watchEvery is how soon an idle owner notices that it is no longer one.
const watchEvery = 5 * time.Second

// Connector runs the streams of its sources.
type Connector struct {
	cfg     Config
	sources []Source
	topics  Topics
	obs     Observer
	log     hclog.Logger
	slots   map[string]slots // by source
	looks   map[string]slots // the same for accounts' looks at their homes
	room    *room
	rosters []*roster
	board   *board
}

// New wires a connector.
func New(cfg Config, sources []Source, topics Topics, obs Observer, log hclog.Logger) *Connector {
	c := &Connector{cfg: cfg, sources: sources, topics: topics, obs: obs, log: log,
		slots: map[string]slots{}, looks: map[string]slots{}, room: newRoom(cmp.Or(cfg.Uncommitted, defaultRoom)), board: newBoard(cfg, log)}
	for _, s := range sources {
		c.slots[s.Name], c.looks[s.Name] = newSlots(s.passes()), newSlots(s.passes())
	}
	for i := range c.sources {
		c.rosters = append(c.rosters, newRoster(c, &c.sources[i]))
	}
	return c
}

// owner holds one partition of <name>-offsets and runs the accounts that map to it. After doubt it loads again: a
// failed commit is never retried in place (Invariant 7).
type owner struct {
	c         *Connector
	partition int32
	ledger    Ledger
	loaded    map[Stream]*Checkpoint
	stop      context.CancelCauseFunc // ends the accounts' tasks, until the next load
	confirmed <-chan struct{}         // the share has been told again to have the partition
}

// run owns the partition until ctx ends.
func (o *owner) run(ctx context.Context) {
	doubt, fenced := newBackOff(100*time.Millisecond, 30*time.Second), newBackOff(fencedPause, longFencedPause)
	guests := 0 // terms in a row that were long enough to be noticed, and did not last
	for ctx.Err() == nil {
		began := time.Now()
		err := o.term(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > 10*time.Second {
			doubt.Reset()
		}
		switch lasted := time.Since(began); {
		case lasted >= lastingTerm:
			guests = 0
			fenced.Reset()
		case lasted >= watchEvery:
			if guests++; guests <= guestsInARow {
				fenced.Reset()
			}
		}
		pause, told := doubt, (<-chan struct{})(nil)
		if errors.Is(err, ErrFenced) {
			pause, told = fenced, o.unconfirmed()
		}
		wait := pause.NextBackOff()
		o.c.log.Warn("loading again", "partition", o.partition, "in", wait.Round(time.Millisecond).String(), "error", err)
		if !sleepUntil(ctx, wait, told) {
			return
		}
	}
}

// unconfirmed is told whether the partition is confirmed from now on.
func (o *owner) unconfirmed() <-chan struct{} {
	select {
	case <-o.confirmed:
	default:
	}
	return o.confirmed
}

// leave tells that what ran in the partition no longer runs here.
func (o *owner) leave() {
	for _, r := range o.c.rosters {
		accounts, _ := r.now()
		for _, a := range accounts {
			if o.has(r.source, a.Name()) {
				o.c.obs.Left(r.source.Name, a.Name())
			}
		}
	}
}

// has tells whether the account maps to the owner's partition.
func (o *owner) has(s *Source, account string) bool {
	return AccountPartition(s.Name, account, o.c.cfg.Partitions) == o.partition
}

// term is one term of office: fence, load, run the accounts until ctx ends or a commit's outcome is unknown.
func (o *owner) term(ctx context.Context) error {
	loaded, err := o.ledger.Load(ctx)
	if err != nil {
		return fmt.Errorf("loading partition %d: %w", o.partition, err)
	}
	o.loaded = loaded
	o.c.board.await(ctx)
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
		if errors.Is(err, ErrDoubt) { // there is nobody whose next commit would find out
			o.lost(err)
		} else if err != nil {
			o.c.log.Debug("looking whether the partition is still ours", "partition", o.partition, "error", err)
		}
		if overtaken {
			o.lost(fmt.Errorf("partition %d: somebody else has committed to it: %w", o.partition, ErrFenced))
		}
	}
}

// lost ends the term: what is committed is unknown.
func (o *owner) lost(err error) { o.stop(err) }
