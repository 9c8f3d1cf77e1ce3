package caldav_test

import (
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/caldav"
)

func basic(c call) bool { return strings.HasPrefix(c.auth, "Basic ") }

// Redirects keep method and body, and take the credentials along on the same host only.
func TestRedirects(t *testing.T) {
	other := serveScript(t, func(c call) reply { return multistatus(token("other")) })
	for _, code := range []int{301, 302, 303, 307, 308} {
		s := serveScript(t, func(c call) reply {
			if c.path == cal {
				return reply{status: code, header: map[string]string{"Location": "/cal/"}}
			}
			return reply{status: 404}
		})
		if got := poll(t, account(t, caldav.Config{URL: s.URL}), connector.Query{}); got.err == nil || !strings.Contains(got.err.Error(), "redirects") {
			t.Errorf("%d for ever: %v", code, got.err)
		}
		if n := len(s.seen); n != 6 {
			t.Errorf("%d requests", n)
		}
		for _, c := range s.seen {
			if c.method != "REPORT" || c.kind() != "sync" || c.depth != "0" || !basic(c) {
				t.Errorf("%d: %+v", code, c)
			}
		}
		s = serveScript(t, func(c call) reply {
			return reply{status: code, header: map[string]string{"Location": other.URL + c.path}}
		})
		poll(t, account(t, caldav.Config{URL: s.URL}), connector.Query{}).mustBe(t, "other", presences{})
	}
	for _, c := range other.seen {
		if c.auth != "" || c.method != "REPORT" || c.kind() != "sync" {
			t.Errorf("to another host: %+v", c)
		}
	}
}

// An unauthorised redirect target says where the credentials may go.
func TestRedirectToAHostThatWantsCredentials(t *testing.T) {
	other := serveScript(t, func(c call) reply { return reply{status: 401} })
	s := serveScript(t, func(c call) reply {
		return reply{status: 301, header: map[string]string{"Location": other.URL + "/dav/"}}
	})
	err := account(t, caldav.Config{URL: s.URL}).Connect(t.Context())
	if err == nil || !strings.Contains(err.Error(), "set url to "+other.URL+"/dav/") {
		t.Error(err)
	}
}

func TestRedirectsThatAreRefused(t *testing.T) {
	for _, location := range []string{"", "http://", "ftp://x/", "://", "file:///etc/passwd"} {
		s := serveScript(t, func(c call) reply { return reply{status: 302, header: map[string]string{"Location": location}} })
		if got := poll(t, account(t, caldav.Config{URL: s.URL}), connector.Query{}); got.err == nil {
			t.Errorf("to %q: no error", location)
		}
	}
	plain := serveScript(t, func(c call) reply { return multistatus(token("t")) })
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusMovedPermanently))
	t.Cleanup(secure.Close)
	got := poll(t, account(t, caldav.Config{URL: secure.URL, InsecureSkipVerify: true}), connector.Query{})
	if got.err == nil || !strings.Contains(got.err.Error(), "from https to http") || len(plain.seen) > 0 {
		t.Errorf("from https to http: %v", got.err)
	}
}

func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusMultiStatus)
		_, _ = io.WriteString(w, multistatus(token("t")).body)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	poll(t, account(t, caldav.Config{URL: srv.URL, CAFile: ca}), connector.Query{}).mustBe(t, "t", presences{})
	poll(t, account(t, caldav.Config{URL: srv.URL, InsecureSkipVerify: true}), connector.Query{}).mustBe(t, "t", presences{})
	if got := poll(t, account(t, caldav.Config{URL: srv.URL}), connector.Query{}); got.err == nil || !strings.Contains(got.err.Error(), "tls.ca_file") {
		t.Errorf("an unknown authority: %v", got.err)
	}
}

