//go:build integration

package e2e

import (
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/testenv"
)

// The broker is restarted, killed and paused while changes go on; calcdc comes through by itself.
func TestBrokerFaults(t *testing.T) {
	t.Parallel()
	k := testenv.NewKafka(t, testenv.KafkaOptions{})
	in := newInstance(t, testenv.NewRadicale(t), k.Addr())
	h := newHistory(in.server, in.dav, 17)
	steps := func(n int) {
		t.Helper()
		if err := h.Steps(t.Context(), n); err != nil {
			t.Fatalf("%v\n%q", err, h.Log)
		}
	}
	steps(20)
	in.start()
	in.settle(settleTime)
	faults := []struct {
		name string
		do   func() error
	}{
		{"restart", func() error { return k.Restart(t.Context(), 0) }},
		{"kill", func() error {
			k.Kill(0)
			steps(10)
			if err := k.Start(0); err != nil {
				return err
			}
			return k.Await(t.Context())
		}},
		{"pause", func() error {
			k.Pause(0)
			defer k.Resume(0)
			steps(10)
			time.Sleep(8 * time.Second) // longer than a request's deadline
			return nil
		}},
	}
	for _, f := range faults {
		steps(10)
		if err := f.do(); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		steps(10)
		in.settle(2 * settleTime)
		in.quiet()
	}
	in.stop()
}
