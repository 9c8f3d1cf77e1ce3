package google

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/googleserver"
)

// filled is a server with n events in alice's team calendar.
func filled(t *testing.T, o googleserver.Options, n int) (*googleserver.Server, string) {
	t.Helper()
	srv, url := serve(t, o)
	for i := range n {
		_, err := srv.PutEvent(alice, team, single(fmt.Sprintf("event%04d", i), "text"))
		must(t, err)
	}
	return srv, url
}

// TestFaults: what is cut, broken, slow or endless is an error, after which there is no token.
func TestFaults(t *testing.T) {
	tests := map[string]struct {
		fault googleserver.Fault
		says  string
		tries int // requests for the page
	}{
		"cut before the first byte":  {googleserver.Fault{Cut: -1}, "EOF", 3},
		"cut in the middle":          {googleserver.Fault{CutItem: 150}, "EOF", 1},
		"cut in the first item":      {googleserver.Fault{CutItem: 1}, "EOF", 3},
		"malformed":                  {googleserver.Fault{Malformed: true}, "EOF", 1},
		"no token and no next page":  {googleserver.Fault{Tokenless: true}, "no nextSyncToken", 1},
		"pages that go in a circle":  {googleserver.Fault{Loop: true}, "circle", 0},
		"no answer":                  {googleserver.Fault{Hang: true}, "timeout", 3},
		"an answer that falls still": {googleserver.Fault{Pause: time.Minute, Pace: 4000}, "silent", 0},
		"not JSON":                   {googleserver.Fault{Mangle: func([]byte) []byte { return []byte("{]") }}, "invalid character", 1},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			srv, url := filled(t, googleserver.Options{PageLimit: 200, NoGzip: true}, 300)
			cfg := Config{Timeout: 30 * time.Second}
			if c.fault.Hang || c.fault.Pause > 0 {
				cfg.Timeout = 300 * time.Millisecond
			}
			a := account(t, srv, url, cfg)
			var n atomic.Int64
			srv.Fault(func(r googleserver.Request) googleserver.Fault {
				n.Add(1)
				return c.fault
			})
			all, last, err := show(t, a, connector.Query{Stream: stream(connector.Events, team)})
			if err == nil || last.Last || last.Token != "" || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%d resources, %+v, %v, want an error about %q", len(all), last, err, c.says)
			}
			if errors.Is(err, connector.ErrGone) || errors.Is(err, connector.ErrTokenInvalid) {
				t.Errorf("%v decides something", err)
			}
			if c.tries > 0 && n.Load() != int64(c.tries) {
				t.Errorf("%d requests, want %d: %v", n.Load(), c.tries, err)
			}
		})
	}
}

// TestFaultOnSecondPage: the pages before are shown, the token is not.
func TestFaultOnSecondPage(t *testing.T) {
	srv, url := filled(t, googleserver.Options{PageLimit: 600}, 1000)
	a := account(t, srv, url, Config{})
	srv.Fault(func(r googleserver.Request) googleserver.Fault {
		if r.URL.Query().Has("pageToken") {
			return googleserver.Fault{CutItem: 100}
		}
		return googleserver.Fault{}
	})
	all, last, err := show(t, a, connector.Query{Stream: stream(connector.Events, team)})
	if err == nil || last.Token != "" || len(all) < 500 {
		t.Errorf("%d resources, %+v, %v", len(all), last, err)
	}
	srv.Fault(func(r googleserver.Request) googleserver.Fault { return googleserver.Fault{} })
	if all, _, err = show(t, a, connector.Query{Stream: stream(connector.Events, team)}); err != nil || len(all) != 1000 {
		t.Errorf("%d resources, %v", len(all), err)
	}
}

// TestTriesAgain: trouble that is over in a moment does not show.
func TestTriesAgain(t *testing.T) {
	for name, f := range map[string]googleserver.Fault{"503": {Error: googleserver.ServiceUnavailable}, "500": {Error: googleserver.BackendError},
		"cut": {Cut: -1}, "hang": {Hang: true}} {
		t.Run(name, func(t *testing.T) {
			srv, url := filled(t, googleserver.Options{}, 10)
			a := account(t, srv, url, Config{Timeout: time.Second})
			var n atomic.Int64
			srv.Fault(func(googleserver.Request) googleserver.Fault {
				if n.Add(1) > 2 {
					return googleserver.Fault{}
				}
				return f
			})
			all, last, err := show(t, a, connector.Query{Stream: stream(connector.Events, team)})
			if err != nil || len(all) != 10 || !last.Listing {
				t.Errorf("%d resources, %+v, %v", len(all), last, err)
			}
		})
	}
}

// TestSlowConsumer: time that the consumer takes is not the server's silence.
func TestSlowConsumer(t *testing.T) {
	srv, url := filled(t, googleserver.Options{}, 2000)
	a := account(t, srv, url, Config{Timeout: time.Second})
	n := 0
	for page, err := range a.Poll(t.Context(), connector.Query{Stream: stream(connector.Events, team)}) {
		if err != nil {
			t.Fatal(err)
		}
		if n += len(page.Resources); n == 500 {
			time.Sleep(1500 * time.Millisecond)
		}
	}
	if n != 2000 {
		t.Errorf("%d resources", n)
	}
}

