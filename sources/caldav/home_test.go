package caldav_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/caldav"
)

const (
	toPrincipal = `<d:current-user-principal><d:href>/p/alice/</d:href></d:current-user-principal>`
	isCalendar  = `<d:resourcetype><d:collection/><c:calendar/></d:resourcetype>`
)

func homeSet(hrefs ...string) string {
	return `<c:calendar-home-set><d:href>` + strings.Join(hrefs, `</d:href><d:href>`) + `</d:href></c:calendar-home-set>`
}

// site answers PROPFINDs: path, with the depth where it is 1, to an answer.
func site(t *testing.T, pages map[string]reply) *script {
	t.Helper()
	return serveScript(t, func(c call) reply {
		key := c.path
		if c.depth == "1" {
			key += " 1"
		}
		if r, ok := pages[key]; ok && c.method == "PROPFIND" {
			return r
		}
		return reply{status: http.StatusNotFound}
	})
}

func at(path, props string) reply { return multistatus(ok(path, props)) }

var principal = at("/p/alice/", `<d:resourcetype><d:principal/></d:resourcetype>`+homeSet("/h/"))

func to(path string) reply {
	return reply{status: 301, header: map[string]string{"Location": path}}
}

func TestDiscovery(t *testing.T) {
	home := multistatus(ok("/h/", ""), ok("/h/work/", isCalendar), ok("/h/inbox/", `<d:resourcetype><d:collection/><c:schedule-inbox/></d:resourcetype>`))
	tests := map[string]struct {
		given string
		pages map[string]reply
		homes []string
	}{
		"root":                     {"/", map[string]reply{"/": at("/", toPrincipal)}, []string{"/h/"}},
		"principal":                {"/p/alice/", map[string]reply{}, []string{"/h/"}},
		"home":                     {"/h/", map[string]reply{"/h/": at("/h/", toPrincipal)}, []string{"/h/"}},
		"calendar":                 {"/h/work/", map[string]reply{"/h/work/": at("/h/work/", isCalendar)}, []string{"/h/work/"}},
		"well-known":               {"/", map[string]reply{"/.well-known/caldav": to("/dav"), "/dav": to("/dav/"), "/dav/": at("/dav/", toPrincipal)}, []string{"/h/"}},
		"root is a page":           {"/", map[string]reply{"/": {status: 200, body: "<html/>"}, "/.well-known/caldav": to("/dav/"), "/dav/": at("/dav/", toPrincipal)}, []string{"/h/"}},
		"root after a wrong path":  {"/wrong/", map[string]reply{"/": at("/", toPrincipal)}, []string{"/h/"}},
		"another's home":           {"/h2/", map[string]reply{"/h2/": at("/h2/", toPrincipal), "/h2/ 1": multistatus(ok("/h2/", ""), ok("/h2/c/", isCalendar))}, []string{"/h2/"}},
		"a home without principal": {"/h/", map[string]reply{"/h/": at("/h/", "")}, []string{"/h/"}},
		"two homes":                {"/two/", map[string]reply{"/two/": at("/two/", homeSet("/h/", "/h2", "/h/")), "/h2/ 1": multistatus(ok("/h2/", ""))}, []string{"/h/", "/h2/"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pages := map[string]reply{"/p/alice/": principal, "/h/ 1": home}
			for k, v := range tt.pages {
				pages[k] = v
			}
			s := site(t, pages)
			a := account(t, caldav.Config{URL: s.URL + tt.given})
			d, err := a.Describe(t.Context())
			if err != nil || !slices.Equal(d.Homes, tt.homes) || len(d.Collections) != 1 {
				t.Fatalf("%+v, %v", d, err)
			}
			before := len(s.seen)
			if err := a.Connect(t.Context()); err != nil || len(s.seen) != before {
				t.Errorf("connecting again: %d requests, %v", len(s.seen)-before, err)
			}
		})
	}
}

