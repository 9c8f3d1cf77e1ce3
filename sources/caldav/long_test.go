package caldav_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/caldav"
)

// Bodies longer than a page are worked on one after the other, over all polls of a service, until whoever takes the pages has done with
// them; small ones beside them are not held up; and every poll comes to its end. However the bodies come.
func TestLongBodiesTakeTurns(t *testing.T) {
	for _, way := range []string{"multiget", "GET", "inline"} {
		t.Run(way, func(t *testing.T) { testLongBodies(t, way) })
	}
}

func testLongBodies(t *testing.T, way string) {
	const polls, members, size = 3, 8, 5 << 20
	small := data("1")
	long := strings.Replace(small, "END:VEVENT", "DESCRIPTION:"+strings.Repeat("x", size)+"\nEND:VEVENT", 1)
	body := func(href string) string {
		if isLong(href) {
			return long
		}
		return small
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ask, _ := io.ReadAll(r.Body)
		multiget := strings.Contains(string(ask), "multiget")
		switch {
		case r.Method == http.MethodGet:
			w.Header().Set("Content-Type", "text/calendar")
			_, _ = io.WriteString(w, strings.TrimSuffix(strings.TrimPrefix(body(r.URL.Path), `<c:calendar-data>`), `</c:calendar-data>`))
			return
		case multiget && way == "GET":
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		w.WriteHeader(http.StatusMultiStatus)
		_, _ = io.WriteString(w, begin)
		if multiget {
			for _, href := range hrefIn.FindAllStringSubmatch(string(ask), -1) {
				_, _ = io.WriteString(w, ok(href[1], tag("x")+body(href[1])))
			}
		} else {
			for i := range members {
				href, with := fmt.Sprintf("%s%d.ics", cal, i), ""
				if way == "inline" {
					with = body(href)
				}
				_, _ = io.WriteString(w, ok(href, tag("x")+with))
			}
			_, _ = io.WriteString(w, token("t"))
		}
		_, _ = io.WriteString(w, `</d:multistatus>`)
	}))
	t.Cleanup(srv.Close)
	a := account(t, caldav.Config{URL: srv.URL, Ahead: 16 << 20, MaxBody: 8 << 20})
	var inWork, most, taken atomic.Int64
	release, wg := make(chan struct{}), sync.WaitGroup{}
	for range polls {
		wg.Go(func() {
			shown := 0
			for p, err := range a.Poll(t.Context(), connector.Query{Stream: eventsOf(cal), Fresh: true, Needs: func(string, string) bool { return true }}) {
				if err != nil {
					t.Error(err)
					return
				}
				shown += len(p.Resources)
				if !hasLong(p) {
					continue
				}
				n := inWork.Add(1)
				taken.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				<-release
				inWork.Add(-1)
			}
			if shown != members {
				t.Errorf("%d of %d shown", shown, members)
			}
		})
	}
	for deadline := time.Now().Add(20 * time.Second); taken.Load() == 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond) // that no other comes takes time to see
	close(release)
	wg.Wait()
	if n := taken.Load(); most.Load() != 1 || n != polls*members/2 {
		t.Errorf("%d long pages, %d at once", n, most.Load())
	}
}

// isLong tells which members are long: every second one.
func isLong(id string) bool { return strings.ContainsAny(id[len(id)-5:], "1357") }

func hasLong(p connector.Page) bool {
	return slices.ContainsFunc(p.Resources, func(r connector.Resource) bool { return r.Presence == connector.Read && isLong(r.ID) })
}
