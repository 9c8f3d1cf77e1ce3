package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sinks/kafka"
)

func keys(recs []connector.Committed) []string {
	var k []string
	for _, r := range recs {
		k = append(k, string(r.Key))
	}
	return k
}

func TestOnlyWhatWasCommittedIsRead(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(1, "rows"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	p, q := fenced(t, c, "team-0"), fenced(t, c, "team-1")
	mustCommit(t, p, record("rows", 0, "a", ""))
	for i := range 3 { // aborted by the next fencing, between what another commits
		if err := kafka.LeaveOpen(t.Context(), p, record("rows", 0, "aborted", ""), record("rows", 0, "aborted", "")); err != nil {
			t.Fatal(err)
		}
		mustCommit(t, q, record("rows", 0, fmt.Sprint("q", i), ""))
		if err := p.Fence(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustCommit(t, p, record("rows", 0, fmt.Sprint("p", i), ""))
	}
	end := mustCommit(t, p, record("rows", 0, "end", ""))[0] + 1
	want := []string{"a", "q0", "p0", "q1", "p1", "q2", "p2", "end"}
	all := read(t, c, "rows", 0, 0, end)
	if got := keys(all); !slices.Equal(got, want) {
		t.Fatalf("%v, not %v", got, want)
	}
	for from := range end + 1 { // from anywhere
		var want []string
		for _, rec := range all {
			if rec.Offset >= from {
				want = append(want, string(rec.Key))
			}
		}
		if got := keys(read(t, c, "rows", 0, from, end)); !slices.Equal(got, want) {
			t.Fatalf("from %d: %v, not %v", from, got, want)
		}
	}
	if got := keys(read(t, c, "rows", 0, 0, all[3].Offset)); !slices.Equal(got, want[:3]) {
		t.Fatalf("the end is exclusive: %v", got)
	}
}

func TestAnOpenTransactionHidesWhatIsBehindIt(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(1, "rows"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	p, q := fenced(t, c, "team-0"), fenced(t, c, "team-1")
	if err := kafka.LeaveOpen(t.Context(), q, record("rows", 0, "open", "")); err != nil {
		t.Fatal(err)
	}
	end := mustCommit(t, p, record("rows", 0, "behind", ""))[0] + 1
	short, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	for rec, err := range c.Read(short, "rows", 0, 0, end) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(rec, err)
		}
	}
	if err := q.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := keys(read(t, c, "rows", 0, 0, end)); !slices.Equal(got, []string{"behind"}) {
		t.Fatal(got)
	}
}

func TestFollowing(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(1, "rows"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	p := fenced(t, c, "team-0")
	ctx, cancel := context.WithCancel(deadline(t, 30*time.Second))
	got := make(chan string)
	ended := make(chan error, 1)
	go func() {
		defer close(got)
		for rec, err := range c.Read(ctx, "rows", 0, 0, -1) {
			if err != nil {
				ended <- err
				return
			}
			got <- string(rec.Key)
		}
	}()
	for i := range 5 {
		if i == 3 {
			if err := fake.MoveTopicPartition("rows", 0, (fake.LeaderFor("rows", 0)+1)%3); err != nil {
				t.Fatal(err)
			}
			for p.Fence(ctx) == nil {
				if _, err := p.Commit(ctx, []connector.Record{record("rows", 0, "3", "")}); err == nil {
					break
				}
			}
		} else {
			mustCommit(t, p, record("rows", 0, fmt.Sprint(i), ""))
		}
		if key := <-got; key != fmt.Sprint(i) {
			t.Fatalf("%s, not %d", key, i)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	<-got
}

func TestReadingWhatIsGone(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(1, "rows"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	p := fenced(t, c, "team-0")
	var last int64
	for i := range 6 {
		last = mustCommit(t, p, record("rows", 0, fmt.Sprint(i), ""))[0]
	}
	if err := fake.DeleteRecords("rows", 0, last-1); err != nil {
		t.Fatal(err)
	}
	if got := keys(read(t, c, "rows", 0, 0, last+1)); !slices.Equal(got, []string{"5"}) {
		t.Fatalf("from the beginning, wherever it is: %v", got)
	}
	for _, err := range c.Read(deadline(t, 20*time.Second), "rows", 0, 2, last+1) {
		if !errors.Is(err, kafka.ErrOutOfRange) {
			t.Fatalf("%v", err)
		}
	}
	for range c.Read(deadline(t, 20*time.Second), "rows", 0, last, last+1) {
		break // a consumer may stop
	}
}
