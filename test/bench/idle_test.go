//go:build integration

package bench

import (
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/davserver"
)

const (
	idleCalendars = 1000
	idleInterval  = 15 * time.Second
	idleWindow    = 8 * time.Second
)

// BenchmarkIdle follows a home of 1,000 calendars in which nothing changes: what a poll costs in requests, bytes and
// processor time, and what the time between two polls costs. The floor of the latter is that of a calcdc with one
// calendar: what a Go process that waits takes.
func BenchmarkIdle(b *testing.B) {
	for range b.N {
		many, one := idle(b, idleCalendars), idle(b, 1)
		if many.requests != many.homes {
			b.Errorf("%d requests in %d polls", many.requests, many.homes)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(many.requests)/float64(many.homes), "requests/poll")
		b.ReportMetric(many.poll.Seconds()*1000, "cpu-ms/poll")
		b.ReportMetric(float64(many.between.Microseconds())/idleWindow.Seconds(), "cpu-µs/s-between")
		b.ReportMetric(float64(one.between.Microseconds())/idleWindow.Seconds(), "floor-µs/s-between")
	}
}

// idleness is what a calcdc with nothing to do took.
type idleness struct {
	requests, homes int
	poll            time.Duration // processor time around a poll
	between         time.Duration // processor time of a window without one
}

func idle(b *testing.B, calendars int) idleness {
	b.Helper()
	s := startServer(b, serverOptions{Calendars: calendars, Events: 1})
	in := startCalcdc(b, s, idleInterval)
	cl := client(b)
	at := ended(b, in.name, calendars)
	b.Logf("%d calendars were published in %v", calendars, time.Duration(at.UnixNano()-s.account(b, false).FirstSync).Round(time.Millisecond))
	awaitPoll(b, s)
	awaitPoll(b, s) // the looks that follow the snapshots are done
	var is []idleness
	for range rounds {
		time.Sleep(2 * time.Second)
		first, cpu := s.account(b, false), in.cpu(b)
		time.Sleep(idleWindow)
		one := idleness{between: in.cpu(b) - cpu}
		if now := s.account(b, false); total(now) != total(first) {
			b.Fatalf("a poll in the middle of an interval: %v, then %v", first.Requests, now.Requests)
		}
		cpu = in.cpu(b)
		awaitPoll(b, s)
		time.Sleep(time.Second)
		last := s.account(b, false)
		one.poll = in.cpu(b) - cpu
		one.requests, one.homes = total(last)-total(first), last.Requests[davserver.Home]-first.Requests[davserver.Home]
		is = append(is, one)
	}
	in.stop(b)
	dropTopics(b, cl, in.name)
	m := idleness{
		poll:    time.Duration(median(is, func(i idleness) float64 { return float64(i.poll) })),
		between: time.Duration(median(is, func(i idleness) float64 { return float64(i.between) })),
	}
	for _, i := range is {
		m.requests, m.homes = m.requests+i.requests, m.homes+i.homes
	}
	return m
}

func total(a account) int {
	n := 0
	for _, requests := range a.Requests {
		n += requests
	}
	return n
}

// awaitPoll waits until the home has been asked for.
func awaitPoll(b *testing.B, s *server) {
	b.Helper()
	deadline := time.Now().Add(patience)
	for n := s.account(b, false).Requests[davserver.Home]; s.account(b, false).Requests[davserver.Home] == n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("no poll")
		}
	}
}
