package caldav

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Who has room keeps it for as long as its page is not taken, however long that is; one that waits for its server keeps the others
// waiting for a while only, and waits for room again when its body has come.
func TestLongBodiesWaitForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLong(32<<20, 8<<20, time.Minute) // one of 8 MiB, four times
		begun := time.Now()
		at := func(what string, want time.Duration, err error) {
			t.Helper()
			if took := time.Since(begun); err != nil || took != want {
				t.Errorf("%s: after %v, want %v: %v", what, took, want, err)
			}
		}
		enter := func(what string, want time.Duration) *stay {
			t.Helper()
			s, err := l.enter(t.Context())
			at(what, want, err)
			return s
		}
		first := enter("the first", 0)
		at("its body", 0, first.arrived(t.Context()))
		time.AfterFunc(time.Hour, first.leave)
		slow := enter("one after a page that took an hour to be taken", time.Hour)
		third := enter("one after a body that does not come", time.Hour+time.Minute)
		at("its body", time.Hour+time.Minute, third.arrived(t.Context()))
		time.AfterFunc(time.Hour, third.leave)
		at("the late body", 2*time.Hour+time.Minute, slow.arrived(t.Context()))
		slow.leave()
		never := enter("one that does not come", 2*time.Hour+time.Minute)
		time.Sleep(2 * time.Minute)
		never.leave()
		if !l.bodies.TryAcquire(1) || l.bodies.TryAcquire(1) {
			t.Error("room was lost, or given back twice")
		}
	})
}

func TestLongBodiesEndWithTheirPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLong(1<<20, 16<<20, time.Minute) // room for one where there is none
		ctx, stop := context.WithCancelCause(t.Context())
		slow, err := l.enter(ctx)
		if err != nil {
			t.Fatal(err)
		}
		other, err := l.enter(ctx) // a minute later
		if err != nil {
			t.Fatal(err)
		}
		why := errors.New("the poll has ended")
		time.AfterFunc(time.Second, func() { stop(why) })
		if err := slow.arrived(ctx); !errors.Is(err, why) {
			t.Errorf("late: %v", err)
		}
		if _, err := l.enter(ctx); !errors.Is(err, why) {
			t.Errorf("new: %v", err)
		}
		slow.leave()
		other.leave()
		if !l.bodies.TryAcquire(1) || l.bodies.TryAcquire(1) {
			t.Error("room was lost, or given back twice")
		}
	})
}
