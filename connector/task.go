package connector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/hashicorp/go-hclog"
)

const (
	// tokenDelay is how long a token that brought no rows may wait for a transaction to go with.
	tokenDelay = 10 * time.Minute
	// youngToken is the age under which a token found dead twice running is a storm, not a token that aged out.
	youngToken = time.Hour
)

// task follows one stream: it remembers between passes what need not survive a restart.
type task struct {
	owner   *owner
	source  *Source
	account Account
	cp      *Checkpoint
	log     hclog.Logger

	configHash string
	partition  int32 // of the data topic, for a stream that has none yet
	notify     int32 // partition of the notifications topic

	pendingOffset *Offset             // newer than the committed one, brought no rows
	unread        map[string]struct{} // resources whose body is unknown
	refusals      map[string]int      // passes in a row in which a body was refused
	suspicions    int                 // comparisons in a row, for a suspect delta, that found nothing
	deaths        int                 // young tokens found dead in a row
	dead          string              // the last of them
	noTokens      time.Time           // until then tokens are not relied on
	deltas        bool                // the last token was answered with a delta, not with a listing
	home          *home               // of a calendars stream
	berths        []chan struct{}     // slots of the pass that runs

	told   int       // number of the last signal that was looked at
	wanted *Position // of the last signal that asks for a snapshot of this stream
	ruled  *Signal   // the last that decides about what is held of it; where none does, the last about anything
	watch  *watch    // what the last look has found missing, where that is held

	mu     sync.Mutex
	status Status
}

func newTask(o *owner, s *Source, a Account, cp *Checkpoint) *task {
	t := &task{owner: o, source: s, account: a, cp: cp, log: o.c.log}
	if cp.Stream.Kind == Calendars {
		t.home = &home{departed: func(string) bool { return false }}
	}
	t.status = Status{Stream: cp.Stream, Condition: Starting}
	t.know()
	return t
}

// know takes over what the checkpoint says.
func (t *task) know() {
	t.unread = nil
	for _, id := range t.cp.Index.Unread() {
		t.miss(id)
	}
	t.status.Unread, t.status.Note = len(t.unread), t.cp.Caveat
	if state := t.cp.State; state != nil {
		t.status.Epoch, t.status.Rows, t.partition = state.Epoch, state.Rows, state.Partition
	}
}

// miss notes a resource whose body is unknown.
func (t *task) miss(id string) {
	if t.unread == nil { // in most streams there is none
		t.unread = map[string]struct{}{}
	}
	t.unread[id] = struct{}{}
}

// mend has put together again what is lost of the stream: of one of which nothing is known, that may be everything. (Rules of the pass:
// index lost.)
func (t *task) mend(ctx context.Context) error {
	fresh := t.cp.State == nil && t.cp.Offset == nil && t.cp.Refused == nil
	if t.cp.Lost == nil && !fresh {
		return nil
	}
	if t.cp.Lost != nil {
		t.log.Warn("something is lost of a stream: it is mended and read anew", "stream", t.cp.Stream.String(), "error", t.cp.Lost)
	}
	cp, err := t.owner.ledger.Mend(ctx, t.cp.Stream)
	if err != nil {
		return fmt.Errorf("mending %s: %w", t.cp.Stream, err)
	}
	t.cp = cp
	t.update(func(*Status) { t.know() })
	return nil
}

// held is why the stream cannot go on as it is, nil where it can.
func (t *task) held() error { return cmp.Or(t.cp.Refused, t.cp.Lost) }

// place finds the partitions of a stream that is to begin. A stream that has its partition keeps it for life.
func (t *task) place(ctx context.Context) error {
	cfg := t.owner.c.cfg
	if t.cp.State == nil {
		n, err := t.owner.c.topics.Partitions(ctx, cfg.DataTopic(t.cp.Stream))
		if err != nil {
			return err
		}
		t.partition = t.cp.Stream.Partition(n)
	}
	n, err := t.owner.c.topics.Partitions(ctx, cfg.NotificationsTopic())
	if err != nil {
		return err
	}
	t.notify = t.cp.Stream.Partition(n)
	return nil
}

// committed notes what a committed transaction changed. It is called by the lane, in order, while a pass runs.
func (t *task) committed(tx Transaction) {
	for _, r := range tx.Resources {
		if r.State != nil && r.State.Unknown {
			t.miss(r.ID)
		} else {
			delete(t.unread, r.ID)
		}
	}
	if tx.State != nil {
		t.cp.State = tx.State
	}
	switch {
	case tx.Forget:
		t.cp.Offset, t.pendingOffset = nil, nil
	case tx.Offset != nil:
		t.cp.Offset, t.pendingOffset = tx.Offset, nil
	}
	t.report(tx)
}

// report tells the observer what was published.
func (t *task) report(tx Transaction) {
	ops := map[string]int{}
	for _, r := range tx.Records {
		for _, h := range r.Headers {
			switch {
			case h.Key == "calcdc.op":
				ops[string(h.Value)]++
			case h.Key == "calcdc.marker" && string(h.Value) == markReset:
				t.owner.c.obs.Reset(tx.Stream, tx.State.Reason)
			}
		}
	}
	if len(ops) > 0 {
		t.owner.c.obs.Published(tx.Stream, ops)
	}
	if tx.State != nil {
		t.update(func(s *Status) {
			s.Epoch, s.Rows = tx.State.Epoch, tx.State.Rows
			switch tx.State.Phase {
			case Snapshot:
				s.Condition = Snapshotting
			case Removing:
				s.Condition = Vanishing
			case Streaming, RemovedAll:
			}
		})
	}
}

