package connector

import (
	"context"
	"errors"
	"sync"
	"time"
)

// follower runs the passes of one collection's stream, whenever its account says that there is something to see. In between it is
// no goroutine: most of ten thousand streams have nothing to do.
type follower struct {
	*task
	wake  chan struct{}
	own   slots // of the account
	slots slots // of the source

	mu      sync.Mutex
	running bool
	want    Hint
	since   time.Time // that the home has shown it
	askedAt time.Time // when the home was asked that has shown it
	hash    string    // of the account's configuration
	listed  bool      // the home lists it
	gone    bool      // it is known to be gone: its rows are to be deleted
	emptied bool      // they have been

	seen   string    // the hint that the last good pass began after
	looked bool      // a pass has ended well since the start, or since the collection came back
	beyond time.Time // when the last pass ended that may have seen more than the hint stands for
	missed int       // how often the home did not list it
	again  bool      // one more look at the next poll: the hint may stay as it is while more happens
}

func newFollower(t *task, own, shared slots) *follower {
	return &follower{task: t, wake: make(chan struct{}, 1), own: own, slots: shared}
}

// show tells what the home says of the collection that was asked then.
func (f *follower) show(h Hint, asked time.Time, configHash string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.listed || h != f.want {
		f.since = time.Now()
	}
	f.askedAt = asked
	f.want, f.hash, f.listed, f.gone, f.emptied = h, configHash, true, false, false
}

// vanish tells that the collection is known to be gone.
func (f *follower) vanish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listed, f.gone, f.looked = false, true, false
}

// miss tells that the home no longer lists the collection: until more is known, nothing is asked of it.
func (f *follower) miss() {
	f.mu.Lock()
	f.missed++
	f.listed, f.looked = false, false // back with the hint that it had, it may still be another
	f.mu.Unlock()
}

func (f *follower) isEmptied() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.emptied
}

// rouse has the follower look for something to do. It runs as one of wg until it has found nothing more.
func (f *follower) rouse(ctx context.Context, wg *sync.WaitGroup) {
	select {
	case f.wake <- struct{}{}:
	default:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.running {
		f.running = true
		wg.Go(func() { f.run(ctx) })
	}
}

// rest ends the follower's run, unless it has been roused again.
func (f *follower) rest() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = len(f.wake) > 0
	return !f.running
}

// run does what there is to do. A failed pass is tried again with backoff for as long as it takes
// (Invariant 8); a failed commit is the owner's matter.
func (f *follower) run(ctx context.Context) {
	retry := newBackOff(500*time.Millisecond, time.Minute)
	var at time.Time // not before: a pass has failed
	for !at.IsZero() || !f.rest() {
		if !f.wait(ctx, at) {
			return
		}
		work := f.next()
		if work == nil {
			at = time.Time{}
			f.idle()
			continue
		}
		if time.Now().Before(at) {
			continue
		}
		err := f.mend(ctx) // outside of the slots: it keeps no source busy
		if err == nil {
			err = f.inSlot(ctx, !at.IsZero(), work, f.own, f.slots)
		}
		if ctx.Err() != nil {
			return
		}
		if outcomeUnknown(err) {
			f.owner.lost(err)
			return
		}
		at = f.settle(err, retry)
	}
}

// wait returns when there may be something to do, false when ctx has ended.
func (f *follower) wait(ctx context.Context, at time.Time) bool {
	var due <-chan time.Time
	if !at.IsZero() {
		rest := time.Until(at)
		if rest <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(rest)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-f.wake:
	case <-due:
	}
	return true
}

// next is the work at hand, nil where there is none.
func (f *follower) next() func(context.Context) error {
	f.listen()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.gone && !f.emptied:
		return f.leave
	case !f.listed:
		return nil
	case f.moved(), f.asked(), f.confirmDue(), len(f.unread) > 0, f.stale(), f.reconcileDue():
		return f.look
	}
	return nil
}

