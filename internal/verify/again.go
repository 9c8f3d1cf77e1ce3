package verify

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
)

const (
	// looks is how often a row in doubt is asked for again; one that has changed at its source each time is left undecided.
	looks = 4
	// soon is after how long the first of them comes: most of what differs is on its way to the topic.
	soon = 2 * time.Second
	// polls is how many a running calcdc needs to see that a collection is gone.
	polls = 2
)

// lookAgain asks the sources again for what differs and reads the topics on, until all that differs has either come to be alike or been as
// it is at its source for as long as a running calcdc may take to see it. So it does with streams that have not begun.
func (r *run) lookAgain(ctx context.Context) error {
	for n := range looks {
		wait, doubts := r.doubts()
		if doubts == 0 && len(r.late) == 0 {
			return nil
		}
		if n == 0 {
			wait = min(wait, soon)
		}
		r.say("%s: looking again in %v, in case that is only just so …", r.unsure(doubts), wait)
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
		for _, b := range r.batches {
			if err := r.relook(ctx, b); err != nil {
				return err
			}
		}
		if err := r.begun(ctx); err != nil {
			return err
		}
	}
	for _, b := range r.batches {
		for _, l := range b.listings {
			if l.leaving != nil && len(l.doubts) > 0 {
				r.stays(l)
			}
			r.report.Moving += int64(len(l.doubts))
		}
	}
	return nil
}

func (r *run) unsure(doubts int) string {
	if len(r.late) == 0 {
		return fmt.Sprintf("%d rows differ", doubts)
	}
	return fmt.Sprintf("%d rows differ, and %d streams have not begun", doubts, len(r.late))
}

// doubts counts the rows in doubt, and says how long to wait for them, and for streams that have not begun.
func (r *run) doubts() (wait time.Duration, n int) {
	for _, b := range r.batches {
		for _, l := range b.listings {
			if n += len(l.doubts); len(l.doubts) > 0 {
				wait = max(wait, r.cfg.patience(l.home.source))
			}
		}
	}
	for _, l := range r.late {
		wait = max(wait, r.cfg.patience(l.home.source))
	}
	return wait, n
}

// relook looks at what is in doubt of a partition: at the sources first, then at what the topic has come to.
func (r *run) relook(ctx context.Context, b *batch) error {
	g, inner := errgroup.WithContext(ctx)
	slots := map[*connector.Source]*slots{}
	for s, l := range b.listings {
		if len(l.doubts) == 0 {
			delete(b.listings, s)
			continue
		}
		if slots[l.home.source] == nil {
			slots[l.home.source] = newSlots(l.home.source)
		}
		room := slots[l.home.source]
		g.Go(func() error {
			return room.do(inner, s.Account, func() error { l.failed = l.again(inner); return nil })
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if len(b.listings) == 0 {
		return nil
	}
	if b.topic != "" {
		if err := r.readOn(ctx, b.topic, b.partition, &b.end, b.follow); err != nil {
			return err
		}
	}
	for s, l := range b.listings {
		r.judge(b, s, l)
	}
	return nil
}

// follow takes over what a later record says of a row in doubt.
func (b *batch) follow(rec Record) {
	e, _ := takeApart(rec) // of a row that is doubted, an error makes it one that no source has
	if l := b.listings[e.stream]; l != nil {
		l.follow(e)
	}
}

// judge sorts a stream's doubts: those that are none any more, those that are differences, and those that remain.
func (r *run) judge(b *batch, s Stream, l *listing) {
	switch {
	case l.failed != nil:
		r.setApart(*failed(s, l.failed, len(l.doubts)))
	case l.leaving != nil:
		r.weighLeaving(l)
		return
	case l.progress.Snapshot:
		r.setApart(Apart{s, InSnapshot, saysInSnapshot, len(l.doubts)})
	default:
		r.weigh(b, s, l)
		return
	}
	l.dropAll()
}

func (r *run) weigh(b *batch, s Stream, l *listing) {
	r.report.Unread += int64(len(l.unread))
	clear(l.unread)
	patience := r.cfg.patience(l.home.source)
	for id, d := range l.doubts {
		wait := patience
		if s.Kind == connector.Calendars && d.source == none {
			wait *= polls
		}
		switch {
		case d.settled():
			r.report.Changed++
			l.drop(id)
		case time.Since(d.since) >= wait:
			if b.verdicts[s] == nil {
				b.verdicts[s] = map[connector.Hash]*doubt{}
			}
			b.verdicts[s][id] = d
			delete(l.doubts, id)
		}
	}
}

// weighLeaving waits for the deletes of a stream that its source does not have any more.
func (r *run) weighLeaving(l *listing) {
	overdue := false
	for id, d := range l.doubts {
		overdue = overdue || time.Since(d.since) >= polls*r.cfg.patience(l.home.source)
		if d.topic == none {
			r.report.Changed++
			l.drop(id)
		}
	}
	if overdue && len(l.doubts) > 0 {
		r.stays(l)
	}
}

// stays reports a stream that its source does not have any more, and whose rows the topic still has.
func (r *run) stays(l *listing) {
	r.report.Streams--
	l.leaving.Rows = len(l.doubts)
	r.setApart(*l.leaving)
	l.dropAll()
}

// sleep waits for d; it is false when ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
