package caldav_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/caldav"
)

const collectionProps = `<d:resourcetype><d:collection/><c:calendar/></d:resourcetype>`

// listing is an account on a server that lists these members of the collection and answers the rest so.
func listing(t *testing.T, names []string, answer func(call) reply) (*script, *caldav.Account) {
	t.Helper()
	s := serveScript(t, func(c call) reply {
		switch c.kind() {
		case "sync":
			var parts []string
			for _, n := range names {
				parts = append(parts, ok(cal+n, tag("listed "+n)))
			}
			return multistatus(append(parts, token("t"))...)
		case "propfind0":
			return multistatus(ok(cal, collectionProps))
		}
		return answer(c)
	})
	return s, account(t, caldav.Config{URL: s.URL})
}

// What is listed but absent when it is asked for is Missing, in whichever way the server says so.
func TestMissingAtTheFetch(t *testing.T) {
	there := func(c call) reply { // GET knows a.ics only
		if c.method == http.MethodGet && c.path == cal+"a.ics" {
			return reply{status: 200, body: string(event("a", "a"))}
		}
		return reply{status: 404}
	}
	tests := map[string]func(call) reply{
		"404 in its response": func(c call) reply {
			return multistatus(ok(cal+"a.ics", data("a")), status(cal+"b.ics", 404))
		},
		"left out": func(c call) reply { return multistatus(ok(cal+"a.ics", data("a"))) },
		"all left out": func(c call) reply {
			return multistatus()
		},
		"404 for everything": func(c call) reply {
			if slices.Contains(hrefsOf(c), cal+"b.ics") {
				return reply{status: 404}
			}
			return multistatus(ok(cal+"a.ics", data("a")))
		},
		"propstat 404": func(c call) reply {
			return multistatus(ok(cal+"a.ics", data("a")), strings.Replace(ok(cal+"b.ics", `<c:calendar-data/>`), "200 OK", "404 Not Found", 1))
		},
		"no multiget": func(c call) reply { return davError(403, "supported-report") },
	}
	for name, multiget := range tests {
		t.Run(name, func(t *testing.T) {
			_, a := listing(t, []string{"a.ics", "b.ics"}, func(c call) reply {
				if c.kind() == "multiget" {
					return multiget(c)
				}
				return there(c)
			})
			for range 2 {
				poll(t, a, connector.Query{}).mustBe(t, "t", presences{cal + "a.ics": connector.Read, cal + "b.ics": connector.Missing})
			}
		})
	}
}

// One that is refused does not hold the others up; it has a row that says so.
func TestOneIsRefused(t *testing.T) {
	tests := map[string]func(call) reply{
		"403 in its response": func(c call) reply { return multistatus(ok(cal+"a.ics", data("a")), status(cal+"b.ics", 403)) },
		"500 in its response": func(c call) reply { return multistatus(ok(cal+"a.ics", data("a")), status(cal+"b.ics", 500)) },
		"its propstat 403": func(c call) reply {
			return multistatus(ok(cal+"a.ics", data("a")), strings.Replace(ok(cal+"b.ics", `<c:calendar-data/>`), "200 OK", "403 No", 1))
		},
		"500 for everything": func(c call) reply {
			if slices.Contains(hrefsOf(c), cal+"b.ics") {
				return reply{status: 500}
			}
			return multistatus(ok(cal+"a.ics", data("a")))
		},
		"a page in place of an object":  byGet(reply{status: 200, header: map[string]string{"Content-Type": "text/html"}, body: "<html>log in</html>"}),
		"nothing in place of an object": byGet(reply{status: 200}),
		"too long": func(c call) reply {
			return multistatus(ok(cal+"a.ics", data("a")), ok(cal+"b.ics", data(strings.Repeat("x", 70<<10))))
		},
	}
	for name, multiget := range tests {
		t.Run(name, func(t *testing.T) {
			s, _ := listing(t, []string{"a.ics", "b.ics"}, multiget)
			a := account(t, caldav.Config{URL: s.URL, MaxBody: 64 << 10})
			got := poll(t, a, connector.Query{})
			got.mustBe(t, "t", presences{cal + "a.ics": connector.Read, cal + "b.ics": connector.Failed})
			b := got.res[cal+"b.ics"]
			if b.Err == nil || len(b.Rows) != 1 || !strings.Contains(string(b.Rows[0].JSON), `"parse_error":"the body could not be read`) {
				t.Errorf("%+v", b)
			}
		})
	}
}

// byGet is a server that has no multiget, and answers so of b.ics.
func byGet(b reply) func(call) reply {
	return func(c call) reply {
		switch {
		case c.method != http.MethodGet:
			return reply{status: http.StatusMethodNotAllowed}
		case c.path == cal+"a.ics":
			return reply{status: 200, body: string(event("a", "a"))}
		}
		return b
	}
}

// What fails for all is an error of the poll.
func TestAllAreRefused(t *testing.T) {
	for _, r := range []reply{{status: 401}, {status: 403}, {status: 429}, {status: 502}, {status: 503}, {status: 200, body: "<html/>"}, {body: "<d:multistatus"}, davError(403, "need-privileges")} {
		_, a := listing(t, []string{"a.ics", "b.ics"}, func(call) reply { return r })
		if got := poll(t, a, connector.Query{}); got.err == nil || got.token() != "" {
			t.Errorf("%d %s: %v", r.status, r.body, got.err)
		}
	}
	gone := false
	s := serveScript(t, func(c call) reply {
		switch {
		case gone || c.kind() == "multiget":
			gone = true
			return reply{status: 404}
		}
		return multistatus(ok(cal+"a.ics", tag("a")), token("t"))
	})
	if got := poll(t, account(t, caldav.Config{URL: s.URL}), connector.Query{}); !errors.Is(got.err, connector.ErrGone) {
		t.Errorf("the collection vanished at the fetch: %v", got.err)
	}
}

