package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// One that passes once is an offset tool; who comes back is another process.
func TestCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancelCause(t.Context())
		c := &company{end: end, last: map[int32]time.Time{}}
		c.seen(0)
		c.seen(1)
		time.Sleep(3 * time.Minute)
		c.seen(0)
		if ctx.Err() != nil {
			t.Fatal("ended for an offset tool")
		}
		time.Sleep(time.Minute)
		c.seen(0)
		if !errors.Is(context.Cause(ctx), errNotAlone) {
			t.Errorf("got %v", context.Cause(ctx))
		}
	})
}
