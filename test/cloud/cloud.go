// Package cloud is, for tests, a Google of their own in the process: calendars, and where tokens for them come from,
// behind one address. It tells calcdc's requests from the oracle's.
package cloud

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/calcdc/calcdc/internal/googleserver"
	"github.com/calcdc/calcdc/internal/oauthserver"
	"github.com/calcdc/calcdc/test/oracle"
)

// scopes are those that calcdc asks for.
var scopes = []string{"https://www.googleapis.com/auth/calendar.readonly", "https://www.googleapis.com/auth/calendar.acls.readonly"}

// Cloud is the servers.
type Cloud struct {
	*googleserver.Server
	Tokens *oauthserver.Server
	URL    string // without a last slash
	// Filter is that of the events which calcdc is to follow, as parameters of events.list.
	Filter url.Values
	// Answered, where set before calcdc starts, is told of each of its requests before it can read the answer's end.
	Answered func(googleserver.Request)

	client *http.Client

	released chan struct{} // closed: what is kept waiting ends
	release  func()

	mu    sync.Mutex
	seen  []googleserver.Request
	staff []oauthserver.User
}

// New serves calendars until the test ends. Their users may be subjects of the service account.
func New(t testing.TB, o googleserver.Options) *Cloud {
	t.Helper()
	tokens, err := oauthserver.New(oauthserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tokens.Delegate("*", scopes...)
	c := &Cloud{Tokens: tokens}
	o.Authenticate, o.Scopes, o.Seen = c.authenticate, c.scopes, c.note
	c.Server = googleserver.New(o)
	c.released = make(chan struct{})
	c.release = sync.OnceFunc(func() { close(c.released) })
	t.Cleanup(c.release)
	mux := http.NewServeMux()
	mux.Handle("/calendar/v3/", c.held(c.Server))
	mux.Handle("/", c.held(tokens))
	front := httptest.NewServer(mux)
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		front.CloseClientConnections()
		front.Close()
	})
	c.URL, c.client = front.URL, &http.Client{Transport: transport}
	return c
}

// Release breaks off the answers that faults keep waiting, once and for all.
func (c *Cloud) Release() { c.release() }

// held ends a request that a fault keeps waiting when it is released: its connection breaks.
func (c *Cloud) held(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-c.released:
			next.ServeHTTP(w, r)
			return
		default:
		}
		ctx, cancel := context.WithCancel(r.Context())
		var waiting sync.WaitGroup
		waiting.Go(func() {
			select {
			case <-c.released:
				cancel()
			case <-ctx.Done():
			}
		})
		defer waiting.Wait()
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
		if ctx.Err() != nil {
			panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to break a connection
		}
	})
}

func isOracle(r *http.Request) bool { return r.UserAgent() == oracle.GoogleAgent }

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

// authenticate takes the tokens of the token server, and from the oracle those that never end.
func (c *Cloud) authenticate(r *http.Request) (string, bool) {
	if isOracle(r) {
		return bearer(r), true
	}
	return c.Tokens.Valid(bearer(r))
}

func (c *Cloud) scopes(r *http.Request) []string {
	if isOracle(r) {
		return scopes
	}
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool {
		_, has := c.Tokens.Valid(bearer(r), s)
		return !has
	})
}

func (c *Cloud) note(rq googleserver.Request) {
	if isOracle(rq.HTTP) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, rq)
	if c.Answered != nil {
		c.Answered(rq)
	}
}

// Requests are those of calcdc that have been answered, from the n-th on.
func (c *Cloud) Requests(n int) []googleserver.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen[n:])
}

// Polls is how often each of the users' calendar lists has been asked for.
func (c *Cloud) Polls(users ...string) int {
	by := map[string]int{}
	for _, rq := range c.Requests(0) {
		if rq.Kind == googleserver.CalendarListList && !rq.HTTP.URL.Query().Has("pageToken") {
			by[rq.User]++
		}
	}
	least := by[users[0]]
	for _, u := range users {
		least = min(least, by[u])
	}
	return least
}

// Fault has hook say what shall go wrong with calcdc's requests.
func (c *Cloud) Fault(hook func(googleserver.Request) googleserver.Fault) {
	if hook == nil {
		c.Server.Fault(nil)
		return
	}
	c.Server.Fault(func(rq googleserver.Request) googleserver.Fault {
		if isOracle(rq.HTTP) {
			return googleserver.Fault{}
		}
		return hook(rq)
	})
}

// Source is the configuration's lines of a source whose accounts are the users, more of its google: lines in extra. The
// service account's key is written into dir.
func (c *Cloud) Source(t testing.TB, dir, extra string, users ...string) string {
	t.Helper()
	for _, u := range users {
		c.staff = append(c.staff, oauthserver.User{Email: u})
	}
	c.Tokens.SetUsers(c.staff)
	if err := c.Tokens.WriteServiceAccount(filepath.Join(dir, "key.json"), c.URL); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(extra, "quota:") {
		extra += "      quota: {user_per_minute: 100000, project_per_minute: 1000000}\n"
	}
	return fmt.Sprintf("    google:\n      endpoint: %s\n      credentials_file: key.json\n      subjects: [%s]\n%s",
		googleserver.Endpoint(c.URL), strings.Join(users, ", "), extra)
}

// Differences are those between what the fold holds of the users and what the server lists for them.
func (c *Cloud) Differences(t testing.TB, f *oracle.Fold, source string, users ...string) (found []string) {
	for _, u := range users {
		g := &oracle.Google{Endpoint: googleserver.Endpoint(c.URL), Token: u, Client: c.client, Filter: c.Filter}
		listed, err := g.List(t.Context())
		if err != nil {
			return []string{err.Error()}
		}
		found = append(found, oracle.CompareGoogle(f, source, u, listed)...)
	}
	return found
}
