package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/oauthserver"
)

// refusal gets the error of tokens.
func refusal(t testing.TB, tokens *Tokens) *Error {
	t.Helper()
	token, err := tokens.Token(soon(t))
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("token %q, error %v", token, err)
	}
	return e
}

func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in: %s", part, text)
		}
	}
}

func TestAScopeThatIsNotDelegatedSaysWhatToGrant(t *testing.T) {
	s := tokenServer(t)
	s.Delegate(bob, calendarScope)
	cred := keyOf(t, s)
	e := refusal(t, cred.Tokens(bob, aclScope))
	contains(t, e.Error(), "getting a token for "+bob, "401 Unauthorized", "unauthorized_client",
		"in the Admin console, Security > API controls > Domain-wide delegation, give client id "+oauthserver.DefaultClientID+" the scope "+aclScope)
	if e.ClientID != oauthserver.DefaultClientID || e.Subject != bob || e.Code != "unauthorized_client" {
		t.Errorf("%+v", e)
	}
	mustToken(t, cred.Tokens(bob, calendarScope)) // only that scope fails
	s.Delegate(bob, aclScope)
	mustToken(t, cred.Tokens(bob, aclScope)) // and only until it is given
}

func TestWhatIsRevokedSaysWhatToDo(t *testing.T) {
	s := tokenServer(t)
	s.Delegate("*", calendarScope)
	key := keyOf(t, s)
	contains(t, refusal(t, key.Tokens("nobody@example.org", calendarScope)).Error(), "invalid_grant", "nobody@example.org is no active user")
	contains(t, refusal(t, key.Tokens("carol@example.org", calendarScope)).Error(), "carol@example.org is no active user")
	contains(t, refusal(t, key.Tokens("", "calendar")).Error(), "invalid_scope", "does not know a scope of calendar")
	s.DeleteKey()
	contains(t, refusal(t, key.Tokens(bob, calendarScope)).Error(), "invalid_grant", "the key of service account "+oauthserver.DefaultAccount+" was deleted")

	user, refresh := userOf(t, s)
	s.RevokeSignIn(refresh)
	contains(t, refusal(t, user.Tokens("", calendarScope)).Error(), "invalid_grant", "Token has been expired or revoked", "sign in again", calendarScope)
}

// said are answers as Google's guides and its users report them.
func TestWhatGoogleSaysIsExplained(t *testing.T) {
	s := tokenServer(t)
	user, _ := userOf(t, s)
	key := keyOf(t, s)
	for _, test := range []struct {
		tokens *Tokens
		status int
		body   string
		want   string
	}{
		{key.Tokens("", calendarScope), 400, `{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."}`, "clock"},
		{key.Tokens("", calendarScope), 400, `{"error":"invalid_grant","error_description":"Invalid grant: account not found"}`, "no longer exists"},
		{key.Tokens("", calendarScope), 400, `{"error":"invalid_grant","error_description":"Bad Request"}`, "revoked or has expired"},
		{key.Tokens(bob, calendarScope), 401, `{"error":"access_denied","error_description":"Requested client not authorized."}`, "give client id"},
		{key.Tokens("", calendarScope), 403, `{"error":"access_denied","error_description":"Account restricted"}`, "App access control"},
		{key.Tokens("", calendarScope), 401, `{"error":"deleted_client","error_description":"The OAuth client was deleted."}`, "make new credentials"},
		{user.Tokens("", calendarScope), 400, `{"error":"invalid_grant","error_description":"reauth related error (invalid_rapt)","error_subtype":"invalid_rapt"}`, "session control"},
		{user.Tokens("", calendarScope), 401, `{"error":"invalid_client","error_description":"Unauthorized"}`, "make new credentials"},
		{user.Tokens("", calendarScope), 401, `{"error":"unauthorized_client","error_description":"Unauthorized"}`, "sign in again"},
		{user.Tokens("", calendarScope), 400, `{"error":"admin_policy_enforced"}`, "App access control"},
		{user.Tokens("", calendarScope), 404, `<html>Not found</html>`, "token_uri"},
		{user.Tokens("", calendarScope), 302, `moved`, "redirects"},
	} {
		s.Fault(func(oauthserver.Kind, *http.Request) oauthserver.Fault {
			return oauthserver.Fault{Status: test.status, Body: test.body}
		})
		contains(t, refusal(t, test.tokens).Error(), test.want)
	}
}

