package caldav_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/caldav"
)

// plainServer has no sync-collection.
type plainServer struct {
	ctag    string
	members []string
	refuse  reply // to sync-collection
	list    *reply
}

func (p *plainServer) answer(c call) reply {
	props := collectionProps
	if p.ctag != "" {
		props += `<cs:getctag>` + p.ctag + `</cs:getctag>`
	}
	switch c.kind() {
	case "sync":
		return p.refuse
	case "multiget":
		return bodies(c)
	case "propfind0":
		return multistatus(ok(cal, props))
	}
	if p.list != nil {
		return *p.list
	}
	parts := []string{ok(cal, props)}
	for _, m := range p.members {
		parts = append(parts, ok(cal+m, tag(m)))
	}
	return multistatus(parts...)
}

func TestWithoutSyncCollection(t *testing.T) {
	for name, refuse := range map[string]reply{"supported-report": davError(403, "supported-report"), "405": {status: 405}, "501": {status: 501}, "415": {status: 415}} {
		t.Run(name, func(t *testing.T) {
			p := &plainServer{ctag: "5", members: []string{"a.ics", "b.ics"}, refuse: refuse}
			s := serveScript(t, p.answer)
			a := account(t, caldav.Config{URL: s.URL})
			poll(t, a, connector.Query{}).mustBe(t, "ctag:5", presences{cal + "a.ics": 1, cal + "b.ics": 1})

			same := poll(t, a, connector.Query{Token: "ctag:5", Pending: []string{cal + "a.ics"}})
			same.mustBe(t, "ctag:5", presences{cal + "a.ics": 1})
			if same.pages[len(same.pages)-1].Listing {
				t.Error("an equal ctag is no listing")
			}
			if n := s.kinds(); n["propfind1"] != 1 || n["sync"] != 1 {
				t.Errorf("requests: %v", n)
			}

			p.ctag, p.members = "6", []string{"b.ics", "c.ics"}
			moved := poll(t, a, connector.Query{Token: "ctag:5", Needs: func(id, _ string) bool { return id == cal+"c.ics" }})
			moved.mustBe(t, "ctag:6", presences{cal + "b.ics": connector.Listed, cal + "c.ics": connector.Read})
			if !moved.pages[len(moved.pages)-1].Listing {
				t.Error("another ctag is a listing")
			}
		})
	}
}

// Without a ctag, or with one that is a time, the token is a hash of the members in any order.
func TestWithoutCTag(t *testing.T) {
	for _, ctag := range []string{"", "1780000000"} {
		p := &plainServer{ctag: ctag, members: []string{"a.ics", "b.ics"}, refuse: davError(403, "supported-report")}
		a := account(t, caldav.Config{URL: serveScript(t, p.answer).URL})
		one := poll(t, a, connector.Query{})
		if !strings.HasPrefix(one.token(), "etag:") {
			t.Fatalf("token %q", one.token())
		}
		p.members = []string{"b.ics", "a.ics"}
		two := poll(t, a, connector.Query{Token: one.token()})
		two.mustBe(t, one.token(), presences{cal + "a.ics": 1, cal + "b.ics": 1})
		p.members = []string{"a.ics"}
		if three := poll(t, a, connector.Query{Token: one.token()}); three.token() == one.token() || !three.pages[len(three.pages)-1].Listing {
			t.Errorf("%+v", three.pages)
		}
	}
}

// A server that loses sync-collection: its token is answered with a listing.
func TestSyncCollectionIsTakenAway(t *testing.T) {
	p := &plainServer{ctag: "5", members: []string{"a.ics"}, refuse: davError(403, "supported-report")}
	a := account(t, caldav.Config{URL: serveScript(t, p.answer).URL})
	got := poll(t, a, connector.Query{Token: "http://x/1"})
	got.mustBe(t, "ctag:5", presences{cal + "a.ics": 1})
	if !got.pages[len(got.pages)-1].Listing {
		t.Error("no listing")
	}
}

// A server that learns sync-collection: the next change of the ctag is read with it.
func TestSyncCollectionAppears(t *testing.T) {
	p := &plainServer{ctag: "6", refuse: multistatus(ok(cal+"a.ics", tag("a")), token("t"))}
	a := account(t, caldav.Config{URL: serveScript(t, p.answer).URL})
	got := poll(t, a, connector.Query{Token: "ctag:5"})
	got.mustBe(t, "t", presences{cal + "a.ics": 1})
	if !got.pages[len(got.pages)-1].Listing {
		t.Error("no listing")
	}
}

func TestListingsThatProveNothing(t *testing.T) {
	tests := map[string]struct {
		reply reply
		gone  bool
	}{
		"empty":               {multistatus(), false},
		"without itself":      {multistatus(ok(cal+"a.ics", tag("a"))), false},
		"cut by 507":          {multistatus(ok(cal, collectionProps), ok(cal+"a.ics", tag("a")), status(cal, 507)), false},
		"404":                 {reply{status: 404}, true},
		"404 within":          {multistatus(status(cal, 404)), true},
		"500":                 {reply{status: 500}, false},
		"200":                 {reply{status: 200, body: "<html/>"}, false},
		"other paths":         {multistatus(ok("/x/cal/", collectionProps), ok("/x/cal/a.ics", tag("a"))), false},
		"malformed":           {reply{body: "<d:multistatus xmlns:d='DAV:'><d:response></d:multistatus>"}, false},
		"moved to other path": {reply{status: 301, header: map[string]string{"Location": "/other/"}}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := &plainServer{ctag: "5", refuse: davError(403, "supported-report"), list: &tt.reply}
			s := serveScript(t, func(c call) reply {
				if c.path == "/other/" {
					return multistatus(ok("/other/", collectionProps))
				}
				return p.answer(c)
			})
			got := poll(t, account(t, caldav.Config{URL: s.URL}), connector.Query{Token: "ctag:4"})
			if got.err == nil || errors.Is(got.err, connector.ErrGone) != tt.gone || errors.Is(got.err, connector.ErrTokenInvalid) {
				t.Errorf("%v", got.err)
			}
		})
	}
}
