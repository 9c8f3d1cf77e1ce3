package caldav_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/sources/caldav"
)

// faults are the ways in which any request may fail.
var faults = map[string]davserver.Fault{
	"401":       {Status: 401},
	"403":       {Status: 403, Body: `<error xmlns="DAV:"><need-privileges/></error>`},
	"404":       {Status: 404},
	"429":       {Status: 429, Header: http.Header{"Retry-After": {"3"}}},
	"500":       {Status: 500},
	"502":       {Status: 502},
	"503":       {Status: 503},
	"200":       {Status: 200, Body: "<html>log in</html>"},
	"no body":   {Status: 207},
	"timeout":   {Delay: time.Minute},
	"cut":       {Cut: 150},
	"cut early": {Cut: -1},
	"empty":     {Empty: true},
	"malformed": {Malformed: true},
}

// TestFaultsAtEveryRequest breaks one kind of request at a time, in every way: a poll then ends with an error and no
// token, or shows what is true; it never shows a removal, or a listing that lacks something. Mended, all is well.
func TestFaultsAtEveryRequest(t *testing.T) {
	servers := map[string]davserver.Options{"sync": {}, "inline": {InlineData: true}, "pages": {PageLimit: 2}, "plain": {NoSync: true}}
	kinds := []davserver.Kind{davserver.WellKnown, davserver.Principal, davserver.Home, davserver.Collection, davserver.Sync, davserver.Multiget, davserver.Get}
	for name, o := range servers {
		t.Run(name, func(t *testing.T) {
			srv, url := serve(t, o)
			for i := range 5 {
				srv.Put("alice", "work", fmt.Sprintf("%d.ics", i), event(fmt.Sprint(i), "text"))
			}
			for _, kind := range kinds {
				for how, fault := range faults {
					t.Run(string(kind)+" "+how, func(t *testing.T) { suffer(t, srv, url, kind, fault) })
				}
			}
		})
	}
}

func suffer(t *testing.T, srv *davserver.Server, url string, kind davserver.Kind, fault davserver.Fault) {
	well := account(t, caldav.Config{URL: url})
	a := well
	if fault.Delay > 0 {
		a = account(t, caldav.Config{URL: url, Timeout: 50 * time.Millisecond})
	}
	good := poll(t, account(t, caldav.Config{URL: url}), connector.Query{Stream: eventsOf(work)})
	if good.err != nil || len(good.by) != 5 {
		t.Fatalf("before: %v, %v", good.by, good.err)
	}
	srv.Fault(func(k davserver.Kind, _ *http.Request) davserver.Fault {
		if k == kind {
			return fault
		}
		return davserver.Fault{}
	})
	defer srv.Fault(nil)
	for _, q := range []connector.Query{
		{Stream: calendarsOf}, {Stream: eventsOf(work)}, {Stream: eventsOf(work), Fresh: true},
		{Stream: eventsOf(work), Token: good.token()}, {Stream: eventsOf(work), Token: good.token(), Pending: []string{work + "0.ics"}},
	} {
		got := poll(t, a, q)
		if kind == davserver.Sync && fault.Status == 500 && q.Token != "" && errors.Is(got.err, connector.ErrTokenInvalid) {
			continue // twice 500 to a token, and nothing else amiss: it is forgotten (Xandikos)
		}
		truthful(t, q, got)
	}
	ids := []string{work + "0.ics", work + "1.ics"}
	if got, err := a.Look(t.Context(), eventsOf(work), ids); err == nil && slices.Contains(got, connector.Gone) {
		t.Errorf("looking: %v", got)
	}
	srv.Fault(nil)
	if got := poll(t, well, connector.Query{Stream: eventsOf(work)}); got.err != nil || len(got.by) != 5 {
		t.Errorf("afterwards: %v, %v", got.by, got.err)
	}
}

// truthful: the five objects are there and unchanged, whatever happened.
func truthful(t *testing.T, q connector.Query, got seen) {
	t.Helper()
	for id, p := range got.by {
		if p == connector.Removed || p == connector.Gone {
			t.Errorf("%s, token %q: presence %d", id, q.Token, p)
		}
	}
	switch {
	case got.err != nil && (got.token() != "" || errors.Is(got.err, connector.ErrTokenInvalid)):
		t.Errorf("token %q beside %v", got.token(), got.err)
	case got.err != nil:
		if strings.Contains(got.err.Error(), "secret") {
			t.Errorf("a secret: %v", got.err)
		}
	case q.Stream.Kind == connector.Calendars && len(got.by) != 1:
		t.Errorf("calendars: %v", got.by)
	case q.Stream.Kind == connector.Events && q.Token == "" && len(got.by) != 5:
		t.Errorf("a listing without an error shows %v", got.by)
	}
}
