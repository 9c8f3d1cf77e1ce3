//go:build integration

package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/oracle"
)

// instance is one configuration of calcdc between a CalDAV server and Kafka, with the oracle on both ends.
type instance struct {
	*runner
	dav    *testenv.DAV
	server *oracle.Server
	proxy  *proxy
}

// newInstance writes a configuration whose source is the server's user, through a proxy.
func newInstance(t testing.TB, d *testenv.DAV, brokers string, options ...string) *instance {
	t.Helper()
	in := &instance{runner: newRunner(t, d.Kind, brokers, "events", "calendars"), dav: d, server: client(t, d), proxy: newProxy(t, d)}
	in.differences = in.compare
	in.polled = func() int { return in.proxy.count("home") }
	in.configure(fmt.Sprintf(`    caldav:
      url: %s
      accounts: [{username: %s, password: %s}]
      components: [VEVENT, VTODO]
`, in.proxy.url, d.User, d.Password), options...)
	return in
}

// compare lists the server.
func (in *instance) compare(ctx context.Context) []string {
	listed, err := in.server.List(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	return oracle.Compare(in.reader.Fold, "work", in.dav.User, listed)
}

// stream is what the oracle knows of the events of a collection.
func (in *instance) stream(collection string) *oracle.State {
	in.t.Helper()
	return in.state(oracle.Stream{Source: "work", Account: in.dav.User, Collection: collection, Kind: "events"})
}
