package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/offsets"
)

// owner is a partition in the hands of a tool.
type owner struct {
	ledger *offsets.Ledger
	loaded map[connector.Stream]*connector.Checkpoint
}

// owned has a tool become the owner of every partition for a moment, in some seeds with a copy of a worker's cache. What it does counts only if
// nobody has taken them back.
func (w *world) owned(ctx context.Context, do func([]owner) error) (bool, error) {
	h := w.net.host(func(int16, string) fate { return fate{wait: time.Millisecond, back: time.Millisecond} })
	defer h.kill()
	c, err := w.client(h, w.logger("tool"))
	if err != nil {
		return false, err
	}
	defer c.Close()
	cache := w.openCache(w.borrow(), w.logger("tool"))
	if cache != nil {
		defer func() { _ = cache.Close() }()
	}
	var all []owner
	for p := range int32(partitions) {
		l := w.ledger(c, cache, p, hclog.NewNullLogger())
		loaded, err := l.Load(ctx)
		if err != nil {
			return false, fmt.Errorf("the tool's load: %w", err)
		}
		all = append(all, owner{l, loaded})
	}
	err = do(all)
	for _, o := range all {
		if overtaken, err := o.ledger.Overtaken(ctx); overtaken || err != nil {
			return false, err
		}
	}
	return true, err
}

// inspect becomes the owner for a moment, holds what it loads against the topics, and sometimes resets a stream.
func (w *world) inspect(r *rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var wrong error
	sure, err := w.owned(ctx, func(all []owner) error {
		if wrong = w.judge.catchUp(); wrong != nil {
			return wrong
		}
		w.service.mu.Lock()
		wrong = w.judge.state(all)
		w.service.mu.Unlock()
		o := all[r.IntN(len(all))]
		for _, s := range sorted(o.loaded) {
			if r.IntN(12) == 0 {
				w.note("reset %s", s)
				w.asked[s]++
				w.met.add("tool resets")
				return o.ledger.Reset(ctx, s)
			}
		}
		return nil
	})
	w.note("the tool: %v %v", sure, err)
	w.met.add("tool")
	if !sure {
		wrong = nil
	}
	return errors.Join(wrong, w.judge.verdict())
}
