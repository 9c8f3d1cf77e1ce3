package auth

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/calcdc/calcdc/internal/oauthserver"
)

// public is what stands in assertions' claims or the PEM of a key, and is no secret.
var public = strings.Join([]string{
	"-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", oauthserver.DefaultAccount,
}, " ")

// echoForm is a way to say what was sent.
type echoForm struct {
	name   string
	status int
	body   func(sent string) string
	err    func(sent string) error // in place of an answer
}

func inJSON(status int, code string) echoForm {
	return echoForm{name: fmt.Sprintf("%s in %d", code, status), status: status, body: func(sent string) string {
		text, _ := json.Marshal(map[string]string{"error": code, "error_description": "you sent: " + sent})
		return string(text)
	}}
}

var echoes = []echoForm{
	inJSON(400, "invalid_grant"), inJSON(401, "unauthorized_client"), inJSON(200, "invalid_client"), inJSON(500, "x"),
	{name: "as the code", status: 400, body: func(sent string) string {
		text, _ := json.Marshal(map[string]string{"error": sent})
		return string(text)
	}},
	{name: "as a page", status: 502, body: func(sent string) string { return "<html>" + sent + "</html>" }},
	{name: "as a good answer", status: 200, body: func(sent string) string { return "{" + sent }},
	{name: "as an API", status: 403, body: func(sent string) string {
		text, _ := json.Marshal(map[string]any{"error": map[string]any{"code": 403, "message": sent, "status": sent}})
		return string(text)
	}},
	{name: "in halves", status: 400, body: func(sent string) string {
		text, _ := json.Marshal(map[string]string{"error": "x", "error_description": sent[:len(sent)/2] + " ... " + sent[len(sent)/2:]})
		return string(text)
	}},
	{name: "below HTTP", err: func(sent string) error { return fmt.Errorf("malformed HTTP response %q", sent) }},
}

// echo lets the server answer some requests and echoes those that follow.
type echo struct {
	form    echoForm
	server  *oauthserver.Server
	after   int
	done    int
	secrets []string
}

// RoundTrip implements http.RoundTripper.
func (e *echo) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent string
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(body)
		if err != nil {
			return nil, err
		}
		sent = string(text)
	}
	form, _ := url.ParseQuery(sent)
	for _, key := range []string{"assertion", "refresh_token", "client_secret"} {
		e.secrets = append(e.secrets, form.Get(key))
		sent += " " + form.Get(key)
	}
	if _, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		e.secrets = append(e.secrets, token)
		sent += " " + token
	}
	if e.done++; e.done <= e.after {
		return e.server.Transport().RoundTrip(r)
	}
	if e.form.err != nil {
		return nil, e.form.err(sent)
	}
	return &http.Response{
		StatusCode: e.form.status, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(e.form.body(sent))),
	}, nil
}
