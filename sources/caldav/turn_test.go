package caldav

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A body that takes its time holds the others up for a while, not for ever.
func TestLongBodiesWaitForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLong(64<<20, 8<<20, time.Minute) // two of 8 MiB, four times each
		var leaves []func()
		begun := time.Now()
		for i, after := range []time.Duration{0, 0, time.Minute} {
			leave, err := l.enter(t.Context())
			if took := time.Since(begun); err != nil || took != after {
				t.Errorf("%d: after %v, %v", i, took, err)
			}
			leaves = append(leaves, leave)
		}
		for _, leave := range leaves {
			leave()
		}
		ctx, stop := context.WithCancel(t.Context())
		for range 2 {
			if _, err := l.enter(ctx); err != nil {
				t.Error(err)
			}
		}
		stop()
		if _, err := l.enter(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("ended: %v", err)
		}
		if newLong(1<<20, 16<<20, time.Minute).bodies.TryAcquire(2) {
			t.Error("room for two where there is none for one")
		}
	})
}
