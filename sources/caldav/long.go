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

// enter waits for room. One that others keep waiting for longer than patience goes on without: a server that takes hours for a body holds
// up no other collection.
func (l *long) enter(ctx context.Context) (leave func(), err error) {
	waits, stop := context.WithTimeout(ctx, l.patience)
	defer stop()
	if l.bodies.Acquire(waits, 1) == nil {
		return func() { l.bodies.Release(1) }, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return func() {}, nil
}

// turn is of whoever reads an answer's bodies, one after the other. Nil reads them all without waiting.
type turn struct {
	long  *long
	first func() error // waits until the body is the next to be taken: so who has room needs nothing that others have
	leave func()       // nil: no long body is in work
}

// begin is called when a body turns out to be long.
func (t *turn) begin(ctx context.Context) (err error) {
	if t == nil || t.leave != nil {
		return nil
	}
	if err = t.first(); err == nil {
		t.leave, err = t.long.enter(ctx)
	}
	return err
}

// end is called when the body, if it was long, has been taken or is not wanted.
func (t *turn) end() {
	if t != nil && t.leave != nil {
		t.leave()
		t.leave = nil
	}
}
