package kafka_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// answer makes the fake answer the next n requests of a kind with a code.
func answer(fake *kfake.Cluster, key kmsg.Key, n int, code int16) *kfake.FaultHandle {
	return fake.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Count: n, Err: kerr.TypedErrorForCode(code), TopLevel: key == kmsg.InitProducerID || key == kmsg.EndTxn})
}

func TestWhatIsRepeatedInPlace(t *testing.T) {
	for _, tt := range []struct {
		name  string
		key   kmsg.Key
		code  int16
		times int
	}{
		{"51 while fencing", kmsg.InitProducerID, 51, 4},
		{"16 while fencing", kmsg.InitProducerID, 16, 2},
		{"14 while fencing", kmsg.InitProducerID, 14, 2},
		{"51 on adding partitions", kmsg.AddPartitionsToTxn, 51, 5},
		{"19 on producing", kmsg.Produce, 19, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := cluster(t, kfake.SeedTopics(3, "rows"))
			c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
			seen := answer(fake, tt.key, tt.times, tt.code)
			p := fenced(t, c, "team-0")
			recs := records("rows", 2, 10)
			offsets := mustCommit(t, p, recs...)
			if seen.Hits() != tt.times {
				t.Fatalf("%d requests of %d were answered so", seen.Hits(), tt.times)
			}
			if got := read(t, c, "rows", 2, 0, offsets[9]+1); len(got) != 10 {
				t.Fatalf("%d records, not 10 once", len(got))
			}
		})
	}
}

// TestAfterDoubtNothingIsCommittedUntilFenced lets every step of a transaction end in every way it may.
func TestAfterDoubtNothingIsCommittedUntilFenced(t *testing.T) {
	for _, tt := range []struct {
		key  kmsg.Key
		code int16
		want error
	}{
		{kmsg.AddPartitionsToTxn, 16, kafka.ErrOutcomeUnknown},
		{kmsg.AddPartitionsToTxn, 48, kafka.ErrOutcomeUnknown},
		{kmsg.AddPartitionsToTxn, 49, kafka.ErrOutcomeUnknown},
		{kmsg.AddPartitionsToTxn, 47, connector.ErrFenced},
		{kmsg.AddPartitionsToTxn, 90, connector.ErrFenced},
		{kmsg.Produce, 6, kafka.ErrOutcomeUnknown},
		{kmsg.Produce, 45, kafka.ErrOutcomeUnknown},
		{kmsg.Produce, 56, kafka.ErrOutcomeUnknown},
		{kmsg.Produce, 47, connector.ErrFenced},
		{kmsg.Produce, 90, connector.ErrFenced},
		{kmsg.EndTxn, 14, kafka.ErrOutcomeUnknown},
		{kmsg.EndTxn, 47, connector.ErrFenced},
		{kmsg.EndTxn, 90, connector.ErrFenced},
	} {
		t.Run(fmt.Sprintf("%s answers %d", tt.key.Name(), tt.code), func(t *testing.T) {
			fake := cluster(t, kfake.SeedTopics(3, "rows"))
			c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
			p := fenced(t, c, "team-0")
			mustCommit(t, p, record("rows", 0, "a", "1"))
			answer(fake, tt.key, 1, tt.code)
			ctx := deadline(t, 30*time.Second)
			if _, err := p.Commit(ctx, records("rows", 0, 3)); !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if _, err := p.Commit(ctx, records("rows", 0, 3)); !errors.Is(err, tt.want) {
				t.Fatalf("before fencing: got %v, want %v again", err, tt.want)
			}
			if err := p.Fence(ctx); err != nil {
				t.Fatal(err)
			}
			end := mustCommit(t, p, record("rows", 0, "b", "2"))
			got := read(t, c, "rows", 0, 0, end[0]+1)
			if len(got) != 2 || string(got[0].Key) != "a" || string(got[1].Key) != "b" {
				t.Fatalf("a transaction that failed is visible, or one that succeeded is not: %v", got)
			}
		})
	}
}

// TestLostAnswers cuts the connection before or after the broker has done what each step of a transaction asks: only fencing and
// reading tell what became of it.
func TestLostAnswers(t *testing.T) {
	for _, tt := range []struct {
		key     kmsg.Key
		done    bool
		visible int
	}{
		{kmsg.AddPartitionsToTxn, false, 0}, {kmsg.AddPartitionsToTxn, true, 0},
		{kmsg.Produce, false, 0}, {kmsg.Produce, true, 0},
		{kmsg.EndTxn, false, 0}, {kmsg.EndTxn, true, 3},
	} {
		t.Run(fmt.Sprintf("%s done=%v", tt.key.Name(), tt.done), func(t *testing.T) {
			var scissors scissors
			fake := cluster(t, kfake.SeedTopics(3, "rows"), kfake.ListenFn(scissors.listen))
			c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
			p := fenced(t, c, "team-0")
			fake.ControlKey(tt.key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				if !tt.done {
					return nil, errors.New("cut"), true
				}
				fake.DropControl()
				scissors.open.Store(true)
				return nil, nil, false
			})
			ctx := deadline(t, 30*time.Second)
			if _, err := p.Commit(ctx, records("rows", 0, 3)); !errors.Is(err, kafka.ErrOutcomeUnknown) {
				t.Fatal(err)
			}
			if err := p.Fence(ctx); err != nil {
				t.Fatal(err)
			}
			barrier := mustCommit(t, p, connector.Record{Topic: "rows", Key: []byte("barrier")})
			got := read(t, c, "rows", 0, 0, barrier[0]+1)
			if len(got) != tt.visible+1 {
				t.Fatalf("%d records before the barrier, not %d", len(got)-1, tt.visible)
			}
		})
	}
}

