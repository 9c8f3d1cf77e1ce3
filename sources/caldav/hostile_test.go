package caldav_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/caldav"
)

// raw serves one answer, written by write, to every request.
func raw(t *testing.T, write func(io.Writer)) *caldav.Account {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusMultiStatus)
		write(w)
	}))
	t.Cleanup(srv.Close)
	return account(t, caldav.Config{URL: srv.URL, Concurrency: 2})
}

// peak runs f and returns the largest heap seen meanwhile, above that before.
func peak(f func()) (mib int) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, top := m.HeapAlloc, m.HeapAlloc
	var done atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !done.Load() {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			top = max(top, m.HeapAlloc)
			time.Sleep(5 * time.Millisecond) // the rate of the samples; nothing waits for it
		}
	}()
	f()
	done.Store(true)
	<-ended
	return int((top - before) >> 20)
}

const begin = `<d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">`

// A body of 1 GB is Failed, its neighbours are read, and memory stays bounded.
func TestABodyOfAGigabyte(t *testing.T) {
	a := raw(t, func(w io.Writer) {
		_, _ = io.WriteString(w, begin+ok(cal+"1.ics", tag("1")+data("1"))+
			`<d:response><d:href>/cal/2.ics</d:href><d:propstat><d:prop><c:calendar-data>`)
		block := []byte(strings.Repeat("x", 1<<20))
		for range 1 << 10 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, `</c:calendar-data></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>`+
			ok(cal+"3.ics", tag("3")+data("3"))+token("t")+`</d:multistatus>`)
	})
	var got seen
	if mib := peak(func() { got = poll(t, a, connector.Query{Fresh: true}) }); mib > 150 {
		t.Errorf("%d MiB", mib)
	}
	got.mustBe(t, "t", presences{cal + "1.ics": connector.Read, cal + "2.ics": connector.Failed, cal + "3.ics": connector.Read})
}

// A listing of 200,000 members in one answer is read in bounded memory, its first page before its end.
func TestAListingOf200000(t *testing.T) {
	const n = 200_000
	first := make(chan struct{})
	a := raw(t, func(w io.Writer) {
		_, _ = io.WriteString(w, begin)
		for i := range n {
			if i == n/2 {
				<-first
			}
			if _, err := io.WriteString(w, ok(fmt.Sprintf("/cal/%06d.ics", i), tag("x"))); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, token("t")+`</d:multistatus>`)
	})
	shown, last := 0, connector.Page{}
	mib := peak(func() {
		for p, err := range a.Poll(t.Context(), connector.Query{Stream: eventsOf(cal), Needs: func(string, string) bool { return false }}) {
			if err != nil {
				t.Error(err)
				return
			}
			if shown == 0 {
				close(first) // the server waits for it: a page comes before the answer's end
			}
			shown, last = shown+len(p.Resources), p
		}
	})
	if shown != n || last.Token != "t" || !last.Listing {
		t.Errorf("%d shown, last page %+v", shown, last)
	}
	if mib > 40 {
		t.Errorf("%d MiB", mib)
	}
}

func TestHostileAnswers(t *testing.T) {
	bomb := `<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "` + strings.Repeat("x", 1000) + `">`
	for i := range 20 {
		bomb += fmt.Sprintf(`<!ENTITY a%d "%s">`, i, strings.Repeat(fmt.Sprintf("&a%d;", i-1), 10))
	}
	tests := map[string]func(io.Writer){
		"deep": func(w io.Writer) { repeat(w, begin, "<d:response>", 1<<20) },
		"deep within a property": func(w io.Writer) {
			repeat(w, begin+`<d:response><d:href>/cal/1.ics</d:href><d:propstat><d:prop>`, "<x>", 1<<20)
		},
		"a tag without end":     func(w io.Writer) { repeat(w, begin+"<x ", "a", 24<<20) },
		"a href without end":    func(w io.Writer) { repeat(w, begin+"<d:response><d:href>/cal/", "a", 24<<20) },
		"a token without end":   func(w io.Writer) { repeat(w, begin+"<d:sync-token>", "a", 24<<20) },
		"a status without end":  func(w io.Writer) { repeat(w, begin+"<d:response><d:status>", "a", 24<<20) },
		"attributes for ever":   func(w io.Writer) { repeat(w, begin+"<x", ` a="b"`, 8<<20) },
		"comments for ever":     func(w io.Writer) { repeat(w, begin, "<!-- -->", 8<<20) },
		"namespaces for ever":   func(w io.Writer) { repeat(w, begin+"<x", ` xmlns:a="b"`, 8<<20) },
		"text between elements": func(w io.Writer) { repeat(w, begin, "text ", 8<<20) },
	}
	for name, write := range tests {
		t.Run(name, func(t *testing.T) {
			a := raw(t, write)
			var got seen
			if mib := peak(func() { got = poll(t, a, connector.Query{}) }); mib > 32 {
				t.Errorf("%d MiB", mib)
			}
			if got.err == nil || got.token() != "" {
				t.Errorf("%v", got.err)
			}
			if got := poll(t, a, connector.Query{Stream: calendarsOf}); got.err == nil {
				t.Error("the home: no error")
			}
		})
	}
	a := raw(t, func(w io.Writer) {
		_, _ = io.WriteString(w, bomb+"]>"+begin+ok(cal+"1.ics", tag("&a19;"))+token("t&a19;")+"</d:multistatus>")
	})
	got := poll(t, a, connector.Query{Needs: func(string, string) bool { return false }})
	got.mustBe(t, "t&a19;", presences{cal + "1.ics": connector.Listed})
	if e := got.res[cal+"1.ics"].ETag; e != `"&a19;"` {
		t.Errorf("an entity was expanded: %.80q", e)
	}
}

// repeat writes s until about n bytes have gone out.
func repeat(w io.Writer, prefix, s string, n int) {
	_, _ = io.WriteString(w, prefix)
	block := strings.Repeat(s, 4096/len(s))
	for sent := 0; sent < n; sent += len(block) {
		if _, err := io.WriteString(w, block); err != nil {
			return
		}
	}
}
