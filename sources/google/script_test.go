package google

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// script is a server that answers what a test says.
type script struct {
	t      testing.TB
	handle func(w http.ResponseWriter, r *http.Request)

	mu      sync.Mutex
	seen    []string // path and query of each request, in order
	headers []http.Header
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen, s.headers = append(s.seen, r.URL.Path+"?"+r.URL.RawQuery), append(s.headers, r.Header)
	s.mu.Unlock()
	s.handle(w, r)
}

// asked are the requests whose path ends so.
func (s *script) asked(suffix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.seen {
		path, _, _ := strings.Cut(r, "?")
		if strings.HasSuffix(path, suffix) {
			n++
		}
	}
	return n
}

// scripted is alice's account on a server of the test's own.
func scripted(t testing.TB, cfg Config, handle func(w http.ResponseWriter, r *http.Request)) (*Account, *script) {
	t.Helper()
	s := &script{t: t, handle: handle}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	cfg.Source, cfg.Endpoint, cfg.Credentials.AccessToken = "team", srv.URL+"/", "secret-of-alice"
	if cfg.Quota == (Quota{}) {
		cfg.Quota = Quota{UserPerMinute: 1e6, ProjectPerMinute: 1e6}
	}
	service, err := New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.CloseIdleConnections)
	a, err := service.account(alice, "")
	if err != nil {
		t.Fatal(err)
	}
	a.first = time.Millisecond
	return a, s
}

// refuse answers with an error as Google writes it.
func refuse(w http.ResponseWriter, status int, reason string, more ...string) {
	location, message := "", reason
	if len(more) > 0 {
		location = more[0]
	}
	if len(more) > 1 {
		message = more[1]
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": status, "message": message,
		"errors": []any{map[string]any{"reason": reason, "message": message, "location": location, "domain": "calendar"}}}})
}

// show is what a poll showed: for each resource, in order, "id presence".
func show(t *testing.T, a *Account, q connector.Query) (all []connector.Resource, last connector.Page, err error) {
	t.Helper()
	for page, err := range a.Poll(t.Context(), q) {
		if err != nil {
			return all, connector.Page{}, err
		}
		all, last = append(all, page.Resources...), page
	}
	return all, last, nil
}

var presences = map[connector.Presence]string{connector.Listed: "listed", connector.Read: "read", connector.Removed: "removed",
	connector.Missing: "missing", connector.Failed: "failed", connector.Ignored: "ignored", connector.Gone: "gone", connector.Forbidden: "forbidden"}

// words says what a poll showed: "id presence" or "id presence of parent".
func words(all []connector.Resource) string {
	var b []string
	for _, r := range all {
		w := r.ID + " " + presences[r.Presence]
		if r.Parent != "" {
			w += " of " + r.Parent
		}
		b = append(b, w)
	}
	return strings.Join(b, ", ")
}

// pagesOf answers events.list with these pages of items, and events.get with these items; others are 404.
func pagesOf(pages []string, items map[string]string) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		if id == "events" {
			n := 0
			_, _ = fmt.Sscan(r.URL.Query().Get("pageToken"), &n)
			next := `"nextSyncToken":"after"`
			if n+1 < len(pages) {
				next = fmt.Sprintf(`"nextPageToken":"%d"`, n+1)
			}
			fmt.Fprintf(w, `{"kind":"calendar#events","items":[%s],%s}`, pages[n], next)
			return
		}
		switch body := items[id]; body {
		case "":
			refuse(w, 404, "notFound")
		case "410":
			refuse(w, 410, "deleted")
		case "500":
			refuse(w, 500, "backendError")
		default:
			fmt.Fprint(w, body)
		}
	}
}
