//go:build integration

package bench

import (
	"net/http"
	"testing"
	"time"
)

const (
	googleCalendars = 600
	googlePoll      = time.Minute
	googleQuota     = 600 // requests of a user in any minute
	googleSettle    = 5 * time.Second
)

// BenchmarkGoogleIdle follows 600 calendars that others share with a user, who polls each once a minute under a quota of 600 requests
// in any minute. Nothing changes. No request may be one too many: the server would answer 403. It lasts for the first snapshots, which
// fill a minute's quota, and for one round of polls after them.
func BenchmarkGoogleIdle(b *testing.B) {
	for range b.N {
		one := idleGoogle(b, 1, 15*time.Second)
		many := idleGoogle(b, googleCalendars, googlePoll+googleSettle)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(many.busiest), "requests/busiest-minute")
		b.ReportMetric(float64(many.refused), "refused")
		b.ReportMetric(many.round.Seconds(), "s/round")
		b.ReportMetric(many.perSecond, "cpu-µs/s")
		b.ReportMetric(one.perSecond, "floor-µs/s")
		if many.busiest > googleQuota || many.refused > 0 {
			b.Errorf("%d requests in the busiest minute, of which %d were refused", many.busiest, many.refused)
		}
	}
}

// googleIdleness is what following calendars took in which nothing happens.
type googleIdleness struct {
	busiest   int           // requests in any minute, at most
	refused   int           // answers that are errors
	round     time.Duration // the longest that a calendar waited for its next poll
	perSecond float64       // µs of processor time
}

func idleGoogle(b *testing.B, calendars int, window time.Duration) googleIdleness {
	b.Helper()
	s := startGoogle(b, googleOptions{Calendars: calendars, Events: 1, Shared: true, PerUser: googleQuota})
	in := startCalcdc(b, s, googlePoll)
	at := ended(b, in.name, calendars+1)
	b.Logf("%d calendars were published in %v", calendars, time.Duration(at.UnixNano()-s.requests(b, false)[0].Began).Round(time.Millisecond))
	time.Sleep(googleSettle)
	cpu, began := in.cpu(b), time.Now()
	time.Sleep(window)
	i := googleIdleness{perSecond: float64((in.cpu(b) - cpu).Microseconds()) / time.Since(began).Seconds()}
	log := s.requests(b, false)
	i.busiest, i.round = busiestMinute(log), longestWait(log)
	for _, r := range log {
		if r.Status != http.StatusOK {
			i.refused++
		}
	}
	cl := client(b)
	in.stop(b)
	dropTopics(b, cl, in.name)
	return i
}

// busiestMinute is how many requests began in any minute, at most.
func busiestMinute(log []request) int {
	most, from := 0, 0
	for to, r := range log {
		for r.Began-log[from].Began >= int64(time.Minute) {
			from++
		}
		most = max(most, to+1-from)
	}
	return most
}

// longestWait is the longest between two requests for the same events.
func longestWait(log []request) time.Duration {
	last, most := map[string]int64{}, int64(0)
	for _, r := range log {
		key := string(r.Kind) + r.Calendar
		if before, again := last[key]; again {
			most = max(most, r.Began-before)
		}
		last[key] = r.Began
	}
	return time.Duration(most)
}
