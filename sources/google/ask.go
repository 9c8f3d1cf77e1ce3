package google

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"
	"google.golang.org/api/googleapi"
)

// maxTries is how often a request is sent before its trouble is the poll's. One that took longer than longTry is not sent again.
const (
	maxTries = 3
	longTry  = 10 * time.Second
	// grantPause is how long a stream waits that lacks a scope: hundreds of calendars that ask in vain would use up the quota.
	grantPause = 5 * time.Minute
)

// errNotModified is the answer 304.
var errNotModified = errors.New("not modified")

// ask sends one request, which do makes of the context, and tries again in place where the trouble may be over in a moment and
// nothing of the answer has been handed over. scope is what the request's token is for. Errors are an *Error, ctx's cause, or
// errNotModified.
func (a *Account) ask(ctx context.Context, op, scope string, x *exchange, do func(context.Context) error) error {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(a.first), backoff.WithMultiplier(2), backoff.WithMaxElapsedTime(0))
	for try := 1; ; try++ {
		begun := time.Now()
		err := a.once(ctx, op, scope, x, do)
		var e *Error
		if err == nil || !errors.As(err, &e) || try == maxTries || x.handed > 0 || !e.passing() || e.After > shortPause ||
			time.Since(begun) > longTry {
			return err
		}
		a.log.Debug("trying again", "error", err)
		if err := sleep(ctx, max(e.After, wait.NextBackOff())); err != nil {
			return err
		}
	}
}

// once sends a request.
func (a *Account) once(ctx context.Context, op, scope string, x *exchange, do func(context.Context) error) error {
	*x = exchange{each: x.each}
	err := do(withExchange(ctx, x))
	switch {
	case err == nil:
		a.user.well()
		a.service.project.well()
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case x.status == http.StatusNotModified:
		return errNotModified
	case x.status == 0 || x.status == http.StatusOK:
		return unreached(op, err)
	}
	var g *googleapi.Error
	body := ""
	if errors.As(err, &g) {
		body = g.Body
	}
	e := refused(op, x, body)
	e.Hint = e.hint(scope)
	if e.Status == http.StatusUnauthorized {
		a.setReached(false)
	}
	if e.Status == http.StatusForbidden && e.lacksGrant() {
		e.After = max(e.After, grantPause)
	}
	if e.limited() {
		e.After = a.pause(e)
	}
	return e
}

// pause keeps the user's requests back or, where the limit is the project's, everybody's.
func (a *Account) pause(e *Error) time.Duration {
	if e.ofProject() {
		return a.service.project.pause(e.After)
	}
	return a.user.pause(e.After)
}

// isMissing tells the answers 404 and 410.
func isMissing(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusGone)
}