func TestAnOutageIsAnErrorThatPasses(t *testing.T) {
	s := tokenServer(t)
	tokens := keyOf(t, s).Tokens("", calendarScope)
	for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		s.Fault(func(oauthserver.Kind, *http.Request) oauthserver.Fault {
			return oauthserver.Fault{Status: status, Body: "<html>an outage</html>", RetryAfter: "7"}
		})
		if e := refusal(t, tokens); e.Status != status || e.RetryAfter() != 7*time.Second || e.Hint != "" {
			t.Errorf("%+v", e)
		}
	}
	s.Outage(0)
	mustToken(t, tokens)
}

func TestATokenServerThatIsNotThereIsTheCause(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	s := tokenServer(t)
	data, err := s.ServiceAccountJSON(base)
	e := refusal(t, mustNew(t, Config{File: put(t, data, err)}).Tokens("", calendarScope))
	if !errors.Is(e, syscall.ECONNREFUSED) {
		t.Errorf("%v", e)
	}
	contains(t, e.Error(), ln.Addr().String(), "connection refused")
}

func TestImpersonationSaysWhatIsMissing(t *testing.T) {
	noDefaults(t)
	s := tokenServer(t)
	config := Config{Impersonate: oauthserver.DefaultAccount, Transport: s.Transport()}
	cred := mustNew(t, config)
	for _, subject := range []string{"", bob} {
		contains(t, refusal(t, cred.Tokens(subject, calendarScope)).Error(), "403 Forbidden", "PERMISSION_DENIED",
			"roles/iam.serviceAccountTokenCreator on "+oauthserver.DefaultAccount)
	}
	s.AllowImpersonation(machine)
	contains(t, refusal(t, cred.Tokens(bob, aclScope)).Error(), "give the client id (unique id) of service account "+oauthserver.DefaultAccount+" the scope "+aclScope)
	config.Impersonate = "other@calcdc-test.iam.gserviceaccount.com"
	contains(t, refusal(t, mustNew(t, config).Tokens("", calendarScope)).Error(), "404", "there is no service account other@")
	config.AccessToken = "ya29.expired"
	contains(t, refusal(t, mustNew(t, config).Tokens("", calendarScope)).Error(), "401", "the credentials that impersonate are not accepted")

	s.RevokeAll(machine) // the base credentials' token is asked for anew
	s.Delegate(bob, calendarScope)
	refusal(t, cred.Tokens(bob, calendarScope))
	mustToken(t, cred.Tokens(bob, calendarScope))
}

