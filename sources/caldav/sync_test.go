package caldav_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/caldav"
)

// answering is an account on a server that answers sync-collection so, and multigets with bodies.
func answering(t *testing.T, cfg caldav.Config, sync func(call) reply) (*script, *caldav.Account) {
	t.Helper()
	s := serveScript(t, func(c call) reply {
		switch c.kind() {
		case "sync":
			return sync(c)
		case "multiget":
			return bodies(c)
		case "propfind0":
			return multistatus(ok(cal, `<d:resourcetype><d:collection/><c:calendar/></d:resourcetype>`))
		}
		return reply{status: http.StatusNotFound}
	})
	cfg.URL = s.URL
	return s, account(t, cfg)
}

// Rule 5: what says that a token is invalid, and what does not.
func TestTokenInvalid(t *testing.T) {
	tests := []struct {
		name    string
		reply   reply
		invalid bool // for a token that the server gave
	}{
		{"precondition 403", davError(403, "valid-sync-token"), true},
		{"precondition 400", davError(400, "valid-sync-token"), true},
		{"precondition 409", davError(409, "valid-sync-token"), true},
		{"precondition 412 among others", reply{status: 412, body: `<e:error xmlns:e="DAV:"><x xmlns="y:"/><e:valid-sync-token/></e:error>`}, true},
		{"bare 403", reply{status: 403}, true},
		{"403 with HTML", reply{status: 403, body: "<html><body>no</body></html>"}, true},
		{"bare 409", reply{status: 409}, true},
		{"bare 410", reply{status: 410}, true},
		{"bare 412", reply{status: 412}, true},
		{"400", reply{status: 400}, true},
		{"415", reply{status: 415}, true},
		{"401", reply{status: 401}, false},
		{"403 for want of a privilege", davError(403, "need-privileges"), false},
		{"404", reply{status: 404}, false},
		{"429", reply{status: 429}, false},
		{"500 once", reply{status: 500}, false},
		{"502", reply{status: 502}, false},
		{"503", reply{status: 503}, false},
		{"200 HTML", reply{status: 200, body: "<html>log in</html>"}, false},
		{"valid-sync-token under 500", davError(500, "valid-sync-token"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, a := answering(t, caldav.Config{}, func(call) reply { return tt.reply })
			got := poll(t, a, connector.Query{Token: "old"})
			if got.err == nil || errors.Is(got.err, connector.ErrTokenInvalid) != tt.invalid {
				t.Errorf("with a token: %v", got.err)
			}
			if got := poll(t, a, connector.Query{}); errors.Is(got.err, connector.ErrTokenInvalid) {
				t.Errorf("without a token: %v", got.err)
			}
		})
	}
}

// Rule 5, Xandikos: 500 to a token it does not know. One 500 may be anything.
func TestTokenInvalidAfterTwo500s(t *testing.T) {
	statuses := []int{500, 503, 500, 500, 500}
	want := []bool{false, false, false, true, true}
	i := 0
	_, a := answering(t, caldav.Config{}, func(call) reply { return reply{status: statuses[i]} })
	for ; i < len(statuses); i++ {
		got := poll(t, a, connector.Query{Token: "old"})
		if errors.Is(got.err, connector.ErrTokenInvalid) != want[i] {
			t.Errorf("answer %d: %v", i+1, got.err)
		}
	}
	i = 0
	if got := poll(t, a, connector.Query{Token: "another"}); errors.Is(got.err, connector.ErrTokenInvalid) {
		t.Errorf("another token's first 500: %v", got.err)
	}
}

// A server that answers 500 to everything says nothing about a token.
func TestTokenStandsWhileTheServerIsDown(t *testing.T) {
	s := serveScript(t, func(call) reply { return reply{status: 500} })
	a := account(t, caldav.Config{URL: s.URL})
	for range 4 {
		if got := poll(t, a, connector.Query{Token: "old"}); got.err == nil || errors.Is(got.err, connector.ErrTokenInvalid) {
			t.Errorf("%v", got.err)
		}
	}
}

