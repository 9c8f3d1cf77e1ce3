package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// held is the end of a transaction that the broker is made to keep waiting for.
type held struct {
	begun   chan struct{}
	release func()
}

func holdEnd(t *testing.T, fake *kfake.Cluster) held {
	t.Helper()
	begun, let := make(chan struct{}), make(chan struct{})
	fake.ControlKey(kmsg.EndTxn.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.DropControl()
		close(begun)
		fake.SleepControl(func() { <-let })
		return nil, nil, false
	})
	release := sync.OnceFunc(func() { close(let) })
	t.Cleanup(release)
	return held{begun, release}
}

// pending is a Commit under way.
type pending struct {
	done    chan struct{}
	offsets []int64
	err     error
}

func commitLater(ctx context.Context, p *kafka.Producer, recs ...connector.Record) *pending {
	r := &pending{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.offsets, r.err = p.Commit(ctx, recs)
	}()
	return r
}

func (r *pending) wait(t *testing.T) error {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(30 * time.Second):
		t.Fatal("Commit does not return")
	}
	return r.err
}

// awaitQueue returns once n calls wait.
func awaitQueue(t *testing.T, p *kafka.Producer, n int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); p.Waiting() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d calls wait, not %d", p.Waiting(), n)
		}
	}
}

// transactions notes the records of each.
type transactions struct {
	mu   sync.Mutex
	sums []int
}

func (tx *transactions) hook(records, _ int, _ time.Duration, err error) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if err == nil {
		tx.sums = append(tx.sums, records)
	}
}

func (tx *transactions) get() []int {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return slices.Clone(tx.sums)
}

func TestCallersShareATransactionInOrder(t *testing.T) {
	for _, tt := range []struct {
		name       string
		maxRecords int
		maxBytes   int
		want       []int
	}{
		{"all together", 0, 0, []int{1, 30}},
		{"bounded in records", 20, 0, []int{1, 18, 12}},
		{"bounded in bytes", 0, 80, []int{1, 6, 6, 6, 6, 6}},
		{"one larger than the bound", 2, 0, []int{1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var seen transactions
			fake := cluster(t, kfake.SeedTopics(3, "rows"))
			c := client(t, kafka.Config{Brokers: fake.ListenAddrs(), MaxRecords: tt.maxRecords, MaxBytes: tt.maxBytes, OnTransaction: seen.hook})
			p := fenced(t, c, "team-0")
			end := holdEnd(t, fake)
			ctx := deadline(t, 60*time.Second)
			all := []*pending{commitLater(ctx, p, record("rows", 0, "first", ""))}
			<-end.begun
			var want []string
			for i := range 10 {
				key := fmt.Sprint(i)
				want = append(want, key, key, key)
				all = append(all, commitLater(ctx, p, record("rows", 0, key, ""), record("rows", 0, key, ""), record("rows", 0, key, "")))
				awaitQueue(t, p, i+1)
			}
			end.release()
			for i, r := range all {
				if err := r.wait(t); err != nil {
					t.Fatalf("caller %d: %v", i, err)
				}
			}
			if got := seen.get(); !slices.Equal(got, tt.want) {
				t.Errorf("transactions of %v records, not %v", got, tt.want)
			}
			last := all[10].offsets[2]
			var keys []string
			for _, rec := range read(t, c, "rows", 0, 1, last+1) {
				keys = append(keys, string(rec.Key))
			}
			if !slices.Equal(keys, want) {
				t.Errorf("order %v, not %v", keys, want)
			}
		})
	}
}

