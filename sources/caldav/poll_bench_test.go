package caldav_test

import (
	"context"
	"net"
	"testing"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/sources/caldav"
)

// BenchmarkPoll lists 5,000 events of about 1 KiB, the server in the same process: with bodies in the listing, by
// multiget, and without bodies.
func BenchmarkPoll(b *testing.B) {
	const n = 5000
	for name, q := range map[string]connector.Query{
		"inline":   {Fresh: true, Needs: func(string, string) bool { return true }},
		"multiget": {Needs: func(string, string) bool { return true }},
		"listed":   {Needs: func(string, string) bool { return false }},
	} {
		b.Run(name, func(b *testing.B) {
			a := benchAccount(b, n)
			q.Stream = eventsOf(work)
			b.ReportAllocs()
			for b.Loop() {
				got := 0
				for p, err := range a.Poll(context.Background(), q) {
					if err != nil {
						b.Fatal(err)
					}
					got += len(p.Resources)
				}
				if got != n {
					b.Fatalf("%d resources", got)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "members/s")
		})
	}
}

func benchAccount(b *testing.B, n int) *caldav.Account {
	b.Helper()
	srv := davserver.New(davserver.Options{Users: map[string]string{"alice": "secret"}, InlineData: true})
	srv.MakeCalendar("alice", "work", "Work")
	for i := range n {
		srv.Put("alice", "work", davserver.SampleName(1, i), davserver.SampleEvent(1, i))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, ln) }()
	a, err := caldav.New(caldav.Config{Source: "work", URL: "http://" + ln.Addr().String() + "/", Raw: true}, caldav.Credentials{Username: "alice", Password: "secret"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		a.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return a
}