func TestGone(t *testing.T) {
	for _, code := range []int{404, 410} {
		_, a := answering(t, caldav.Config{}, func(call) reply { return reply{status: code} })
		if got := poll(t, a, connector.Query{}); !errors.Is(got.err, connector.ErrGone) {
			t.Errorf("%d: %v", code, got.err)
		}
	}
}

// Rule 2: the token goes back byte for byte; the first request has an empty one. Depth is 0.
func TestTokensAreOpaque(t *testing.T) {
	const odd = `http://x/?a=1&amp;b="2"<é`
	s, a := answering(t, caldav.Config{}, func(call) reply {
		return multistatus(token(`http://x/?a=1&amp;amp;b="2"&lt;é`))
	})
	got := poll(t, a, connector.Query{})
	got.mustBe(t, odd, presences{})
	poll(t, a, connector.Query{Token: odd}).mustBe(t, odd, presences{})
	calls := s.calls("sync")
	if !strings.Contains(calls[0].body, "<d:sync-token></d:sync-token>") || calls[0].depth != "0" {
		t.Errorf("first request: %+v", calls[0])
	}
	if !strings.Contains(calls[1].body, `<d:sync-token>http://x/?a=1&amp;amp;b=&#34;2&#34;&lt;é</d:sync-token>`) {
		t.Errorf("second request: %s", calls[1].body)
	}
	if strings.Contains(calls[0].body, "limit") {
		t.Error("a limit that was not wanted")
	}
}

// Rule 7: only the response's own 404 removes. Rule 10: the collection, what is deeper and what is elsewhere are no
// members.
func TestWhatIsAMember(t *testing.T) {
	_, a := answering(t, caldav.Config{}, func(call) reply {
		return multistatus(
			ok(cal, tag("self")), status("/cal", 404), ok(cal+"sub/", `<d:resourcetype><d:collection/></d:resourcetype>`),
			ok(cal+"sub2", `<d:resourcetype><d:collection/></d:resourcetype>`), ok(cal+"sub/deep.ics", tag("1")),
			ok("/other/x.ics", tag("1")), ok("http://elsewhere.example/cal/y.ics", tag("1")), status(cal+"../x.ics", 404),
			status(cal+"removed.ics", 404),
			`<d:response><d:href>/cal/kept.ics</d:href><d:propstat><d:prop><d:resourcetype/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>`+
				`<d:propstat><d:prop>`+tag("k")+`</d:prop><d:status>HTTP/1.1 200</d:status></d:propstat></d:response>`,
			ok("relative.ics", tag("r")), token("t"))
	})
	poll(t, a, connector.Query{Token: "old"}).mustBe(t, "t", presences{
		cal + "removed.ics": connector.Removed, cal + "kept.ics": connector.Read, cal + "relative.ics": connector.Read})
}

// One resource has one id, however its href is written; requests carry the href as written.
func TestHrefsHaveOneForm(t *testing.T) {
	forms := map[string]string{
		"/cal/a@b.ics": "/cal/a@b.ics", "/cal/a%40c.ics": "/cal/a@c.ics", "/cal/co%3alon.ics": "/cal/co:lon.ics",
		"/cal/100%.ics": "/cal/100%25.ics", "/cal/q?x.ics": "/cal/q%3Fx.ics", "/cal/sp ace.ics": "/cal/sp%20ace.ics",
		"/cal/%c3%bc.ics": "/cal/%C3%BC.ics", "/cal/ö.ics": "/cal/%C3%B6.ics", "/c%61l/%28p%29.ics": "/cal/(p).ics",
		"/cal/s%2Fl.ics": "/cal/s%2Fl.ics", "/cal/./dot.ics": "/cal/dot.ics",
	}
	var hrefs []string
	want := presences{}
	for written, id := range forms {
		hrefs = append(hrefs, ok(written, tag("x")))
		want[id] = connector.Read
	}
	s, a := answering(t, caldav.Config{}, func(call) reply { return multistatus(append(hrefs, token("t"))...) })
	poll(t, a, connector.Query{}).mustBe(t, "t", want)
	asked := hrefsOf(s.calls("multiget")[0])
	if len(asked) != len(forms) || !strings.Contains(strings.Join(asked, " "), "/cal/a%40c.ics") {
		t.Errorf("asked for %q", asked)
	}
}

