//go:build integration || soak

package cluster

import (
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/calcdc/calcdc/test/rig"
)

// line is what a worker has between itself and a broker.
type line struct {
	*rig.Relay

	mu   sync.Mutex
	rng  *rand.Rand
	odds map[int]int // by API key: one in so many of calcdc's requests is cut; nil: none
	cuts int
}

func newLine(t testing.TB, seed uint64) *line {
	l := &line{rng: rand.New(rand.NewPCG(seed, 0x11fe))}
	l.Relay = rig.NewRelay(t, l.judge)
	return l
}

func (l *line) judge(q rig.Request) rig.Fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	odds := l.odds[q.Key]
	if !q.Ours || odds == 0 || l.rng.IntN(odds) > 0 {
		return rig.Fate{}
	}
	l.cuts++
	return rig.Fate{At: []rig.Moment{rig.Before, rig.Within, rig.After, rig.After}[l.rng.IntN(4)]}
}

func (l *line) arm(odds map[int]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.odds = odds
}

// carry lets a fault come and go.
func (c *cluster) carry(f fault) {
	c.note("%s", f)
	began := time.Now()
	switch f.kind {
	case workerKill, workerStop, workerPause:
		c.worker(f)
	case brokerKill, brokerStop, brokerPause:
		c.broker(f)
	case deposed:
		c.depose(f)
	case rolling:
		c.roll()
	case leaders:
		c.moveLeaders(uint64(f.at))
	default:
		c.disturb(f)
	}
	c.witness.carried(f, began)
}

func (c *cluster) worker(f fault) {
	w := c.workers[f.target]
	w.mu.Lock()
	defer w.mu.Unlock()
	switch f.kind {
	case workerPause:
		run := w.run
		run.Signal(syscall.SIGSTOP)
		c.last(f)
		run.Signal(syscall.SIGCONT)
		return
	case workerStop:
		w.stop()
	default:
		w.kill()
	}
	c.last(f)
	w.start()
}

// last waits for as long as the fault lasts.
func (c *cluster) last(f fault) { wait(c.t.Context(), f.lasts) }

func (c *cluster) broker(f fault) {
	c.nodes[f.target].Lock()
	defer c.nodes[f.target].Unlock()
	switch f.kind {
	case brokerPause:
		c.kafka.Pause(f.target)
		c.last(f)
		c.kafka.Resume(f.target)
		return
	case brokerStop:
		c.kafka.Stop(f.target)
	default:
		c.kafka.Kill(f.target)
	}
	c.last(f)
	c.again(f.target)
}

// again starts a broker that has ended.
func (c *cluster) again(i int) {
	if err := c.kafka.Start(i); err != nil {
		c.t.Error(err)
	}
}

// depose lets a broker hang until others lead in its place. It wakes up with its old log and beliefs at the very moment
// when all workers begin anew and load their state.
func (c *cluster) depose(f fault) {
	c.nodes[f.target].Lock()
	defer c.nodes[f.target].Unlock()
	for _, w := range c.workers {
		w.mu.Lock()
		defer w.mu.Unlock()
	}
	c.kafka.Pause(f.target)
	c.last(f)
	for _, w := range c.workers {
		w.kill()
		w.start()
	}
	early := time.Duration(f.at.Nanoseconds() % int64(600*time.Millisecond)) // of the start of a process, which takes as long
	wait(c.t.Context(), early)
	c.kafka.Resume(f.target)
}

// roll restarts the brokers one by one, as an upgrade does.
func (c *cluster) roll() {
	for i := range brokers {
		c.nodes[i].Lock()
		c.kafka.Stop(i)
		c.again(i)
		c.nodes[i].Unlock()
		if err := c.kafka.AwaitInSync(c.t.Context()); err != nil {
			c.note("restarting one by one: broker %d: %v", i, err)
		}
	}
}

// disturb spoils the connections with a broker, with all, or those of one worker with all.
func (c *cluster) disturb(f fault) {
	bad := map[kind]rig.Line{
		lineCut: {Cut: true}, lineDeaf: {HoldRequests: true}, lineMute: {HoldAnswers: true},
		lineSlow:  {Delay: 20*time.Millisecond + f.lasts/40}, // up to 270 ms
		workerCut: {Cut: true}, workerDeaf: {HoldRequests: true}, workerMute: {HoldAnswers: true},
	}[f.kind]
	lines := slices.Concat(c.lines...)
	switch where[f.kind].what {
	case "worker":
		lines = c.lines[f.target]
	case "line":
		lines = nil
		for _, of := range c.lines {
			lines = append(lines, of[f.target])
		}
	}
	for _, l := range lines {
		if f.kind == lineCuts {
			l.arm(map[int]int{rig.EndTransaction: 4, rig.Produce: 12, rig.AddPartitions: 12, rig.InitProducerID: 8})
		} else {
			l.Set(bad)
		}
	}
	c.last(f)
	for _, l := range lines {
		if f.kind == lineCuts {
			l.arm(nil)
		} else {
			l.Set(rig.Line{})
		}
	}
}
