package verify

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/calcdc/calcdc/connector"
)

const (
	// tries is how often a source is asked before it counts as failing: one cut answer among thousands is no reason to leave a stream
	// uncompared, as it is none for a running calcdc.
	tries = 3
	// longestWait bounds the server's own wish for how long to be left alone.
	longestWait = time.Minute
)

// attempt does work that asks a source, again after a while where that fails in a way that may pass.
func attempt(ctx context.Context, work func() error) error {
	b := backoff.NewExponentialBackOff()
	for n := 1; ; n++ {
		err := work()
		if err == nil || n == tries || errors.Is(err, connector.ErrGone) || errors.Is(err, errTooMany) {
			return err
		}
		wait := b.NextBackOff()
		var after connector.RetryAfter
		if errors.As(err, &after) {
			wait = max(wait, min(after.RetryAfter(), longestWait))
		}
		if !sleep(ctx, wait) {
			return err
		}
	}
}
