package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const (
	// margin is how long before it expires a token is no longer used. Of a short life, it is a quarter.
	margin = time.Minute
	// longest is how long a token is used, whatever its answer says, and unknown where that does not say.
	longest, unknown = 12 * time.Hour, time.Hour
)

// Tokens gets the tokens for one subject and one set of scopes, and keeps the last one.
type Tokens struct {
	cred    *Credentials
	subject string
	scopes  []string

	mu     sync.Mutex
	token  string
	until  time.Time
	flight *flight
}

// flight is a request for a token that callers wait for. It ends when its last caller leaves, who waits for that.
type flight struct {
	done      chan struct{}
	cancel    context.CancelFunc
	waiting   int  // guarded by Tokens.mu
	abandoned bool // likewise: no caller is left
	token     string
	err       error
}

// Tokens returns the tokens for a subject ("": the credentials' own account) and scopes: always the same for the same.
// Whether the credentials can act for a subject at all, Delegation says.
func (c *Credentials) Tokens(subject string, scopes ...string) *Tokens {
	scopes = slices.Clone(scopes)
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	key := subject + "\n" + strings.Join(scopes, " ")
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tokens[key]
	if t == nil {
		t = &Tokens{cred: c, subject: subject, scopes: scopes}
		c.tokens[key] = t
	}
	return t
}

// Token returns a token that is good for a while yet. Callers at the same time share one request, which takes at most 30
// seconds; when ctx ends, its caller alone gives up. Errors are an *Error, or wrap that of ctx; the next call tries again.
func (t *Tokens) Token(ctx context.Context) (string, error) {
	for {
		if err := ctx.Err(); err != nil {
			return "", t.left(ctx)
		}
		token, f := t.board(ctx)
		if f == nil {
			return token, nil
		}
		select {
		case <-f.done:
			if !f.abandoned {
				return f.token, f.err
			}
		case <-ctx.Done():
			t.leave(f)
			return "", t.left(ctx)
		}
	}
}

func (t *Tokens) left(ctx context.Context) error {
	return fmt.Errorf("%s: %w", t.op(), context.Cause(ctx))
}

// board returns the token, or the flight to wait for: the one under way, or a new one.
func (t *Tokens) board(ctx context.Context) (string, *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != "" && time.Now().Before(t.until) {
		return t.token, nil
	}
	if t.flight == nil {
		f := &flight{done: make(chan struct{})}
		ctx, f.cancel = context.WithTimeout(context.WithoutCancel(ctx), patience)
		t.flight = f
		go t.fly(ctx, f)
	}
	t.flight.waiting++
	return "", t.flight
}

// leave is for a caller that waits no longer. The last one ends the flight.
func (t *Tokens) leave(f *flight) {
	t.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last {
		f.abandoned = true
	}
	t.mu.Unlock()
	if last {
		f.cancel()
		<-f.done
	}
}

// fly asks for a token and lets the callers know.
func (t *Tokens) fly(ctx context.Context, f *flight) {
	defer f.cancel()
	token, until, err := t.fetch(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.token, t.until = token, until
	}
	f.token, f.err = token, err
	t.flight = nil
	close(f.done)
}

// fetch gets a token, and until when it is good.
func (t *Tokens) fetch(ctx context.Context) (string, time.Time, error) {
	if err := t.check(); err != nil {
		return "", time.Time{}, err
	}
	w := &wire{ctx: ctx, base: t.cred.base}
	hc := &http.Client{Transport: w, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	token, err := t.cred.kind.fetch(ctx, hc, t.subject, t.scopes)
	if err != nil {
		return "", time.Time{}, t.explain(ctx, w, err)
	}
	until, err := good(token, time.Now())
	if err != nil && w.last.code != "" { // an error that came with a good status
		return "", time.Time{}, t.explain(ctx, w, err)
	}
	if err != nil {
		return "", time.Time{}, &Error{Op: t.op(), Subject: t.subject, Scopes: t.scopes, Host: w.last.host, Status: w.last.status, Err: err}
	}
	return token.AccessToken, until, nil
}

// check says what must not be asked for.
func (t *Tokens) check() error {
	if t.subject == "" {
		return nil
	}
	if err := t.cred.Delegation(); err != nil {
		var e *Error
		if errors.As(err, &e) {
			e.Op = t.op()
		}
		return err
	}
	if err := checkSubject(t.subject); err != nil {
		return &Error{Op: t.op(), Err: err}
	}
	return nil
}

func (t *Tokens) op() string {
	if t.subject == "" {
		return "getting a token"
	}
	return "getting a token for " + clip(t.subject)
}

var (
	errExpired = errors.New("the token that came has expired already: check this machine's clock")
	errBearer  = errors.New("the token that came is not a bearer token")
)

// good checks a token and says until when to use it.
func good(token *oauth2.Token, now time.Time) (time.Time, error) {
	if err := checkToken(token.AccessToken); err != nil {
		return time.Time{}, fmt.Errorf("the answer holds no token: %w", err)
	}
	if token.TokenType != "" && !strings.EqualFold(token.TokenType, "bearer") {
		return time.Time{}, errBearer
	}
	life := unknown
	if !token.Expiry.IsZero() {
		life = min(token.Expiry.Sub(now), longest)
	}
	if life <= 0 {
		return time.Time{}, errExpired
	}
	// The wall clock decides: the monotonic one stands still while the machine sleeps.
	return now.Round(0).Add(life - min(margin, life/4)), nil
}

// Drop says that token was refused (401): the next Token asks for another. A token that is no longer in use is ignored.
func (t *Tokens) Drop(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == token {
		t.token = ""
	}
}
