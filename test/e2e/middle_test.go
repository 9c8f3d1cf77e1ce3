//go:build integration

package e2e

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/oracle"
)

// members is how many the calendar begins with, page how many are published together at most, and most that many of
// what is counted: a page in which something has changed since may hold less.
const (
	members = 3600
	page    = 500
	most    = page / 2
)

// collection is the calendar that is changed while calcdc is killed, and what keeps answers about it from calcdc.
type collection interface {
	create()
	put(name string)
	remove(name string)
	some(rng *rand.Rand, n int, is func(string) bool) []string
	size() int   // members
	invalidate() // tokens
	hide()       // it is gone
	show()       // it is back as it was

	// answer stops the answer to a listing or delta of so many members after a seeded number: at least a page and at most
	// half. It returns a seeded number of records that the pages before that come to.
	answer(rng *rand.Rand, of int) (stop upstream, records int)
	// behind keeps from a snapshot that goes on what is behind a seeded place, at least a page from where it stands.
	behind(rng *rand.Rand, s *oracle.State) upstream
	// late stops a delta after some 1,700 to 2,400 members.
	late() upstream
}

// upstream keeps answers from calcdc until release is called.
type upstream func() (release func())

// Killed in the middle of a snapshot, a delta, a reset and a removal, between pages, within an answer, and at each step
// of a transaction, calcdc publishes no row's change twice, loses no delete, and begins nothing a second time. Each
// kill must land where it is meant to.
func TestKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	g := newGateOnKafka(t)
	cal := newLarge(t, members)
	in := newInstance(t, cal.dav, g.Addr())
	in.server.TrustETags = true
	cal.proxy = in.proxy
	m := &middle{in: in.runner, cal: cal, stream: oracle.Stream{Source: "work", Account: owner, Collection: cal.path, Kind: "events"}}
	m.run(t, g, 20)
}

// newGateOnKafka starts a broker of the gate's own.
func newGateOnKafka(t testing.TB) *gate {
	g := newGate(t)
	kafka := testenv.NewKafka(t, testenv.KafkaOptions{Properties: map[string]string{"advertised.listeners": "PLAINTEXT://" + g.Addr()}})
	g.To(kafka.Addr())
	return g
}

// run goes through all phases. What is not set of m is set here.
func (m *middle) run(t *testing.T, g *gate, seed uint64) {
	m.t, m.gate, m.rng, m.landed = t, g, rand.New(rand.NewPCG(3, seed)), map[string]int{}
	m.in.edit("  topic_prefix:", "  compression: none\n  topic_prefix:") // the gate reads what is produced
	m.in.edit("partitions: 2", "partitions: 1")
	for _, phase := range []func(){m.snapshot, m.delta, m.reset, m.removal, m.returned, m.returnedInRemoval} {
		phase()
	}
	m.in.start()
	m.in.settle(settleTime)
	m.in.quiet()
	m.in.stop()
	all := 0
	for _, n := range m.landed {
		all += n
	}
	t.Logf("%d kills: %v", all, m.landed)
	if all < 20 || len(m.landed) < 4 {
		t.Errorf("%d kills landed in %v; want 20 in all phases", all, m.landed)
	}
}

// middle kills in the middle.
type middle struct {
	t      *testing.T
	in     *runner
	gate   *gate
	cal    collection
	stream oracle.Stream // the events of cal
	rng    *rand.Rand
	landed map[string]int // kills, by phase
}

// progress is what the topics showed when a phase began.
type progress struct {
	ops     map[string]int
	markers int
	epoch   int64
}

// now is the stream's state as a consumer sees it.
func (m *middle) now() *oracle.State {
	if s := m.in.reader.Fold.Streams[m.stream]; s != nil {
		return s
	}
	return &oracle.State{}
}

func (m *middle) begin() progress {
	s := m.now()
	p := progress{ops: map[string]int{}, markers: len(s.Markers), epoch: s.Epoch}
	for op, n := range s.Ops {
		p.ops[op] = n
	}
	return p
}

