//go:build integration || soak

package cluster

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// kind is what goes wrong.
type kind string

// The kinds of faults.
const (
	workerKill  kind = "worker killed"            // SIGKILL; another starts soon
	workerStop  kind = "worker stopped"           // SIGTERM
	workerPause kind = "worker hangs"             // SIGSTOP, SIGCONT
	brokerKill  kind = "broker killed"            // SIGKILL; it starts again
	brokerStop  kind = "broker stopped"           // SIGTERM
	brokerPause kind = "broker hangs"             // SIGSTOP, SIGCONT
	deposed     kind = "deposed leader, workers"  // a leader hangs, is deposed and wakes up while all workers begin anew
	rolling     kind = "brokers restarted"        // one by one
	leaders     kind = "leaders moved"            // and with them coordinators
	lineCut     kind = "connections cut"          // with one broker, and refused for a while
	lineDeaf    kind = "requests wait"            // of one broker's clients, and come late
	lineMute    kind = "answers wait"             // of one broker
	lineSlow    kind = "connections slow"         // all
	lineCuts    kind = "transactions interrupted" // connections cut at requests of transactions, before, within and after
)

// where says what a kind befalls, and for how long.
var where = map[kind]struct {
	what        string // broker, worker, line: one of them; "": all
	least, most time.Duration
	after       time.Duration // until it can be itself again
}{
	workerKill:  {"worker", 0, 3 * time.Second, 0},
	workerStop:  {"worker", 0, 2 * time.Second, 2 * time.Second},
	workerPause: {"worker", time.Second, 20 * time.Second, 0},
	brokerKill:  {"broker", 0, 12 * time.Second, 6 * time.Second},
	brokerStop:  {"broker", 0, 6 * time.Second, 8 * time.Second},
	brokerPause: {"broker", 2 * time.Second, 14 * time.Second, 2 * time.Second},
	deposed:     {"broker", 12 * time.Second, 15 * time.Second, 2 * time.Second}, // beyond broker.session.timeout.ms
	rolling:     {"", 0, 0, 30 * time.Second},
	leaders:     {"line", 0, 0, 0},
	lineCut:     {"line", 0, 10 * time.Second, 0},
	lineDeaf:    {"line", time.Second, 12 * time.Second, 0},
	lineMute:    {"line", time.Second, 12 * time.Second, 0},
	lineSlow:    {"line", 3 * time.Second, 10 * time.Second, 0},
	lineCuts:    {"line", 4 * time.Second, 10 * time.Second, 0},
}

// fault is one event of a plan.
type fault struct {
	kind   kind
	at     time.Duration // after the phase has begun
	target int
	lasts  time.Duration
}

func (f fault) String() string {
	return fmt.Sprintf("%s (%s %d) for %v", f.kind, where[f.kind].what, f.target, f.lasts.Round(time.Millisecond))
}

// planner makes plans of faults. Equal seeds make equal plans.
type planner struct {
	rng     *rand.Rand
	kinds   []kind
	workers int
	gap     time.Duration // between the beginnings of two faults, on average
	deck    []kind        // what is left until all have been drawn
}

func newPlanner(seed uint64, workers int, gap time.Duration, kinds []kind) *planner {
	return &planner{rng: rand.New(rand.NewPCG(seed, 0xc1a05)), kinds: kinds, workers: workers, gap: gap}
}

// everyKind is all of them, in a fixed order.
func everyKind() []kind {
	var all []kind
	for k := range where {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// phase plans what begins within a time. Faults overlap, though no target suffers two at a time, and seldom two brokers do.
func (p *planner) phase(length time.Duration) []fault {
	var all []fault
	busy := map[string]time.Duration{} // until when
	for at := p.between(0, p.gap); ; at += p.between(p.gap/4, 7*p.gap/4) {
		f := p.draw()
		names := p.names(f)
		for _, name := range names {
			at = max(at, busy[name])
		}
		if at > length {
			return all
		}
		f.at = at
		for _, name := range names {
			busy[name] = at + f.lasts + where[f.kind].after
		}
		all = append(all, f)
	}
}

// draw draws a kind, each once before any comes again, and where and for how long it strikes.
func (p *planner) draw() fault {
	if len(p.deck) == 0 {
		p.deck = slices.Clone(p.kinds)
		p.rng.Shuffle(len(p.deck), func(i, j int) { p.deck[i], p.deck[j] = p.deck[j], p.deck[i] })
	}
	f := fault{kind: p.deck[0]}
	p.deck = p.deck[1:]
	w := where[f.kind]
	f.lasts = p.between(w.least, w.most)
	switch w.what {
	case "worker":
		f.target = p.rng.IntN(p.workers)
	default:
		f.target = p.rng.IntN(brokers)
	}
	return f
}

// names are what must be free before a fault begins.
func (p *planner) names(f fault) []string {
	what := where[f.kind].what
	names := []string{fmt.Sprint(what, f.target)}
	for i := range max(brokers, p.workers) {
		if f.kind == deposed {
			names = append(names, fmt.Sprint("worker", i))
		}
		if what == "" || what == "broker" && (f.kind == deposed || p.rng.IntN(4) > 0) {
			names = append(names, fmt.Sprint("broker", i))
		}
	}
	return names
}

func (p *planner) between(least, most time.Duration) time.Duration {
	return least + time.Duration(p.rng.Int64N(int64(most-least)+1))
}

// A seed's plan is always the same, and has every kind before one comes again.
func TestPlan(t *testing.T) {
	one, two := newPlanner(7, 3, 3*time.Second, everyKind()), newPlanner(7, 3, 3*time.Second, everyKind())
	plan, again := one.phase(5*time.Minute), two.phase(5*time.Minute)
	if !reflect.DeepEqual(plan, again) {
		t.Errorf("the same seed makes\n%v\nand\n%v", plan, again)
	}
	seen := map[kind]bool{}
	for _, f := range plan[:len(where)] {
		seen[f.kind] = true
	}
	if len(seen) != len(where) {
		t.Errorf("the first %d faults are of %d kinds", len(where), len(seen))
	}
}
