package connector

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

const work = "/alice/work/"

// rig runs passes over one collection of an upstream, one at a time.
type rig struct {
	t      *testing.T
	up     *upstream
	ledger *memLedger
	task   *task
	source *Source
	cfg    Config
}

func newRig(t *testing.T) (*rig, *memCollection) {
	r := &rig{
		t: t, up: newUpstream(), ledger: newMemLedger(),
		source: &Source{Name: "work", Connector: "caldav", PollInterval: time.Second, ReconcileInterval: 24 * time.Hour},
		cfg:    Config{Version: "test", TopicPrefix: "cal", Before: BeforeFull, Tombstones: true, Partitions: 16},
	}
	c := r.up.add(work)
	r.restart()
	return r, c
}

// restart forgets everything that is not committed.
func (r *rig) restart() {
	if _, err := r.ledger.Load(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	c := New(r.cfg, nil, fixedTopics(6), noObserver{}, hclog.NewNullLogger())
	o := &owner{c: c, ledger: r.ledger}
	r.task = newTask(o, r.source, r.up, r.ledger.Open(Stream{"work", memAccount, work, Events}))
	r.task.configHash = r.up.hash
}

// pass runs one; after an error of a commit everything is loaded again.
func (r *rig) pass() error {
	err := r.task.pass(context.Background())
	if outcomeUnknown(err) {
		r.restart()
	}
	return err
}

func (r *rig) mustPass() {
	r.t.Helper()
	if err := r.pass(); err != nil {
		r.t.Fatal(err)
	}
}

// check compares the fold of what was published with the upstream, and the state's counts with the state.
func (r *rig) check() *folded {
	r.t.Helper()
	f := fold(r.t, r.ledger.log, work)
	if want := r.up.rows(work); !maps.Equal(f.rows, want) {
		r.t.Fatalf("fold %v\nsource %v\n%s", f.rows, want, strings.Join(f.ops, "\n"))
	}
	m := r.ledger.stream(r.task.cp.Stream)
	if resources, rows := m.counts(); m.state != nil && (m.state.Rows != rows || m.state.Resources != resources) {
		r.t.Fatalf("state says %d resources and %d rows, there are %d and %d", m.state.Resources, m.state.Rows, resources, rows)
	}
	return f
}

// since returns the ops published since n and the new count.
func (r *rig) ops(n int) []string { return r.check().ops[n:] }

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("published\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestSnapshotThenChanges(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.up.put(c, "b", "=1,x=2")
	r.mustPass()
	want(t, r.ops(0), "marker snapshot-begin 1 initial", "r a", "r b", "r b#x", "marker snapshot-end 1 initial")
	n := len(r.ops(0))
	r.mustPass()
	want(t, r.ops(n))

	r.up.put(c, "a", "=2")
	r.up.put(c, "b", "=1,y=3")
	r.up.put(c, "c", "=1")
	r.mustPass()
	want(t, r.ops(n), "u a", "c b#y", "d b#x", "c c")
	n = len(r.ops(0))
	r.up.del(c, "b")
	r.up.put(c, "d", "=1")
	r.up.del(c, "d") // never seen
	r.mustPass()
	want(t, r.ops(n), "d b", "d b#y")
}

func TestEmptyCollection(t *testing.T) {
	r, _ := newRig(t)
	r.mustPass()
	want(t, r.ops(0), "marker snapshot-begin 1 initial", "marker snapshot-end 1 initial")
}

func TestSameBytesPublishNothing(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	r.up.put(c, "a", "=1") // another ETag
	r.mustPass()
	want(t, r.ops(n))
	if s, _ := r.task.cp.Index.Resource("a"); s.ETag != "e2" {
		t.Fatalf("ETag %q was not kept", s.ETag)
	}
}

func TestReset(t *testing.T) {
	r, c := newRig(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		r.up.put(c, id, "=1")
	}
	r.mustPass()
	n := len(r.ops(0))
	r.up.del(c, "b")
	r.up.put(c, "c", "=2")
	r.up.forget(c)
	r.mustPass()
	want(t, r.ops(n), "marker snapshot-reset 2 token-invalid", "r a", "r c", "r d", "d b", "marker snapshot-end 2 token-invalid")
	n = len(r.ops(0))
	r.mustPass()
	want(t, r.ops(n))
}

// The listing {x,y} publishes x, the process dies, x is deleted, the listing is {y}: x needs its d.
func TestDeletionBetweenTwoListings(t *testing.T) {
	r, c := newRig(t)
	r.up.pageSize = 1
	r.up.put(c, "x", "=1")
	r.up.put(c, "y", "=1")
	r.up.before = func(kind string, n int) error {
		if kind == "page" && n == 2 {
			return errLost
		}
		return nil
	}
	if err := r.pass(); err == nil {
		t.Fatal("the pass must fail")
	}
	r.restart()
	r.up.del(c, "x")
	r.mustPass()
	want(t, r.ops(0), "marker snapshot-begin 1 initial", "r x", "r y", "d x", "marker snapshot-end 1 initial")
}

func TestSnapshotGoesOn(t *testing.T) {
	r, c := newRig(t)
	r.up.pageSize = 2
	for _, id := range []string{"a", "b", "c", "d"} {
		r.up.put(c, id, "=1")
	}
	r.up.before = func(kind string, n int) error {
		if kind == "page" && n == 2 {
			return errLost
		}
		return nil
	}
	_ = r.pass()
	r.restart()
	fetched := r.up.fetches
	r.up.put(c, "a", "=2")
	r.mustPass()
	if got := r.up.fetches - fetched; got != 3 {
		t.Errorf("fetched %d bodies, want 3: b has been fetched in this epoch", got)
	}
	want(t, r.ops(0), "marker snapshot-begin 1 initial", "r a", "r b", "r a", "r c", "r d", "marker snapshot-end 1 initial")
}

func TestResetFetchesWhateverTheETag(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	c.members["a"] = memMember{etag: "e1", body: "=2"} // the ETag lies
	r.up.forget(c)
	r.mustPass()
	r.check()
}

func TestListingThatLeavesOutWhatIsThere(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.up.put(c, "b", "=1")
	r.mustPass()
	n := len(r.ops(0))
	r.up.forget(c)
	account := r.task.account
	r.task.account = leavesOut{r.up, "b"}
	if err := r.pass(); err == nil || !strings.Contains(err.Error(), "left out b") {
		t.Fatalf("got %v", err)
	}
	want(t, r.ops(n), "marker snapshot-reset 2 token-invalid", "r a")
	r.task.account = account
	r.mustPass()
	want(t, r.ops(n), "marker snapshot-reset 2 token-invalid", "r a", "r b", "marker snapshot-end 2 token-invalid")
}

func TestSilentForgettingIsComparedFully(t *testing.T) {
	r, c := newRig(t)
	for _, id := range []string{"a", "b", "c"} {
		r.up.put(c, id, "=1")
	}
	r.mustPass()
	n := len(r.ops(0))
	c.silent = true
	r.up.del(c, "b")
	r.up.put(c, "c", "=2")
	r.up.put(c, "d", "=1")
	r.up.forget(c)
	r.mustPass()
	want(t, r.ops(n), "u c", "c d", "d b")
}

func TestSuspicionEndsAfterThreeComparisons(t *testing.T) {
	r, c := newRig(t)
	c.silent = true
	r.up.put(c, "a", "=1")
	r.mustPass()
	for range 5 {
		r.up.forget(c)
		r.mustPass()
	}
	listings := 0
	for _, q := range r.up.polls[1:] {
		if q.Token == "" {
			listings++
		}
	}
	if listings != trustAfter {
		t.Errorf("compared %d times, want %d", listings, trustAfter)
	}
}

func TestBodyMissingOnce(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	r.up.put(c, "a", "=2")
	r.up.hide["a"] = true
	r.mustPass()
	if got := fold(t, r.ledger.log, work).ops[n:]; len(got) != 0 {
		t.Fatalf("published %v", got)
	}
	if len(r.task.unread) != 1 {
		t.Fatal("it must be asked for again")
	}
	r.restart() // the state knows
	r.mustPass()
	want(t, r.ops(n), "u a")
	if len(r.task.unread) != 0 {
		t.Fatal("it has been read")
	}
}

func TestBodyRefusedDoesNotHoldTheRest(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	r.up.put(c, "a", "=2")
	r.up.put(c, "b", "=1")
	r.up.put(c, "c", "=1")
	r.up.forbid["a"], r.up.forbid["b"] = true, true
	for i := range giveUpAfter - 1 {
		if err := r.pass(); err == nil {
			t.Fatalf("pass %d must fail", i)
		}
		if r.task.cp.Offset.Token != "1" {
			t.Fatal("the token must not move")
		}
	}
	r.mustPass()
	f := fold(t, r.ledger.log, work)
	want(t, f.ops[n:], "c c", "c b")
	if f.rows["a"] != "1" || f.rows["b"] != "unreadable" || r.task.cp.Offset.Token == "1" {
		t.Fatalf("rows %v, offset %+v", f.rows, r.task.cp.Offset)
	}
	r.up.forbid = map[string]bool{}
	r.mustPass()
	want(t, r.ops(n), "c c", "c b", "u a", "u b")
}

func TestRefusedBodyInAReset(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	r.up.forget(c)
	r.up.hide["a"] = true
	r.mustPass()
	// The row of the older epoch is read again, so that a consumer may drop older epochs at the end.
	want(t, r.ops(n), "marker snapshot-reset 2 token-invalid", "r a", "marker snapshot-end 2 token-invalid")
}

func TestForgottenOffsetIsARequestedReset(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	r.ledger.stream(r.task.cp.Stream).offset = nil
	r.restart()
	r.mustPass()
	want(t, r.ops(n), "marker snapshot-reset 2 requested", "r a", "marker snapshot-end 2 requested")
}

func TestResetAfterALossSaysWhatWasLost(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	m := r.ledger.stream(r.task.cp.Stream)
	m.offset, m.state.Due = nil, TopicLost // as offsets reset leaves a stream that was refused
	r.restart()
	r.mustPass()
	m.offset = nil
	r.restart()
	r.mustPass()
	want(t, r.ops(n), "marker snapshot-reset 2 topic-lost", "r a", "marker snapshot-end 2 topic-lost",
		"marker snapshot-reset 3 requested", "r a", "marker snapshot-end 3 requested")
}

// A listing's own 404 is no deletion: the sweep looks first.
func TestListingsOwn404IsLookedAt(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.up.put(c, "b", "=1")
	r.mustPass()
	n := len(r.ops(0))
	r.up.forget(c)
	account := r.task.account
	r.task.account = says404{r.up, "b"}
	if err := r.pass(); err == nil || !strings.Contains(err.Error(), "left out b") {
		t.Fatalf("got %v", err)
	}
	r.task.account = account
	r.mustPass()
	want(t, r.ops(n), "marker snapshot-reset 2 token-invalid", "r a", "r b", "marker snapshot-end 2 token-invalid")
}

// says404 is an upstream whose listing answers 404 for a member.
type says404 struct {
	*upstream
	id string
}

func (s says404) Poll(ctx context.Context, q Query) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		for page, err := range s.upstream.Poll(ctx, q) {
			for i := range page.Resources {
				if page.Resources[i].ID == s.id && q.Token == "" {
					page.Resources[i] = Resource{ID: s.id, Presence: Removed}
				}
			}
			if !yield(page, err) {
				return
			}
		}
	}
}