// Rule 6: 507 for the collection means more; in a delta each such token may be committed, in a listing only the last.
func TestPaging(t *testing.T) {
	pages := map[string]reply{
		"":   multistatus(ok(cal+"1.ics", tag("1")), status(cal, 507), token("t1")),
		"t1": multistatus(ok(cal+"2.ics", tag("2")), status(cal+"1.ics", 404), status(cal, 507), token("t2")),
		"t2": multistatus(ok(cal+"3.ics", tag("3")), token("t3")),
	}
	_, a := answering(t, caldav.Config{}, func(c call) reply { return pages[tokenOf(c)] })
	want := presences{cal + "1.ics": connector.Removed, cal + "2.ics": connector.Read, cal + "3.ics": connector.Read}
	full := poll(t, a, connector.Query{})
	full.mustBe(t, "t3", want)
	for _, p := range full.pages[:len(full.pages)-1] {
		if p.Token != "" {
			t.Errorf("a token in the midst of a listing: %+v", p)
		}
	}
	delta := poll(t, a, connector.Query{Token: "t1"})
	delta.mustBe(t, "t3", presences{cal + "1.ics": connector.Removed, cal + "2.ics": connector.Read, cal + "3.ics": connector.Read})
	if len(delta.pages) != 2 || delta.pages[0].Token != "t2" || delta.pages[0].Last || len(delta.pages[0].Resources) != 2 {
		t.Errorf("pages of the delta: %+v", delta.pages)
	}
}

func tokenOf(c call) string {
	_, rest, _ := strings.Cut(c.body, "<d:sync-token>")
	v, _, _ := strings.Cut(rest, "</d:sync-token>")
	return v
}

// Rule 6: with a limit, a short page may come without 507; then the token says when it ends.
func TestShortPages(t *testing.T) {
	_, a := answering(t, caldav.Config{Limit: 2}, func(c call) reply {
		if !strings.Contains(c.body, "<d:nresults>2</d:nresults>") {
			return reply{status: 400}
		}
		switch tokenOf(c) {
		case "":
			return multistatus(ok(cal+"1.ics", tag("1")), ok(cal+"2.ics", tag("2")), token("t1"))
		case "t1":
			return multistatus(ok(cal+"3.ics", tag("3")), token("t2"))
		}
		return multistatus(token("t2"))
	})
	poll(t, a, connector.Query{}).mustBe(t, "t2", presences{cal + "1.ics": 1, cal + "2.ics": 1, cal + "3.ics": 1})
}

// Rule 6: 507 for the whole request: again without the limit.
func TestLimitRefused(t *testing.T) {
	s, a := answering(t, caldav.Config{Limit: 2}, func(c call) reply {
		if strings.Contains(c.body, "limit") {
			return davError(507, "number-of-matches-within-limits")
		}
		return multistatus(ok(cal+"1.ics", tag("1")), token("t"))
	})
	poll(t, a, connector.Query{}).mustBe(t, "t", presences{cal + "1.ics": 1})
	if n := s.kinds()["sync"]; n != 2 {
		t.Errorf("%d requests", n)
	}
}

