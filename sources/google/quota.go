package google

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// shortPause is how long a request waits for a pause to end; for a longer one it fails at once, so that it holds up
	// nothing else.
	shortPause = 5 * time.Second
	// longQueue is how long a request waits for its turn within the quota.
	longQueue = time.Minute
	// firstPause and lastPause bound how long is paused where the server does not say.
	firstPause, lastPause = time.Second, 5 * time.Minute
)

// meter keeps to a quota, of a user or of the project, and to the pauses that the server asks for.
type meter struct {
	what    string // for errors
	limiter *rate.Limiter

	mu     sync.Mutex
	until  time.Time // paused
	pauses int       // in a row
}

// newMeter permits a little less than quota requests in any minute, since the way to the server takes now more, now less
// time: a burst of a twentieth, and the rest evenly.
func newMeter(what string, quota int) *meter {
	burst := max(1, quota/20)
	perSecond := float64(quota-burst-quota/50) / 60
	if quota == 1 {
		perSecond = 1. / 61
	}
	return &meter{what: what, limiter: rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// wait returns when a request may be sent.
func (m *meter) wait(ctx context.Context) error {
	if err := m.awaitPause(ctx); err != nil {
		return err
	}
	r, delay := m.reserve()
	if r == nil {
		return &Error{Op: "waiting for " + m.what, After: delay, Hint: "too many requests are waiting for quota: raise poll_interval, or the quota"}
	}
	if err := sleep(ctx, delay); err != nil {
		r.Cancel()
		return err
	}
	return m.awaitPause(ctx)
}

// reserve takes a place in the queue; nil where it is too far back. One at a time: a place that is given back while others stand
// behind it would be lost.
func (m *meter) reserve() (*rate.Reservation, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.limiter.Reserve()
	delay := r.Delay()
	if delay > longQueue {
		r.Cancel()
		return nil, delay
	}
	return r, delay
}

func (m *meter) awaitPause(ctx context.Context) error {
	for left := m.paused(); left > 0; left = m.paused() {
		if left > shortPause {
			return &Error{Op: "waiting for " + m.what, After: left,
				Err: fmt.Errorf("the server has asked for a pause of another %s", left.Round(time.Second))}
		}
		if err := sleep(ctx, left); err != nil {
			return err
		}
	}
	return nil
}

func (m *meter) paused() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Until(m.until)
}

// pause keeps requests back for as long as the server asks or, where it does not say, for longer each time. It returns
// how long that is.
func (m *meter) pause(asked time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	left := m.until.Sub(now)
	switch {
	case asked > 0:
		left = max(left, asked)
	case left <= 0: // else one of several that were on their way
		left = min(firstPause<<min(m.pauses, 10), lastPause)
		left += time.Duration(rand.Int64N(int64(left / 4)))
		m.pauses++
	}
	m.until = now.Add(left)
	return left
}

// well notes an answer within the quota.
func (m *meter) well() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !time.Now().Before(m.until) {
		m.pauses = 0
	}
}

// metering sends each request when the quota of its user and that of the project permit.
type metering struct {
	base          http.RoundTripper
	user, project *meter
}

// RoundTrip implements http.RoundTripper.
func (t *metering) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, m := range []*meter{t.user, t.project} {
		if err := m.wait(r.Context()); err != nil {
			if r.Body != nil {
				_ = r.Body.Close() // a RoundTripper closes it, also where it fails
			}
			return nil, err
		}
	}
	if x, ok := r.Context().Value(exchangeKey{}).(*exchange); ok {
		x.secret = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	return t.base.RoundTrip(r)
}

// sleep waits for d, or until ctx ends: then with its cause.
func sleep(ctx context.Context, d time.Duration) error {
	if err := context.Cause(ctx); err != nil || d <= 0 {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