// since counts the records of ops that have come since the phase began.
func (m *middle) since(p progress, ops ...string) (n int) {
	s := m.now()
	for _, op := range ops {
		n += s.Ops[op] - p.ops[op]
	}
	return n
}

// shot is one kill: what is held, and what a consumer must see at that moment.
type shot struct {
	phase string
	// source holds up requests to the server; nil: none.
	source upstream
	// broker holds up a transaction; nil: none.
	broker *hold
	// lands tells from the committed records whether this is the middle.
	lands func() bool
}

// fire starts calcdc, waits until it is where it shall die, and kills it there.
func (m *middle) fire(s shot) {
	m.t.Helper()
	name := s.phase + ", between pages"
	if s.source != nil {
		defer s.source()()
	}
	var held <-chan struct{}
	if s.broker != nil {
		name = s.phase + ", " + s.broker.at.String()
		held = m.gate.arm(*s.broker)
		defer m.gate.disarm()
	}
	m.in.start()
	begin := time.Now()
	if held != nil {
		select {
		case <-held:
		case <-time.After(90 * time.Second):
			m.t.Fatalf("%s: nothing was to be held within 90 s\n%s", name, m.in.tail())
		}
	}
	m.await(name, s)
	m.in.kill()
	open := m.look(name)
	if !s.lands() {
		m.t.Fatalf("%s: the kill came too late: %+v", name, m.now().Ops)
	}
	if s.broker != nil && s.broker.at == beforeCommit && open == 0 {
		m.t.Fatalf("%s: no record is in the log without its commit", name)
	}
	m.landed[s.phase]++
	st := m.now()
	m.t.Logf("%s: killed after %v; epoch %d, %d rows, %v, %d records open", name, time.Since(begin).Round(time.Millisecond),
		st.Epoch, len(st.Rows), st.Ops, open)
}

