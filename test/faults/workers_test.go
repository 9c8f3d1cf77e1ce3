//go:build integration

package faults

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/rig"
)

const (
	shared  = 6               // partitions of <name>-offsets
	session = 3 * time.Second // of the workers' group
)

// Workers join, are stopped, killed and paused, and offsets are reset under them, while the calendars of all accounts change: each
// account is soon followed by a worker that runs, nothing is lost, and nothing comes twice.
func TestWorkersComeAndGo(t *testing.T) {
	t.Parallel()
	users := []string{"ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ida", "jon"}
	cal := newCalendars(t, davserver.Options{}, users...)
	for _, u := range users {
		cal.fill(u, "work", 5)
	}
	in := newInstance(t, testenv.Env(t, testenv.EnvKafka), "", upstream{name: "work", cal: cal, users: users})
	one, two, three := newTeammate(in, 1), newTeammate(in, 2), newTeammate(in, 3)
	one.start()
	in.settle()

	// Two join: all have their share, and no stream that stays is disturbed.
	quiet := unrest(cal, users)
	two.start()
	three.start()
	share(t, settleTime, one, two, three)
	quiet()
	in.settle()
	for _, w := range []*teammate{one, two, three} {
		if mentions(t, w.log, "loading again") {
			t.Errorf("%s was disturbed:\n%s", w.log, rig.Tail(w.log))
		}
	}

	quiet = unrest(cal, users)
	began := time.Now()
	two.run.Stop()
	share(t, 10*time.Second, one, three)
	t.Logf("stopped: its share was taken over after %v", time.Since(began).Round(time.Millisecond))
	quiet()
	in.settle()

	quiet = unrest(cal, users)
	two.start()
	share(t, settleTime, one, two, three)
	began = time.Now()
	three.run.Kill()
	share(t, session+15*time.Second, one, two)
	t.Logf("killed: its share was taken over after %v, of a session of %v", time.Since(began).Round(time.Millisecond), session)
	quiet()
	in.settle()

	quiet = unrest(cal, users)
	three.start()
	share(t, settleTime, one, two, three)
	one.run.Signal(syscall.SIGSTOP)
	in.run = two.run
	share(t, session+15*time.Second, two, three)
	quiet()
	in.settle()
	quiet = unrest(cal, users)
	one.run.Signal(syscall.SIGCONT)
	share(t, settleTime, one, two, three)
	quiet()
	in.settle()

	// An offset tool becomes the owner of every partition for a moment.
	quiet = unrest(cal, users)
	if _, stderr, code := rig.Command(t.Context(), t, one.config, "offsets", "reset", "--all", "--yes"); code != 0 {
		t.Errorf("offsets reset: code %d: %s", code, stderr)
	}
	quiet()
	eventually(t, settleTime, "every calendar is in its next epoch", func() string {
		in.catchUp()
		for _, u := range users {
			if s := in.stream("work", u, cal.Path(u, "work")); s.Epoch != 2 {
				return fmt.Sprintf("%s is in epoch %d", u, s.Epoch)
			}
		}
		return ""
	})
	in.settle()
	in.quiet()

	// All are stopped at once: nobody is left in the group for whom the next would wait.
	var stopping sync.WaitGroup
	for _, w := range []*teammate{one, two, three} {
		stopping.Go(w.run.Stop)
	}
	stopping.Wait()
	began = time.Now()
	one.start()
	share(t, 10*time.Second, one)
	t.Logf("started again: it had everything after %v", time.Since(began).Round(time.Millisecond))
	in.settle()
	in.quiet()
	one.run.Stop()
}

// unrest changes everybody's calendar until quiet is called.
func unrest(cal *calendars, users []string) (quiet func()) {
	stop := make(chan struct{})
	var changing sync.WaitGroup
	changing.Go(func() {
		change := time.NewTicker(50 * time.Millisecond)
		for i := 0; ; i++ {
			cal.stir(users[i%len(users)], "work")
			select {
			case <-change.C:
			case <-stop:
				change.Stop()
				return
			}
		}
	})
	return func() {
		close(stop)
		changing.Wait()
	}
}

// teammate is one of several workers of an instance.
type teammate struct {
	in                *instance
	config, log, http string
	run               *rig.Process
}

func newTeammate(in *instance, n int) *teammate {
	in.t.Helper()
	file := fmt.Sprintf("worker%d", n)
	w := &teammate{in: in, config: filepath.Join(in.dir, file+".yaml"), log: filepath.Join(in.dir, file+".log"), http: rig.FreeAddr(in.t)}
	in.write(file+".yaml", w.http, fmt.Sprintf("offsets: {partitions: %d}\nkafka: {brokers: [%s], topic_prefix: NAME, topics: {partitions: 3}, group: {session_timeout: %s}}\n",
		shared, strings.Join(in.brokers, ","), session))
	in.t.Cleanup(func() {
		if in.t.Failed() && w.run != nil {
			in.t.Logf("end of the log of worker %d\n%s", n, rig.Tail(w.log))
		}
	})
	return w
}

// start runs the worker, which is then the one that must not end.
func (w *teammate) start() {
	w.in.t.Helper()
	w.run = rig.Start(w.in.t, w.config, w.log)
	w.in.run = w.run
}

// share waits until the workers that answer have all partitions among them, evenly.
func share(t *testing.T, within time.Duration, workers ...*teammate) {
	t.Helper()
	eventually(t, within, "the workers share the partitions", func() string {
		has, even := "", true
		for _, w := range workers {
			n := 0
			if m, err := rig.Scrape(t.Context(), w.http); err == nil {
				_, n = m.Sum("calcdc_partition_assigned")
			}
			even = even && n == shared/len(workers)
			has += fmt.Sprint(n, " ")
		}
		if even {
			return ""
		}
		return "they have " + has
	})
}