func TestBearer(t *testing.T) {
	s := serveScript(t, func(call) reply { return multistatus(token("t")) })
	a, err := caldav.New(caldav.Config{Source: "work", URL: s.URL}, caldav.Credentials{Name: "alice", Token: "tok"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.CloseIdleConnections)
	poll(t, a, connector.Query{}).mustBe(t, "t", presences{})
	if got := s.seen[0].auth; got != "Bearer tok" {
		t.Errorf("sent %q", got)
	}
}

// Invariant 9: whatever a server echoes.
func TestErrorsHoldNoSecrets(t *testing.T) {
	s := serveScript(t, func(c call) reply {
		return reply{status: 500, body: "you said " + c.auth + " that is alice:hunter2"}
	})
	a, err := caldav.New(caldav.Config{Source: "work", URL: s.URL}, caldav.Credentials{Username: "alice", Password: "hunter2"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.CloseIdleConnections)
	got := poll(t, a, connector.Query{})
	if got.err == nil || strings.Contains(got.err.Error(), "hunter2") || strings.Contains(got.err.Error(), "YWxpY2U6aHVudGVyMg") || !strings.Contains(got.err.Error(), "you said") {
		t.Errorf("%v", got.err)
	}
	if _, err := caldav.New(caldav.Config{Source: "work", URL: "https://a:b@host/"}, caldav.Credentials{Username: "alice"}, nil); err == nil || strings.Contains(err.Error(), "a:b") {
		t.Errorf("credentials in the url: %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	in90 := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	for value, want := range map[string]time.Duration{"7": 7 * time.Second, in90: 90 * time.Second, "": 0, "soon": 0, "-5": 0, "99999999": 24 * time.Hour} {
		for _, code := range []int{429, 503} {
			_, a := answering(t, caldav.Config{}, func(call) reply {
				return reply{status: code, header: map[string]string{"Retry-After": value}}
			})
			got := poll(t, a, connector.Query{})
			var after connector.RetryAfter
			if !errors.As(got.err, &after) {
				t.Fatalf("%v", got.err)
			}
			if d := after.RetryAfter(); d > want || d < want-5*time.Second {
				t.Errorf("%q: %v", value, d)
			}
		}
	}
}

func TestErrorsSayWhatCameAndWhatToDo(t *testing.T) {
	_, a := answering(t, caldav.Config{}, func(call) reply {
		return reply{status: 401, body: "<html><title>Go</title>\n\taway\x00</html>"}
	})
	err := poll(t, a, connector.Query{}).err
	var e *caldav.Error
	if !errors.As(err, &e) || e.Status != 401 || e.Method != "REPORT" || e.Excerpt != "Go away" {
		t.Errorf("%+v", e)
	}
	if !strings.Contains(err.Error(), "check the username and password") {
		t.Error(err)
	}
}

// A server that falls silent, before its answer or within, is an error after the timeout; so is one that is not there.
func TestTimeouts(t *testing.T) {
	for name, begin := range map[string]string{"before": "", "within": `<d:multistatus xmlns:d="DAV:">` + ok(cal+"a.ics", tag("a"))} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // only then is the client's leaving seen
				if begin != "" {
					w.WriteHeader(http.StatusMultiStatus)
					_, _ = io.WriteString(w, begin)
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
			}))
			t.Cleanup(srv.Close)
			got := poll(t, account(t, caldav.Config{URL: srv.URL, Timeout: 50 * time.Millisecond}), connector.Query{Needs: func(string, string) bool { return false }})
			var e *caldav.Error
			if !errors.As(got.err, &e) || got.token() != "" {
				t.Errorf("%v", got.err)
			}
		})
	}
	if got := poll(t, account(t, caldav.Config{URL: "http://127.0.0.1:1/"}), connector.Query{}); got.err == nil {
		t.Error("nobody there, and no error")
	}
}

// A consumer may take its time: that is not the server's silence.
func TestASlowConsumer(t *testing.T) {
	_, a := answering(t, caldav.Config{Timeout: 100 * time.Millisecond}, func(c call) reply {
		var parts []string
		for i := range 6000 {
			parts = append(parts, ok(fmt.Sprintf("/cal/%d.ics", i), tag("x")))
		}
		return multistatus(append(parts, token("t"))...)
	})
	n := 0
	for p, err := range a.Poll(context.Background(), connector.Query{Stream: eventsOf(cal), Needs: func(string, string) bool { return false }}) {
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			<-time.After(300 * time.Millisecond) // longer than the timeout: it is what is tested
		}
		n += len(p.Resources)
	}
	if n != 6000 {
		t.Errorf("%d", n)
	}
}

func TestGzip(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("asked for %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusMultiStatus)
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, multistatus(token("t")).body)
		_ = z.Close()
	}))
	t.Cleanup(srv.Close)
	poll(t, account(t, caldav.Config{URL: srv.URL}), connector.Query{}).mustBe(t, "t", presences{})
}

func TestConfigurationFaults(t *testing.T) {
	err := caldav.Config{URL: "dav.example.org", Components: []string{"vevent"}, CAFile: "/nowhere/ca.pem"}.Validate()
	for _, want := range []string{"no name", "https://", "capitals", "ca_file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	for _, cred := range []caldav.Credentials{{}, {Token: "x"}, {Name: "a", Token: "x", Password: "y"}, {Name: "a", Token: "x\r\ny: z"}} {
		if _, err := caldav.New(caldav.Config{Source: "s", URL: "http://x/"}, cred, nil); err == nil {
			t.Errorf("%+v: no error", cred)
		}
	}
}
