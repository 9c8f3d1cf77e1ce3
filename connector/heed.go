package connector

import (
	"context"
	"slices"
	"time"
)

// listen takes in what has been asked of the stream since the last time, and returns how far the signals have been read.
func (t *task) listen() (at *Position) {
	var news []*Signal
	news, t.told, at, _ = t.owner.c.board.since(t.told)
	topic := t.owner.c.cfg.DataTopic(t.cp.Stream)
	for _, s := range news {
		switch {
		case !s.Selects(t.cp.Stream, topic):
		case s.Type == ExecuteSnapshot:
			t.wanted = &s.At
		case !t.decides(t.ruled) || t.decides(s):
			t.ruled = s
		}
	}
	return at
}

// asked tells whether a snapshot has been asked for that none has heeded yet. One in progress ends first; one that is to
// begin for another reason does what was asked for.
func (t *task) asked() bool {
	return t.wanted != nil && t.cp.State != nil && t.cp.State.Phase == Streaming && t.wanted.beyond(t.cp.State.Signal)
}

// rest waits for d, or until the calendars stream is asked for something, unless it fails; meanwhile it rouses the followers that are
// asked. It is false when ctx has ended.
func (h *household) rest(ctx context.Context, d time.Duration, failing bool) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		fresh := h.hand(ctx)
		h.calendars.listen()
		if d <= 0 || h.calendars.asked() && !failing {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-fresh:
		}
	}
}

// hand rouses the followers that signals are for, and returns what is closed when there are more.
func (h *household) hand(ctx context.Context) <-chan struct{} {
	var news []*Signal
	var fresh <-chan struct{}
	news, h.told, _, fresh = h.owner.c.board.since(h.told)
	for s, f := range h.followers {
		topic := h.owner.c.cfg.DataTopic(s)
		if slices.ContainsFunc(news, func(n *Signal) bool { return n.Selects(s, topic) }) {
			f.rouse(ctx, &h.wg)
		}
	}
	return fresh
}
