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
	url     string
	home    string
	reverse http.Handler // to the server

	mu     sync.Mutex
	counts map[string]int
	// seen is told each request by its kind; where it returns a handler, that answers.
	seen func(asked) http.HandlerFunc
}

// asked is a request as it came: its kind, which of all it is, and the body of a REPORT.
type asked struct {
	kind string
	n    int
	body string
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
	p.reverse = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := readAndRestore(r)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if answer := p.note(p.kind(r, body)); answer != nil {
			answer(w, r)
			return
		}
		p.reverse.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	p.url = front.URL + target.EscapedPath()
	return p
}

// kind names a request: home (the listing of the collections), propfind, sync, multiget, other; a REPORT with its body.
func (p *proxy) kind(r *http.Request, body string) asked {
	switch {
	case r.Method == "PROPFIND" && r.URL.Path == p.home && r.Header.Get("Depth") == "1":
		return asked{kind: "home"}
	case r.Method == "PROPFIND":
		return asked{kind: "propfind"}
	case r.Method != "REPORT":
		return asked{kind: "other"}
	case strings.Contains(body, "sync-collection"):
		return asked{kind: "sync", body: body}
	case strings.Contains(body, "calendar-multiget"):
		return asked{kind: "multiget", body: body}
	default:
		return asked{kind: "query", body: body}
	}
}

// hang answers nothing until calcdc gives up or dies.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func (p *proxy) note(q asked) http.HandlerFunc {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[q.kind]++
	p.counts[""]++
	if p.seen == nil {
		return nil
	}
	q.n = p.counts[""]
	return p.seen(q)
}

// count is how many requests of a kind have come, "" for all.
func (p *proxy) count(kind string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[kind]
}

// watch sets what is told each request; nil for nothing. It is called one at a time.
func (p *proxy) watch(seen func(asked) http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = seen
}

// stopAfter passes on so many responses of a multistatus, and some bytes of the next; then nothing comes any more.
func (p *proxy) stopAfter(responses, more int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p.reverse.ServeHTTP(&stalled{ResponseWriter: w, r: r, responses: responses, more: more}, r)
	}
}

// stalled is an answer that stops in the middle.
type stalled struct {
	http.ResponseWriter
	r               *http.Request
	responses, more int
}

func (s *stalled) Write(b []byte) (int, error) {
	const end = "</response>"
	at := 0
	for s.responses > 0 {
		i := bytes.Index(b[at:], []byte(end))
		if i < 0 {
			return s.ResponseWriter.Write(b)
		}
		at += i + len(end)
		s.responses--
	}
	n, _ := s.ResponseWriter.Write(b[:min(at+s.more, len(b))])
	_ = http.NewResponseController(s.ResponseWriter).Flush()
	<-s.r.Context().Done()
	return n, s.r.Context().Err()
}

// readAndRestore reads a body in full, which a reverse proxy must: one that answers before it has met the body's end breaks off its
// request, and cuts the answer, once in five hundred times.
func readAndRestore(r *http.Request) (string, error) {
	b, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(b))
	return string(b), err
}
