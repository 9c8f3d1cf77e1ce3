package offsets

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// cached is what a ledger knows of its cache.
type cached struct {
	attached  bool
	retention time.Duration // how long the topics keep deletes
	proven    time.Time     // until when they held nothing that is not folded; while the first fold is incomplete: when it began
	failures  int           // reads in a row that failed where the cache went on
	untold    int           // times in a row that nobody told which topics there are
}

// distrustAfter is how many reads have to fail in a row until the cache is taken for their reason: the topic may no longer hold
// where it goes on. As often is asked which topics there are, before it is done without.
const distrustAfter = 3

// trustedFor is how long a fold is gone on with without asking how long the topics keep deletes.
const trustedFor = time.Minute

// attach takes up what is held of the partition: what the cache holds at first, and after the store has failed; what was folded
// before, where that is young enough.
func (l *Ledger) attach(ctx context.Context) error {
	if l.attached && (l.fold.shelf == nil || l.fold.shelf.failed() == nil) {
		return l.trust(ctx)
	}
	s := l.cfg.Cache.claim(l.cfg.Partition)
	if s == nil {
		l.hold(newFold(l.cfg.Name, true), [2]position{}, time.Now())
		return nil
	}
	id, err := l.identify(ctx)
	if err != nil {
		return l.without(ctx, err)
	}
	f, places, err := s.open(l.cfg.Name, aboutOf(l.cfg.Name, id), id.Retention, time.Now())
	var why stale
	switch {
	case err == nil:
		l.hold(f, [2]position{places[0].position(id.Offsets != ""), places[1].position(id.State != "")}, provenAt(places))
		return nil
	case errors.As(err, &why):
		return l.anew(ctx, why)
	}
	return &damageError{err}
}

// trust begins anew where what was folded is too old to be gone on with: of what others have deleted since, the topics may no longer tell.
// A process that was stopped, or whose machine slept, has not noticed the time that has passed.
func (l *Ledger) trust(ctx context.Context) error {
	age := ageOf(l.proven, time.Now())
	if l.offsets.next+l.state.next == 0 || age >= 0 && age < trustedFor {
		return nil
	}
	if l.cfg.Identify == nil {
		return l.anew(ctx, tooOld(age, 0))
	}
	id, err := l.identify(ctx)
	switch why := tooOld(age, id.Retention); {
	case err != nil && l.askAgain(ctx):
		return err
	case err != nil:
		return l.anew(ctx, stale(fmt.Sprintf("it is %v old: %v", age.Round(time.Second), err)))
	case why != "":
		return l.anew(ctx, why)
	}
	return nil
}

// maxBack is by how much a clock may have been set back.
const maxBack = 5 * time.Minute

// tooOld says why what is of such an age cannot be gone on with, "" where it can. A negative age tells nothing.
func tooOld(age, retention time.Duration) stale {
	switch {
	case age > retention/2:
		return stale(fmt.Sprintf("it is %v old: the topics keep deletes for %v only", age.Round(time.Second), retention))
	case age < -maxBack:
		return stale(fmt.Sprintf("it is of a time %v ahead: the clock was set back", (-age).Round(time.Second)))
	}
	return ""
}

// ageOf is how much time has passed since, by whichever clock says more: the monotonic one stands still while a machine sleeps.
func ageOf(since, now time.Time) time.Duration {
	steady, wall := now.Sub(since), now.Round(0).Sub(since.Round(0))
	if wall < -maxBack {
		return wall
	}
	return max(steady, wall)
}

// without begins in memory where nothing tells, again and again, which topics the cache would be of.
func (l *Ledger) without(ctx context.Context, err error) error {
	if l.askAgain(ctx) {
		return err
	}
	l.log.Warn("the local cache of the state is not used: the state is kept in memory", "error", err)
	l.hold(newFold(l.cfg.Name, true), [2]position{}, time.Now())
	return nil
}

func (l *Ledger) identify(ctx context.Context) (Identity, error) {
	id, err := l.cfg.Identify(ctx)
	if err != nil {
		l.untold++
		return Identity{}, fmt.Errorf("asking which topics %s and %s are: %w", Topic(l.cfg.Name), StateTopic(l.cfg.Name), err)
	}
	l.retention, l.untold = id.Retention, 0
	return id, nil
}

// askAgain tells whether the next Load shall ask once more which topics there are.
func (l *Ledger) askAgain(ctx context.Context) bool {
	return l.untold < distrustAfter || ctx.Err() != nil
}