// moved tells whether the home's sign, or another configuration, asks for a look. Each collection is looked at once after a start.
func (f *follower) moved() bool {
	return !f.looked || f.again || f.hash != f.configHash || f.want.Value == "" || f.want.Value != f.seen
}

// sight is what the home has said of the collection when a pass begins.
type sight struct {
	hint   Hint
	asked  time.Time // when the home was asked
	missed int       // how often it had missed the collection
	young  bool      // the hint may stay as it is though more happens than the pass sees: it is a time
}

// sees is what there is to go by for the pass that begins.
func (f *follower) sees() sight {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.configHash = f.hash
	young := f.want.Coarse > 0 && (!f.looked || f.want.Value != f.seen || time.Since(f.since) < f.want.Coarse)
	return sight{f.want, f.askedAt, f.missed, young}
}

// note keeps the hint that a good pass began after: it counts as seen only now, and not at all where the home has
// missed the collection meanwhile.
func (f *follower) note(s sight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.listed || f.missed != s.missed {
		return
	}
	f.again = s.young || !s.asked.After(f.beyond)
	f.seen, f.looked = s.hint.Value, true
}

// outrun tells that a pass may have seen more than the hint stands for: taken back, that would leave the hint as it was, where it is a hash of
// what the collection holds. Only a look that follows another listing of the home can tell.
func (f *follower) outrun() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beyond = time.Now()
}

// idle notes that the home's listing showed nothing to do.
func (f *follower) idle() {
	f.mu.Lock()
	well := f.listed && f.looked
	f.mu.Unlock()
	if well {
		f.update(func(s *Status) { s.LastPoll = time.Now() })
	}
}

// commits counts what has been published of the stream.
func (f *follower) commits() int64 {
	if f.cp.State == nil {
		return 0
	}
	return f.cp.State.Commit
}

func (f *follower) look(ctx context.Context) error {
	s := f.sees()
	before := f.commits()
	err := f.pass(ctx)
	if f.commits() != before && (err != nil || f.token() != s.hint.Value) {
		f.outrun()
	}
	if err != nil {
		f.mu.Lock()
		f.looked = false // what the pass has begun goes on, though the home may say nothing new
		f.mu.Unlock()
		return err
	}
	f.note(s)
	return nil
}

func (f *follower) leave(ctx context.Context) error {
	if err := f.remove(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	f.emptied = f.gone // it may be back already
	f.mu.Unlock()
	return nil
}

// slots are the passes of a source, or of one of its accounts, that may run at once.
type slots struct {
	well    chan struct{}
	retries chan struct{} // of streams whose last pass has failed: what hangs there holds up no stream that is well
}

func newSlots(n int) slots { return slots{make(chan struct{}, n), make(chan struct{}, (n+1)/2)} }

func (s slots) of(failing bool) chan struct{} {
	if failing {
		return s.retries
	}
	return s.well
}

// inSlot runs work when fewer than the account's and then the source's share of passes are running. In this order, an
// account that has much to do, or has to wait for its quota, holds up no other (Invariant 8). What only waits for its commit runs no
// more: room bounds that.
func (t *task) inSlot(ctx context.Context, failing bool, work func(context.Context) error, of ...slots) error {
	defer t.leave()
	for _, s := range of {
		slot := s.of(failing)
		select {
		case slot <- struct{}{}:
			t.berths = append(t.berths, slot)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return work(ctx)
}

// leave gives the slots back.
func (t *task) leave() {
	for _, slot := range t.berths {
		<-slot
	}
	t.berths = t.berths[:0]
}

// outcomeUnknown tells whether err is a failed commit after which everything must be loaded again (Invariant 7).
func outcomeUnknown(err error) bool {
	var commit *commitError
	var refused *RefusedError
	return errors.Is(err, ErrDoubt) || errors.As(err, &commit) && !errors.As(err, &refused)
}