func TestDiscoveryFails(t *testing.T) {
	other := serveScript(t, func(call) reply { return multistatus(ok("/h/", "")) })
	tests := map[string]struct {
		pages map[string]reply
		want  string
	}{
		"nothing there":             {map[string]reply{}, "check the url"},
		"wrong password":            {map[string]reply{"/": {status: 401}}, "check the username"},
		"web page":                  {map[string]reply{"/": {status: 200, header: map[string]string{"Content-Type": "text/html"}}}, `"text/html"`},
		"home on another host":      {map[string]reply{"/": at("/", homeSet("/h/", "http://elsewhere.example/h/"))}, "another host"},
		"home on another port":      {map[string]reply{"/": at("/", homeSet(other.URL+"/h/")), "/h/ 1": multistatus(ok("/h/", ""))}, ""},
		"principal on another host": {map[string]reply{"/": at("/", `<d:current-user-principal><d:href>https://elsewhere.example/p/</d:href></d:current-user-principal>`)}, "another host"},
		"no home":                   {map[string]reply{"/": at("/", toPrincipal), "/p/alice/": at("/p/alice/", "")}, "calendar-home-set"},
		"server down":               {map[string]reply{"/": {status: 503}}, "503"},
		"empty":                     {map[string]reply{"/": multistatus()}, "empty"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := site(t, tt.pages)
			err := account(t, caldav.Config{URL: s.URL}).Connect(t.Context())
			if tt.want == "" { // the port of a home is not believed: it is looked for on the configured one
				if err != nil || len(other.seen) > 0 {
					t.Errorf("%v, %d requests elsewhere", err, len(other.seen))
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v lacks %q", err, tt.want)
			}
		})
	}
}

func hashOf(t *testing.T, cfg caldav.Config) string {
	t.Helper()
	a := account(t, cfg)
	if err := a.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a.ConfigHash(connector.Events)
}

// The hash depends on server, principal and components, not on the way there.
func TestConfigHash(t *testing.T) {
	pages := map[string]reply{"/": at("/", toPrincipal), "/p/alice/": principal, "/b/": at("/b/", `<d:current-user-principal><d:href>/p/bob/</d:href></d:current-user-principal>`),
		"/p/bob/": at("/p/bob/", homeSet("/h/")), "/.well-known/caldav": to("/")}
	url := site(t, pages).URL
	base := hashOf(t, caldav.Config{URL: url})
	for _, same := range []caldav.Config{{URL: url + "/"}, {URL: url + "/p/alice/"}, {URL: url, Components: []string{"VEVENT"}, Concurrency: 2, Raw: true}} {
		if hashOf(t, same) != base {
			t.Errorf("%+v has another hash", same)
		}
	}
	for _, other := range []caldav.Config{{URL: url + "/b/"}, {URL: url, Components: []string{"VTODO"}}, {URL: url, Components: []string{"VTODO", "VEVENT"}}} {
		if hashOf(t, other) == base {
			t.Errorf("%+v has the same hash", other)
		}
	}
	if hashOf(t, caldav.Config{URL: url, Components: []string{"VTODO", "VEVENT"}}) != hashOf(t, caldav.Config{URL: url, Components: []string{"VEVENT", "VTODO"}}) {
		t.Error("the order of components matters")
	}
}

var calendarsOf = connector.Stream{Source: "work", Account: "alice", Kind: connector.Calendars}

