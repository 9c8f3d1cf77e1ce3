package auth

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/calcdc/calcdc/internal/oauthserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	calendarScope = "https://www.googleapis.com/auth/calendar.readonly"
	aclScope      = "https://www.googleapis.com/auth/calendar.acls.readonly"
	alice, bob    = "alice@example.org", "bob@example.org"
	machine       = "machine@calcdc-test.iam.gserviceaccount.com"
)

// tokenServer is one with alice (an admin), bob, and carol, who is suspended.
func tokenServer(t testing.TB) *oauthserver.Server {
	t.Helper()
	s, err := oauthserver.New(oauthserver.Options{
		Users:   []oauthserver.User{{Email: alice, Admin: true}, {Email: bob}, {Email: "carol@example.org", Suspended: true}},
		Machine: machine,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put writes a file of the test's and returns its name.
func put(t testing.TB, data []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// keyOf are the credentials of s's service account, whose requests s answers.
func keyOf(t testing.TB, s *oauthserver.Server) *Credentials {
	t.Helper()
	data, err := s.ServiceAccountJSON("")
	return mustNew(t, Config{File: put(t, data, err), Transport: s.Transport()})
}

// userOf are the credentials of alice, who signed in for the calendar.
func userOf(t testing.TB, s *oauthserver.Server) (*Credentials, string) {
	t.Helper()
	refresh := s.SignIn(alice, calendarScope)
	data, err := s.AuthorizedUserJSON("", refresh)
	return mustNew(t, Config{File: put(t, data, err), Transport: s.Transport()}), refresh
}

func mustNew(t testing.TB, c Config) *Credentials {
	t.Helper()
	cred, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

func mustToken(t testing.TB, tokens *Tokens) string {
	t.Helper()
	token, err := tokens.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// noDefaults keeps the machine's own default credentials out of a test.
func noDefaults(t *testing.T) {
	t.Helper()
	t.Setenv(environment, "")
	t.Setenv("HOME", t.TempDir())
}

// transportFunc is a transport.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestEveryKindOfCredentialsGetsTheTokenItStandsFor(t *testing.T) {
	s := tokenServer(t)
	s.Delegate("*", calendarScope)
	s.AllowImpersonation(machine)
	s.AllowImpersonation(alice)
	key, err := s.ServiceAccountJSON("")
	keyFile := put(t, key, err)
	user, err := s.AuthorizedUserJSON("", s.SignIn(alice, calendarScope, cloudPlatform))
	userFile := put(t, user, err)
	given := s.Issue(bob, calendarScope)
	for name, test := range map[string]struct {
		config  Config
		env     string
		subject string
		want    string
	}{
		"service account":              {Config{File: keyFile}, "", "", oauthserver.DefaultAccount},
		"service account, subject":     {Config{File: keyFile}, "", bob, bob},
		"authorised user":              {Config{File: userFile}, "", "", alice},
		"environment":                  {Config{}, userFile, "", alice},
		"environment, key, subject":    {Config{}, keyFile, bob, bob},
		"metadata server":              {Config{}, "", "", machine},
		"impersonated, metadata":       {Config{Impersonate: oauthserver.DefaultAccount}, "", "", oauthserver.DefaultAccount},
		"impersonated, subject":        {Config{Impersonate: oauthserver.DefaultAccount}, "", bob, bob},
		"impersonated by user, bob":    {Config{Impersonate: oauthserver.DefaultAccount, File: userFile}, "", bob, bob},
		"impersonated by user, itself": {Config{Impersonate: oauthserver.DefaultAccount, File: userFile}, "", "", oauthserver.DefaultAccount},
		"access token":                 {Config{AccessToken: given}, "", "", bob},
	} {
		t.Run(name, func(t *testing.T) {
			noDefaults(t)
			t.Setenv(environment, test.env)
			test.config.Transport = s.Transport()
			cred := mustNew(t, test.config)
			token := mustToken(t, cred.Tokens(test.subject, calendarScope))
			if who, ok := s.Valid(token, calendarScope); who != test.want || !ok {
				t.Errorf("the token is %q's (good for the calendar: %v), not %s's", who, ok, test.want)
			}
		})
	}
}

func TestTheFileThatGcloudWroteIsFound(t *testing.T) {
	noDefaults(t)
	s := tokenServer(t)
	data, err := s.AuthorizedUserJSON("", s.SignIn(alice, calendarScope))
	dir := filepath.Join(os.Getenv("HOME"), ".config", "gcloud")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(put(t, data, err), filepath.Join(dir, "application_default_credentials.json")); err != nil {
		t.Fatal(err)
	}
	token := mustToken(t, mustNew(t, Config{Transport: s.Transport()}).Tokens("", calendarScope))
	if who, _ := s.Valid(token); who != alice {
		t.Errorf("the token is %q's", who)
	}
}

func TestATokenIsKeptUntilShortlyBeforeItExpires(t *testing.T) {
	s := tokenServer(t)
	tokens := keyOf(t, s).Tokens("", calendarScope)
	first := mustToken(t, tokens)
	if mustToken(t, tokens) != first {
		t.Error("a token that was good was not used again")
	}
	if n := s.Counts()[oauthserver.JWTBearer]; n != 1 {
		t.Errorf("%d requests", n)
	}
}

// soon is the test's context, for at most a while.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
