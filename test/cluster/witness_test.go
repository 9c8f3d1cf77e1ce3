//go:build integration || soak

package cluster

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/calcdc/calcdc/test/oracle"
)

// after is how soon a silence must begin when a fault has passed to be laid to it.
const after = 2 * time.Second

// several stands for the kinds of faults that a silence is laid to together.
const several kind = "(several)"

// witness notes when committed records of each account come, and what befell the cluster meanwhile.
type witness struct {
	mu      sync.Mutex
	on      bool
	from    time.Time              // when the phase began
	seen    map[string][]time.Time // in this phase, by account
	faults  []carried              // in this phase
	digests map[string]*digest     // of all records, by topic and partition

	silences map[kind][]time.Duration // the longest of any account, one a fault (or phase, of several)
	longest  silence
	usual    time.Duration // the longest silence while nothing was wrong
	carrieds int
}

// carried is a fault that has come and gone.
type carried struct {
	fault
	from, to time.Time
}

// silence is a time in which an account's calendar changed and nothing of it came.
type silence struct {
	lasts   time.Duration
	account string
	during  []string
}

// digest sums up the records of a partition in their order.
type digest struct {
	records int
	sum     uint64
}

func newWitness() *witness {
	return &witness{seen: map[string][]time.Time{}, digests: map[string]*digest{}, silences: map[kind][]time.Duration{}}
}

// see is told each record that the oracle reads.
func (w *witness) see(r oracle.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	add(w.digests, r)
	var key struct{ Account string }
	if w.on && strings.HasSuffix(r.Topic, ".events") && json.Unmarshal(r.Key, &key) == nil {
		w.seen[key.Account] = append(w.seen[key.Account], time.Now())
	}
}

func add(digests map[string]*digest, r oracle.Record) {
	name := fmt.Sprintf("%s/%d", r.Topic, r.Partition)
	d := digests[name]
	if d == nil {
		d = &digest{}
		digests[name] = d
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %q %q %v", d.sum, r.Offset, r.Key, r.Value, r.Headers)
	d.records, d.sum = d.records+1, h.Sum64()
}

// carried notes a fault that began then and has passed.
func (w *witness) carried(f fault, began time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.carrieds++
	w.faults = append(w.faults, carried{f, began, time.Now()})
}

// begin begins a phase.
func (w *witness) begin(accounts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on, w.from, w.faults = true, time.Now(), nil
	for _, account := range accounts {
		w.seen[account] = nil
	}
}

// end ends a phase: all has come by now.
func (w *witness) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on = false
	longest := make([]time.Duration, len(w.faults)) // of those that are laid to one alone
	var together time.Duration
	w.each(time.Now(), func(account string, a, b time.Time) {
		d, guilty := b.Sub(a), w.during(a, b)
		switch len(guilty) {
		case 0:
			w.usual = max(w.usual, d)
		case 1:
			longest[guilty[0]] = max(longest[guilty[0]], d)
		default:
			together = max(together, d)
		}
		if d > w.longest.lasts {
			w.longest = silence{lasts: d, account: account}
			for _, i := range guilty {
				w.longest.during = append(w.longest.during, w.faults[i].String())
			}
		}
	})
	for i, d := range longest {
		if d > 0 {
			w.silences[w.faults[i].kind] = append(w.silences[w.faults[i].kind], d)
		}
	}
	if together > 0 {
		w.silences[several] = append(w.silences[several], together)
	}
}

// forget forgets the silences so far.
func (w *witness) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.longest, w.usual = silence{}, 0
}

// each calls do with every two records of an account that follow one another; the phase's bounds count as such.
func (w *witness) each(to time.Time, do func(account string, a, b time.Time)) {
	for account, times := range w.seen {
		a := w.from
		for _, b := range append(times, to) {
			do(account, a, b)
			a = b
		}
	}
}

// during are the faults, by place, that a silence is laid to.
func (w *witness) during(a, b time.Time) []int {
	var all []int
	for i, f := range w.faults {
		if f.from.Before(b) && f.to.Add(after).After(a) {
			all = append(all, i)
		}
	}
	return all
}

// table tells the silences after each kind of fault.
func (w *witness) table() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%-20s %3s  %8s %8s  longest silence of an account, where no other fault was near\n", "fault", "n", "median", "most")
	for _, k := range append(everyKind(), several) {
		all := slices.Sorted(slices.Values(w.silences[k]))
		if n := len(all); n > 0 {
			fmt.Fprintf(&b, "%-20s %3d  %6.1f s %6.1f s\n", k, n, all[n/2].Seconds(), all[n-1].Seconds())
		}
	}
	fmt.Fprintf(&b, "without any fault: at most %.1f s\nlongest of all: %.1f s, %s, with %s", w.usual.Seconds(), w.longest.lasts.Seconds(),
		w.longest.account, strings.Join(w.longest.during, "; "))
	return b.String()
}
