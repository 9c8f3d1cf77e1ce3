package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/calcdc/calcdc/sources/internal/httpwait"
)

// maxAnswer bounds an answer to a request for a token.
const maxAnswer = 256 << 10

var errTooLong = fmt.Errorf("an answer of more than %d KiB", maxAnswer>>10)

// wire carries the requests of one flight. The libraries above it drop contexts, read bodies without closing them, and put
// answers into their errors; so it ends requests with the flight's context, reads the answers itself, and notes what
// went wrong, from which the error is made.
type wire struct {
	ctx  context.Context //nolint:containedctx // it lives as long as the flight, and the libraries pass none on
	base http.RoundTripper

	last    answer
	secrets []string // that requests and answers held
}

// answer is what came of the last request.
type answer struct {
	host        string
	status      int
	code        string // of the error, e.g. invalid_grant, or PERMISSION_DENIED
	subtype     string // Google's, e.g. invalid_rapt
	description string
	after       time.Duration
	err         error // below HTTP
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.last = answer{host: r.URL.Host}
	r = r.WithContext(w.ctx)
	w.noteRequest(r)
	resp, err := w.base.RoundTrip(r)
	if err != nil {
		w.last.err = err
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	_ = resp.Body.Close() // it has been read as far as it is wanted
	if err == nil && len(body) > maxAnswer {
		err = errTooLong
	}
	if err != nil {
		w.last.err = err
		return nil, err
	}
	w.noteAnswer(resp, body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// noteRequest keeps the secrets that a request sends.
func (w *wire) noteRequest(r *http.Request) {
	if _, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		w.secrets = append(w.secrets, token)
	}
	if r.GetBody == nil {
		return
	}
	body, err := r.GetBody()
	if err != nil {
		return
	}
	defer body.Close()
	text, _ := io.ReadAll(io.LimitReader(body, maxAnswer))
	form, _ := url.ParseQuery(string(text))
	for _, key := range []string{"assertion", "refresh_token", "client_secret", "subject_token", "actor_token"} {
		w.secrets = append(w.secrets, form[key]...)
	}
}

// noteAnswer keeps what an answer says went wrong, in OAuth's form (RFC 6749 5.2) or that of Google's APIs.
func (w *wire) noteAnswer(resp *http.Response, body []byte) {
	w.last.status = resp.StatusCode
	w.last.after = httpwait.RetryAfter(resp.Header, time.Now())
	var said struct {
		Error       json.RawMessage `json:"error"`
		Description string          `json:"error_description"`
		Subtype     string          `json:"error_subtype"`
	}
	if json.Unmarshal(body, &said) != nil {
		return
	}
	w.last.description, w.last.subtype = said.Description, said.Subtype
	var api struct {
		Status  string `json:"status"`
		Message string `json:"message"`
	}
	if json.Unmarshal(said.Error, &w.last.code) == nil {
		return
	}
	if json.Unmarshal(said.Error, &api) == nil {
		w.last.code, w.last.description = api.Status, api.Message
	}
}

// explain makes the error of a flight from what was noted. What the library says (cause) holds parts of answers, so it is
// used only where no request was sent.
func (t *Tokens) explain(ctx context.Context, w *wire, cause error) error {
	var base *Error
	if errors.As(cause, &base) {
		return cause // of the credentials that impersonate: it has been explained
	}
	id := t.cred.kind.identity()
	red := redactor(append(id.secrets, w.secrets...))
	e := &Error{
		Op: t.op(), Subject: t.subject, Scopes: t.scopes, ClientID: id.clientID,
		Host: red.clean(w.last.host), Status: w.last.status, Code: red.clean(w.last.code), After: w.last.after,
	}
	switch {
	case ctx.Err() != nil && w.last.err != nil:
		e.Err = fmt.Errorf("no answer within %v: %w", patience, context.Cause(ctx))
	case w.last.err != nil:
		e.Err = &below{text: red.clean(w.last.err.Error()), err: w.last.err}
	case w.last.host == "":
		e.Err = &below{text: red.clean(cause.Error()), err: cause}
	case w.last.status/100 == 2 && w.last.code == "":
		e.Err = errors.New("the answer is not that of a token endpoint")
	default:
		e.Description = red.clean(w.last.description)
	}
	e.Hint = hint(id, w.last, e)
	return e
}

// below is what went wrong below HTTP, in words without secrets: net/http quotes an answer that it does not understand. So
// the cause can be asked for by errors.Is and errors.As, but is not unwrapped, lest somebody prints it.
type below struct {
	text string
	err  error
}

func (b *below) Error() string { return b.text }

// Is implements what errors.Is asks.
func (b *below) Is(target error) bool { return errors.Is(b.err, target) }

// As implements what errors.As asks.
func (b *below) As(target any) bool { return errors.As(b.err, target) }
