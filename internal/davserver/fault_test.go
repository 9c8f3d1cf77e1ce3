package davserver_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-ical"

	"github.com/calcdc/calcdc/internal/davserver"
)

// only lets f happen at requests of one kind.
func only(kind davserver.Kind, f davserver.Fault) func(davserver.Kind, *http.Request) davserver.Fault {
	return func(k davserver.Kind, _ *http.Request) davserver.Fault {
		if k == kind {
			return f
		}
		return davserver.Fault{}
	}
}

func TestFaults(t *testing.T) {
	f := start(t, davserver.Options{})
	f.Put("alice", "work", "a.ics", event("a", "one"))
	f.Put("alice", "work", "b.ics", event("b", "one"))
	whole := f.sync("")

	f.Fault(only(davserver.Sync, davserver.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}}, Body: "later"}))
	resp, text := f.do("REPORT", work, `<sync-collection xmlns="DAV:"/>`)
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "7" || text != "later" {
		t.Errorf("%s %q", resp.Status, text)
	}
	if a := f.multiget(work + "a.ics"); len(a.ETags) != 1 {
		t.Errorf("another kind is not concerned: %+v", a)
	}
	f.Fault(only(davserver.Sync, davserver.Fault{Empty: true}))
	if a := f.sync(""); a.Status != http.StatusMultiStatus || a.Token != "" || len(a.ETags) != 0 {
		t.Errorf("%+v", a)
	}
	f.Fault(only(davserver.Sync, davserver.Fault{Malformed: true}))
	if resp, text := f.do("REPORT", work, `<sync-collection xmlns="DAV:"/>`); resp.StatusCode != http.StatusMultiStatus || !strings.HasSuffix(text, "<") {
		t.Errorf("%s %q", resp.Status, text)
	}
	f.Fault(only(davserver.Multiget, davserver.Fault{Drop: []string{"a.ics"}, Refuse: map[string]int{"b.ics": http.StatusForbidden}}))
	if a := f.multiget(work+"a.ics", work+"b.ics"); strings.Contains(a.Text, "a.ics") || !strings.Contains(a.Text, "403 Forbidden") {
		t.Errorf("%+v", a)
	}
	f.Fault(nil)
	if a := f.sync(""); fmt.Sprint(a) != fmt.Sprint(whole) {
		t.Errorf("%+v", a)
	}
}

func TestCutBodies(t *testing.T) {
	f := start(t, davserver.Options{})
	f.Put("alice", "work", "a.ics", event("a", "one"))
	for _, cut := range []int{-1, 10, 1 << 20} {
		f.Fault(only(davserver.Get, davserver.Fault{Cut: cut}))
		req := mustRequest("GET", f.url+work+"a.ics")
		req.SetBasicAuth("alice", "secret")
		resp, err := f.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := min(max(cut, 0), len(event("a", "one"))); !errors.Is(err, io.ErrUnexpectedEOF) || len(body) != want {
			t.Errorf("cut %d: %d bytes, %v", cut, len(body), err)
		}
	}
}

func TestDelayEndsWithTheRequest(t *testing.T) {
	f := start(t, davserver.Options{})
	f.Fault(only(davserver.Home, davserver.Fault{Delay: time.Hour}))
	f.client.Timeout = 50 * time.Millisecond
	req := mustRequest("PROPFIND", f.url+"/alice/calendars/")
	if resp, err := f.client.Do(req); err == nil {
		resp.Body.Close()
		t.Fatal(resp.Status)
	}
}

func TestCountsWhatWentThrough(t *testing.T) {
	f := start(t, davserver.Options{})
	f.sync("")
	_, body := f.do("PROPFIND", "/alice/calendars/", "")
	f.do("PROPFIND", "/alice/calendars/", "")
	if got := f.Requests(); got[davserver.Sync] != 1 || got[davserver.Home] != 2 || len(got) != 2 {
		t.Fatal(got)
	}
	if got := f.Traffic()[davserver.Home]; got.Out != int64(2*len(body)) || got.In != 0 {
		t.Fatalf("%+v, %d", got, len(body))
	}
}