// token is the newest offset's.
func (t *task) token() string {
	if t.pendingOffset != nil {
		return t.pendingOffset.Token
	}
	return t.cp.Offset.Token
}

// offset is what the stream resumes from once token is committed.
func (p *pass) offset(token string) Offset {
	o := Offset{Token: token, Epoch: p.state.Epoch, ConfigHash: p.configHash, CommittedMs: time.Now().UnixMilli()}
	if p.prior != nil {
		o.ReconciledMs = p.prior.ReconciledMs
	}
	return o
}

// postpone keeps a token that brought no rows for the next transaction, for ten minutes at most. It is false when
// the token must be committed now.
func (p *pass) postpone(o Offset) bool {
	if p.prior == nil || p.snap || p.state.Commit != p.first {
		return false
	}
	if o.Token == p.prior.Token {
		p.pendingOffset = nil
		return true
	}
	if time.Since(time.UnixMilli(p.prior.CommittedMs)) >= tokenDelay {
		return false
	}
	p.pendingOffset = &o
	return true
}

// stale tells that a token has waited long enough.
func (t *task) stale() bool {
	return t.pendingOffset != nil && time.Since(time.UnixMilli(t.cp.Offset.CommittedMs)) >= tokenDelay
}

func (t *task) unreadIDs() []string { return slices.Sorted(maps.Keys(t.unread)) }

// reconcileDue tells whether a full comparison is due. A calendars stream that is listed at every poll needs none, and where the last one is held,
// the next is the look that confirms it.
func (t *task) reconcileDue() bool {
	if t.waits() {
		return false
	}
	every := t.source.ReconcileInterval
	if o := t.cp.Offset; o != nil && o.Token != "" && o.ReconciledMs == 0 {
		return true // asked for, whatever the schedule: a commit was cut short
	}
	if every == 0 || t.home != nil && !t.deltas || t.cp.Offset == nil || t.cp.State == nil || t.cp.State.Phase != Streaming {
		return false
	}
	spread := time.Duration(murmur2(t.cp.Stream.Key(""), 1000)) * every / 10000 // up to a tenth, not all at once
	return time.Since(time.UnixMilli(t.cp.Offset.ReconciledMs)) >= every+spread
}

// tokenDied counts a dead token and tells whether tokens are of no use for now: one younger than an hour was found
// dead twice running.
func (t *task) tokenDied(committed time.Time) bool {
	if time.Since(committed) >= youngToken {
		t.deaths = 0
		return false
	}
	if t.token() == t.dead {
		return false // the reset that it led to has not come to anything: one death, told again
	}
	t.dead = t.token()
	if t.deaths++; t.deaths < 2 {
		return false
	}
	rest := t.source.ReconcileInterval
	if rest == 0 {
		rest = 24 * time.Hour
	}
	t.deaths, t.noTokens = 0, time.Now().Add(rest)
	t.update(func(s *Status) {
		s.Note = "sync tokens die within an hour: comparing fully until " + t.noTokens.UTC().Format(time.RFC3339)
	})
	return true
}

func (t *task) tokenLived() { t.deaths, t.dead = 0, "" }

// stormy tells that tokens are not relied on for now.
func (t *task) stormy() bool {
	if t.noTokens.IsZero() {
		return false
	}
	if time.Now().Before(t.noTokens) {
		return true
	}
	t.noTokens = time.Time{}
	t.update(func(s *Status) { s.Note = "" })
	return false
}

// update changes the status and shows it.
func (t *task) update(change func(*Status)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.status)
	t.owner.c.obs.Stream(t.status)
}

// settle records how a pass ended, and returns when the stream is to be tried again by itself: zero when it is well.
func (t *task) settle(err error, retry backoff.BackOff) time.Time {
	if err == nil {
		retry.Reset()
		t.update(func(s *Status) {
			s.Condition, s.Err, s.Failures, s.RetryAt, s.LastPoll = Following, "", 0, time.Time{}, time.Now()
			if t.cp.State != nil && t.cp.State.Phase == RemovedAll {
				s.Condition = Vanished
			}
			s.Unread, s.Held = len(t.unread), 0
			if state := t.cp.State; state != nil && state.Hold != nil {
				if s.Held = state.Hold.Rows; !state.Hold.Kept || state.Phase == Snapshot {
					s.Condition = Holding
				}
			}
		})
		return time.Time{}
	}
	wait := retry.NextBackOff()
	var after RetryAfter
	if errors.As(err, &after) && after.RetryAfter() > wait {
		wait = min(after.RetryAfter(), time.Hour)
	}
	at := time.Now().Add(wait)
	var refused *RefusedError
	t.update(func(s *Status) {
		s.Condition, s.Err, s.RetryAt = Failing, err.Error(), at
		s.Failures++
		if errors.As(err, &refused) || t.cp.Refused != nil {
			s.Condition = Refusing
		}
	})
	return at
}

// newBackOff spaces the attempts of what may fail for as long as it takes.
func newBackOff(first, most time.Duration) backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.MaxElapsedTime = first, most, 0
	b.Multiplier, b.RandomizationFactor = 2, 0.5
	b.Reset()
	return b
}