// scissors cut a broker's connection at its next answer, once they are open.
type scissors struct{ open atomic.Bool }

func (s *scissors) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return scissoredListener{l, s}, err
}

type scissoredListener struct {
	net.Listener
	s *scissors
}

func (l scissoredListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return scissoredConn{c, l.s}, err
}

type scissoredConn struct {
	net.Conn
	s *scissors
}

func (c scissoredConn) Write(b []byte) (int, error) {
	if c.s.open.CompareAndSwap(true, false) {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

func TestLeaderMoves(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(3, "rows"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	p := fenced(t, c, "team-0")
	ctx := deadline(t, 60*time.Second)
	want := 0
	for round := range 6 {
		if err := fake.MoveTopicPartition("rows", 0, (fake.LeaderFor("rows", 0)+1)%3); err != nil {
			t.Fatal(err)
		}
		for {
			_, err := p.Commit(ctx, []connector.Record{record("rows", 0, fmt.Sprint(round), "v"), record("rows", 1, fmt.Sprint(round), "v")})
			if err == nil {
				break
			}
			if !errors.Is(err, kafka.ErrOutcomeUnknown) {
				t.Fatal(err)
			}
			if err := p.Fence(ctx); err != nil {
				t.Fatal(err)
			}
		}
		want++
		barrier := mustCommit(t, p, connector.Record{Topic: "rows", Key: []byte("barrier")})
		if got := read(t, c, "rows", 0, 0, barrier[0]+1); len(got) != 2*want {
			t.Fatalf("round %d: %d records, not %d", round, len(got), 2*want)
		}
	}
}

func TestFencedByAnother(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(3, "rows"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	old, other := fenced(t, c, "team-0"), fenced(t, c, "team-1")
	mustCommit(t, old, record("rows", 0, "a", "1"))
	ours := fenced(t, client(t, kafka.Config{Brokers: fake.ListenAddrs()}), "team-0")
	if _, err := old.Commit(deadline(t, 20*time.Second), []connector.Record{record("rows", 0, "zombie", "")}); !errors.Is(err, connector.ErrFenced) {
		t.Fatal(err)
	}
	mustCommit(t, other, record("rows", 0, "b", "2")) // another id is not concerned
	end := mustCommit(t, ours, record("rows", 0, "c", "3"))
	got := read(t, c, "rows", 0, 0, end[0]+1)
	if len(got) != 3 || string(got[2].Key) != "c" {
		t.Fatal(got)
	}
}

// TestRefusedBySize has the broker refuse a batch that the client's check let pass: only the guilty caller fails.
func TestRefusedBySize(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.MessageTooLarge, kerr.RecordListTooLarge} {
		t.Run(code.Message, func(t *testing.T) {
			fake := cluster(t, kfake.SeedTopics(3, "rows", "narrow"))
			c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
			p := fenced(t, c, "team-0")
			fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "narrow", Count: -1, Err: code})
			hold := holdEnd(t, fake)
			ctx := deadline(t, 60*time.Second)
			first := commitLater(ctx, p, record("rows", 0, "first", ""))
			<-hold.begun
			good := commitLater(ctx, p, record("rows", 0, "good", ""), record("rows", 1, "good", ""))
			awaitQueue(t, p, 1)
			bad := commitLater(ctx, p, record("rows", 0, "bad", ""), record("narrow", 0, "huge", "value"))
			awaitQueue(t, p, 2)
			last := commitLater(ctx, p, record("rows", 0, "last", ""))
			awaitQueue(t, p, 3)
			hold.release()
			for name, r := range map[string]*pending{"first": first, "good": good, "last": last} {
				if err := r.wait(t); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			var large *connector.TooLargeError
			if err := bad.wait(t); !errors.As(err, &large) || large.Topic != "narrow" || string(large.Key) != "huge" {
				t.Fatalf("bad: %v", err)
			}
			end := mustCommit(t, p, record("rows", 0, "end", ""))
			var keys []string
			for _, rec := range read(t, c, "rows", 0, 0, end[0]+1) {
				keys = append(keys, string(rec.Key))
			}
			if want := []string{"first", "good", "last", "end"}; !slices.Equal(keys, want) {
				t.Fatalf("%v, not %v", keys, want)
			}
		})
	}
}
