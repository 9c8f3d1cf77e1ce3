package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/calcdc/calcdc/connector"
)

// tally counts what was met, by name: a simulation in which nothing happens finds nothing, whatever is wrong.
type tally struct {
	mu sync.Mutex
	n  counts
}

// due are the names of what some hundreds of seeds meet, each many times over.
var due = []string{
	"crash", "stop", "cut off", "deposed", "leader moves", "coordinators move", "second worker", "tool", "tool resets", "config",
	"request lost", "answer lost", "no answer", "stale answer", "code",
	"fenced", "in doubt", "overtaken",
	"begin initial", "begin returned", "reset token-invalid", "reset requested", "reset configuration", "end",
	"c", "r", "u", "d", "tombstone", "unreadable", "emptied",
	"cache gone on from", "old cache", "damaged cache", "power lost",
	"lost state", "state cut", "lost offsets", "lost both", "lost data", "reset state-lost", "reset topic-lost",
	"execute-snapshot", "approve-deletes", "refuse-deletes", "held", "kept",
}

func (t *tally) add(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = counts{}
	}
	t.n[what]++
}

func (t *tally) count(what string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n[what]
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n.String()
}

// counts are numbers by name.
type counts map[string]int

// String is "name=count;…".
func (c counts) String() string {
	var all []string
	for _, what := range slices.Sorted(maps.Keys(c)) {
		all = append(all, fmt.Sprintf("%s=%d", what, c[what]))
	}
	return strings.Join(all, ";")
}

// add adds what String has written.
func (c counts) add(text string) {
	for part := range strings.SplitSeq(text, ";") {
		what, count, _ := strings.Cut(part, "=")
		if n, err := strconv.Atoi(count); err == nil {
			c[what] += n
		}
	}
}

// missing are the names of what was not met.
func (c counts) missing() []string {
	return slices.DeleteFunc(slices.Clone(due), func(what string) bool { return c[what] > 0 })
}

// counted is a ledger whose troubles are counted.
type counted struct {
	connector.Ledger
	met *tally
}

// Commit implements connector.Ledger.
func (l counted) Commit(ctx context.Context, txs []connector.Transaction) error {
	err := l.Ledger.Commit(ctx, txs)
	switch {
	case errors.Is(err, connector.ErrFenced):
		l.met.add("fenced")
	case err != nil:
		l.met.add("in doubt")
	default:
		for _, tx := range txs {
			l.count(tx.State)
		}
	}
	return err
}

func (l counted) count(state *connector.StreamState) {
	if state == nil {
		return
	}
	if state.Phase == connector.RemovedAll {
		l.met.add("emptied")
	}
	if state.Hold != nil && state.Hold.Kept {
		l.met.add("kept")
	} else if state.Hold != nil {
		l.met.add("held")
	}
}

// Overtaken implements connector.Ledger.
func (l counted) Overtaken(ctx context.Context) (bool, error) {
	overtaken, err := l.Ledger.Overtaken(ctx)
	if overtaken {
		l.met.add("overtaken")
	}
	return overtaken, err
}