// TestLongItem: an item that is too long is published without its body, and the others with theirs.
func TestLongItem(t *testing.T) {
	long := fmt.Sprintf(`{"id":"long","etag":"\"1\"","status":"confirmed","summary":"Long","description":%q}`, strings.Repeat("x", maxItem))
	a, _ := scripted(t, Config{Raw: true}, pagesOf([]string{ordinary + "," + long + "," + moved}, nil))
	all, last, err := show(t, a, connector.Query{Stream: stream(connector.Events, team)})
	if err != nil || !last.Last || words(all) != "e read, long read, s_20260604T100000Z read of s" {
		t.Fatalf("%s, %+v, %v", words(all), last, err)
	}
	row := string(all[1].Rows[0].JSON)
	if len(row) > 1000 || !strings.Contains(row, `"summary":"Long"`) || !strings.Contains(row, `"parse_error":"`) || !strings.Contains(row, `;omitted"`) {
		t.Errorf("its row: %s", row)
	}
}

// TestLongItemAskedFor: what is asked for by itself may be as long as what a list shows: a series that a cancelled instance goes with, what was pending,
// what a listing did not show. Beyond that, and where it is cut, it is an error.
func TestLongItemAskedFor(t *testing.T) {
	long := func(id string, size int) string {
		return fmt.Sprintf(`{"id":%q,"etag":"\"1\"","status":"confirmed","summary":"Long","description":%q}`, id, strings.Repeat("x", size))
	}
	items := map[string]string{"s": long("s", maxItem), "long": long("long", maxItem), "endless": long("endless", maxLong),
		"cut": strings.TrimSuffix(long("cut", maxItem), "}"), "more": long("more", maxItem) + "{}", "list": "[" + long("list", maxItem) + "]"}
	a, _ := scripted(t, Config{Raw: true}, pagesOf([]string{instance}, items))
	all, last, err := show(t, a, connector.Query{Stream: stream(connector.Events, team), Token: "before", Pending: []string{"long"}})
	if err != nil || !last.Last || words(all) != instanceID+" read of s, long read" {
		t.Fatalf("%s, %+v, %v", words(all), last, err)
	}
	row := string(all[1].Rows[0].JSON)
	if len(row) > 1000 || !strings.Contains(row, `"summary":"Long"`) || !strings.Contains(row, `"parse_error":"`) || !strings.Contains(row, `;omitted"`) {
		t.Errorf("its row: %s", row)
	}
	if at, err := a.Look(t.Context(), stream(connector.Events, team), []string{"s", "none"}); err != nil || !slices.Equal(at, []connector.Presence{connector.Read, connector.Gone}) {
		t.Errorf("%v, %v", at, err)
	}
	for _, id := range []string{"endless", "cut", "more", "list"} {
		if at, err := a.Look(t.Context(), stream(connector.Events, team), []string{id}); err == nil {
			t.Errorf("%s: %v", id, at)
		}
	}
}

// TestRaw: rows carry the bytes that were sent, fields that no client knows among them.
func TestRaw(t *testing.T) {
	text := `{ "id":"e", "status" : "confirmed","newField":{"a":[1.50,"\u00e9"]},"summary":"Event"  }`
	a, _ := scripted(t, Config{Raw: true}, pagesOf([]string{text}, nil))
	all, _, err := show(t, a, connector.Query{Stream: stream(connector.Events, team)})
	if err != nil || len(all) != 1 {
		t.Fatal(words(all), err)
	}
	if all[0].Hash != connector.HashOf([]byte(text)) || !strings.Contains(string(all[0].Rows[0].JSON), fmt.Sprintf(`"raw":%q`, text)) {
		t.Errorf("%s", all[0].Rows[0].JSON)
	}
}

// TestMarch: pages come while the answer is being read.
func TestMarch(t *testing.T) {
	srv, url := filled(t, googleserver.Options{PageLimit: 1000}, 3000)
	a := account(t, srv, url, Config{})
	before := srv.Requests()[googleserver.EventsList]
	hold := make(chan struct{})
	srv.Fault(func(r googleserver.Request) googleserver.Fault {
		if r.URL.Query().Has("pageToken") {
			<-hold
		}
		return googleserver.Fault{}
	})
	n := 0
	for page, err := range a.Poll(t.Context(), connector.Query{Stream: stream(connector.Events, team)}) {
		if err != nil {
			t.Fatal(err)
		}
		if n += len(page.Resources); n == 500 {
			close(hold) // a page is here although the second request has no answer yet
		}
	}
	if got := srv.Requests()[googleserver.EventsList] - before; n != 3000 || got != 3 {
		t.Errorf("%d resources in %d requests", n, got)
	}
}
