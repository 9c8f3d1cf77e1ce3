package offsets

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
)

// compact removes from the state what compaction does once the deletes' time is over: they, and all that stands before them.
func (k *fakeKafka) compact() {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.part(StateTopic("team"), 0)
	last := map[string]int64{}
	for _, r := range p.records {
		last[string(r.Key)] = r.Offset
	}
	p.records = slices.DeleteFunc(p.records, func(r connector.Committed) bool {
		return r.Offset < last[string(r.Key)] || r.Value == nil && r.Offset < p.next-2 // the last record stays
	})
}

// TestSuspendedOwner: an owner that was suspended goes on with what it has folded only while the topics still tell of everything that
// another has deleted meanwhile.
func TestSuspendedOwner(t *testing.T) {
	tests := map[string]struct {
		away     time.Duration
		identify func(context.Context) (Identity, error)
		anew     bool
	}{
		"a moment":                       {away: trustedFor / 2, identify: identify},
		"a moment, nobody to ask":        {away: trustedFor / 2},
		"less than half the retention":   {away: 29 * time.Minute, identify: identify},
		"more than that":                 {away: 31 * time.Minute, identify: identify, anew: true},
		"a while, nobody to ask":         {away: 2 * trustedFor, anew: true},
		"a while, and nobody will tell":  {away: 2 * trustedFor, identify: func(context.Context) (Identity, error) { return Identity{}, errors.New("no") }, anew: true},
		"long, and it is told at length": {away: 31 * time.Minute, identify: falters(2), anew: true},
		"a while, and told at length":    {away: 2 * trustedFor, identify: falters(2)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testSuspendedOwner(t, tt.away, tt.identify, tt.anew) })
		})
	}
}

// falters is identify, but for so many times.
func falters(times int) func(context.Context) (Identity, error) {
	return func(ctx context.Context) (Identity, error) {
		if times--; times >= 0 {
			return Identity{}, errors.New("connection reset")
		}
		return identify(ctx)
	}
}

func testSuspendedOwner(t *testing.T, away time.Duration, tell func(context.Context) (Identity, error), anew bool) {
	k, h := newFakeKafka(), newHistory(rand.New(rand.NewPCG(1, 1)), alice)
	cfg := testConfig()
	cfg.Identify = tell
	l := NewLedger(cfg, &fakeProducer{k: k}, k, hclog.NewNullLogger())
	load(t, l, k, rand.New(rand.NewPCG(3, 3)), nil)
	time.Sleep(2 * time.Hour) // that nothing is committed for long is no matter while it commits again before
	commit := func(l *Ledger, n int) {
		for range n {
			if err := l.Commit(t.Context(), []connector.Transaction{h.next()}); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit(l, 20)
	time.Sleep(away)
	other := NewLedger(testConfig(), &fakeProducer{k: k}, k, hclog.NewNullLogger())
	load(t, other, k, rand.New(rand.NewPCG(3, 3)), map[connector.Stream]*history{alice: h})
	commit(other, 20)
	if anew {
		k.compact()
	}
	all, err := l.Load(t.Context())
	for range distrustAfter - 1 {
		if err != nil {
			all, err = l.Load(t.Context())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "loaded", imageOf(t, all[alice]), h.image)
	if from := k.readFrom(t); anew != (from == 0) {
		t.Errorf("read from %d", from)
	}
}

// TestAgeOf: neither a sleeping machine nor a clock that was set back makes what is held young.
func TestAgeOf(t *testing.T) {
	now := time.Now()
	if age := ageOf(now.Round(0).Add(-time.Hour), now); age < time.Hour || tooOld(age, 4*time.Hour) != "" || tooOld(age, time.Hour) == "" {
		t.Errorf("slept for an hour: %v", age)
	}
	if age := ageOf(now.Round(0).Add(time.Hour), now); tooOld(age, 4*time.Hour) == "" {
		t.Errorf("set back: %v", age)
	}
}