// Multigets have 1 to 100 hrefs, each once, properties first.
func TestMultigetsAreSmall(t *testing.T) {
	var names []string
	for i := range 350 {
		names = append(names, fmt.Sprintf("%03d.ics", i))
	}
	s, a := listing(t, append(names, names[0]), bodies)
	got := poll(t, a, connector.Query{})
	if got.err != nil || len(got.by) != 350 {
		t.Fatalf("%d, %v", len(got.by), got.err)
	}
	var order []string
	for _, p := range got.pages {
		for _, r := range p.Resources {
			order = append(order, strings.TrimPrefix(r.ID, cal))
		}
	}
	if !slices.Equal(order[:350], names) {
		t.Error("not in the order of the listing")
	}
	for _, c := range s.calls("multiget") {
		if n := len(hrefsOf(c)); n < 1 || n > 100 {
			t.Errorf("%d hrefs", n)
		}
		if strings.Index(c.body, "<d:prop>") > strings.Index(c.body, "<d:href>") {
			t.Error("hrefs before properties")
		}
	}
}

// The ETag of a body is the one that came with it.
func TestETagOfTheBody(t *testing.T) {
	_, a := listing(t, []string{"a.ics"}, func(c call) reply {
		return multistatus(ok("http://127.0.0.1/%63al/a.ics", `<d:getetag>W/new</d:getetag>`+data("a")), ok(cal+"stranger.ics", data("b")))
	})
	got := poll(t, a, connector.Query{})
	got.mustBe(t, "t", presences{cal + "a.ics": connector.Read})
	if e := got.res[cal+"a.ics"].ETag; e != "W/new" {
		t.Errorf("ETag %q", e)
	}
}

func TestLookAtMembers(t *testing.T) {
	ids := []string{cal + "a.ics", cal + "b.ics"}
	get := func(c call) reply {
		if c.path == cal+"a.ics" {
			return reply{status: 200, body: "x"}
		}
		return reply{status: 404}
	}
	want := []connector.Presence{connector.Read, connector.Gone}
	tests := map[string]struct {
		multiget reply
		want     []connector.Presence // nil: an error
	}{
		"404":          {multistatus(ok(cal+"a.ics", tag("a")), status(cal+"b.ics", 404)), want},
		"left out":     {multistatus(ok(cal+"a.ics", tag("a"))), want},
		"empty":        {multistatus(), want},
		"404 for all":  {reply{status: 404}, want},
		"no multiget":  {davError(403, "supported-report"), want},
		"refused":      {multistatus(ok(cal+"a.ics", tag("a")), status(cal+"b.ics", 403)), nil},
		"401":          {reply{status: 401}, nil},
		"500":          {reply{status: 500}, nil},
		"503":          {reply{status: 503}, nil},
		"200":          {reply{status: 200, body: "<html/>"}, nil},
		"cut":          {reply{body: `<d:multistatus xmlns:d="DAV:">` + ok(cal+"a.ics", tag("a"))}, nil},
		"empty answer": {reply{}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, a := listing(t, nil, func(c call) reply {
				if c.kind() == "multiget" {
					return tt.multiget
				}
				return get(c)
			})
			got, err := a.Look(t.Context(), eventsOf(cal), ids)
			if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func TestLookAtCollections(t *testing.T) {
	home := connector.Stream{Source: "work", Account: "alice", Kind: connector.Calendars}
	tests := map[string]struct {
		reply reply
		want  connector.Presence
	}{
		"there":              {multistatus(ok(cal, collectionProps)), connector.Read},
		"404":                {reply{status: 404}, connector.Gone},
		"410":                {reply{status: 410}, connector.Gone},
		"404 within 207":     {multistatus(status(cal, 404)), connector.Gone},
		"no calendar now":    {multistatus(ok(cal, `<d:resourcetype><d:collection/></d:resourcetype>`)), connector.Gone},
		"403":                {reply{status: 403}, connector.Forbidden},
		"403 within 207":     {multistatus(status(cal, 403)), connector.Forbidden},
		"500":                {reply{status: 500}, connector.Failed},
		"401":                {reply{status: 401}, -1},
		"503 within 207":     {multistatus(status(cal, 503)), connector.Failed},
		"empty":              {multistatus(), -1},
		"malformed":          {reply{body: "<d:multistatus xmlns:d='DAV:'><d:response>"}, -1},
		"moved":              {reply{status: 301, header: map[string]string{"Location": "/elsewhere/"}}, -1},
		"200, not a service": {reply{status: 200, body: "<html/>"}, -1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serveScript(t, func(c call) reply {
				if c.path != cal {
					return multistatus(ok(c.path, collectionProps))
				}
				return tt.reply
			})
			got, err := account(t, caldav.Config{URL: s.URL}).Look(t.Context(), home, []string{cal})
			if (err != nil) != (tt.want < 0 || tt.want == connector.Failed) || tt.want >= 0 && got[0] != tt.want {
				t.Errorf("%v, %v, want %v", got, err, tt.want)
			}
		})
	}
}
