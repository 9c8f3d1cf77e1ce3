package google

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/googleserver"
	"github.com/calcdc/calcdc/internal/oauthserver"
)

const (
	bob   = "bob@example.org"
	admin = "admin@example.org"
)

// signing is a calendar server that takes the tokens of a token server.
type signing struct {
	*googleserver.Server
	oauth *oauthserver.Server
	dir   string
	url   string // of the calendar server
	base  string // of the token server
}

func signed(t *testing.T, o googleserver.Options) *signing {
	t.Helper()
	users := []oauthserver.User{{Email: alice}, {Email: bob}, {Email: admin, Admin: true}, {Email: "gone@example.org", Suspended: true}}
	oauth, err := oauthserver.New(oauthserver.Options{Users: users})
	must(t, err)
	bearer := func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") }
	o.Authenticate = func(r *http.Request) (string, bool) { return oauth.Valid(bearer(r)) }
	o.Scopes = func(r *http.Request) (granted []string) {
		for _, scope := range []string{readScope, rulesScope} {
			if _, ok := oauth.Valid(bearer(r), scope); ok {
				granted = append(granted, scope)
			}
		}
		return granted
	}
	srv, url := serve(t, o)
	must(t, srv.AddUser(bob))
	s := &signing{Server: srv, oauth: oauth, dir: t.TempDir(), url: url}
	s.base = listen(t, oauth.Serve)
	return s
}

// service signs in by a service account's key.
func (s *signing) service(t *testing.T, cfg Config) *Service {
	t.Helper()
	cfg.Source, cfg.Endpoint = "team", googleserver.Endpoint(s.url)
	if cfg.Credentials.File == "" {
		cfg.Credentials.File = filepath.Join(s.dir, "key.json")
		must(t, s.oauth.WriteServiceAccount(cfg.Credentials.File, s.base))
	}
	service, err := New(cfg, nil)
	must(t, err)
	t.Cleanup(service.CloseIdleConnections)
	return service
}

func names(all []*Account) string {
	var b []string
	for _, a := range all {
		b = append(b, a.Name())
	}
	return strings.Join(b, " ")
}

// TestSubjects: each subject has tokens of its own, and stays the same account.
func TestSubjects(t *testing.T) {
	s := signed(t, googleserver.Options{})
	s.oauth.Delegate("*", readScope, rulesScope)
	service := s.service(t, Config{Subjects: []string{bob, alice}})
	all, err := service.Accounts(t.Context())
	if err != nil || names(all) != bob+" "+alice {
		t.Fatalf("%s, %v", names(all), err)
	}
	again, err := service.Accounts(t.Context())
	if err != nil || again[0] != all[0] || again[1] != all[1] {
		t.Errorf("found again: %v, %v", again, err)
	}
	for _, a := range all {
		must(t, a.Connect(t.Context()))
		shown, _, err := show(t, a, connector.Query{Stream: connector.Stream{Source: "team", Account: a.Name(), Kind: connector.Calendars}})
		if err != nil || shown[0].ID != a.Name() {
			t.Errorf("%s: %s, %v", a.Name(), words(shown), err)
		}
	}
	if all[0].ConfigHash(connector.Events) == all[1].ConfigHash(connector.Events) {
		t.Error("two subjects have one hash")
	}
}

// TestDomain: the directory's users are accounts; one that is found again is the same.
func TestDomain(t *testing.T) {
	s := signed(t, googleserver.Options{})
	s.oauth.Delegate(admin, "https://www.googleapis.com/auth/admin.directory.user.readonly")
	service := s.service(t, Config{Domain: &Domain{Admin: admin, Endpoint: s.base + "/"}})
	all, err := service.Accounts(t.Context())
	if err != nil || names(all) != "admin@example.org alice@example.org bob@example.org" {
		t.Fatalf("%s, %v", names(all), err)
	}
	long := strings.Repeat("x", maxName) + "@example.org"
	s.oauth.SetUsers([]oauthserver.User{{Email: bob}, {Email: admin, Admin: true}, {Email: "carol@example.org"}, {Email: long}})
	again, err := service.Accounts(t.Context())
	if err != nil || names(again) != "admin@example.org bob@example.org carol@example.org" || again[0] != all[0] || again[1] != all[2] {
		t.Errorf("%s, %v", names(again), err)
	}
	s.oauth.Withdraw(admin)
	s.oauth.RevokeAll("")
	if all, err := service.Accounts(t.Context()); err == nil || len(all) > 0 || !strings.Contains(err.Error(), "admin.directory.user.readonly") {
		t.Errorf("%d accounts, %v", len(all), err)
	}
}

// TestTokenExpires: a token that is refused in the middle of a listing is replaced, and nothing is lost or shown twice.
func TestTokenExpires(t *testing.T) {
	var answered func()
	s := signed(t, googleserver.Options{PageLimit: 100, Seen: func(r googleserver.Request) {
		if answered != nil && r.Kind == googleserver.EventsList {
			answered()
		}
	}})
	for i := range 1000 {
		_, err := s.PutEvent(alice, team, single(fmt.Sprintf("event%04d", i), "text"))
		must(t, err)
	}
	s.oauth.Delegate("*", readScope)
	all, err := s.service(t, Config{Subjects: []string{alice}}).Accounts(t.Context())
	must(t, err)
	n := 0
	answered = func() {
		if n++; n%3 == 0 {
			s.oauth.RevokeAll(alice)
		}
	}
	shown, last, err := show(t, all[0], connector.Query{Stream: stream(connector.Events, team)})
	if err != nil || len(shown) != 1000 || !last.Listing {
		t.Errorf("%d resources, listing %v, %v", len(shown), last.Listing, err)
	}
	if tokens := s.oauth.Counts()[oauthserver.JWTBearer]; tokens < 3 {
		t.Errorf("%d tokens", tokens)
	}

	n = 0
	answered = func() {
		if n++; n == 4 {
			s.oauth.RevokeAll(alice)
			s.oauth.Withdraw("*")
		}
	}
	_, last, err = show(t, all[0], connector.Query{Stream: stream(connector.Events, team)})
	if err == nil || last.Token != "" || !strings.Contains(err.Error(), readScope) || errors.Is(err, connector.ErrTokenInvalid) {
		t.Errorf("withdrawn: %q, %v", last.Token, err)
	}
}