func TestSeenIsToldOfAnswers(t *testing.T) {
	var told []string
	f := start(t, davserver.Options{Seen: func(k davserver.Kind, r *http.Request, status int) {
		told = append(told, fmt.Sprint(k, r.URL.Path, status))
	}})
	f.do("PUT", work+"a.ics", string(event("a", "one")))
	f.do("GET", work+"a.ics", "")
	f.do("DELETE", work+"b.ics", "")
	if got, want := fmt.Sprint(told), fmt.Sprint([]string{"put" + work + "a.ics201", "get" + work + "a.ics200", "delete" + work + "b.ics404"}); got != want {
		t.Fatal(got)
	}
}

// A client that folds deltas must hold what the server does, whatever is written meanwhile.
func TestDeltasUnderWritersAreWhole(t *testing.T) {
	f := start(t, davserver.Options{InlineData: true, PageLimit: 50})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 600 {
				name := fmt.Sprintf("%d.ics", (i*7+w)%97)
				if (i+w)%3 == 0 {
					f.Delete("alice", "work", name)
				} else {
					f.Put("alice", "work", name, event(name, fmt.Sprint(w, i)))
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	held, token := map[string]string{}, ""
	for last := false; ; {
		a := f.sync(token)
		for href, data := range a.Data {
			held[href] = data
		}
		for _, href := range a.Gone {
			delete(held, href)
		}
		if last && a.Token == token {
			break
		}
		token = a.Token
		select {
		case <-done:
			last = true
		default:
		}
	}
	want := map[string]string{}
	for name, body := range f.List("alice", "work") {
		want[work+name] = string(body)
	}
	if fmt.Sprint(held) != fmt.Sprint(want) {
		t.Fatalf("%d held, %d there", len(held), len(want))
	}
}

func TestSamplesAreCalendars(t *testing.T) {
	names, size := map[string]bool{}, 0
	for i := range 500 {
		body := davserver.SampleEvent(1, i)
		if string(body) != string(davserver.SampleEvent(1, i)) {
			t.Fatal("not the same twice")
		}
		if cal, err := ical.NewDecoder(strings.NewReader(string(body))).Decode(); err != nil || len(cal.Events()) == 0 {
			t.Fatalf("%v in %s", err, body)
		}
		for line := range strings.Lines(string(body)) {
			if len(line) > 77 {
				t.Fatalf("not folded: %q", line)
			}
		}
		names[davserver.SampleName(1, i)] = true
		size += len(body)
	}
	if len(names) != 500 || size/500 < 950 || size/500 > 1250 {
		t.Fatalf("%d names, %d bytes on average", len(names), size/500)
	}
}

func BenchmarkMultiget(b *testing.B) {
	benchmarkReport(b, 100, func(hrefs []string) string {
		body := `<C:calendar-multiget xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><prop><getetag/><C:calendar-data/></prop>`
		for _, h := range hrefs {
			body += "<href>" + h + "</href>"
		}
		return body + "</C:calendar-multiget>"
	})
}

func BenchmarkInlineSync(b *testing.B) {
	benchmarkReport(b, 10_000, func([]string) string {
		return `<sync-collection xmlns="DAV:"><sync-token/><prop><getetag/><calendar-data xmlns="urn:ietf:params:xml:ns:caldav"/></prop></sync-collection>`
	})
}

// benchmarkReport repeats a REPORT that answers n events, over loopback, and drops what it reads.
func benchmarkReport(b *testing.B, n int, ask func(hrefs []string) string) {
	s := davserver.New(davserver.Options{Users: map[string]string{"alice": "secret"}, InlineData: true})
	s.MakeCalendar("alice", "work", "Work")
	var hrefs []string
	for i := range n {
		s.Put("alice", "work", davserver.SampleName(1, i), davserver.SampleEvent(1, i))
		hrefs = append(hrefs, work+davserver.SampleName(1, i))
	}
	url, client := serve(b, s)
	body := ask(hrefs)
	for b.Loop() {
		req, _ := http.NewRequest("REPORT", url+work, strings.NewReader(body))
		req.SetBasicAuth("alice", "secret")
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		got, _ := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		b.SetBytes(got)
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "events/s")
}
