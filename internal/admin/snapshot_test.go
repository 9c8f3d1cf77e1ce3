package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
)

// asked are the signals that were sent.
type asked struct {
	signals []connector.Signal
	err     error
}

func (s *asked) send(_ context.Context, signal connector.Signal) error {
	s.signals = append(s.signals, signal)
	return s.err
}

// snapshots is an Admin that takes requests for two connectors.
func snapshots(t *testing.T) (*asked, func(*http.Request) (int, map[string]any)) {
	a, s := New("1", hclog.NewNullLogger()), &asked{}
	a.TakeSnapshots(map[string]Connector{
		"work": {Accounts: []string{"alice"}, Topics: map[connector.Kind]string{"events": "cal.work.events", "calendars": "cal.work.calendars"}},
		"team": {Topics: map[connector.Kind]string{"events": "t.events", "acl": "t.acl", "settings": "t.settings"}},
	}, s.send)
	return s, func(r *http.Request) (int, map[string]any) {
		t.Helper()
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil && w.Header().Get("Content-Type") == "application/json" {
			t.Errorf("%v: %s", err, w.Body)
		}
		return w.Code, answer
	}
}

func post(name, body string) *http.Request {
	return httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8083/connectors/"+name+"/snapshot", strings.NewReader(body))
}

func TestSnapshotRequests(t *testing.T) {
	for body, want := range map[string]connector.Signal{
		`{"account": "alice", "collection": "/alice/work/"}`: {Account: "alice", Collection: "/alice/work/", Topics: []string{"cal.work.events"}},
		`{"source": "work", "stream": "calendars"}`:          {Topics: []string{"cal.work.calendars"}},
		`{}`: {Topics: []string{"cal.work.calendars", "cal.work.events"}},
		"":   {Topics: []string{"cal.work.calendars", "cal.work.events"}},
	} {
		s, ask := snapshots(t)
		code, answer := ask(post("work", body))
		if code != http.StatusAccepted || len(s.signals) != 1 {
			t.Errorf("%s: %d %v", body, code, answer)
			continue
		}
		got := s.signals[0]
		if got.ID == "" || answer["signal"] != got.ID || got.Type != connector.ExecuteSnapshot {
			t.Errorf("%s: %v, signal %+v", body, answer, got)
		}
		if got.ID, got.Type = "", ""; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: signal %+v, want %+v", body, got, want)
		}
	}
}

func TestSnapshotRequestsRefused(t *testing.T) {
	for _, c := range []struct {
		name, body string
		code       int
		says       string
	}{
		{"other", "{}", 404, `connector "other" not found: there are team, work`},
		{"work", `{"source": "team"}`, 400, "is not this connector"},
		{"work", `{"account": "bob"}`, 400, `account "bob" is none`},
		{"work", `{"stream": "acl"}`, 400, "there are [calendars events]"},
		{"work", `{"stream": "calendars", "collection": "/a/"}`, 400, "there are [events]"},
		{"work", `{"acount": "alice"}`, 400, "unknown field"},
		{"work", `{"account": 1}`, 400, "cannot unmarshal"},
		{"work", `{"account": "alice"`, 400, "unexpected EOF"},
		{"work", `["alice"]`, 400, "cannot unmarshal"},
		{"work", `{} {}`, 400, "something follows"},
		{"work", `{} ]`, 400, "reading the body"},
		{"work", `{"account": "` + strings.Repeat("a", maxRequest) + `"}`, 400, "too large"},
		{"team", `{"account": "` + strings.Repeat("a", 5000) + `"}`, 400, "more than 4096 bytes"},
		{"team", `{"collection": "` + strings.Repeat("a", 5000) + `"}`, 400, "more than 4096 bytes"},
	} {
		s, ask := snapshots(t)
		code, answer := ask(post(c.name, c.body))
		if text, _ := answer["message"].(string); code != c.code || answer["error_code"] != float64(c.code) || !strings.Contains(text, c.says) || len(s.signals) > 0 {
			t.Errorf("%s %.60s: %d %v, %d signals", c.name, c.body, code, answer, len(s.signals))
		}
	}
}

func TestSnapshotWithoutKafka(t *testing.T) {
	s, ask := snapshots(t)
	s.err = errors.New("no broker answers")
	if code, answer := ask(post("work", "")); code != http.StatusServiceUnavailable || answer["message"] != "no broker answers" {
		t.Errorf("%d %v", code, answer)
	}
}

// A page of another site in somebody's browser asks for nothing, and reading asks for nothing either.
func TestSnapshotsOfStrangers(t *testing.T) {
	s, ask := snapshots(t)
	foreign := post("work", "")
	foreign.Header.Set("Origin", "https://elsewhere.example")
	if code, _ := ask(foreign); code != http.StatusForbidden {
		t.Errorf("another site: %d", code)
	}
	if code, _ := ask(httptest.NewRequest(http.MethodGet, "/connectors/work/snapshot", nil)); code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", code)
	}
	for _, host := range []string{"elsewhere.example", "elsewhere.example:8083", "127.0.0.1.elsewhere.example", "localhost.elsewhere.example:8083", ""} {
		rebound := post("work", "") // a page whose name came to stand for this machine
		rebound.Host = host
		rebound.Header.Set("Origin", "http://"+host)
		rebound.Header.Set("Sec-Fetch-Site", "same-origin")
		if code, answer := ask(rebound); code != http.StatusForbidden || answer["error_code"] != 403.0 {
			t.Errorf("host %q: %d %v", host, code, answer)
		}
	}
	if len(s.signals) > 0 {
		t.Errorf("sent: %+v", s.signals)
	}
	for _, host := range []string{"localhost", "LocalHost:8083", "127.0.0.1", "127.0.0.1:8083", "[::1]:8083", "[::1]"} {
		r := post("work", "")
		r.Host = host
		if code, answer := ask(r); code != http.StatusAccepted {
			t.Errorf("host %q: %d %v", host, code, answer)
		}
	}
}