// Rule 6: the cap is on answers without new members, not on answers.
func TestPagesWithoutEnd(t *testing.T) {
	n := 0
	tests := map[string]func(call) reply{
		"the token stands": func(call) reply { return multistatus(ok(cal+"1.ics", tag("1")), status(cal, 507), token("same")) },
		"nothing new": func(call) reply {
			n++
			return multistatus(ok(cal+"1.ics", tag("1")), status(cal, 507), token(fmt.Sprint("t", n)))
		},
	}
	for name, sync := range tests {
		t.Run(name, func(t *testing.T) {
			_, a := answering(t, caldav.Config{}, sync)
			if got := poll(t, a, connector.Query{}); got.err == nil || !strings.Contains(got.err.Error(), "nothing new") {
				t.Errorf("%v", got.err)
			}
		})
	}
	_, a := answering(t, caldav.Config{}, func(c call) reply {
		var k int
		_, _ = fmt.Sscanf(tokenOf(c), "t%d", &k)
		if k == 40 {
			return multistatus(token("end"))
		}
		return multistatus(ok(fmt.Sprintf("/cal/%d.ics", k), tag("x")), status(cal, 507), token(fmt.Sprint("t", k+1)))
	})
	if got := poll(t, a, connector.Query{}); got.err != nil || len(got.by) != 40 || got.token() != "end" {
		t.Errorf("40 answers: %v, %d shown", got.err, len(got.by))
	}
}

// A page's token that dies: in a delta that is the token's death, in a listing an error after which it is listed anew.
func TestPageTokenDies(t *testing.T) {
	_, a := answering(t, caldav.Config{}, func(c call) reply {
		if tokenOf(c) == "t1" {
			return davError(403, "valid-sync-token")
		}
		return multistatus(ok(cal+"1.ics", tag("1")), status(cal, 507), token("t1"))
	})
	if got := poll(t, a, connector.Query{}); got.err == nil || errors.Is(got.err, connector.ErrTokenInvalid) {
		t.Errorf("listing: %v", got.err)
	}
	if got := poll(t, a, connector.Query{Token: "t0"}); !errors.Is(got.err, connector.ErrTokenInvalid) {
		t.Errorf("delta: %v", got.err)
	}
}

// Inline bodies are asked for where they are wanted, until the server is known not to give them.
func TestInlineIsAskedOnce(t *testing.T) {
	inline := true
	s, a := answering(t, caldav.Config{}, func(c call) reply {
		if inline && strings.Contains(c.body, "calendar-data") {
			return multistatus(ok(cal+"1.ics", tag("1")+data("1")), ok(cal+"2.ics", tag("2")), token("t"))
		}
		return multistatus(ok(cal+"1.ics", tag("1")), token("t"))
	})
	poll(t, a, connector.Query{Fresh: true}).mustBe(t, "t", presences{cal + "1.ics": 1, cal + "2.ics": 1})
	if m := s.calls("multiget"); len(m) != 1 || len(hrefsOf(m[0])) != 1 {
		t.Errorf("the one without a body alone is fetched: %+v", m)
	}
	poll(t, a, connector.Query{})
	if strings.Contains(s.calls("sync")[1].body, "calendar-data") {
		t.Error("a comparison downloads bodies")
	}

	inline = false
	s, a = answering(t, caldav.Config{}, func(call) reply { return multistatus(ok(cal+"1.ics", tag("1")), token("t")) })
	for range 3 {
		poll(t, a, connector.Query{Fresh: true}).mustBe(t, "t", presences{cal + "1.ics": 1})
	}
	asked := 0
	for _, c := range s.calls("sync") {
		if strings.Contains(c.body, "calendar-data") {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// A listing fetches what is needed, a delta everything it lists; what is pending comes with both.
func TestWhatIsFetched(t *testing.T) {
	s, a := answering(t, caldav.Config{}, func(call) reply {
		return multistatus(ok(cal+"1.ics", tag("1")), ok(cal+"2.ics", tag("2")), token("t"))
	})
	none := func(string, string) bool { return false }
	poll(t, a, connector.Query{Needs: none, Pending: []string{cal + "2.ics", cal + "3.ics"}}).mustBe(t, "t", presences{cal + "1.ics": connector.Listed, cal + "2.ics": connector.Read})
	poll(t, a, connector.Query{Needs: none, Token: "old", Pending: []string{cal + "3.ics"}}).mustBe(t, "t", presences{cal + "1.ics": 1, cal + "2.ics": 1, cal + "3.ics": 1})
	before := s.kinds()["multiget"]
	poll(t, a, connector.Query{Needs: none})
	if got := s.kinds()["multiget"]; got != before {
		t.Errorf("%d multigets for nothing", got-before)
	}
}

func TestSyncAnswersThatProveNothing(t *testing.T) {
	tests := map[string]reply{
		"no token":          multistatus(ok(cal+"1.ics", tag("1"))),
		"empty":             {body: ""},
		"empty multistatus": multistatus(),
		"not XML":           {body: "hello"},
		"another root":      {body: `<d:propfind xmlns:d="DAV:"/>`},
		"no namespace":      {body: `<multistatus><sync-token>t</sync-token></multistatus>`},
		"malformed":         {body: `<d:multistatus xmlns:d="DAV:"><d:response><d:href>/cal/1.ics</d:x></d:response>` + token("t") + `</d:multistatus>`},
		"cut":               {body: strings.TrimSuffix(multistatus(ok(cal+"1.ics", tag("1")), token("t")).body, "</d:multistatus>")},
		"a status of words": multistatus(`<d:response><d:href>/cal/1.ics</d:href><d:status>gone</d:status></d:response>`, token("t")),
		"other paths only":  multistatus(ok("/prefix/cal/1.ics", tag("1")), ok("/prefix/cal/2.ics", tag("1")), token("t")),
		"200":               {status: 200, body: multistatus(token("t")).body},
	}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			_, a := answering(t, caldav.Config{}, func(call) reply { return r })
			for _, tok := range []string{"", "old"} {
				got := poll(t, a, connector.Query{Token: tok})
				if got.err == nil || got.token() != "" || errors.Is(got.err, connector.ErrTokenInvalid) || errors.Is(got.err, connector.ErrGone) {
					t.Errorf("token %q: %v, %+v", tok, got.err, got.pages)
				}
			}
		})
	}
}

