//go:build integration

package bench

import (
	"testing"
	"time"
)

const (
	delayedUsers  = 300
	delayedEvents = 20
	delay         = 100 * time.Millisecond // before each of the server's answers
)

// BenchmarkWorkers publishes the calendars of 300 users of a server that takes 100 ms for each answer, by one worker and by two, begun at the
// same moment with default settings: from the processes' start to the last visible snapshot-end. With a source that is waited for, the floor is
// half of one worker's time.
func BenchmarkWorkers(b *testing.B) {
	s := startServer(b, serverOptions{Users: delayedUsers, Calendars: 1, Events: delayedEvents, Delay: delay})
	cl := client(b)
	for range b.N {
		var one, two []run
		for range rounds {
			for n, runs := range map[int]*[]run{1: &one, 2: &two} {
				began := time.Now()
				in := startCalcdc(b, s, time.Hour)
				all := []*instance{in}
				if n == 2 {
					all = append(all, in.teammate(b))
				}
				r := run{took: ended(b, in.name, delayedUsers).Sub(began)}
				for _, in := range all {
					r.cpu += in.cpu(b)
					r.peak = max(r.peak, in.peak(b))
				}
				for _, in := range all {
					in.stop(b)
				}
				dropTopics(b, cl, in.name)
				*runs = append(*runs, r)
				b.Logf("%d workers %v", n, r)
			}
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(median(one, seconds), "s-one")
		b.ReportMetric(median(two, seconds), "s-two")
		b.ReportMetric(median(two, seconds)/median(one, seconds), "×one")
	}
}