// TestScopeNotGranted: a scope that is not granted fails its stream alone, and is named with what to do.
func TestScopeNotGranted(t *testing.T) {
	s := signed(t, googleserver.Options{})
	s.oauth.Delegate("*", readScope)
	all, err := s.service(t, Config{Subjects: []string{alice}}).Accounts(t.Context())
	must(t, err)
	a := all[0]
	must(t, a.Connect(t.Context()))
	for _, p := range a.Probe(t.Context()) {
		if p.Kind != connector.ACL {
			must(t, p.Err)
			continue
		}
		if p.Err == nil || !strings.Contains(p.Err.Error(), rulesScope) || !strings.Contains(p.Err.Error(), oauthserver.DefaultClientID) {
			t.Errorf("%v", p.Err)
		}
	}
	if _, _, err := show(t, a, connector.Query{Stream: stream(connector.ACL, team)}); err == nil {
		t.Error("rules could be listed")
	}
	follow(t, a, stream(connector.Events, team), "")
	s.oauth.Delegate("*", rulesScope)
	for _, p := range a.Probe(t.Context()) {
		must(t, p.Err)
	}
	if got, _, _ := follow(t, a, stream(connector.ACL, team), ""); got != "user:alice@example.org read" {
		t.Errorf("rules: %s", got)
	}
}

// TestSignIn: an authorised user is the account of its primary calendar; one whose sign-in has ended says so.
func TestSignIn(t *testing.T) {
	s := signed(t, googleserver.Options{})
	file := filepath.Join(s.dir, "user.json")
	refresh := s.oauth.SignIn(alice, readScope)
	must(t, s.oauth.WriteAuthorizedUser(file, s.base, refresh))
	service := s.service(t, Config{Credentials: Credentials{File: file}})
	all, err := service.Accounts(t.Context())
	if err != nil || names(all) != alice {
		t.Fatalf("%s, %v", names(all), err)
	}
	again, err := service.Accounts(t.Context())
	if err != nil || again[0] != all[0] {
		t.Errorf("found again: %v, %v", again, err)
	}
	must(t, all[0].Connect(t.Context()))
	for _, p := range all[0].Probe(t.Context()) {
		if (p.Err != nil) != (p.Kind == connector.ACL) {
			t.Errorf("%s: %v", p.Kind, p.Err)
		}
	}
	s.oauth.RevokeAll("")
	s.oauth.RevokeSignIn(refresh)
	all[0].setReached(false)
	for what, err := range map[string]error{"finding": second(service.Accounts(t.Context())), "connecting": all[0].Connect(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "sign in again") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestOtherAccount: credentials that have become somebody else's are not taken for the same account.
func TestOtherAccount(t *testing.T) {
	who := alice
	a, s := scripted(t, Config{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, `{"id":%q}`, who) })
	must(t, a.Connect(t.Context()), a.Connect(t.Context()))
	if len(s.seen) != 1 {
		t.Errorf("connecting twice took %d requests", len(s.seen))
	}
	a.setReached(false)
	who = bob
	if err := a.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), bob) {
		t.Errorf("%v", err)
	}
	service := a.service
	if all, err := service.Accounts(t.Context()); err != nil || names(all) != bob {
		t.Errorf("%s, %v", names(all), err)
	}
	for _, id := range []string{"", strings.Repeat("x", 200), "a\nb"} {
		who = id
		if all, err := service.Accounts(t.Context()); err == nil {
			t.Errorf("%q is an account: %s", id, names(all))
		}
	}
}

// TestPrimaryNotListed: a service account's own calendar may be missing from its list.
func TestPrimaryNotListed(t *testing.T) {
	a, _ := scripted(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "calendarList") {
			refuse(w, 404, "notFound")
			return
		}
		fmt.Fprint(w, `{"id":"sa@x.iam.gserviceaccount.com","summary":"sa"}`)
	})
	if all, err := a.service.Accounts(t.Context()); err != nil || names(all) != "sa@x.iam.gserviceaccount.com" {
		t.Errorf("%s, %v", names(all), err)
	}
}

// Test401: a token that is refused is asked for again, and then the account has to be reached again.
func Test401(t *testing.T) {
	status := 200
	a, s := scripted(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if status != 200 {
			refuse(w, status, "authError")
			return
		}
		fmt.Fprintf(w, `{"id":%q,"items":[],"nextSyncToken":"x"}`, alice)
	})
	must(t, a.Connect(t.Context()))
	status = 401
	if _, _, err := show(t, a, connector.Query{Stream: stream(connector.Events, team)}); err == nil {
		t.Error("no error")
	}
	n := len(s.seen)
	if err := a.Connect(t.Context()); err == nil || len(s.seen) == n {
		t.Errorf("connecting: %v", err)
	}
}