// XML as servers write it.
func TestDialects(t *testing.T) {
	tests := map[string]reply{
		"default namespace": {body: `<multistatus xmlns="DAV:"><response><href>/cal/1.ics</href><propstat><prop><getetag>W/"x"</getetag></prop><status>HTTP/1.1 200 OK</status></propstat></response><sync-token>t</sync-token></multistatus>`},
		"another prefix":    {body: `<?xml version="1.0"?><ns0:multistatus xmlns:ns0="DAV:"><ns0:sync-token>t</ns0:sync-token><ns0:response><ns0:href>/cal/1.ics</ns0:href><ns0:propstat><ns0:status>HTTP/1.1 200 OK</ns0:status><ns0:prop><ns0:getetag>x</ns0:getetag></ns0:prop></ns0:propstat></ns0:response></ns0:multistatus>`},
		"no reason phrase":  multistatus(strings.ReplaceAll(ok(cal+"1.ics", tag("1")), "200 OK", "200"), token("t")),
		"no ETag":           multistatus(ok(cal+"1.ics", ""), token("t")),
		"CDATA":             multistatus(`<d:response><d:href><![CDATA[/cal/1.ics]]></d:href><d:propstat><d:prop/><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>`, token("<![CDATA[t]]>")),
		"latin1":            {body: `<?xml version="1.0" encoding="ISO-8859-1"?><d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">` + ok(cal+"1.ics", "<d:displayname>\xe9</d:displayname>") + token("t") + `</d:multistatus>`},
		"spaces":            multistatus("\n <d:response>\n <d:href>\n/cal/1.ics </d:href><d:propstat><d:prop/><d:status> HTTP/1.1  200  OK </d:status></d:propstat></d:response>", token("\n t\n")),
	}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			_, a := answering(t, caldav.Config{}, func(call) reply { return r })
			poll(t, a, connector.Query{}).mustBe(t, "t", presences{cal + "1.ics": connector.Read})
		})
	}
}
