//go:build integration

package faults

import (
	"context"
	"testing"
	"time"

	"github.com/calcdc/calcdc/test/rig"
)

// command runs another subcommand of calcdc to its end.
func command(ctx context.Context, t testing.TB, config string, args ...string) (output string, code int) {
	t.Helper()
	out, errs, code := rig.Command(ctx, t, config, args...)
	return out + errs, code
}

// inTime is enough for a busy machine, and a server that is silent has not been given up by then.
const inTime = 90 * time.Second

// eventually waits until check returns "", and fails the test with what it returned last.
func eventually(t testing.TB, within time.Duration, what string, check func() string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		wrong := check()
		if wrong == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v: %s", what, within, wrong)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
