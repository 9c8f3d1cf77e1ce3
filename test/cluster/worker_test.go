//go:build integration || soak

package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/calcdc/calcdc/test/rig"
)

// worker is one calcdc, which something like systemd keeps running.
type worker struct {
	c                 *cluster
	name, config, log string
	http              string // address of the admin server

	mu      sync.Mutex // held by what befalls it
	run     *rig.Process
	planned atomic.Pointer[rig.Process] // the process that is to end
}

// newWorker writes the worker's configuration.
func (c *cluster) newWorker(n int, level string) *worker {
	c.t.Helper()
	dir := filepath.Join(c.dir, fmt.Sprintf("worker-%d", n))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	w := &worker{c: c, name: fmt.Sprintf("worker %d", n), config: filepath.Join(dir, "calcdc.yaml"),
		log: filepath.Join(dir, "calcdc.log"), http: rig.FreeAddr(c.t)}
	if err := os.WriteFile(w.config, []byte(c.configuration(n, w.http, level)), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Logf("%s: end of the log\n%s", w.name, rig.Tail(w.log))
		}
	})
	return w
}

// start runs calcdc, and again where it ends in vain because Kafka could not be had yet. To end later is a failure. mu is held.
func (w *worker) start() {
	from := size(w.log)
	run := rig.Start(w.c.t, w.config, w.log)
	w.run = run
	w.c.watching.Go(func() {
		<-run.Ended
		if w.planned.Load() == run || w.c.t.Context().Err() != nil { // the test is over
			return
		}
		text := strings.TrimSpace(w.since(from))
		w.c.note("%s: a start in vain: %s", w.name, text[strings.LastIndexByte(text, '\n')+1:])
		if strings.Contains(text, ": started:") {
			w.c.t.Errorf("%s ended by itself with code %d:\n%s", w.name, run.Code(), rig.Tail(w.log))
		}
		w.c.early.Add(1)
		time.Sleep(500 * time.Millisecond) // as a supervisor would
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.run == run && w.planned.Load() != run {
			w.start()
		}
	})
}

// pid is that of its process.
func (w *worker) pid() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.run.Pid()
}

// kill ends it at once. mu is held.
func (w *worker) kill() {
	w.planned.Store(w.run)
	w.run.Kill()
}

// stop ends it in order. mu is held.
func (w *worker) stop() {
	w.planned.Store(w.run)
	select {
	case <-w.run.Ended: // while Kafka could not be had
	default:
		w.run.Stop()
	}
}

func (w *worker) since(from int64) string {
	b, err := os.ReadFile(w.log)
	if err != nil || int64(len(b)) < from {
		return ""
	}
	return string(b[from:])
}

func size(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.Size()
}
