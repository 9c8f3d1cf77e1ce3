//go:build integration

package e2e

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/history"
	"github.com/calcdc/calcdc/test/oracle"
)

// servers are all kinds, each started or shared for the test as the kind allows.
var servers = map[string]func(testing.TB) *testenv.DAV{
	"radicale": testenv.NewRadicale,
	"xandikos": testenv.NewXandikos,
	"davical":  testenv.SharedDAViCal,
	"sabredav": testenv.NewSabreDAV,
}

// client returns the server as the oracle sees it.
func client(t testing.TB, d *testenv.DAV) *oracle.Server {
	t.Helper()
	u, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	return &oracle.Server{
		URL: u.Scheme + "://" + u.Host, User: d.User, Password: d.Password, Home: d.Home,
		Client: &http.Client{Transport: transport},
	}
}

// newHistory begins a history on the server.
func newHistory(s *oracle.Server, d *testenv.DAV, seed uint64) *history.History {
	h := history.New(s, seed)
	h.OddNames = []string{"a b %d.ics", "ü-%d.ics", "x@y+%d.ics", "h#%d.ics"}
	if d.Kind != "davical" { // which answers 400 to these
		h.OddNames = append(h.OddNames, "c:%d.ics", "d,(%d).ics")
	}
	// A collection that is deleted and made again between two polls is silent forgetting without any sign: its old
	// rows stay until the next full comparison. TestReconcile has that.
	h.Once = d.Silent
	return h
}

// The histories and the listing agree with one another before they judge calcdc.
func TestHistoriesAreWhatTheServersList(t *testing.T) {
	for kind, start := range servers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			s := client(t, d)
			before := list(t, s)
			h := newHistory(s, d, 7)
			if err := h.Steps(t.Context(), 120); err != nil {
				t.Fatalf("%v\n%q", err, h.Log)
			}
			listed, n := list(t, s), 0
			for path, c := range listed {
				if _, ours := before[path]; !ours {
					n += len(c.Resources)
				}
			}
			if len(listed)-len(before) != len(h.Collections()) || n != h.Resources() {
				t.Errorf("the server lists %d new collections with %d resources, the history left %d with %d",
					len(listed)-len(before), n, len(h.Collections()), h.Resources())
			}
		})
	}
}

func list(t testing.TB, s *oracle.Server) map[string]oracle.Collection {
	t.Helper()
	all, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}
