package history_test

import (
	"net/http/httptest"
	"testing"

	"github.com/calcdc/calcdc/internal/googleserver"
	"github.com/calcdc/calcdc/test/history"
	"github.com/calcdc/calcdc/test/oracle"
)

// What a history says that it left is what the server lists, and the same seed makes the same run.
func TestGoogleHistoriesAreWhatTheServerLists(t *testing.T) {
	users := []string{"alice@example.org", "bob@example.org", "carol@example.org"}
	var logs [2][]string
	for i, o := range []googleserver.Options{{}, {PageLimit: 3, EmptyPages: 1, SparseInstances: true, DeltaExceptions: true}} {
		server := googleserver.New(o)
		front := httptest.NewServer(server)
		defer front.Close()
		h, err := history.NewGoogle(server, 5, users...)
		if err != nil {
			t.Fatal(err)
		}
		h.Quiet, h.Lost = true, true
		if err := h.Steps(400); err != nil {
			t.Fatalf("%v\n%q", err, h.Log)
		}
		logs[i] = h.Log
		for _, u := range users {
			g := &oracle.Google{Endpoint: googleserver.Endpoint(front.URL), Token: server.Token(u), Client: front.Client()}
			listed, err := g.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if found := h.Check(u, listed.Calendars, listed.Events); len(found) > 0 {
				t.Errorf("%s: %q", u, found)
			}
		}
	}
	for i := range logs[0] {
		if logs[0][i] != logs[1][i] {
			t.Fatalf("step %d is %q, and %q the next time", i, logs[0][i], logs[1][i])
		}
	}
}
