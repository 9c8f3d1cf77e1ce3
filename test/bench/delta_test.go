//go:build integration

package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/calcdc/calcdc/internal/davserver"
)

const deltaRounds = 9

// BenchmarkChanges follows a calendar of 50,000 events of which 100 change: from the end of the server's answer with the bodies
// to a consumer that reads committed having the last record. The floor is a bare transaction of the same records, from its begin
// to the same consumer. What calcdc asked of the server must be proportional to the changes.
func BenchmarkChanges(b *testing.B) {
	for _, events := range []int{1000, snapshotted} {
		b.Run(fmt.Sprintf("calendar=%d", events), func(b *testing.B) { changes(b, events, 100) })
	}
	b.Run(fmt.Sprintf("calendar=%d/changes=1000", snapshotted), func(b *testing.B) { changes(b, snapshotted, 1000) })
}

func changes(b *testing.B, events, n int) {
	s := startServer(b, serverOptions{Calendars: 1, Events: events})
	cl := client(b)
	in := startCalcdc(b, s, time.Second)
	ended(b, in.name, 1)
	in.settle(b, s)
	data, all := consumer(b, topics(in.name)[0]), newTail(b, in.name)
	var ours []latency
	before := s.account(b, true)
	for range deltaRounds {
		all.take(b)
		s.change(b, n)
		at, got := visible(b, data, n)
		in.settle(b, s)
		ours = append(ours, latency{at.UnixNano() - s.account(b, true).LastBody, len(got)})
	}
	after := s.account(b, false)
	floor := bareTransactions(b, cl, s.source(), all.take(b), n)
	in.stop(b)
	dropTopics(b, cl, in.name)
	requests, size := 0, int64(0)
	for _, kind := range []davserver.Kind{davserver.Sync, davserver.Multiget, davserver.Get, davserver.Collection, davserver.Query} {
		requests += after.Requests[kind] - before.Requests[kind]
		size += after.Bytes[kind] - before.Bytes[kind]
	}
	if most := deltaRounds * (2 + n/100); requests > most {
		b.Errorf("%d requests for %d times %d changes, more than %d", requests, deltaRounds, n, most)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(ours, latency.ms), "ms")
	b.ReportMetric(median(floor, latency.ms), "floor-ms")
	b.ReportMetric(median(ours, latency.ms)/median(floor, latency.ms), "×floor")
	b.ReportMetric(float64(requests)/deltaRounds, "requests")
	b.ReportMetric(float64(size)/float64(deltaRounds*n), "B/change")
}

// latency is how long records took to be visible, in ns.
type latency struct {
	ns      int64
	records int
}

func (l latency) ms() float64 { return float64(l.ns) / 1e6 }

// settle waits until polls of every account have found nothing.
func (in *instance) settle(b *testing.B, s *server) {
	b.Helper()
	deadline := time.Now().Add(patience)
	was := s.account(b, false)
	for home := was.Requests[davserver.Home]; ; time.Sleep(20 * time.Millisecond) {
		now := s.account(b, false)
		if now.Requests[davserver.Sync] != was.Requests[davserver.Sync] {
			was, home = now, now.Requests[davserver.Home]
		}
		if now.Requests[davserver.Home] >= home+2*len(s.options.users()) {
			return
		}
		if time.Now().After(deadline) {
			b.Fatal("no quiet poll")
		}
	}
}

// bareTransactions writes records, of which n are data, in one transaction, again and again, to topics like calcdc's.
func bareTransactions(b *testing.B, cl *kgo.Client, source string, records []record, n int) []latency {
	b.Helper()
	name := newName(source, "bare")
	makeTopics(b, cl, name)
	defer dropTopics(b, cl, name)
	p, err := producer(floorOptions{Brokers: brokers(b), Name: name}, kgo.TransactionalID(name), kgo.ProducerLinger(0))
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	data := consumer(b, topics(name)[0])
	defer data.Close()
	var took []latency
	for range deltaRounds {
		began := time.Now()
		if err := transact(b.Context(), p, kgoRecords(name, records)); err != nil {
			b.Fatal(err)
		}
		at, got := visible(b, data, n)
		took = append(took, latency{at.UnixNano() - began.UnixNano(), len(got)})
		time.Sleep(time.Second) // calcdc's come a poll apart: the broker has finished the last one
	}
	return took
}

// tail reads everything that is committed to the topics of an instance from now on.
type tail struct{ clients []*kgo.Client }

func newTail(b *testing.B, name string) *tail {
	b.Helper()
	t := &tail{}
	for _, topic := range topics(name) {
		t.clients = append(t.clients, consumer(b, topic))
	}
	return t
}

// take returns what has come since the last take.
func (t *tail) take(b *testing.B) []record {
	b.Helper()
	var all []record
	for place, cl := range t.clients {
		for {
			ctx, cancel := context.WithTimeout(b.Context(), 500*time.Millisecond)
			fetches := cl.PollFetches(ctx)
			cancel()
			if fetches.NumRecords() == 0 {
				break
			}
			fetches.EachRecord(func(r *kgo.Record) { all = append(all, recordOf(place, r)) })
		}
	}
	return all
}
