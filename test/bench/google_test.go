//go:build integration

package bench

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkGoogleSnapshot publishes a Google calendar of 50,000 events of about 1.2 KiB for the first time: from the first request
// for its events to the visible snapshot-end. The floors ask for the same pages.
func BenchmarkGoogleSnapshot(b *testing.B) {
	s := startGoogle(b, googleOptions{Calendars: 1, Events: snapshotted * 20 / 21})
	snapshots(b, s, 2, floorOptions{URL: s.URL, Token: s.Token})
}

// BenchmarkGoogleChange follows a calendar of 50,000 events of which one changes: from the end of the server's answer with it to a
// consumer of committed records having its row. It must take one request and one transaction. The floor is a bare transaction of the
// same records.
func BenchmarkGoogleChange(b *testing.B) {
	s := startGoogle(b, googleOptions{Calendars: 1, Events: snapshotted * 20 / 21})
	cl := client(b)
	in := startCalcdc(b, s, 3*time.Second)
	ended(b, in.name, 2)
	data, all := consumer(b, topics(in.name)[0]), newTail(b, in.name)
	var ours []latency
	sum := effort{}
	for range deltaRounds {
		s.awaitPoll(b) // and then there are three seconds until the next
		all.take(b)
		before := endOf(b, cl, in.name)
		s.begin(b)
		s.change(b)
		at, got := visible(b, data, 1)
		answered, e := s.effort(b)
		e.records = all.take(b)
		e.transactions = int(endOf(b, cl, in.name)-before) - countPlace(e.records, statePlace(in.name))
		ours = append(ours, latency{at.UnixNano() - answered, len(got)})
		sum.add(e)
	}
	floor := bareTransactions(b, cl, s.source(), sum.records, 1)
	in.stop(b)
	dropTopics(b, cl, in.name)
	if sum.requests != deltaRounds || sum.transactions != deltaRounds {
		b.Errorf("%d requests and %d transactions for %d changes", sum.requests, sum.transactions, deltaRounds)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(ours, latency.ms), "ms")
	b.ReportMetric(median(floor, latency.ms), "floor-ms")
	b.ReportMetric(median(ours, latency.ms)/median(floor, latency.ms), "×floor")
	b.ReportMetric(float64(sum.requests)/deltaRounds, "requests")
	b.ReportMetric(float64(sum.transactions)/deltaRounds, "transactions")
	b.ReportMetric(float64(sum.bytes)/deltaRounds, "B/change")
}

// effort is what changes took.
type effort struct {
	requests     int
	bytes        int64
	transactions int
	records      []record // of the last change
}

func (e *effort) add(o effort) {
	e.requests, e.bytes, e.transactions, e.records = e.requests+o.requests, e.bytes+o.bytes, e.transactions+o.transactions, o.records
}

// effort is what was asked about the events of the first calendar since begin, and when the last answer ended.
func (s *google) effort(b *testing.B) (answered int64, e effort) {
	b.Helper()
	for _, r := range s.requests(b, false) {
		if r.ofEvents() {
			e.requests++
			e.bytes += r.Bytes
			answered = r.Ended
		}
	}
	return answered, e
}

// awaitPoll waits until the first calendar's events have been asked for.
func (s *google) awaitPoll(b *testing.B) {
	b.Helper()
	s.begin(b)
	for deadline := time.Now().Add(patience); !slices.ContainsFunc(s.requests(b, false), request.ofEvents); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("no poll")
		}
	}
}

// statePlace is the place of the state's topic among those of name: each of calcdc's transactions writes to it.
func statePlace(name string) int { return slices.Index(topics(name), name+"-state") }

// endOf is the sum of the ends of the state's partitions. A transaction's marker counts like a record.
func endOf(b *testing.B, cl *kgo.Client, name string) int64 {
	b.Helper()
	all, err := ends(b.Context(), cl, topics(name)[statePlace(name)])
	if err != nil {
		b.Fatal(err)
	}
	var sum int64
	for _, end := range all {
		sum += end
	}
	return sum
}

func countPlace(all []record, place int) int {
	n := 0
	for _, r := range all {
		if r.Place == place {
			n++
		}
	}
	return n
}