// A calendars row that is missing, but not known to be gone, is carried into a new epoch whatever before holds.
func TestMissingCalendarOutlivesAResetOfCalendars(t *testing.T) {
	r, _ := newRig(t)
	r.cfg.Before = BeforeNone
	r.restart()
	home := func() *task {
		tk := newTask(r.task.owner, r.source, r.up, r.ledger.Open(Stream{"work", memAccount, "", Calendars}))
		tk.configHash = r.up.hash
		tk.home.departed = func(string) bool { return false }
		return tk
	}
	if err := home().pass(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.up.drop(work)
	r.ledger.stream(Stream{"work", memAccount, "", Calendars}).offset = nil
	if err := home().pass(context.Background()); err != nil {
		t.Fatal(err)
	}
	var ops []string
	for _, rec := range r.ledger.log {
		if strings.HasSuffix(rec.Topic, ".calendars") {
			ops = append(ops, string(rec.Headers[0].Value))
		}
	}
	want(t, ops, markBegin, opRead, markEnd, markReset, opRead, markEnd)
}

func TestAnotherConfigurationIsAReset(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	r.task.configHash = "h2"
	r.mustPass()
	want(t, r.ops(n), "marker snapshot-reset 2 configuration", "r a", "marker snapshot-end 2 configuration")
}

func TestTokensThatDieYoung(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	r.up.forget(c)
	r.mustPass() // reset
	r.up.put(c, "b", "=1")
	r.up.forget(c)
	r.mustPass() // storm
	want(t, r.ops(n), "marker snapshot-reset 2 token-invalid", "r a", "marker snapshot-end 2 token-invalid", "c b")
	n = len(r.ops(0))
	polls := len(r.up.polls)
	r.up.put(c, "a", "=2")
	r.mustPass()
	want(t, r.ops(n), "u a")
	if q := r.up.polls[polls]; q.Token != "" {
		t.Error("tokens must not be relied on for now")
	}
	if r.task.status.Note == "" {
		t.Error("the status must say so")
	}
}

func TestReconcileFindsWhatTheServerForgot(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.up.put(c, "b", "=1")
	r.mustPass()
	n := len(r.ops(0))
	delete(c.members, "b") // without a trace in the log
	r.mustPass()
	if got := fold(t, r.ledger.log, work).ops[n:]; len(got) != 0 {
		t.Fatalf("published %v", got)
	}
	r.task.cp.Offset.ReconciledMs -= (27 * time.Hour).Milliseconds()
	r.mustPass()
	want(t, r.ops(n), "d b")
}

func TestEverySeventhReconcileReadsBodies(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.mustPass()
	n := len(r.ops(0))
	c.members["a"] = memMember{etag: "e1", body: "=2"} // the ETag lies
	for i := range 7 {
		if got := fold(t, r.ledger.log, work).ops[n:]; len(got) != 0 {
			t.Fatalf("comparison %d published %v", i, got)
		}
		r.task.cp.Offset.ReconciledMs -= (27 * time.Hour).Milliseconds()
		r.mustPass()
	}
	want(t, r.ops(n), "u a")
}

func TestTokenWithoutRowsIsPostponed(t *testing.T) {
	r, c := newRig(t)
	r.mustPass()
	commits := r.ledger.commits
	r.up.put(c, "x", "=1")
	r.up.del(c, "x")
	r.mustPass()
	if r.ledger.commits != commits {
		t.Fatal("a token that brought no rows must wait")
	}
	if q := r.task.token(); q != "2" {
		t.Fatalf("the next poll would use %q", q)
	}
	r.task.cp.Offset.CommittedMs -= (11 * time.Minute).Milliseconds()
	if !r.task.stale() {
		t.Fatal("it has waited long enough")
	}
	r.mustPass()
	if o := r.ledger.stream(r.task.cp.Stream).offset; o.Token != "2" {
		t.Fatalf("committed %q", o.Token)
	}
}

func TestRemoval(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.up.put(c, "b", "=1,x=1")
	r.mustPass()
	n := len(r.ops(0))
	r.up.drop(work)
	if err := r.task.remove(context.Background()); err != nil {
		t.Fatal(err)
	}
	want(t, r.ops(n), "d a", "d b", "d b#x")
	tx := r.ledger.txs[len(r.ledger.txs)-2]
	if !tx.Forget || tx.State.Phase != Removing {
		t.Errorf("the first transaction must empty the offset: %+v", tx)
	}
	n = len(r.ops(0))
	c = r.up.add(work)
	r.up.put(c, "a", "=9")
	r.mustPass()
	want(t, r.ops(n), "marker snapshot-begin 2 returned", "r a", "marker snapshot-end 2 returned")
}

// A crash in mid-removal, and the collection is back with its old token.
func TestRemovalCutShort(t *testing.T) {
	r, c := newRig(t)
	for i := range sweepPage + 10 {
		r.up.put(c, fmt.Sprintf("m%04d", i), "=1")
	}
	r.mustPass()
	last := r.ledger.commits
	r.ledger.fault = func(n int) (bool, error) {
		if n == last+1 {
			return true, nil
		}
		return false, errLost
	}
	err := r.task.remove(context.Background())
	r.ledger.fault = nil
	if err != nil {
		r.restart()
	}
	r.up.put(c, "new", "=1")
	r.mustPass()
	r.check()
}

// Seeded histories with every kind of trouble: what is published always folds to what the source holds.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(250) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { history(t, seed) })
	}
}

