package google

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// While nobody takes a poll's pages, what is read ahead of them stays within bounds, whatever the items' size; then the poll comes to its end.
func TestReadingAheadIsBounded(t *testing.T) {
	const all = 24 << 20
	for _, size := range []int{4 << 10, batchBytes + 1, maxItem - 1<<10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := &listOf{items: all / size, description: strings.Repeat("x", size)}
				service, err := New(Config{Source: "team", Credentials: Credentials{AccessToken: "secret-of-alice"}, Transport: sent}, nil)
				if err != nil {
					t.Fatal(err)
				}
				a, err := service.account(alice, "")
				if err != nil {
					t.Fatal(err)
				}
				shown, most := 0, int64(0)
				for page, err := range a.Poll(t.Context(), connector.Query{Stream: stream(connector.Events, team)}) {
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Hour) // the others do what they can meanwhile
					for _, r := range page.Resources {
						shown += len(r.Rows)
					}
					most = max(most, sent.read.Load()-int64(shown*size))
				}
				if shown != sent.items {
					t.Errorf("%d of %d shown", shown, sent.items)
				}
				if most > aheadBytes+2*maxItem { // one that the page has no room for, and one that waits to be read ahead
					t.Errorf("%d KiB were read ahead", most>>10)
				}
			})
		})
	}
}

// listOf answers every request with a list.
type listOf struct {
	items       int
	description string
	read        atomic.Int64
}

func (l *listOf) RoundTrip(r *http.Request) (*http.Response, error) {
	parts := []io.Reader{strings.NewReader(`{"items":[`)}
	for i := range l.items {
		comma := ","
		if i == 0 {
			comma = ""
		}
		parts = append(parts, strings.NewReader(fmt.Sprintf(`%s{"id":"e%d","etag":"\"1\"","status":"confirmed","description":"`, comma, i)),
			strings.NewReader(l.description), strings.NewReader(`"}`))
	}
	body := io.TeeReader(io.MultiReader(append(parts, strings.NewReader(`],"nextSyncToken":"t"}`))...), counter{&l.read})
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(body), Request: r}, nil
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}