func TestWithoutCredentialsTheErrorSaysHowToGiveThem(t *testing.T) {
	noDefaults(t)
	s, err := oauthserver.New(oauthserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cred := mustNew(t, Config{Transport: s.Transport()})
	contains(t, refusal(t, cred.Tokens("", calendarScope)).Error(), "set credentials_file, or "+environment)
	down := transportFunc(func(*http.Request) (*http.Response, error) { return nil, syscall.EHOSTUNREACH })
	e := refusal(t, mustNew(t, Config{Transport: down}).Tokens("", calendarScope))
	contains(t, e.Error(), "set credentials_file")
	if !errors.Is(e, syscall.EHOSTUNREACH) {
		t.Errorf("%v", e)
	}
}

func TestCredentialsThatCannotDelegateRefuseSubjects(t *testing.T) {
	noDefaults(t)
	s := tokenServer(t)
	user, _ := userOf(t, s)
	for name, cred := range map[string]*Credentials{
		"authorised user": user,
		"access token":    mustNew(t, Config{AccessToken: s.Issue(alice, calendarScope), Transport: s.Transport()}),
		"metadata server": mustNew(t, Config{Transport: s.Transport()}),
	} {
		if cred.Delegation() == nil {
			t.Errorf("%s can delegate", name)
		}
		contains(t, refusal(t, cred.Tokens(bob, calendarScope)).Error(), "getting a token for "+bob, "cannot act for other users", "impersonate")
		mustToken(t, cred.Tokens("", calendarScope))
	}
	for _, cred := range []*Credentials{keyOf(t, s), mustNew(t, Config{Impersonate: oauthserver.DefaultAccount})} {
		if err := cred.Delegation(); err != nil {
			t.Error(err)
		}
	}
	for _, subject := range []string{"bob", "@", "a b@c", strings.Repeat("x", 400) + "@y", "a\n@b"} {
		if e := refusal(t, keyOf(t, s).Tokens(subject, calendarScope)); !errors.Is(e, errNoSubject) {
			t.Errorf("subject %q: %v", subject, e)
		}
	}
}

// TestNoErrorHoldsASecret lets every endpoint say in every way what it was sent.
func TestNoErrorHoldsASecret(t *testing.T) {
	noDefaults(t)
	s := tokenServer(t)
	s.AllowImpersonation(alice)
	key, err := s.ServiceAccountJSON("")
	keyFile := put(t, key, err)
	var private file
	if err := json.Unmarshal(key, &private); err != nil {
		t.Fatal(err)
	}
	refresh := s.SignIn(alice, cloudPlatform)
	user, err := s.AuthorizedUserJSON("", refresh)
	userFile := put(t, user, err)
	base := s.Issue(alice, cloudPlatform)
	for name, c := range map[string]Config{
		"service account": {File: keyFile}, "authorised user": {File: userFile},
		"impersonated by user":  {File: userFile, Impersonate: oauthserver.DefaultAccount},
		"impersonated by token": {AccessToken: base, Impersonate: oauthserver.DefaultAccount},
	} {
		for _, form := range echoes {
			echo := &echo{form: form, server: s}
			c.Transport = echo
			cred := mustNew(t, c)
			tokens := cred.Tokens("", calendarScope)
			if cred.Delegation() == nil {
				tokens = cred.Tokens(bob, calendarScope)
			}
			// First the grant echoes, then what is asked with its token.
			for echo.after = range 3 {
				_, err := tokens.Token(soon(t))
				if err == nil {
					t.Fatalf("%s: a token", name)
				}
				text := fmt.Sprintf("%v %+v %#v %v %#v %v", err, err, err, cred, cred, c)
				for e := err; e != nil; e = errors.Unwrap(e) {
					text += e.Error()
				}
				for _, secret := range append(echo.secrets, private.PrivateKey, refresh, oauthserver.UserClientSecret, base) {
					noPiece(t, name+" "+form.name, text, secret)
				}
			}
		}
	}
}

// noPiece fails where text holds 12 bytes in a row of a secret.
func noPiece(t *testing.T, name, text, secret string) {
	t.Helper()
	const piece = 12
	for i := 0; i+piece <= len(secret); i++ {
		part := secret[i : i+piece]
		if strings.Contains(text, part) && !strings.Contains(public, part) {
			t.Errorf("%s: %q of a secret in: %.600s", name, part, text)
			return
		}
	}
}

func TestASecretWithinAWordIsTakenOut(t *testing.T) {
	red := redactor{"hunter2-secret", ""}
	for text, want := range map[string]string{
		"client_secret=hunter2-secret.":         "client_secret=***.",
		"bad hunter2-sec…\r\nand\x00 more":      "bad hunter2-sec… and more",
		"the piece 'unter2-sec' of it":          "the piece *** of it",
		strings.Repeat("k", 49) + " is a key":   "*** is a key",
		"scope " + aclScope + " is not granted": "scope " + aclScope + " is not granted",
	} {
		if got := red.clean(text); got != want {
			t.Errorf("%q is %q, not %q", text, got, want)
		}
	}
}

func TestATokenEndpointThatRedirectsIsNotFollowed(t *testing.T) {
	s := tokenServer(t)
	cred := keyOf(t, s)
	var asked []string
	cred.base = transportFunc(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Host)
		return &http.Response{
			StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"https://stranger.example.org/"}},
			Body: http.NoBody, Request: r,
		}, nil
	})
	contains(t, refusal(t, cred.Tokens("", calendarScope)).Error(), "307", "check token_uri")
	if len(asked) != 1 {
		t.Errorf("asked %q", asked)
	}
}

func TestAnAnswerThatIsTooLongIsTheCause(t *testing.T) {
	s := tokenServer(t)
	s.Fault(func(oauthserver.Kind, *http.Request) oauthserver.Fault {
		return oauthserver.Fault{Status: http.StatusOK, Body: `{"access_token":"ya29.x"}` + strings.Repeat(" ", maxAnswer)}
	})
	if e := refusal(t, keyOf(t, s).Tokens("", calendarScope)); !errors.Is(e, errTooLong) {
		t.Errorf("%v", e)
	}
}
