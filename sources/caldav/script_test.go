package caldav_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/caldav"
)

// script is a server that answers what a test says.
type script struct {
	*httptest.Server
	mu   sync.Mutex
	seen []call
}

// call is a request as it came.
type call struct {
	method, path, depth, auth, body string
}

// kind is what the request is for: propfind0, propfind1, sync, multiget, get.
func (c call) kind() string {
	switch {
	case strings.Contains(c.body, "sync-collection"+` xmlns`):
		return "sync"
	case strings.Contains(c.body, "calendar-multiget"):
		return "multiget"
	}
	return strings.ToLower(c.method) + c.depth
}

// reply is an answer; status 0 is 207.
type reply struct {
	status int
	header map[string]string
	body   string
}

// serveScript answers every request by answer.
func serveScript(t *testing.T, answer func(call) reply) *script {
	t.Helper()
	s := &script{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c := call{r.Method, r.URL.EscapedPath(), r.Header.Get("Depth"), r.Header.Get("Authorization"), string(body)}
		s.mu.Lock()
		s.seen = append(s.seen, c)
		s.mu.Unlock()
		a := answer(c)
		for k, v := range a.header {
			w.Header().Set(k, v)
		}
		if a.status == 0 {
			a.status = http.StatusMultiStatus
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(s.Close)
	return s
}

// kinds counts the requests of each kind.
func (s *script) kinds() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := map[string]int{}
	for _, c := range s.seen {
		n[c.kind()]++
	}
	return n
}

func (s *script) calls(kind string) []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []call
	for _, c := range s.seen {
		if c.kind() == kind {
			all = append(all, c)
		}
	}
	return all
}

func multistatus(parts ...string) reply {
	return reply{body: `<?xml version="1.0" encoding="utf-8"?><d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:cs="http://calendarserver.org/ns/">` +
		strings.Join(parts, "") + `</d:multistatus>`}
}

func davError(status int, name string) reply {
	return reply{status: status, body: `<?xml version="1.0"?><error xmlns="DAV:"><` + name + `/></error>`}
}

func ok(href, props string) string {
	return `<d:response><d:href>` + href + `</d:href><d:propstat><d:prop>` + props + `</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>`
}

func status(href string, code int) string {
	return fmt.Sprintf(`<d:response><d:href>%s</d:href><d:status>HTTP/1.1 %d</d:status></d:response>`, href, code)
}

func tag(v string) string   { return `<d:getetag>"` + v + `"</d:getetag>` }
func data(v string) string  { return `<c:calendar-data>` + string(event(v, v)) + `</c:calendar-data>` }
func token(v string) string { return `<d:sync-token>` + v + `</d:sync-token>` }

const cal = "/cal/"

// bodies answers a multiget with a body for each href asked for.
func bodies(c call) reply {
	var parts []string
	for _, h := range hrefsOf(c) {
		parts = append(parts, ok(h, tag("of "+h)+data(h)))
	}
	return multistatus(parts...)
}

func hrefsOf(c call) []string {
	var all []string
	for _, part := range strings.Split(c.body, "<d:href>")[1:] {
		h, _, _ := strings.Cut(part, "</d:href>")
		all = append(all, h)
	}
	return all
}

// seen is what a poll showed.
type seen struct {
	pages []connector.Page
	by    map[string]connector.Presence
	res   map[string]connector.Resource
	err   error
}

func (s seen) token() string {
	if len(s.pages) == 0 {
		return ""
	}
	return s.pages[len(s.pages)-1].Token
}

func poll(t *testing.T, a *caldav.Account, q connector.Query) seen {
	t.Helper()
	if q.Stream.Kind == "" {
		q.Stream = eventsOf(cal)
	}
	if q.Needs == nil {
		q.Needs = func(string, string) bool { return true }
	}
	s := seen{by: map[string]connector.Presence{}, res: map[string]connector.Resource{}}
	for p, err := range a.Poll(context.Background(), q) {
		if err != nil {
			s.err = err
			if p.Token != "" || p.Last {
				t.Errorf("a token or an end beside an error: %+v", p)
			}
			continue
		}
		if s.err != nil {
			t.Error("a page after an error")
		}
		s.pages = append(s.pages, p)
		for _, r := range p.Resources {
			s.by[r.ID], s.res[r.ID] = r.Presence, r
		}
	}
	return s
}

func (s seen) mustBe(t *testing.T, token string, want map[string]connector.Presence) {
	t.Helper()
	if s.err != nil {
		t.Fatal(s.err)
	}
	if len(s.by) != len(want) {
		t.Errorf("shown: %v, want %v", s.by, want)
	}
	for id, p := range want {
		if got, ok := s.by[id]; !ok || got != p {
			t.Errorf("%s: presence %d (shown: %v), want %d", id, got, ok, p)
		}
	}
	if s.token() != token {
		t.Errorf("token %q, want %q", s.token(), token)
	}
}

type presences = map[string]connector.Presence
