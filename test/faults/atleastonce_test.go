//go:build integration

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/oracle"
)

// repeats knows what was published, and finds what is published again under another calcdc.id, or something else under the same.
type repeats struct {
	byID   map[string]string // what was published
	last   map[string]string // what was published last of each key
	again  int
	faults []string
}

func (p *repeats) see(r oracle.Record) {
	key := r.Topic + string(r.Key)
	if r.Value == nil {
		return
	}
	var e struct {
		After json.RawMessage `json:"after"`
	}
	if json.Unmarshal(r.Value, &e) != nil || r.Headers["calcdc.id"] == "" {
		return
	}
	what, id := key+" "+r.Headers["calcdc.op"]+" "+string(e.After), r.Headers["calcdc.id"]
	if was, ok := p.byID[id]; ok {
		p.again++
		if was != what {
			p.faults = append(p.faults, "one id for two changes: "+was+" and "+what)
		}
	} else if p.last[key] == what {
		p.faults = append(p.faults, "again, with another id: "+r.String()+" "+what[:min(len(what), 300)])
	}
	p.byID[id], p.last[key] = what, what
}

// Without transactions, a process that is killed again and again loses nothing: the fold equals the server; and what is published again
// has the id that it had.
func TestAtLeastOnceKilled(t *testing.T) {
	t.Parallel()
	cal := newCalendars(t, davserver.Options{}, "alice")
	cal.fill("alice", "one", 300)
	cal.fill("alice", "two", 20)
	in := newInstance(t, testenv.Env(t, testenv.EnvKafka), "delivery: at_least_once\n", upstream{name: "work", cal: cal, users: []string{"alice"}})
	seen := &repeats{byID: map[string]string{}, last: map[string]string{}}
	in.reader.Seen = seen.see
	r := rand.New(rand.NewPCG(1, 1))
	state, err := kgo.NewClient(kgo.SeedBrokers(in.brokers...), kgo.ConsumeTopics(in.name+"-state"), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(time.Second), kgo.UnknownTopicRetries(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	for range 20 {
		in.start()
		for range 1 + r.IntN(20) {
			churn(cal, r, []string{"one", "two"}[r.IntN(2)])
		}
		awaitCommit(t, state)
		time.Sleep(time.Duration(r.IntN(4)) * time.Millisecond)
		in.run.Kill()
		for range r.IntN(10) {
			churn(cal, r, "one")
		}
	}
	in.start()
	eventually(t, settleTime, "the topics equal the server", func() string {
		in.run.Alive()
		return strings.Join(head(in.differences()), "\n")
	})
	in.quiet()
	in.run.Stop()
	for _, f := range head(seen.faults) {
		t.Error(f)
	}
	log, err := os.ReadFile(in.log())
	if err != nil {
		t.Fatal(err)
	}
	completed := strings.Count(string(log), "a commit that was cut short is completed")
	t.Logf("%d records, %d of them again, %d commits completed", in.reader.Fold.Records, seen.again, completed)
	if completed == 0 {
		t.Error("no commit was cut short: nothing was tested")
	}
}

// awaitCommit returns when a commit has begun, as soon as another client can see it, or after a few polls.
func awaitCommit(t *testing.T, state *kgo.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		begun := false
		state.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			begun = begun || time.Since(r.Timestamp) < 100*time.Millisecond && bytes.Contains(r.Value, []byte(`"pending":true`))
		})
		if begun {
			return
		}
	}
}

// churn writes or deletes one of some events.
func churn(cal *calendars, r *rand.Rand, name string) {
	event := string(rune('a'+r.IntN(26))) + ".ics"
	if r.IntN(3) == 0 {
		cal.Delete("alice", name, event)
		return
	}
	cal.write("alice", name, event)
}