func TestCalendarRows(t *testing.T) {
	full := isCalendar + `<d:displayname>Work &amp; play</d:displayname><c:calendar-description>d</c:calendar-description>` +
		`<a:calendar-color xmlns:a="http://apple.com/ns/ical/">#ff0000</a:calendar-color>` +
		"<c:calendar-timezone>BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nEND:VTIMEZONE\r\nEND:VCALENDAR</c:calendar-timezone>" +
		`<c:supported-calendar-component-set><c:comp name="VTODO"/><c:comp name="VEVENT"/></c:supported-calendar-component-set>` +
		`<d:current-user-privilege-set><d:privilege><d:read/></d:privilege><d:privilege><d:write/></d:privilege></d:current-user-privilege-set>` +
		`<d:owner><d:href>/p/alice</d:href></d:owner>` +
		`<d:supported-report-set><d:supported-report><d:sync-collection/></d:supported-report></d:supported-report-set>` +
		`<d:sync-token>s1</d:sync-token><cs:getctag>c1</cs:getctag>`
	home := multistatus(ok("/h/", ""), ok("/h/full/", full),
		ok("/h/b%C3%BCro", isCalendar+`<cs:getctag>1780000000</cs:getctag><d:current-user-privilege-set><d:privilege><d:read/></d:privilege></d:current-user-privilege-set>`),
		ok("/h/todo/", isCalendar+`<c:supported-calendar-component-set><c:comp name="VTODO"/></c:supported-calendar-component-set>`),
		ok("/h/unwanted/", isCalendar), status("/h/closed/", 403),
		ok("/h/inbox/", `<d:resourcetype><d:collection/><c:schedule-inbox/></d:resourcetype>`))
	s := site(t, map[string]reply{"/": at("/", toPrincipal), "/p/alice/": principal, "/h/ 1": home})
	a := account(t, caldav.Config{URL: s.URL, Follow: func(id, _ string) bool { return id != "/h/unwanted/" }})
	got := poll(t, a, connector.Query{Stream: calendarsOf})
	got.mustBe(t, got.token(), presences{"/h/full/": connector.Read, "/h/büro/": connector.Read, "/h/todo/": connector.Ignored, "/h/unwanted/": connector.Ignored})
	if h := got.res["/h/full/"].Hint; h != (connector.Hint{Value: "s1"}) {
		t.Errorf("hint %+v", h)
	}
	if h := got.res["/h/büro/"].Hint; h != (connector.Hint{Value: "1780000000", Coarse: 2 * time.Second}) {
		t.Errorf("hint %+v", h)
	}
	want := `{"source":"work","account":"alice","collection":"/h/full/","name":"Work & play","description":"d","color":"#ff0000","timezone":"Europe/Berlin",` +
		`"access_role":"owner","primary":false,"components":["VEVENT","VTODO"],"sync":"sync-collection","href":"/h/full/","raw":null}`
	if row := string(got.res["/h/full/"].Rows[0].JSON); row != want {
		t.Errorf("row %s\nwant %s", row, want)
	}
	var row connector.Calendar
	if err := json.Unmarshal(got.res["/h/büro/"].Rows[0].JSON, &row); err != nil {
		t.Fatal(err)
	}
	if row.Name != nil || row.Sync != "ctag" || *row.AccessRole != "reader" || *row.Href != "/h/b%C3%BCro" {
		t.Errorf("%+v", row)
	}
	before := len(s.seen)
	poll(t, a, connector.Query{Stream: calendarsOf})
	if n := len(s.seen) - before; n != 1 {
		t.Errorf("an idle look at the home takes %d requests", n)
	}
}

// Errors of a home are errors: they show nothing, so they delete nothing.
func TestHomesThatCannotBeListed(t *testing.T) {
	tests := map[string]reply{
		"401": {status: 401}, "403": {status: 403}, "404": {status: 404}, "500": {status: 500}, "200": {status: 200, body: "<html/>"},
		"empty": multistatus(), "no body": {}, "without itself": multistatus(ok("/h/work/", isCalendar)), "404 within": multistatus(status("/h/", 404)),
		"cut": {body: strings.TrimSuffix(multistatus(ok("/h/", "")).body, "</d:multistatus>")}, "moved": to("/elsewhere/"),
	}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			pages := map[string]reply{"/": at("/", homeSet("/h/", "/h2/")), "/h/ 1": multistatus(ok("/h/", ""), ok("/h/work/", isCalendar)), "/h2/ 1": multistatus(ok("/h2/", "")),
				"/elsewhere/ 1": multistatus(ok("/elsewhere/", ""))}
			a := account(t, caldav.Config{URL: site(t, pages).URL})
			if got := poll(t, a, connector.Query{Stream: calendarsOf}); got.err != nil || len(got.by) != 1 {
				t.Fatalf("%v, %v", got.by, got.err)
			}
			pages["/h/ 1"] = r
			if got := poll(t, a, connector.Query{Stream: calendarsOf}); got.err == nil || len(got.pages) > 0 || errors.Is(got.err, connector.ErrTokenInvalid) {
				t.Errorf("%v, %+v", got.err, got.pages)
			}
		})
	}
}

// A home that has moved is looked for again.
func TestHomeMoves(t *testing.T) {
	pages := map[string]reply{"/": at("/", homeSet("/h/")), "/h/ 1": multistatus(ok("/h/", ""), ok("/h/work/", isCalendar))}
	a := account(t, caldav.Config{URL: site(t, pages).URL})
	poll(t, a, connector.Query{Stream: calendarsOf})
	delete(pages, "/h/ 1")
	pages["/"], pages["/n/ 1"] = at("/", homeSet("/n/")), multistatus(ok("/n/", ""), ok("/n/work/", isCalendar))
	if got := poll(t, a, connector.Query{Stream: calendarsOf}); got.err == nil {
		t.Fatal("no error")
	}
	got := poll(t, a, connector.Query{Stream: calendarsOf})
	got.mustBe(t, got.token(), presences{"/n/work/": connector.Read})
}
