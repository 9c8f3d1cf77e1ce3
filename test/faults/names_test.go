//go:build integration

package faults

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/rig"
)

// Of two processes with one name, one ends with exit code 1 and says why; the other goes on, and nothing is lost or
// comes twice.
func TestTwoProcessesWithOneName(t *testing.T) {
	t.Parallel()
	users := []string{"ada", "bob", "cyd", "dan"}
	cal := newCalendars(t, davserver.Options{}, users...)
	for _, u := range users {
		cal.fill(u, "work", 5)
	}
	in := newInstance(t, testenv.Env(t, testenv.EnvKafka), "offsets: {partitions: 5}\n", upstream{name: "work", cal: cal, users: users})
	in.start()
	in.settle()
	in.write("second.yaml", rig.FreeAddr(t), "offsets: {partitions: 5}\n")
	first := in.run
	second := rig.Start(t, filepath.Join(in.dir, "second.yaml"), filepath.Join(in.dir, "second.log"))
	ended, other := first, second
	for began, change := time.Now(), time.NewTicker(200*time.Millisecond); ; {
		if time.Since(began) > time.Minute {
			t.Fatal("both run on")
		}
		for _, u := range users {
			cal.write(u, "work", "0.ics")
		}
		select {
		case <-change.C:
			continue
		case <-first.Ended:
		case <-second.Ended:
			ended, other = second, first
		}
		change.Stop()
		break
	}
	if code := ended.Code(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	in.run = other
	was := in.dir + "/calcdc.log"
	if ended == second {
		was = in.dir + "/second.log"
	}
	if !mentions(t, was, "another process with this name is running") {
		t.Errorf("its log does not say why:\n%s", rig.Tail(was))
	}
	for range 5 {
		for _, u := range users {
			cal.stir(u, "work")
		}
		in.settle()
	}
	in.quiet()
	other.Stop()
}
