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
	workerKill  kind = "worker-kill"          // SIGKILL; another starts soon
	workerStop  kind = "worker-stop"          // SIGTERM; another starts soon
	workerPause kind = "worker-pause"         // SIGSTOP, SIGCONT
	workerCut   kind = "worker-cut-off"       // from all brokers, while the others are not: its connections end, and there are none for a while
	workerDeaf  kind = "worker-requests-held" // to all brokers; they come late: others may have taken over by then
	workerMute  kind = "worker-answers-held"  // of all brokers; they come late
	brokerKill  kind = "broker-kill"          // SIGKILL; it starts again
	brokerStop  kind = "broker-stop"          // SIGTERM; it starts again
	brokerPause kind = "broker-pause"         // SIGSTOP, SIGCONT
	deposed     kind = "deposed-leader"       // a broker is paused, others lead, and it wakes up while all workers begin anew
	rolling     kind = "rolling-restart"      // of the brokers, one by one
	leaders     kind = "leaders-move"         // and with them coordinators
	lineCut     kind = "line-cut"             // one broker's connections end, and there are none for a while
	lineDeaf    kind = "requests-held"        // of one broker's clients; they come late
	lineMute    kind = "answers-held"         // of one broker; they come late
	lineSlow    kind = "lines-slow"           // all
	lineCuts    kind = "transactions-broken"  // connections end at requests of transactions: before, within and after
)

// where says what a kind befalls, and for how long.
var where = map[kind]struct {
	what        string // broker, worker, line: one of them; lines, leaders, "" (brokers): all
	least, most time.Duration
	after       time.Duration // until it can be itself again
}{
	workerKill:  {"worker", 0, 3 * time.Second, 0},
	workerStop:  {"worker", 0, 2 * time.Second, 2 * time.Second},
	workerPause: {"worker", time.Second, 20 * time.Second, 0},
	workerCut:   {"worker", 0, 20 * time.Second, 0}, // beyond kafka.group.session_timeout
	workerDeaf:  {"worker", time.Second, 20 * time.Second, 0},
	workerMute:  {"worker", time.Second, 20 * time.Second, 0},
	brokerKill:  {"broker", 0, 12 * time.Second, 6 * time.Second},
	brokerStop:  {"broker", 0, 6 * time.Second, 8 * time.Second},
	brokerPause: {"broker", 2 * time.Second, 14 * time.Second, 2 * time.Second},
	deposed:     {"broker", 12 * time.Second, 15 * time.Second, 2 * time.Second}, // beyond broker.session.timeout.ms
	rolling:     {"", 0, 0, 30 * time.Second},
	leaders:     {"leaders", 0, 0, 0},
	lineCut:     {"line", 0, 10 * time.Second, 0},
	lineDeaf:    {"line", time.Second, 12 * time.Second, 0},
	lineMute:    {"line", time.Second, 12 * time.Second, 0},
	lineSlow:    {"lines", 3 * time.Second, 10 * time.Second, 0},
	lineCuts:    {"lines", 4 * time.Second, 10 * time.Second, 0},
}

// fault is one event of a plan.
type fault struct {
	kind   kind
	at     time.Duration // after the phase has begun
	target int
	lasts  time.Duration
}

func (f fault) String() string {
	on := ""
	if what := where[f.kind].what; what != "" {
		on = fmt.Sprintf(" of %s %d", what, f.target)
	}
	return fmt.Sprintf("%s%s for %v", f.kind, on, f.lasts.Round(time.Millisecond))
}

// planner makes plans of faults. Equal seeds make equal plans.
type planner struct {
	rng     *rand.Rand
	kinds   []kind
	workers int
	gap     time.Duration // between the beginnings of two faults, on average
	deck    []kind        // what is left until all have been drawn
	next    *fault        // was drawn too late for its phase
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
			p.next = &f
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
	if p.next != nil {
		f := *p.next
		p.next = nil
		return f
	}
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
	case "broker", "line":
		f.target = p.rng.IntN(brokers)
	}
	return f
}

// names are what must be free before a fault begins.
func (p *planner) names(f fault) []string {
	what := where[f.kind].what
	names := []string{fmt.Sprint(what, f.target)} // lines0 too: of those there is one at a time
	for i := range max(brokers, p.workers) {
		if f.kind == deposed {
			names = append(names, fmt.Sprint("worker", i))
		}
		if what == "lines" || f.kind == workerCut || f.kind == workerDeaf || f.kind == workerMute {
			names = append(names, fmt.Sprint("line", i))
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

// A seed's plan is always the same, and has every kind before one comes again; so has the usual run.
func TestPlan(t *testing.T) {
	usual := func() (all []fault) {
		p := newPlanner(usualSeed, usualWorkers, usualGap*time.Millisecond, everyKind())
		for range usualPhases {
			all = append(all, p.phase(usualPhase)...)
		}
		return all
	}
	plan := usual()
	if again := usual(); !reflect.DeepEqual(plan, again) {
		t.Errorf("the same seed makes\n%v\nand\n%v", plan, again)
	}
	seen := map[kind]bool{}
	for _, f := range plan {
		if seen[f.kind] && len(seen) < len(where) {
			t.Errorf("%s comes again before all have come: %v", f.kind, plan)
		}
		seen[f.kind] = true
	}
	if len(seen) != len(where) {
		t.Errorf("the usual run has %d kinds of %d", len(seen), len(where))
	}
}
