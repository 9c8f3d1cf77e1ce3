package auth

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// errElsewhere is for a redirect that would take the token to a stranger.
var errElsewhere = errors.New("a redirect to another host does not get the token")

// RoundTripper sends requests through base (nil: http.DefaultTransport) with a token. One that is refused (401) is dropped,
// and a GET or HEAD tried once more with another. A redirect to another host is an error: it would tell it the token.
func (t *Tokens) RoundTripper(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &roundTripper{tokens: t, base: base}
}

type roundTripper struct {
	tokens *Tokens
	base   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (rt *roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if elsewhere(r) {
		closeBody(r)
		return nil, errElsewhere
	}
	token, err := rt.tokens.Token(r.Context())
	if err != nil {
		closeBody(r)
		return nil, err
	}
	resp, err := rt.send(r, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	rt.tokens.Drop(token)
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.Body != nil && r.Body != http.NoBody {
		return resp, nil
	}
	next, err := rt.tokens.Token(r.Context())
	if err == nil && next == token {
		return resp, nil // there is no other
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can serve again
	_ = resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("the token was refused: %w", err)
	}
	return rt.send(r, next)
}

// send sends a copy of the request: a RoundTripper must not change it.
func (rt *roundTripper) send(r *http.Request, token string) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return rt.base.RoundTrip(r)
}

// elsewhere says whether r follows redirects (http.Client notes them) that lead away from where the first request went.
func elsewhere(r *http.Request) bool {
	first := r
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	return first.URL.Host != r.URL.Host || first.URL.Scheme != r.URL.Scheme
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // a RoundTripper closes it, also where it fails
	}
}
