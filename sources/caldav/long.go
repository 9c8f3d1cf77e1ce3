package caldav

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"
)

// A body longer than a page is worked on by itself, from where it passes that length to where the page that it makes has been taken:
// what it takes meanwhile is several times its size.
const (
	longBytes = pageBytes
	copies    = 4 // of a body: in the text as it is read, as it grows, and while it is parsed
)

// long bounds how many long bodies are worked on at once, by all accounts of a service.
type long struct {
	bodies   *semaphore.Weighted
	patience time.Duration
}

// newLong makes room for as many as fit into ahead bytes, each of most bytes, and for one at least.
func newLong(ahead, most int64, patience time.Duration) *long {
	return &long{semaphore.NewWeighted(max(1, ahead/(copies*most))), patience}
}

// stay is a body's, from where it has room.
type stay struct {
	long *long
	late *time.Timer // gives the room up
	here bool        // the body has arrived and has room
}

// enter waits for room, for as long as those who have it wait for their pages to be taken. A body that takes longer than patience to
// arrive gives its room up meanwhile: a server that takes hours for it holds up no other collection.
func (l *long) enter(ctx context.Context) (*stay, error) {
	if l.bodies.Acquire(ctx, 1) != nil {
		return nil, context.Cause(ctx)
	}
	return &stay{long: l, late: time.AfterFunc(l.patience, func() { l.bodies.Release(1) })}, nil
}

// arrived is called when the whole body is there; one that was late waits for room again.
func (s *stay) arrived(ctx context.Context) error {
	if !s.here && !s.late.Stop() && s.long.bodies.Acquire(ctx, 1) != nil {
		return context.Cause(ctx)
	}
	s.here = true
	return nil
}

func (s *stay) leave() {
	if s.here || s.late.Stop() {
		s.long.bodies.Release(1)
	}
}

// turn is of whoever reads an answer's bodies, one after the other. Nil reads them all without waiting.
type turn struct {
	long  *long
	first func() error // waits until the body is the next to be taken: so who has room needs nothing that others have
	stay  *stay        // nil: no long body is in work
}

// begin is called when a body turns out to be long.
func (t *turn) begin(ctx context.Context) (err error) {
	if t == nil || t.stay != nil {
		return nil
	}
	if err = t.first(); err == nil {
		t.stay, err = t.long.enter(ctx)
	}
	return err
}

// arrived is called when a body, long or not, has been read.
func (t *turn) arrived(ctx context.Context) error {
	if t == nil || t.stay == nil {
		return nil
	}
	return t.stay.arrived(ctx)
}

// end is called when the body, if it was long, has been taken or is not wanted.
func (t *turn) end() {
	if t != nil && t.stay != nil {
		t.stay.leave()
		t.stay = nil
	}
}