func history(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	r, c := newRig(t)
	r.up.pageSize = 1 + rnd.IntN(4)
	c.silent = rnd.IntN(4) == 0
	for range 60 {
		for range rnd.IntN(4) {
			disturb(r, c, rnd)
		}
		r.ledger.fault, r.up.before = nil, nil
		trouble(r, rnd)
		if err := r.pass(); err != nil && rnd.IntN(2) == 0 {
			r.restart()
		}
	}
	r.ledger.fault, r.up.before = nil, nil
	r.up.forbid, r.up.hide = map[string]bool{}, map[string]bool{}
	for range 6 {
		if err := r.pass(); err != nil {
			t.Fatal(err)
		}
	}
	r.task.cp.Offset.ReconciledMs = 1 // a server that forgets silently is caught by the next full comparison
	r.mustPass()
	n := len(r.ops(0))
	r.mustPass()
	want(t, r.ops(n))
}

// disturb changes something at the source.
func disturb(r *rig, c *memCollection, rnd *rand.Rand) {
	id := string(rune('a' + rnd.IntN(8)))
	switch rnd.IntN(12) {
	case 0, 1, 2, 3, 4:
		r.up.put(c, id, fmt.Sprintf("=%d", rnd.IntN(3)))
	case 5, 6:
		r.up.put(c, id, fmt.Sprintf("=%d,x=%d,y=%d", rnd.IntN(3), rnd.IntN(3), rnd.IntN(3)))
	case 7, 8, 9:
		r.up.del(c, id)
	case 10:
		r.up.forget(c)
	case 11:
		r.up.hide[id] = true
	}
}

