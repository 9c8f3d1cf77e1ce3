package google

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/internal/httpwait"
)

// noted answers every request with 200 and notes when it came.
type noted struct {
	mu    sync.Mutex
	times []time.Time
}

func (n *noted) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.times = append(n.times, time.Now())
	return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
}

// most is the largest number of requests in any minute.
func most(times []time.Time) (n int) {
	from := 0
	for i, t := range times {
		for t.Sub(times[from]) >= time.Minute {
			from++
		}
		n = max(n, i-from+1)
	}
	return n
}

// TestQuota: no minute ever holds more requests than the quota, and nearly as many where they are wanted.
func TestQuota(t *testing.T) {
	for _, quota := range []int{1, 2, 7, 60, 600, 10_000} {
		synctest.Test(t, func(t *testing.T) {
			n := &noted{}
			user := newMeter("the user's quota", quota)
			m := &metering{base: n, user: user, project: newMeter("the project's quota", 1e6)}
			time.Sleep(time.Hour) // a rest must not save anything up
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for ctx.Err() == nil {
						if send(ctx, m) != nil {
							time.Sleep(time.Second)
						}
					}
				})
			}
			wg.Wait()
			got := most(n.times)
			if got > quota || got < quota*9/10 {
				t.Errorf("quota %d: %d requests in a minute", quota, got)
			}
			if len(n.times) < quota*2 {
				t.Errorf("quota %d: %d requests in five minutes", quota, len(n.times))
			}
		})
	}
}

func send(ctx context.Context, rt http.RoundTripper) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1/", nil)
	if err != nil {
		return err
	}
	resp, err := rt.RoundTrip(r)
	if err == nil {
		err = resp.Body.Close()
	}
	return err
}

// TestQuotaShared: the project's quota is for all users together, and a paused user pauses no other.
func TestQuotaShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &noted{}
		project := newMeter("the project's quota", 300)
		users := make([]*metering, 5)
		for i := range users {
			users[i] = &metering{base: n, user: newMeter("the user's quota", 100), project: project}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for _, u := range users {
			wg.Go(func() {
				for send(ctx, u) == nil {
				}
			})
		}
		wg.Wait()
		if got := most(n.times); got > 300 || got < 270 {
			t.Errorf("%d requests in a minute", got)
		}

		time.Sleep(time.Minute)
		users[0].user.pause(20 * time.Second)
		begun := time.Now()
		var after connector.RetryAfter
		if err := send(t.Context(), users[0]); !errors.As(err, &after) || after.RetryAfter() != 20*time.Second || time.Since(begun) > 0 {
			t.Errorf("a paused user: %v", err)
		}
		if err := send(t.Context(), users[1]); err != nil {
			t.Errorf("another: %v", err)
		}
		time.Sleep(17 * time.Second)
		begun = time.Now()
		if err := send(t.Context(), users[0]); err != nil || time.Since(begun) < 3*time.Second {
			t.Errorf("shortly before the end: %v after %v", err, time.Since(begun))
		}
	})
}

// TestPause: without a word from the server, each pause is longer than the last, up to a bound, and answers end that.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter("the user's quota", 600)
		var last time.Duration
		for range 20 {
			d := m.pause(0)
			if d < last*4/5 || d < firstPause || d > lastPause*5/4 {
				t.Errorf("a pause of %v after one of %v", d, last)
			}
			if again := m.pause(0); again > d {
				t.Errorf("requests on their way made it %v of %v", again, d)
			}
			last = d
			time.Sleep(d)
		}
		if last < lastPause {
			t.Errorf("the last pause was %v", last)
		}
		m.well()
		if d := m.pause(0); d > 2*firstPause {
			t.Errorf("after an answer: %v", d)
		}
		if d := m.pause(time.Hour); d != time.Hour {
			t.Errorf("asked for an hour: %v", d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := newMeter("the user's quota", 600).wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// TestQueue: who would wait too long for quota is told when to come back.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter("the user's quota", 1)
		if err := m.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		var after connector.RetryAfter
		if err := m.wait(t.Context()); !errors.As(err, &after) || after.RetryAfter() < time.Minute {
			t.Errorf("%v", err)
		}
		time.Sleep(62 * time.Second)
		if err := m.wait(t.Context()); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}

// TestRetryAfter: seconds or a date, a day at most.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "x": 0, "-5": 0, "90": 90 * time.Second, "999999": 24 * time.Hour, "Mon, 01 Jun 2026 12:02:00 GMT": 2 * time.Minute,
		"Mon, 01 Jun 2026 11:00:00 GMT": 0, "Tue, 01 Jun 2027 12:00:00 GMT": 24 * time.Hour,
	} {
		if got := httpwait.RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// TestPausesOfOneMoment: a short wish does not end a longer pause, and an answer that was on its way does not end the doubling.
func TestPausesOfOneMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter("quota", 600)
		m.pause(time.Hour)
		if left := m.pause(time.Second); left != time.Hour {
			t.Errorf("a pause of an hour is one of %v", left)
		}
		m = newMeter("quota", 600)
		first := m.pause(0)
		m.well()
		time.Sleep(first)
		if second := m.pause(0); second < 2*firstPause {
			t.Errorf("%v after %v", second, first)
		}
	})
}

// TestOfProject: a limit for each user of a project is the user's.
func TestOfProject(t *testing.T) {
	for limit, want := range map[string]bool{"defaultPerMinutePerProject": true, "defaultPerMinutePerProjectPerUser": false, "": false} {
		e := &Error{Status: http.StatusTooManyRequests, said: readAnswer(fmt.Appendf(nil, `{"error":{"details":[{"metadata":{"quota_limit":%q}}]}}`, limit))}
		if e.ofProject() != want {
			t.Errorf("%q: %v", limit, !want)
		}
	}
}
