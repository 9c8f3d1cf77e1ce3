package davserver_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/calcdc/calcdc/internal/davserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a server on loopback with one calendar of alice's, work.
type fixture struct {
	*davserver.Server
	t      *testing.T
	url    string
	client *http.Client
}

func start(t *testing.T, o davserver.Options) fixture {
	t.Helper()
	o.Users = map[string]string{"alice": "secret", "bob": "hidden"}
	s := davserver.New(o)
	s.MakeCalendar("alice", "work", "Work & play")
	url, client := serve(t, s)
	return fixture{s, t, url, client}
}

// serve runs s on loopback until the test ends.
func serve(t testing.TB, s *davserver.Server) (url string, client *http.Client) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	client = &http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String(), client
}

// reply is an answer without its body.
type reply struct {
	Status     string
	StatusCode int
	Header     http.Header
}

// do sends a raw request as alice.
func (f fixture) do(method, path, body string, header ...string) (reply, string) {
	f.t.Helper()
	req, err := http.NewRequest(method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	req.SetBasicAuth("alice", "secret")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := f.client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return reply{resp.Status, resp.StatusCode, resp.Header}, string(text)
}

// answer is a multistatus as these tests look at it.
type answer struct {
	Status int
	Token  string            // sync-token of the whole
	ETags  map[string]string // by href: members that are there
	Data   map[string]string // by href: calendar-data
	Gone   []string          // hrefs with status 404
	More   bool              // a 507 for the collection
	Text   string
}

func (f fixture) report(path, body string) answer {
	f.t.Helper()
	resp, text := f.do("REPORT", path, body, "Content-Type", "application/xml")
	a := answer{Status: resp.StatusCode, Text: text, ETags: map[string]string{}, Data: map[string]string{}}
	if resp.StatusCode != http.StatusMultiStatus {
		return a
	}
	var m struct {
		Token     string `xml:"sync-token"`
		Responses []struct {
			Href   string `xml:"href"`
			Status string `xml:"status"`
			Prop   struct {
				ETag string `xml:"getetag"`
				Data string `xml:"calendar-data"`
			} `xml:"propstat>prop"`
		} `xml:"response"`
	}
	if err := xml.Unmarshal([]byte(text), &m); err != nil {
		f.t.Fatalf("%v in %s", err, text)
	}
	a.Token = m.Token
	for _, r := range m.Responses {
		switch {
		case strings.Contains(r.Status, "507"):
			a.More = true
		case strings.Contains(r.Status, "404"):
			a.Gone = append(a.Gone, r.Href)
		default:
			a.ETags[r.Href] = r.Prop.ETag
			a.Data[r.Href] = r.Prop.Data
		}
	}
	return a
}

const work = "/alice/calendars/work/"

func (f fixture) sync(token string) answer { return f.syncLimit(token, "") }

func (f fixture) syncLimit(token, limit string) answer {
	f.t.Helper()
	return f.report(work, `<sync-collection xmlns="DAV:"><sync-token>`+token+`</sync-token><sync-level>1</sync-level>`+limit+
		`<prop><getetag/><calendar-data xmlns="urn:ietf:params:xml:ns:caldav"/></prop></sync-collection>`)
}

func (f fixture) multiget(hrefs ...string) answer {
	f.t.Helper()
	body := `<C:calendar-multiget xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><prop><getetag/><C:calendar-data/></prop>`
	for _, h := range hrefs {
		body += "<href>" + h + "</href>"
	}
	return f.report(work, body+"</C:calendar-multiget>")
}

func event(uid, summary string) []byte {
	return []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:t\r\nBEGIN:VEVENT\r\nUID:" + uid +
		"\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260602T080000Z\r\nSUMMARY:" + summary + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

func TestSyncTellsWhatChanged(t *testing.T) {
	f := start(t, davserver.Options{})
	f.Put("alice", "work", "a.ics", event("a", "one"))
	f.Put("alice", "work", "b.ics", event("b", "one"))
	all := f.sync("")
	if len(all.ETags) != 2 || all.Data[work+"a.ics"] != "" || all.Token == "" {
		t.Fatalf("%+v", all)
	}
	if quiet := f.sync(all.Token); len(quiet.ETags)+len(quiet.Gone) != 0 || quiet.Token != all.Token {
		t.Fatalf("%+v", quiet)
	}
	f.Put("alice", "work", "a.ics", event("a", "one")) // the same bytes
	f.Put("alice", "work", "b.ics", event("b", "two"))
	f.Put("alice", "work", "c.ics", event("c", "one"))
	f.Delete("alice", "work", "a.ics")
	delta := f.sync(all.Token)
	if len(delta.ETags) != 2 || delta.ETags[work+"b.ics"] == all.ETags[work+"b.ics"] || fmt.Sprint(delta.Gone) != "["+work+"a.ics]" {
		t.Fatalf("%+v", delta)
	}
	f.Put("alice", "work", "a.ics", event("a", "again"))
	if back := f.sync(all.Token); len(back.ETags) != 3 || len(back.Gone) != 0 {
		t.Fatalf("a member that is back is no deletion: %+v", back)
	}
	before := f.sync("")
	f.Touch("alice", "work", "b.ics")
	if touched := f.sync(before.Token); len(touched.ETags) != 1 || touched.ETags[work+"b.ics"] != before.ETags[work+"b.ics"] {
		t.Fatalf("%+v", touched)
	}
}

func TestPagesEndWith507AndLoseNothing(t *testing.T) {
	for name, o := range map[string]davserver.Options{"507": {PageLimit: 3}, "short": {PageLimit: 3, ShortPages: true}} {
		t.Run(name, func(t *testing.T) {
			f := start(t, o)
			for i := range 10 {
				f.Put("alice", "work", fmt.Sprintf("%d.ics", i), event("x", "y"))
			}
			seen, token := map[string]string{}, ""
			for pages := 1; ; pages++ {
				a := f.sync(token)
				maps.Copy(seen, a.ETags)
				if a.More == o.ShortPages && pages < 4 || len(a.ETags) > 3 || pages > 5 {
					t.Fatalf("page %d: %+v", pages, a)
				}
				if a.Token == token || !o.ShortPages && !a.More {
					break
				}
				token = a.Token
			}
			if len(seen) != 10 {
				t.Fatalf("%d of 10 members", len(seen))
			}
		})
	}
	f := start(t, davserver.Options{})
	f.Put("alice", "work", "a.ics", event("a", "b"))
	f.Put("alice", "work", "b.ics", event("a", "b"))
	if a := f.syncLimit("", "<limit><nresults>1</nresults></limit>"); len(a.ETags) != 1 || !a.More {
		t.Fatalf("the client's own limit: %+v", a)
	}
	refusing := start(t, davserver.Options{RefuseLimit: true})
	if a := refusing.syncLimit("", "<limit><nresults>1</nresults></limit>"); a.Status != http.StatusInsufficientStorage {
		t.Fatalf("%+v", a)
	}
}

func TestDeadTokens(t *testing.T) {
	f := start(t, davserver.Options{})
	f.Put("alice", "work", "a.ics", event("a", "one"))
	token := f.sync("").Token
	f.InvalidateTokens("alice", "work")
	for _, dead := range []string{token, "urn:never:seen", token + "9"} {
		if a := f.sync(dead); a.Status != http.StatusForbidden || !strings.Contains(a.Text, "<valid-sync-token/>") {
			t.Fatalf("%s: %+v", dead, a)
		}
	}
	f.MakeCalendar("alice", "work", "born again")
	if a := f.sync(f.sync("").Token); a.Status != http.StatusMultiStatus {
		t.Fatalf("%+v", a)
	}
	silent := start(t, davserver.Options{SilentForget: true})
	silent.Put("alice", "work", "a.ics", event("a", "one"))
	silent.Put("alice", "work", "b.ics", event("b", "one"))
	token = silent.sync("").Token
	silent.InvalidateTokens("alice", "work")
	silent.Delete("alice", "work", "a.ics")
	if a := silent.sync(token); a.Status != http.StatusMultiStatus || len(a.ETags) != 1 || a.Gone != nil {
		t.Fatalf("the deletion is kept silent: %+v", a)
	}
}

func TestHideBringsBackTheOldToken(t *testing.T) {
	f := start(t, davserver.Options{})
	token := f.sync("").Token
	f.Hide("alice", "work", http.StatusGone)
	if a := f.sync(token); a.Status != http.StatusGone {
		t.Fatalf("%+v", a)
	}
	if _, home := f.do("PROPFIND", "/alice/calendars/", "", "Depth", "1"); strings.Contains(home, work) {
		t.Fatal(home)
	}
	f.Hide("alice", "work", 0)
	if a := f.sync(token); a.Status != http.StatusMultiStatus {
		t.Fatalf("%+v", a)
	}
	f.DeleteCalendar("alice", "work")
	f.MakeCalendar("alice", "work", "another")
	if a := f.sync(token); a.Status != http.StatusForbidden {
		t.Fatalf("a namesake knows none of its tokens: %+v", a)
	}
}

func TestMultigetIsExact(t *testing.T) {
	f := start(t, davserver.Options{})
	body := []byte("BEGIN:VCALENDAR\r\nX:a<b>&\"c\"\nY\rZ ü\r\nEND:VCALENDAR")
	f.Put("alice", "work", "odd name@%.ics", body)
	href := work + "odd%20name@%25.ics"
	a := f.multiget(href, work+"missing.ics", "http://elsewhere.example"+work+"odd%20name%40%25.ics")
	if a.Data[href] != string(body) || fmt.Sprint(a.Gone) != "["+work+"missing.ics]" {
		t.Fatalf("%+v", a)
	}
	if got := f.List("alice", "work")["odd name@%.ics"]; string(got) != string(body) {
		t.Fatalf("%q", got)
	}
	bare := start(t, davserver.Options{BareCR: true, OmitMissing: true})
	bare.Put("alice", "work", "a.ics", body)
	if a := bare.multiget(work+"a.ics", work+"b.ics"); a.Data[work+"a.ics"] == string(body) || len(a.Gone) != 0 {
		t.Fatalf("parsers read a bare CR as a line feed: %+v", a)
	}
	strict := start(t, davserver.Options{MissingFails: true})
	if a := strict.multiget(work + "b.ics"); a.Status != http.StatusNotFound {
		t.Fatalf("%+v", a)
	}
}

func TestWithoutSync(t *testing.T) {
	f := start(t, davserver.Options{NoSync: true})
	f.Put("alice", "work", "a.ics", event("a", "one"))
	if a := f.sync(""); a.Status != http.StatusForbidden || !strings.Contains(a.Text, "supported-report") {
		t.Fatalf("%+v", a)
	}
	_, text := f.do("PROPFIND", work, "", "Depth", "1")
	if strings.Contains(text, "sync-") || !strings.Contains(text, "getctag") || !strings.Contains(text, work+"a.ics") {
		t.Fatal(text)
	}
}

func TestWhoMayCome(t *testing.T) {
	f := start(t, davserver.Options{Tokens: map[string]string{"t0ken": "alice"}})
	for name, c := range map[string]struct {
		path   string
		header string
		want   int
	}{
		"nobody":          {work, "", http.StatusUnauthorized},
		"wrong password":  {work, "Basic YWxpY2U6d3Jvbmc=", http.StatusUnauthorized},
		"bearer":          {work, "Bearer t0ken", http.StatusMultiStatus},
		"wrong bearer":    {work, "Bearer other", http.StatusUnauthorized},
		"somebody else's": {"/bob/calendars/", "Bearer t0ken", http.StatusForbidden},
	} {
		req, _ := http.NewRequest("PROPFIND", f.url+c.path, nil)
		req.Header.Set("Authorization", c.header)
		resp, err := f.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", name, resp.Status, c.want)
		}
	}
	if resp, err := f.client.Do(mustRequest("PROPFIND", f.url+"/.well-known/caldav")); err != nil || resp.StatusCode != http.StatusMovedPermanently {
		t.Errorf("%v %v", resp, err)
	} else {
		resp.Body.Close()
	}
}

func mustRequest(method, url string) *http.Request {
	req, _ := http.NewRequest(method, url, nil)
	return req
}