func TestOnlyACallerThatWaitsCanLeave(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(3, "rows"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	p := fenced(t, c, "team-0")
	end := holdEnd(t, fake)
	early, cancelEarly := context.WithCancel(t.Context())
	late, cancelLate := context.WithCancel(t.Context())
	begun := commitLater(early, p, record("rows", 0, "begun", ""))
	<-end.begun
	leaves := commitLater(late, p, record("rows", 0, "leaves", ""))
	awaitQueue(t, p, 1)
	stays := commitLater(t.Context(), p, record("rows", 0, "stays", ""))
	awaitQueue(t, p, 2)
	cancelEarly()
	cancelLate()
	if err := leaves.wait(t); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	end.release()
	if err := begun.wait(t); err != nil {
		t.Fatalf("a transaction that had begun was cancelled: %v", err)
	}
	if err := stays.wait(t); err != nil {
		t.Fatal(err)
	}
	got := read(t, c, "rows", 0, 0, stays.offsets[0]+1)
	if len(got) != 2 || string(got[0].Key) != "begun" || string(got[1].Key) != "stays" {
		t.Fatal(got)
	}
	if _, err := p.Commit(early, []connector.Record{record("rows", 0, "never", "")}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestDoubtReachesAllThatWait(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(3, "rows"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	p := fenced(t, c, "team-0")
	end := holdEnd(t, fake)
	answer(fake, kmsg.EndTxn, 1, kerr.CoordinatorLoadInProgress.Code)
	ctx := deadline(t, 60*time.Second)
	first := commitLater(ctx, p, record("rows", 0, "first", ""))
	<-end.begun
	var waiting []*pending
	for i := range 5 {
		waiting = append(waiting, commitLater(ctx, p, record("rows", 0, fmt.Sprint(i), "")))
		awaitQueue(t, p, i+1)
	}
	end.release()
	for i, r := range append(waiting, first) {
		if err := r.wait(t); !errors.Is(err, kafka.ErrOutcomeUnknown) {
			t.Errorf("caller %d: %v", i, err)
		}
	}
}

func TestNothingIsCommittedBeforeFencing(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(3, "rows"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	p := c.NewProducer("team-0")
	if _, err := p.Commit(t.Context(), []connector.Record{record("rows", 0, "k", "")}); err == nil {
		t.Fatal("committed without fencing")
	}
	if err := p.Fence(deadline(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, p, record("rows", 0, "k", ""))
}

func TestOversizedRecordFailsItsCallerOnly(t *testing.T) {
	fake := cluster(t)
	if err := fake.CreateTopic("rows", 1, map[string]string{"max.message.bytes": "20000"}); err != nil {
		t.Fatal(err)
	}
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs(), Compression: "lz4"})
	p := fenced(t, c, "team-0")
	noise := make([]byte, 20000)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	_, err := p.Commit(deadline(t, 20*time.Second), []connector.Record{record("rows", 0, "fits", ""), record("rows", 0, "noise", string(noise))})
	var large *connector.TooLargeError
	if !errors.As(err, &large) || string(large.Key) != "noise" || large.Limit != 20000 || large.Size <= 20000 {
		t.Fatalf("%v", err)
	}
	long := record("rows", 0, "long but plain", string(make([]byte, 200000))) // fits once compressed
	offsets := mustCommit(t, p, long, record("rows", 0, "short", ""))
	if got := read(t, c, "rows", 0, 0, offsets[1]+1); len(got) != 2 || len(got[0].Value) != 200000 {
		t.Fatal(len(got))
	}
	var many []connector.Record // together far beyond the limit: several batches
	for i := range 50 {
		many = append(many, record("rows", 0, fmt.Sprint(i), string(noise[:4000+i])))
	}
	offsets = mustCommit(t, p, many...)
	got := read(t, c, "rows", 0, offsets[0], offsets[49]+1)
	for i, rec := range got {
		if rec.Offset != offsets[i] || !sameRecord(rec.Record, many[i]) {
			t.Fatalf("record %d is another", i)
		}
	}
	if len(got) != 50 {
		t.Fatal(len(got))
	}
}

func TestAMissingTopicFailsItsCallerOnly(t *testing.T) {
	t.Parallel()
	fake := cluster(t, kfake.SeedTopics(3, "rows"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	p := fenced(t, c, "team-0")
	_, err := p.Commit(deadline(t, 20*time.Second), []connector.Record{record("rows", 0, "k", ""), record("absent", 0, "k", "")})
	if err == nil || errors.Is(err, kafka.ErrOutcomeUnknown) {
		t.Fatalf("%v", err)
	}
	end := mustCommit(t, p, record("rows", 0, "next", ""))
	if got := read(t, c, "rows", 0, 0, end[0]+1); len(got) != 1 {
		t.Fatalf("%v", got)
	}
}

func TestAfterCloseEverythingFails(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(3, "rows"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	p := fenced(t, c, "team-0")
	mustCommit(t, p, record("rows", 0, "k", ""))
	c.Close()
	ctx := deadline(t, 20*time.Second)
	if _, err := p.Commit(ctx, []connector.Record{record("rows", 0, "k", "")}); err == nil {
		t.Error("committed")
	}
	if err := p.Fence(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("fencing: %v", err)
	}
	for _, err := range c.Read(ctx, "rows", 0, 0, 1) {
		if err == nil || ctx.Err() != nil {
			t.Errorf("reading: %v", err)
		}
	}
	c.Close() // twice does no harm
}
