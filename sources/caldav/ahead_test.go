package caldav_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/caldav"
)

var hrefIn = regexp.MustCompile(`<d:href>([^<]+)</d:href>`)

// While nobody takes the pages of several polls, what is read ahead of them stays within bounds, whatever the bodies' size; then
// every poll comes to its end.
func TestReadingAheadIsBounded(t *testing.T) {
	const polls, members, size = 4, 1600, 40 << 10
	body := strings.Replace(data("1"), "END:VEVENT", "DESCRIPTION:"+strings.Repeat("x", size)+"\nEND:VEVENT", 1)
	if len(body) < size {
		t.Fatalf("%d bytes", len(body))
	}
	var sent atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ask, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusMultiStatus)
		_, _ = io.WriteString(w, begin)
		if strings.Contains(string(ask), "sync-collection") {
			for i := range members {
				_, _ = io.WriteString(w, ok(fmt.Sprintf("%s%d.ics", cal, i), tag("x")))
			}
			_, _ = io.WriteString(w, token("t"))
		}
		if strings.Contains(string(ask), "multiget") {
			for _, href := range hrefIn.FindAllStringSubmatch(string(ask), -1) {
				n, _ := io.WriteString(w, ok(href[1], tag("x")+body))
				sent.Add(int64(n))
			}
		}
		_, _ = io.WriteString(w, `</d:multistatus>`)
	}))
	t.Cleanup(srv.Close)
	a := account(t, caldav.Config{URL: srv.URL, Ahead: 16 << 20})
	release := make(chan struct{})
	var wg sync.WaitGroup
	for range polls {
		wg.Go(func() {
			shown := 0
			for p, err := range a.Poll(t.Context(), connector.Query{Stream: eventsOf(cal), Needs: func(string, string) bool { return true }}) {
				if err != nil {
					t.Error(err)
					return
				}
				<-release
				shown += len(p.Resources)
			}
			if shown != members {
				t.Errorf("%d of %d shown", shown, members)
			}
		})
	}
	for still, was := 0, int64(-1); still < 10; time.Sleep(50 * time.Millisecond) { // that nothing more is read takes time to see
		still++
		if now := sent.Load(); now != was || now == 0 {
			still, was = 0, now
		}
	}
	read := sent.Load()
	close(release)
	wg.Wait()
	t.Logf("%d of %d MiB were read ahead", read>>20, sent.Load()>>20)
	if read > 100<<20 {
		t.Errorf("%d MiB were read ahead", read>>20)
	}
}