// anew begins with nothing, in the cache too. An empty reason is none worth telling.
func (l *Ledger) anew(ctx context.Context, why stale) error {
	if why != "" {
		l.log.Warn("what is held of the state is discarded, and read from Kafka", "reason", string(why))
	}
	f := newFold(l.cfg.Name, true)
	if s := l.cfg.Cache.claim(l.cfg.Partition); s != nil {
		id, err := l.identify(ctx)
		if err != nil {
			return l.without(ctx, err)
		}
		f.shelf = s
		if err := f.shelf.empty(aboutOf(l.cfg.Name, id)); err != nil {
			return &damageError{err}
		}
	}
	l.hold(f, [2]position{}, time.Now())
	return nil
}

// hold goes on with a fold that has come so far.
func (l *Ledger) hold(f *fold, at [2]position, proven time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fold, l.offsets, l.state, l.proven, l.attached = f, at[0], at[1], proven, true
}

// goOn reads on from where the fold stopped, where the topics still are the ones that were folded. What fails again and again is not gone on with.
func (l *Ledger) goOn(ctx context.Context, ends [2]int64) error {
	l.offsets.doubt()
	l.state.doubt()
	err := l.read(ctx, ends)
	if err == nil || l.offsets.next+l.state.next == 0 || ctx.Err() != nil {
		l.failures = 0
		return err
	}
	var why stale
	if errors.As(err, &why) {
		return err
	}
	if l.failures++; l.failures < distrustAfter {
		return err
	}
	l.failures = 0
	return errors.Join(stale("reading on from where it ends has failed again and again"), err)
}

// keepPlaces lets the cache know how far both topics are folded: nothing else was in them at a time. No commit may be under way.
func (l *Ledger) keepPlaces(at time.Time) error {
	l.mu.Lock()
	l.proven = at
	places := [2]*place{l.offsets.place(l.offsets.next, at), l.state.place(l.state.next, at)}
	l.mu.Unlock()
	return l.fold.shelf.writing().write(l.fold, places)
}

// flight is a commit that is under way: where its records will stand is not known, but not before this.
type flight struct {
	offsets, state int64
	began          time.Time
}

// depart begins a flight.
func (l *Ledger) depart() *flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &flight{offsets: l.offsets.next, state: l.state.next, began: time.Now()}
	if l.flights == nil {
		l.flights = map[*flight]struct{}{}
	}
	l.flights[f] = struct{}{}
	return f
}

// land ends a flight.
func (l *Ledger) land(f *flight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.flights, f)
}

// advance moves the positions behind what flight f has brought, and says how far a cache may count both topics as folded: up to
// where another flight may still land.
func (l *Ledger) advance(f *flight, last [2]print) (places [2]*place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.doubt != nil { // what is in doubt may lie before it
		return places
	}
	l.offsets.pass(last[0])
	l.state.pass(last[1])
	delete(l.flights, f)
	low := [2]int64{l.offsets.next, l.state.next}
	at := f.began
	for other := range l.flights {
		low = [2]int64{min(low[0], other.offsets), min(low[1], other.state)}
		if other.began.Before(at) {
			at = other.began
		}
	}
	l.proven = at
	return [2]*place{l.offsets.place(low[0], at), l.state.place(low[1], at)}
}

// pass moves the position behind a record, where there is one.
func (p *position) pass(last print) {
	if last != (print{}) && last.Offset >= p.next {
		p.next, p.last = last.Offset+1, last
	}
}

// minRenewal is how often a cache is kept young at most, however soon the topics forget deletes.
const minRenewal = time.Minute

// tend keeps the cache young while there is nothing to commit: that the topics hold nothing else is known of the moment of our own
// last record only. No commit may be under way.
func (l *Ledger) tend(ctx context.Context) error {
	if l.fold.shelf == nil {
		return nil
	}
	l.cfg.Cache.tend()
	if time.Since(l.proven) < max(l.retention/8, minRenewal) {
		return nil
	}
	began := time.Now()
	ends, err := l.barrier(context.WithoutCancel(ctx))
	if err != nil {
		l.fail(err)
		return err
	}
	l.mu.Lock()
	l.offsets.pass(printOf(ends[0], barrierKey, nil))
	l.state.pass(printOf(ends[1], barrierKey, nil))
	l.mu.Unlock()
	return l.keepPlaces(began)
}
