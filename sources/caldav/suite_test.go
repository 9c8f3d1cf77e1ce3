package caldav_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/sources/caldav"
	"github.com/calcdc/calcdc/sources/sourcetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a calendar server with one empty calendar, alice's work.
func serve(t *testing.T, o davserver.Options) (*davserver.Server, string) {
	t.Helper()
	o.Users = map[string]string{"alice": "secret"}
	srv := davserver.New(o)
	srv.MakeCalendar("alice", "work", "Work")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return srv, "http://" + ln.Addr().String() + "/"
}

func account(t *testing.T, cfg caldav.Config) *caldav.Account {
	t.Helper()
	cfg.Source, cfg.Raw = "work", true
	a, err := caldav.New(cfg, caldav.Credentials{Username: "alice", Password: "secret"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.CloseIdleConnections)
	return a
}

// event is the body of an object whose summary is text.
func event(name, text string) []byte {
	return fmt.Appendf(nil, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:%s\r\nDTSTAMP:20260101T000000Z\r\n"+
		"DTSTART:20260102T100000Z\r\nSUMMARY:%s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", name, text)
}

const work = "/alice/calendars/work/"

func eventsOf(collection string) connector.Stream {
	return connector.Stream{Source: "work", Account: "alice", Collection: collection, Kind: connector.Events}
}

func TestSuite(t *testing.T) {
	servers := map[string]davserver.Options{
		"sync":           {},
		"inline":         {InlineData: true},
		"507 pages":      {PageLimit: 7},
		"inline pages":   {InlineData: true, PageLimit: 100},
		"no sync":        {NoSync: true},
		"no sync, ctag":  {NoSync: true, NoCTag: true},
		"omits missing":  {OmitMissing: true},
		"missing fails":  {MissingFails: true},
		"no ETags":       {ETag: func([]byte, uint64) string { return "" }},
		"bare CR inline": {BareCR: true, InlineData: true},
		"short pages":    {ShortPages: true, PageLimit: 50},
		"refuses limit":  {RefuseLimit: true},
	}
	for name, o := range servers {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) sourcetest.Fixture { return fixture(t, o) })
		})
	}
}

func fixture(t *testing.T, o davserver.Options) sourcetest.Fixture {
	srv, url := serve(t, o)
	cfg := caldav.Config{URL: url, Concurrency: 3}
	if o.ShortPages || o.RefuseLimit {
		cfg.Limit = 50
	}
	f := sourcetest.Fixture{
		Account: account(t, cfg), Events: eventsOf(work),
		Put: func(_ *testing.T, name, text string) {
			srv.Put("alice", "work", name+".ics", event(name, text))
		},
		Delete:           func(_ *testing.T, name string) { srv.Delete("alice", "work", name+".ics") },
		ID:               func(name string) string { return work + name + ".ics" },
		RemoveCollection: func(*testing.T) { srv.DeleteCalendar("alice", "work") },
		Forget:           func(*testing.T) { srv.InvalidateTokens("alice", "work") },
		Break: func(*testing.T) {
			srv.Fault(func(davserver.Kind, *http.Request) davserver.Fault {
				return davserver.Fault{Status: http.StatusBadGateway}
			})
		},
		Mend: func(*testing.T) { srv.Fault(nil) },
	}
	if o.NoSync {
		f.Forget = nil
	}
	return f
}
