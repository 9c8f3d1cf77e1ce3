package google

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/googleserver"
	"github.com/calcdc/calcdc/sources/sourcetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	alice = "alice@example.org"
	team  = "team@group.calendar.google.com"
)

// serve starts a calendar server with one user, alice, and a calendar of hers beside the primary one.
func serve(t *testing.T, o googleserver.Options) (*googleserver.Server, string) {
	t.Helper()
	srv := googleserver.New(o)
	must(t, srv.AddUser(alice))
	must(t, srv.AddCalendar(alice, team, googleserver.Calendar{Summary: "Team"}))
	return srv, listen(t, srv.Serve)
}

// listen serves until the test ends, and returns the base URL.
func listen(t *testing.T, serve func(context.Context, net.Listener) error) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// service sets up a service with alice's token, and tries again soon.
func service(t *testing.T, srv *googleserver.Server, url string, cfg Config) *Service {
	t.Helper()
	cfg.Source, cfg.Raw, cfg.Endpoint = "team", true, googleserver.Endpoint(url)
	cfg.Credentials.AccessToken = srv.Token(alice)
	if cfg.Quota == (Quota{}) {
		cfg.Quota = Quota{UserPerMinute: 1e6, ProjectPerMinute: 1e6}
	}
	s, err := New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.CloseIdleConnections)
	return s
}

// account is alice's.
func account(t *testing.T, srv *googleserver.Server, url string, cfg Config) *Account {
	t.Helper()
	all, err := service(t, srv, url, cfg).Accounts(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%d accounts, %v", len(all), err)
	}
	all[0].first = time.Millisecond
	return all[0]
}

func stream(kind connector.Kind, collection string) connector.Stream {
	return connector.Stream{Source: "team", Account: alice, Kind: kind, Collection: collection}
}

// single is an event of an hour.
func single(id, text string) string {
	return fmt.Sprintf(`{"id":%q,"summary":%q,"start":{"dateTime":"2026-06-02T10:00:00Z"},"end":{"dateTime":"2026-06-02T11:00:00Z"}}`, id, text)
}

// series is a daily event of an hour, from the second of June 2026 on.
func series(id, text string) string {
	return fmt.Sprintf(`{"id":%q,"summary":%q,"recurrence":["RRULE:FREQ=DAILY"],"start":{"dateTime":"2026-06-02T10:00:00Z","timeZone":"UTC"},`+
		`"end":{"dateTime":"2026-06-02T11:00:00Z","timeZone":"UTC"}}`, id, text)
}

func TestSuite(t *testing.T) {
	const holidays = "en.usa#holiday@group.v.calendar.google.com"
	tests := map[string]struct {
		server   googleserver.Options
		cfg      Config
		calendar string
	}{
		"sync token":      {},
		"pages":           {server: googleserver.Options{PageLimit: 400, EmptyPages: 2, RichTombstones: true, RichCancelled: true}},
		"event types":     {cfg: Config{Filter: Filter{EventTypes: []string{"default"}}}},
		"updated min":     {cfg: Config{Filter: Filter{UpdatedMin: true, TimeMin: "2020-01-01T00:00:00Z"}}},
		"birthdays":       {calendar: googleserver.Birthdays},
		"holidays":        {calendar: holidays},
		"holidays, paged": {calendar: holidays, server: googleserver.Options{PageLimit: 4}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) sourcetest.Fixture { return fixture(t, c.server, c.cfg, c.calendar) })
		})
	}
}

// fixture is alice's account with one empty calendar; a generated one where that is named.
func fixture(t *testing.T, o googleserver.Options, cfg Config, generated string) sourcetest.Fixture {
	id := func(name string) string { return strings.ReplaceAll(name, "-", "") }
	calendar := team
	if cfg.Filter.UpdatedMin { // the time of change must tell changes apart
		var ticks atomic.Int64
		begun := time.Now()
		o.Now = func() time.Time { return begun.Add(time.Duration(ticks.Add(1)) * time.Second) }
	}
	srv, url := serve(t, o)
	if generated != "" {
		calendar = generated
		must(t, srv.AddGenerated(alice, calendar, googleserver.Calendar{Summary: "Generated"}))
	}
	f := sourcetest.Fixture{
		Account: account(t, srv, url, cfg), Events: stream(connector.Events, calendar),
		Put: func(t *testing.T, name, text string) {
			_, err := srv.PutEvent(alice, calendar, single(id(name), text))
			must(t, err)
		},
		Delete:      func(t *testing.T, name string) { must(t, srv.DeleteEvent(alice, calendar, id(name))) },
		ID:          id,
		FreshTokens: true, Constant: generated == googleserver.Birthdays || o.PageLimit > 0 && generated != "",
		Break: func(*testing.T) {
			srv.Fault(func(googleserver.Request) googleserver.Fault {
				return googleserver.Fault{Status: http.StatusBadGateway}
			})
		},
		Mend: func(*testing.T) { srv.Fault(nil) },
	}
	switch {
	case generated != "":
	case cfg.Filter.UpdatedMin:
		f.Forget = func(*testing.T) {
			srv.Fault(func(r googleserver.Request) googleserver.Fault {
				if r.URL.Query().Has("updatedMin") {
					return googleserver.Fault{Error: googleserver.UpdatedMinTooLongAgo}
				}
				return googleserver.Fault{}
			})
		}
	default:
		f.Forget = func(t *testing.T) {
			must(t, srv.Forget(googleserver.EventsList, alice, calendar, googleserver.ByFullSync))
		}
	}
	if generated == "" {
		f.RemoveCollection = func(t *testing.T) { must(t, srv.DeleteCalendar(calendar)) }
	}
	return f
}
