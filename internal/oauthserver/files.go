package oauthserver

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// ServiceAccountJSON is the service account's key as the Cloud console gives it. base is the server's URL, without a last
// slash, e.g. http://127.0.0.1:8080; "": Google's.
func (s *Server) ServiceAccountJSON(base string) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return nil, fmt.Errorf("writing the key: %w", err)
	}
	return json.MarshalIndent(map[string]string{
		"type": "service_account", "project_id": "calcdc-test", "private_key_id": keyID,
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": s.opts.Account, "client_id": s.opts.ClientID,
		"auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": tokenURL(base), "universe_domain": "googleapis.com",
	}, "", "  ")
}

// AuthorizedUserJSON is what gcloud writes once a user has signed in; refresh is what SignIn returned. base is as above.
func (s *Server) AuthorizedUserJSON(base, refresh string) ([]byte, error) {
	said := map[string]string{
		"type": "authorized_user", "account": "", "client_id": UserClientID, "client_secret": UserClientSecret,
		"refresh_token": refresh, "universe_domain": "googleapis.com",
	}
	if base != "" {
		said["token_uri"] = tokenURL(base)
	}
	return json.MarshalIndent(said, "", "  ")
}

func tokenURL(base string) string {
	if base == "" {
		return "https://oauth2.googleapis.com/token"
	}
	return base + "/token"
}

// WriteServiceAccount writes ServiceAccountJSON to a file.
func (s *Server) WriteServiceAccount(file, base string) error {
	data, err := s.ServiceAccountJSON(base)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

// WriteAuthorizedUser writes AuthorizedUserJSON to a file.
func (s *Server) WriteAuthorizedUser(file, base, refresh string) error {
	data, err := s.AuthorizedUserJSON(base, refresh)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

// Transport answers every request by the server, in the process, whatever its host.
func (s *Server) Transport() http.RoundTripper { return inProcess{s} }

type inProcess struct{ server *Server }

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.Host, in.RequestURI = r.URL.Host, r.URL.RequestURI()
	out := &recorder{header: http.Header{}, status: http.StatusOK}
	t.server.ServeHTTP(out, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{
		Status: strconv.Itoa(out.status) + " " + http.StatusText(out.status), StatusCode: out.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: out.header,
		Body: io.NopCloser(&out.body), ContentLength: int64(out.body.Len()), Request: r,
	}, nil
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// Redirect sends the requests for Google's hosts to base, a server's URL, and the others to where they are meant for.
func Redirect(base string, next http.RoundTripper) (http.RoundTripper, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("redirecting Google's hosts: %w", err)
	}
	return redirect{to: u, next: next}, nil
}

type redirect struct {
	to   *url.URL
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t redirect) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Hostname() == "169.254.169.254" || strings.HasSuffix(r.URL.Hostname(), ".googleapis.com") {
		r = r.Clone(r.Context())
		r.Host = r.URL.Host // that the caller asked for
		r.URL.Scheme, r.URL.Host = t.to.Scheme, t.to.Host
	}
	return t.next.RoundTrip(r)
}
