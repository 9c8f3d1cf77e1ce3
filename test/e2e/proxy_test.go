//go:build integration

package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/calcdc/calcdc/internal/testenv"
)

// proxy stands before a calendar server, counts what calcdc asks and can answer in the server's stead.
type proxy struct {
	url  string
	home string

	mu     sync.Mutex
	counts map[string]int
	// seen is told each request by its kind; where it returns a handler, that answers.
	seen func(kind string, n int) http.HandlerFunc
}

func newProxy(t testing.TB, d *testenv.DAV) *proxy {
	t.Helper()
	target, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{home: d.Home, counts: map[string]int{}}
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	reverse := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := p.note(r); answer != nil {
			answer(w, r)
			return
		}
		reverse.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	p.url = front.URL + target.EscapedPath()
	return p
}

// kind names a request: home (the listing of the collections), propfind, sync, multiget, other; and says how many
// resources a multiget asks for.
func (p *proxy) kind(r *http.Request) (kind string, resources int) {
	switch {
	case r.Method == "PROPFIND" && r.URL.Path == p.home && r.Header.Get("Depth") == "1":
		return "home", 0
	case r.Method == "PROPFIND":
		return "propfind", 0
	case r.Method == "REPORT":
		return report(r)
	default:
		return "other", 0
	}
}

// report tells the REPORTs apart by the root element of their body, which is read and put back.
func report(r *http.Request) (kind string, resources int) {
	body, err := readAndRestore(r)
	switch {
	case err != nil:
		return "other", 0
	case strings.Contains(body, "sync-collection"):
		return "sync", 0
	case strings.Contains(body, "calendar-multiget"):
		return "multiget", strings.Count(body, "href>") / 2
	default:
		return "query", 0
	}
}

// hang answers nothing until calcdc gives up or dies.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func (p *proxy) note(r *http.Request) http.HandlerFunc {
	kind, resources := p.kind(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[kind]++
	p.counts[""]++
	p.counts["resources"] += resources
	if p.seen == nil {
		return nil
	}
	return p.seen(kind, p.counts[""])
}

// count is how many requests of a kind have come, "" for all.
func (p *proxy) count(kind string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[kind]
}

// watch sets what is told each request; nil for nothing. It is called one at a time.
func (p *proxy) watch(seen func(kind string, n int) http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = seen
}

func readAndRestore(r *http.Request) (string, error) {
	b, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(b))
	return string(b), err
}
