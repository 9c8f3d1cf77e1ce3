package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/compute/metadata"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/oauth2/jwt"
	"google.golang.org/api/impersonate"
	"google.golang.org/api/option"
)

// cloudPlatform is the scope with which the IAM credentials API is asked.
const cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

// kind is one kind of credentials.
type kind interface {
	// fetch gets a token with one or few requests, all through hc and none after ctx ends.
	fetch(ctx context.Context, hc *http.Client, subject string, scopes []string) (*oauth2.Token, error)
	identity() identity
}

// identity says whose credentials these are.
type identity struct {
	name      string
	clientID  string // as the Admin console wants it; "": not known
	delegates bool   // a subject may be asked for
	user      bool   // somebody signed in, and can do it again
	account   string // the service account, where it is one
	secrets   []string
}

// static is a token that is used as it is.
type static string

func (s static) fetch(context.Context, *http.Client, string, []string) (*oauth2.Token, error) {
	return &oauth2.Token{AccessToken: string(s)}, nil
}

func (s static) identity() identity {
	return identity{name: "access_token", secrets: []string{string(s)}}
}

// serviceAccount signs assertions (RFC 7523) with its key.
type serviceAccount struct {
	conf     jwt.Config
	clientID string
}

func (s *serviceAccount) fetch(ctx context.Context, hc *http.Client, subject string, scopes []string) (*oauth2.Token, error) {
	conf := s.conf
	conf.Subject, conf.Scopes = subject, scopes
	return conf.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, hc)).Token()
}

func (s *serviceAccount) identity() identity {
	return identity{
		name: "service account " + clip(s.conf.Email), account: clip(s.conf.Email), clientID: clip(s.clientID), delegates: true,
		secrets: []string{string(s.conf.PrivateKey)},
	}
}

// authorizedUser has the refresh token (RFC 6749 6) of somebody who signed in.
type authorizedUser struct {
	conf oauth2.Config

	mu      sync.Mutex
	refresh string
}

func (a *authorizedUser) fetch(ctx context.Context, hc *http.Client, _ string, _ []string) (*oauth2.Token, error) {
	a.mu.Lock()
	old := &oauth2.Token{RefreshToken: a.refresh}
	a.mu.Unlock()
	token, err := a.conf.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, hc), old).Token()
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if token.RefreshToken != "" && a.refresh == old.RefreshToken {
		a.refresh = token.RefreshToken // a new one replaces the old (RFC 6749 6); Google sends none
	}
	return token, nil
}

func (a *authorizedUser) identity() identity {
	a.mu.Lock()
	defer a.mu.Unlock()
	return identity{
		name: "the authorised user", clientID: clip(a.conf.ClientID), user: true,
		secrets: []string{a.refresh, a.conf.ClientSecret},
	}
}

// federated are the other kinds of credentials file, which the library knows: workload and workforce identity federation,
// and impersonation that stands in the file itself.
type federated struct {
	typ     google.CredentialsType
	data    []byte
	secrets []string
}

func (f *federated) fetch(ctx context.Context, hc *http.Client, _ string, scopes []string) (*oauth2.Token, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, hc)
	cred, err := google.CredentialsFromJSONWithType(ctx, f.data, f.typ, scopes...)
	if err != nil {
		return nil, err
	}
	return cred.TokenSource.Token()
}

func (f *federated) identity() identity {
	return identity{name: "the credentials file of type " + string(f.typ), secrets: f.secrets}
}

// metadataServer gives the tokens of the service account that the machine runs as.
type metadataServer struct{}

func (metadataServer) fetch(ctx context.Context, hc *http.Client, _ string, scopes []string) (*oauth2.Token, error) {
	query := url.Values{"scopes": {strings.Join(scopes, ",")}}
	text, err := metadata.NewClient(hc).GetWithContext(ctx, "instance/service-accounts/default/token?"+query.Encode())
	if err != nil {
		return nil, err
	}
	var token oauth2.Token
	if err := json.Unmarshal([]byte(text), &token); err != nil {
		return nil, err
	}
	token.Expiry = time.Now().Add(time.Duration(token.ExpiresIn) * time.Second)
	return &token, nil
}

func (metadataServer) identity() identity {
	return identity{name: "the machine's service account (no credentials file was found, so the metadata server was asked)"}
}

// impersonated acts as a service account without its key: the IAM credentials API gives its tokens, or signs the assertion
// for a subject.
type impersonated struct {
	target string
	base   *Tokens
}

func (i *impersonated) fetch(ctx context.Context, hc *http.Client, subject string, scopes []string) (*oauth2.Token, error) {
	token, err := i.base.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("impersonating %s: %w", i.target, err)
	}
	signed := &signedIn{base: hc.Transport, token: token}
	source, err := impersonate.CredentialsTokenSource(ctx, impersonate.CredentialsConfig{
		TargetPrincipal: i.target, Scopes: scopes, Subject: subject,
	}, option.WithHTTPClient(&http.Client{Transport: signed, CheckRedirect: hc.CheckRedirect}))
	if err != nil {
		return nil, err
	}
	got, err := source.Token()
	if signed.refused {
		i.base.Drop(token)
	}
	return got, err
}

func (i *impersonated) identity() identity {
	return identity{
		name: "service account " + i.target + " (impersonated by " + i.base.cred.String() + ")", account: i.target, delegates: true,
	}
}

// signedIn sends the base credentials' token along to the IAM credentials API, and to nobody else.
type signedIn struct {
	base    http.RoundTripper
	token   string
	refused bool // the API answered 401
}

// iamHost is where the IAM credentials API is.
const iamHost = "iamcredentials.googleapis.com"

// RoundTrip implements http.RoundTripper.
func (s *signedIn) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != iamHost {
		return s.base.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := s.base.RoundTrip(r)
	s.refused = err == nil && resp.StatusCode == http.StatusUnauthorized
	return resp, err
}

var errNoSubject = errors.New("a subject that is no e-mail address")

// checkSubject says whether a subject can be a user's address.
func checkSubject(s string) error {
	name, host, ok := strings.Cut(s, "@")
	if !ok || name == "" || host == "" || len(s) > 320 || checkToken(s) != nil {
		return errNoSubject
	}
	return nil
}