// trouble makes something fail in the pass to come.
func trouble(r *rig, rnd *rand.Rand) {
	at := rnd.IntN(6)
	switch rnd.IntN(4) {
	case 0:
		kinds := []string{"page", "fetch", "look", "list"}
		kind, n := kinds[rnd.IntN(len(kinds))], 0
		r.up.before = func(k string, _ int) error {
			if k == kind {
				if n++; n > at {
					return errLost
				}
			}
			return nil
		}
	case 1:
		n, apply := 0, rnd.IntN(2) == 0
		r.ledger.fault = func(int) (bool, error) {
			if n++; n > at {
				return apply && n == at+1, errLost
			}
			return true, nil
		}
	}
}

// leavesOut is an upstream whose listing lacks a member.
type leavesOut struct {
	*upstream
	id string
}

func (l leavesOut) Poll(ctx context.Context, q Query) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		for page, err := range l.upstream.Poll(ctx, q) {
			page.Resources = slices.DeleteFunc(page.Resources, func(r Resource) bool { return r.ID == l.id })
			if !yield(page, err) {
				return
			}
		}
	}
}

func TestOversizedRecordRefusesItsStream(t *testing.T) {
	r, c := newRig(t)
	r.up.put(c, "a", "=1")
	r.ledger.fault = func(int) (bool, error) { return false, &RefusedError{Reason: "too large", Hint: "raise it"} }
	err := r.pass()
	var refused *RefusedError
	if !errors.As(err, &refused) || outcomeUnknown(err) {
		t.Fatalf("got %v", err)
	}
	r.task.settle(err, newBackOff(time.Second, time.Minute))
	if r.task.status.Condition != Refusing {
		t.Errorf("condition %s", r.task.status.Condition)
	}
}
