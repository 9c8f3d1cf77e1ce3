package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// readPatience is how long a Read with an end goes on without any answer that brings it further.
const readPatience = 30 * time.Second

// stalled is how long a Read with an end waits for a broker that answers without bringing it further: longer than any
// transaction of others may stay open and hide what is behind it.
const stalled = 2 * time.Minute

// fetching asks for a partition's batches, answer after answer.
type fetching struct {
	c         *Client
	p         partition
	at, until int64 // where the next answer begins
	bytes     int   // to ask for; fewer after a timeout
}

// run sends answers until they have reached the end. One is asked for while the one before is being read.
func (g *fetching) run(ctx context.Context, answers chan<- *fetched) error {
	g.c.know(g.p.topic)
	moved := time.Now()
	for g.until < 0 || g.at < g.until {
		f, err := g.fetch(ctx)
		if err != nil {
			return err
		}
		end := f.end(g.at)
		if end <= g.at && g.until >= 0 && time.Since(moved) > stalled {
			return fmt.Errorf("nothing more was committed for %v; offset %d was to be reached, the last stable one is %d", stalled, g.until, f.stable)
		}
		select {
		case answers <- f:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if end > g.at { // the time that the reader takes is not the broker's
			g.at, moved = end, time.Now()
		}
	}
	return nil
}

// fetch returns an answer that is no error, retrying what passes.
func (g *fetching) fetch(ctx context.Context) (*fetched, error) {
	patience := readPatience
	if g.until < 0 {
		patience = 0
	}
	var f *fetched
	began, warn := time.Now(), g.c.warner("reading fails, trying on", "partition", g.p.String())
	err := retry(ctx, patience, func() (bool, error) {
		var err error
		f, err = g.c.fetch(ctx, g.p, g.at, g.bytes, fetchWait)
		switch {
		case err == nil || ctx.Err() != nil:
			return false, err
		case errors.Is(err, kafkago.OffsetOutOfRange):
			passes, err := g.outOfRange(ctx)
			return passes && time.Since(began) < readPatience, err
		case errors.Is(err, context.DeadlineExceeded):
			g.bytes = max(g.bytes/2, minFetchBytes)
		}
		warn(err)
		return !refused(err), err
	})
	return f, err
}

// outOfRange finds out what lies behind that answer, and whether it may pass: a leader that was deposed without knowing has an
// end before our position.
func (g *fetching) outOfRange(ctx context.Context) (passes bool, err error) {
	start, err := g.c.Start(ctx, g.p.topic, g.p.id)
	if err != nil {
		return true, err
	}
	if g.at >= start {
		return true, fmt.Errorf("%w: its end is before it", ErrOutOfRange)
	}
	if g.at > 0 {
		return false, fmt.Errorf("%w: it begins at %d", ErrOutOfRange, start)
	}
	g.at = start
	return true, fmt.Errorf("%w: it begins at %d", ErrOutOfRange, start)
}
