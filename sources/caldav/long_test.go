package caldav_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/caldav"
)

var ways = []string{"multiget", "GET", "inline"} // in which bodies come

// Bodies longer than a page are worked on one after the other, over all polls of a service, until whoever takes the pages has done with
// them, however long that takes: Kafka may be away. Every poll comes to its end.
func TestLongBodiesTakeTurns(t *testing.T) {
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const polls, members = 3, 4
				a := longAccount(t, way, members, 0)
				var inWork, taken atomic.Int64
				var wg sync.WaitGroup
				for range polls {
					wg.Go(func() {
						pollLong(t, a, members, func() {
							if n := inWork.Add(1); n > 1 {
								t.Errorf("%d long bodies in work at once", n)
							}
							taken.Add(1)
							time.Sleep(time.Hour) // the server's silence may take two minutes
							inWork.Add(-1)
						})
					})
				}
				wg.Wait()
				if n := taken.Load(); n != polls*members/2 {
					t.Errorf("%d long pages", n)
				}
			})
		})
	}
}

// A server that takes hours for a body holds up nobody else's for longer than a server may be silent.
func TestALongBodyThatDoesNotCome(t *testing.T) {
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const members = 2
				slow, quick := longAccount(t, way, members, 2*time.Minute-time.Second), longAccount(t, way, members, 0)
				caldav.Beside(quick, slow)
				begun := time.Now()
				var wg sync.WaitGroup
				wg.Go(func() {
					pollLong(t, slow, members, func() {})
					if took := time.Since(begun); took < 10*time.Minute {
						t.Errorf("the slow one took %v", took)
					}
				})
				time.Sleep(time.Second)
				pollLong(t, quick, members, func() {})
				if took := time.Since(begun); took != 2*time.Minute {
					t.Errorf("the other took %v", took)
				}
				wg.Wait()
			})
		})
	}
}

// longAccount is one on a server whose every second member is longer than a page, and comes in pieces so far apart from its middle on.
func longAccount(t *testing.T, way string, members int, apart time.Duration) *caldav.Account {
	long := strings.Replace(data("1"), "END:VEVENT", "DESCRIPTION:"+strings.Repeat("x", 5<<20)+"\nEND:VEVENT", 1)
	write := func(w io.Writer, pieces ...string) {
		for _, s := range pieces {
			for apart > 0 && len(s) > 512<<10 {
				if len(s) < 1<<20 {
					time.Sleep(apart)
				}
				n := min(len(s), 64<<10)
				_, _ = io.WriteString(w, s[:n])
				s = s[n:]
			}
			_, _ = io.WriteString(w, s)
		}
	}
	body := func(href string) string {
		if isLong(href) {
			return long
		}
		return data("1")
	}
	a := account(t, caldav.Config{URL: "http://dav.example.org/", Ahead: 16 << 20, MaxBody: 8 << 20})
	caldav.Over(a, inMemory(func(w http.ResponseWriter, r *http.Request) {
		ask, _ := io.ReadAll(r.Body)
		multiget := strings.Contains(string(ask), "multiget")
		switch {
		case r.Method == http.MethodGet:
			w.Header().Set("Content-Type", "text/calendar")
			write(w, strings.TrimSuffix(strings.TrimPrefix(body(r.URL.Path), `<c:calendar-data>`), `</c:calendar-data>`))
			return
		case multiget && way == "GET":
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		w.WriteHeader(http.StatusMultiStatus)
		write(w, begin)
		if multiget {
			for _, href := range hrefIn.FindAllStringSubmatch(string(ask), -1) {
				write(w, ok(href[1], tag("x")+body(href[1])))
			}
		} else {
			for i := range members {
				href, with := fmt.Sprintf("%s%d.ics", cal, i), ""
				if way == "inline" {
					with = body(href)
				}
				write(w, ok(href, tag("x")+with))
			}
			write(w, token("t"))
		}
		write(w, `</d:multistatus>`)
	}))
	return a
}

// pollLong polls everything; taken is called with each page that holds a long body.
func pollLong(t *testing.T, a *caldav.Account, members int, taken func()) {
	shown := 0
	for p, err := range a.Poll(t.Context(), connector.Query{Stream: eventsOf(cal), Fresh: true, Needs: func(string, string) bool { return true }}) {
		if err != nil {
			t.Error(err)
			return
		}
		shown += len(p.Resources)
		if hasLong(p) {
			taken()
		}
	}
	if shown != members {
		t.Errorf("%d of %d shown", shown, members)
	}
}

// isLong tells which members are long: every second one.
func isLong(id string) bool { return strings.ContainsAny(id[len(id)-5:], "1357") }

func hasLong(p connector.Page) bool {
	return slices.ContainsFunc(p.Resources, func(r connector.Resource) bool { return r.Presence == connector.Read && isLong(r.ID) })
}

// inMemory is a server without a network, which a test with fake time can wait for.
type inMemory http.HandlerFunc

func (f inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	body, to := io.Pipe()
	context.AfterFunc(r.Context(), func() { _ = to.CloseWithError(context.Cause(r.Context())) })
	w := &piped{PipeWriter: to, resp: make(chan *http.Response, 1)}
	w.Response = &http.Response{Request: r, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: body}
	go func() {
		f(w, r)
		w.WriteHeader(http.StatusOK)
		_ = to.Close()
	}()
	return <-w.resp, nil
}

type piped struct {
	*io.PipeWriter
	*http.Response
	resp chan *http.Response
}

func (w *piped) Header() http.Header { return w.Response.Header }

func (w *piped) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.PipeWriter.Write(b)
}

func (w *piped) WriteHeader(status int) {
	if w.StatusCode == 0 {
		w.StatusCode = status
		w.resp <- w.Response
	}
}
