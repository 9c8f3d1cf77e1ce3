package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/offsets"
)

// atLeastOnce tells that nothing fences, so that there may be one process only.
func atLeastOnce(c *config.Config) bool { return c.Delivery == "at_least_once" }

// errNotAlone ends a process that is not the only one where it has to be.
var errNotAlone = errors.New("another process with this name has loaded the same partitions, twice within two minutes: with delivery: at_least_once " +
	"there may be one only; stop the other, or give this one another name (an offset tool that is run twice looks the same: stop calcdc before)")

// company watches for other processes where nothing fences them. An offset tool passes once; a second process comes back.
type company struct {
	end context.CancelCauseFunc

	mu   sync.Mutex
	last map[int32]time.Time // when somebody else had loaded the partition
}

const notAlone = 2 * time.Minute

// seen notes that somebody else has loaded the partition.
func (c *company) seen(partition int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, ok := c.last[partition]; ok && time.Since(last) < notAlone {
		c.end(errNotAlone)
	}
	c.last[partition] = time.Now()
}

// watched is a ledger of a process that has to be alone.
type watched struct {
	*offsets.Ledger
	partition int32
	company   *company
}

// Overtaken implements connector.Ledger.
func (w watched) Overtaken(ctx context.Context) (bool, error) {
	overtaken, err := w.Ledger.Overtaken(ctx)
	if overtaken {
		w.company.seen(w.partition)
	}
	return overtaken, err
}

// runAlone follows all partitions, until ctx ends or another process turns out to do the same.
func runAlone(ctx context.Context, c *config.Config, conn *connector.Connector, ledger func(int32) *offsets.Ledger) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	others := &company{end: end, last: map[int32]time.Time{}}
	err := conn.Run(ctx, connector.All(c.Offsets.Partitions), func(p int32) connector.Ledger {
		return watched{ledger(p), p, others}
	})
	if cause := context.Cause(ctx); errors.Is(cause, errNotAlone) {
		return cause
	}
	return err
}