// await waits until the committed records show that it is the middle.
func (m *middle) await(name string, s shot) {
	m.t.Helper()
	for begin := time.Now(); ; {
		m.in.alive()
		m.look(name)
		if s.lands() {
			return
		}
		if time.Since(begin) > 90*time.Second {
			m.t.Fatalf("%s: not there within 90 s: %+v\n%s", name, m.now().Ops, m.in.tail())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// look reads what is committed and returns how many records are in the log and not. A transaction becomes visible in
// one partition sooner than in another: whether markers have their notifications is judged when all has settled.
func (m *middle) look(name string) int64 {
	m.t.Helper()
	open, err := m.in.reader.Stable(m.t.Context())
	if err != nil {
		m.t.Fatalf("%s: %v", name, err)
	}
	if faults := m.in.reader.Fold.Faults; len(faults) > 0 {
		m.t.Fatalf("%s: %d rules broken:\n%s", name, len(faults), strings.Join(head(faults), "\n"))
	}
	return open
}

// finish lets calcdc go on to the end, and judges.
func (m *middle) finish() {
	m.t.Helper()
	m.in.start()
	m.in.settle(settleTime)
	m.in.polls(2) // the token of the last change is committed too
	m.in.kill()
}

// stir changes and deletes members that have been published in the snapshot that goes on, and others; and adds one.
func (m *middle) stir() {
	s := m.now()
	for _, fresh := range []bool{true, false} {
		picked := m.cal.some(m.rng, 6, func(name string) bool { return s.Published(name) == fresh })
		for i, name := range picked {
			if i%2 == 0 {
				m.cal.put(name)
			} else {
				m.cal.remove(name)
			}
		}
	}
	m.cal.create()
}

// inSnapshot tells that r records have come, and more than before, and no end.
func (m *middle) inSnapshot(p progress, more int) func() bool {
	before := m.since(p, "r")
	return func() bool {
		s := m.now()
		return s.InSnapshot() && s.Epoch == p.epoch+1 && len(s.Markers) == p.markers+1 && m.since(p, "r") >= before+more && m.since(p, "r") > 0
	}
}

// cutSnapshot kills in all ways within one snapshot, of which p is from before.
func (m *middle) cutSnapshot(phase string, p progress) {
	m.t.Helper()
	reads := func(open, _ tally) bool { return open.reads >= most }
	any := func(_, _ tally) bool { return true }
	stop, records := m.cal.answer(m.rng, m.cal.size())
	m.fire(shot{phase, stop, nil, m.inSnapshot(p, records)})
	m.stir()
	m.fire(shot{phase, nil, &hold{beforeAdd, any}, m.inSnapshot(p, 0)})
	m.stir()
	m.fire(shot{phase, m.cal.behind(m.rng, m.now()), nil, m.inSnapshot(p, most)})
	m.stir()
	m.fire(shot{phase, nil, &hold{beforeCommit, reads}, m.inSnapshot(p, 0)})
	m.stir()
	m.fire(shot{phase, m.cal.behind(m.rng, m.now()), &hold{afterCommit, reads}, m.inSnapshot(p, most)})
	m.stir()
}

// cutEnd kills when everything is published but the end.
func (m *middle) cutEnd(phase string, p progress) {
	m.t.Helper()
	ends := func(open, _ tally) bool { return open.ends > 0 }
	m.fire(shot{phase, nil, &hold{beforeCommit, ends}, m.inSnapshot(p, 0)})
	m.stir()
}

// once demands that the phase brought one marker of this type and one end.
func (m *middle) once(p progress, begin string) {
	m.t.Helper()
	s := m.now()
	if got := s.Markers[p.markers:]; s.Epoch != p.epoch+1 || len(got) != 2 || got[0].Type != begin || got[1].Type != "snapshot-end" {
		m.t.Fatalf("epoch %d after %d, markers %+v; want one %s and one end", s.Epoch, p.epoch, got, begin)
	}
}

func (m *middle) snapshot() {
	p := m.begin()
	m.cutSnapshot("snapshot", p)
	m.cutEnd("snapshot", p)
	m.finish()
	m.once(p, "snapshot-begin")
}

// delta: some 2,500 changes under one token.
func (m *middle) delta() {
	p := m.begin()
	for _, name := range m.cal.some(m.rng, 2400, func(string) bool { return true }) {
		if m.rng.IntN(10) == 0 {
			m.cal.remove(name)
		} else {
			m.cal.put(name)
		}
	}
	for range 60 {
		m.cal.create()
	}
	const all = 2460 // and as many records at least
	within := func(more int) func() bool {
		before := m.since(p, "c", "u", "d")
		return func() bool {
			n := m.since(p, "c", "u", "d")
			return !m.now().InSnapshot() && n >= before+more && n > 0 && n < all
		}
	}
	changes := func(open, _ tally) bool { return open.changes >= most }
	any := func(_, _ tally) bool { return true }
	stop, records := m.cal.answer(m.rng, all)
	m.fire(shot{"delta", stop, nil, within(records)})
	m.stir()
	m.fire(shot{"delta", nil, &hold{beforeAdd, any}, within(0)})
	m.stir()
	m.fire(shot{"delta", nil, &hold{beforeCommit, changes}, within(0)})
	m.stir()
	m.fire(shot{"delta", m.cal.late(), &hold{afterCommit, changes}, within(most)})
	m.stir()
	m.finish()
	if s := m.now(); s.Epoch != p.epoch || len(s.Markers) != p.markers || m.since(p, "r") > 0 {
		m.t.Fatalf("a delta came to markers %+v and %d r", s.Markers[p.markers:], m.since(p, "r"))
	}
}

// reset: a dead token with more deletions in the gap than wait for one commit, so that the sweep takes several.
func (m *middle) reset() {
	p := m.begin()
	for range 3000 {
		m.cal.create()
	}
	for _, name := range m.cal.some(m.rng, 2600, func(string) bool { return true }) {
		m.cal.remove(name)
	}
	for _, name := range m.cal.some(m.rng, 100, func(string) bool { return true }) {
		m.cal.put(name)
	}
	m.cal.invalidate()
	m.cutSnapshot("reset", p)
	sweeping := func() bool { return m.inSnapshot(p, 0)() && m.since(p, "d") > 0 }
	m.fire(shot{"reset", nil, &hold{beforeCommit, func(open, _ tally) bool { return open.deletes >= most }}, m.inSnapshot(p, 0)})
	m.stir()
	m.fire(shot{"reset", nil, &hold{beforeCommit, func(open, committed tally) bool { return committed.deletes >= most && open.deletes >= most }}, sweeping})
	m.stir()
	m.cutEnd("reset", p)
	m.finish()
	m.once(p, "snapshot-reset")
}

// removing tells that some of the collection's rows are gone and others are not, nor its own row.
func (m *middle) removing(p progress, more int) func() bool {
	before := m.since(p, "d")
	return func() bool {
		s := m.now()
		n := m.since(p, "d")
		return n >= before+more && n > 0 && len(s.Rows) > 0 && m.listed() && len(s.Markers) == p.markers
	}
}

// listed tells whether the collection's row in calendars is known.
func (m *middle) listed() bool {
	s := m.in.reader.Fold.Streams[oracle.Stream{Source: m.stream.Source, Account: m.stream.Account, Kind: "calendars"}]
	return s != nil && s.Rows[m.stream.Collection] != nil
}

func (m *middle) removal() {
	p := m.begin()
	m.cal.hide()
	deletes := func(open, _ tally) bool { return open.deletes >= most }
	m.fire(shot{"removal", nil, &hold{afterCommit, deletes}, m.removing(p, most)})
	m.fire(shot{"removal", nil, &hold{beforeAdd, func(_, _ tally) bool { return true }}, m.removing(p, 0)})
	m.fire(shot{"removal", nil, &hold{beforeCommit, deletes}, m.removing(p, 0)})
	m.fire(shot{"removal", nil, &hold{beforeCommit, func(open, committed tally) bool { return committed.deletes >= most && open.deletes >= most }}, m.removing(p, most)})
	m.fire(shot{"removal", nil, &hold{beforeCommit, func(open, _ tally) bool { return open.calendars > 0 }}, func() bool {
		return len(m.now().Rows) == 0 && m.listed()
	}})
	m.finish()
	if s := m.now(); m.listed() || len(s.Rows) > 0 || len(s.Markers) != p.markers || s.Epoch != p.epoch {
		m.t.Fatalf("after its removal: listed %t, %d rows, markers %+v", m.listed(), len(s.Rows), s.Markers[p.markers:])
	}
}

// returned: the collection is back, as it was; it begins anew.
func (m *middle) returned() {
	p := m.begin()
	m.cal.show()
	stop, records := m.cal.answer(m.rng, m.cal.size())
	m.fire(shot{"snapshot", stop, nil, m.inSnapshot(p, records)})
	m.stir()
	m.finish()
	m.once(p, "snapshot-begin")
}

// returnedInRemoval: the collection is back with its old token while its removal was cut short.
func (m *middle) returnedInRemoval() {
	p := m.begin()
	m.cal.hide()
	m.fire(shot{"removal", nil, &hold{afterCommit, func(open, _ tally) bool { return open.deletes >= most }}, m.removing(p, most)})
	for i, name := range m.cal.some(m.rng, 40, func(string) bool { return true }) {
		if i%2 == 0 {
			m.cal.put(name)
		} else {
			m.cal.remove(name)
		}
	}
	m.cal.show()
	stop, records := m.cal.answer(m.rng, m.cal.size())
	m.fire(shot{"snapshot", stop, nil, m.inSnapshot(p, records)})
	m.stir()
	m.fire(shot{"snapshot", m.cal.behind(m.rng, m.now()), nil, m.inSnapshot(p, most)})
	m.stir()
	m.finish()
	m.once(p, "snapshot-begin")
}
