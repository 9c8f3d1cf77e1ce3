package caldav

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-webdav"
	"golang.org/x/sync/semaphore"

	"github.com/calcdc/calcdc/sources/internal/httpwait"
)

const (
	maxRedirects = 5
	maxAnswer    = 32 << 30 // bytes of one answer, after decompression
	maxErrorBody = 16 << 10 // read of an answer that is an error

	idlePerRequest = 4 // connections kept for later for each request that an account may have in flight: several are busy at once
)

// client sends requests for one account: it follows redirects itself, keeps method and body, and gives the
// credentials to the configured host only.
type client struct {
	base     *url.URL
	plain    *http.Client
	trusted  webdav.HTTPClient // with credentials
	agent    string
	timeout  time.Duration
	redact   redactor
	fetches  *semaphore.Weighted // requests whose answer is read at once
	listings *semaphore.Weighted // requests whose answer is read as fast as pages are taken
	ahead    *ahead              // of the service
	long     *long               // of the service
	selves   *semaphore.Weighted // requests about a collection itself, which others wait for while they hold one of the above
}

// newHTTP is what the accounts of a service send their requests with: a connection of its own for each of a thousand accounts
// would take 50 MB.
func newHTTP(cfg Config) (*http.Client, error) {
	conf, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: min(cfg.Timeout, 30*time.Second)}).DialContext,
			TLSClientConfig:       conf,
			TLSHandshakeTimeout:   min(cfg.Timeout, 30*time.Second),
			ResponseHeaderTimeout: cfg.Timeout,
			MaxIdleConnsPerHost:   idlePerRequest * cfg.Concurrency,
			IdleConnTimeout:       90 * time.Second,
			ForceAttemptHTTP2:     true,
			HTTP2:                 &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second}, // one connection for all
			ReadBufferSize:        32 << 10,

			MaxResponseHeaderBytes: 256 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func newClient(s *Service, cred Credentials) *client {
	n := int64(s.cfg.Concurrency)
	return &client{
		base: s.base, plain: s.plain, trusted: authorised(s.plain, cred), agent: s.cfg.UserAgent, timeout: s.cfg.Timeout,
		redact:   newRedactor(cred),
		fetches:  semaphore.NewWeighted(n),
		listings: semaphore.NewWeighted(n),
		ahead:    s.ahead,
		long:     s.long,
		selves:   semaphore.NewWeighted(n),
	}
}

// authorised adds the account's credentials to every request.
func authorised(c *http.Client, cred Credentials) webdav.HTTPClient {
	switch {
	case cred.Token != "":
		return bearer{c, cred.Token}
	case cred.Username != "":
		return webdav.HTTPClientWithBasicAuth(c, cred.Username, cred.Password)
	}
	return c
}

type bearer struct {
	c     webdav.HTTPClient
	token string
}

func (b bearer) Do(req *http.Request) (*http.Response, error) {
	req.Header.Set("Authorization", "Bearer "+b.token)
	return b.c.Do(req)
}

// request is one DAV request. An answer other than want (0: any 2xx) is an error.
type request struct {
	method string
	url    *url.URL
	depth  string // "0", "1"; "": no Depth
	body   []byte
	want   int
}

// answer is what came; it must be closed.
type answer struct {
	*http.Response
	url  *url.URL // after redirects
	body *httpwait.Body
}

func (a *answer) Close() error { return a.body.Close() }

// failure is an *Error about the answer itself.
func (a *answer) failure(err error) *Error {
	return &Error{Method: a.Request.Method, URL: display(a.url), Err: err}
}

// do sends r. The answer's body ends with an error when the server is silent for too long, much too slow, or
// endless. Every error but that of ctx is an *Error.
func (c *client) do(ctx context.Context, r request) (*answer, error) {
	at := r.url
	for hop := 0; ; hop++ {
		ans, err := c.hop(ctx, r, at)
		if err != nil {
			return nil, err
		}
		next, err := c.redirect(ans)
		switch {
		case err != nil:
			ans.Close()
			return nil, err
		case next != nil && hop == maxRedirects:
			ans.Close()
			return nil, ans.failure(fmt.Errorf("more than %d redirects", maxRedirects))
		case next != nil:
			ans.Close()
			at = next
			continue
		}
		return c.check(ans, r)
	}
}

// hop sends r to one address.
func (c *client) hop(ctx context.Context, r request, at *url.URL) (*answer, error) {
	asked, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(asked, r.method, at.String(), bytes.NewReader(r.body))
	if err != nil {
		cancel(nil)
		return nil, &Error{Method: r.method, URL: display(at), Err: errors.New("not a URL that can be asked")}
	}
	req.Header.Set("User-Agent", c.agent)
	if r.body != nil {
		req.Header.Set("Content-Type", `application/xml; charset="utf-8"`)
	}
	if r.depth != "" {
		req.Header.Set("Depth", r.depth)
	}
	var doer webdav.HTTPClient = c.plain
	if c.trusts(at) {
		doer = c.trusted
	}
	resp, err := doer.Do(req) //nolint:bodyclose // closed by the answer, whose body it becomes
	if err != nil {
		cancel(nil)
		return nil, c.unreachable(ctx, r.method, at, err)
	}
	return &answer{Response: resp, url: at, body: httpwait.NewBody(resp.Body, cancel, c.timeout, maxAnswer)}, nil
}

// unreachable explains an error below HTTP. The *url.Error is taken off: it repeats the request.
func (c *client) unreachable(ctx context.Context, method string, at *url.URL, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	e := &Error{Method: method, URL: display(at), Err: err}
	var timeout net.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		e.Hint = "check the host name in url"
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Hint = "the server did not answer in time"
	case strings.Contains(err.Error(), "certificate"):
		e.Hint = "set tls.ca_file to the authority that signed the server's certificate"
	}
	return e
}

// trusts tells whether at may see the credentials: the configured host, or its https port where it was
// configured as http.
func (c *client) trusts(at *url.URL) bool {
	if !strings.EqualFold(at.Hostname(), c.base.Hostname()) {
		return false
	}
	if at.Scheme == c.base.Scheme {
		return port(at) == port(c.base)
	}
	return at.Scheme == "https" && port(at) == "443" && port(c.base) == "80"
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// redirect is where the answer sends us, nil when it does not.
func (c *client) redirect(a *answer) (*url.URL, error) {
	switch a.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	next, err := a.url.Parse(a.Header.Get("Location"))
	if err != nil || next.Host == "" || a.Header.Get("Location") == "" {
		return nil, a.failure(fmt.Errorf("status %d without a usable Location", a.StatusCode))
	}
	next.User, next.Fragment = nil, ""
	switch {
	case next.Scheme != "http" && next.Scheme != "https":
		return nil, a.failure(fmt.Errorf("redirected to the scheme %q", next.Scheme))
	case a.url.Scheme == "https" && next.Scheme == "http":
		return nil, a.failure(fmt.Errorf("redirected from https to %s", display(next)))
	}
	return next, nil
}

// check turns an answer that is not what was asked for into an error.
func (c *client) check(a *answer, r request) (*answer, error) {
	if a.StatusCode == r.want || r.want == 0 && a.StatusCode/100 == 2 {
		return a, nil
	}
	defer a.Close()
	body, _ := io.ReadAll(io.LimitReader(a.body, maxErrorBody))
	e := &Error{Method: r.method, URL: display(a.url), Status: a.StatusCode, Hint: hint(a.StatusCode),
		After: httpwait.RetryAfter(a.Header, time.Now()), Excerpt: c.redact.excerpt(body)}
	switch {
	case a.StatusCode/100 == 2:
		e.Err = fmt.Errorf("wanted %d, got this with %s", r.want, strconv.Quote(a.Header.Get("Content-Type")))
		e.Hint = hintURL
	case a.StatusCode == http.StatusUnauthorized && !c.trusts(a.url):
		e.Hint = "credentials go to " + c.base.Host + " only: if the service moved, set url to " + display(a.url)
	default:
		if e.Precondition = precondition(body, a.Header.Get("Content-Type")); e.Precondition != "" && e.Precondition != needPrivileges {
			e.Hint = "" // what is wrong has a name
		}
	}
	return nil, e
}

// display is u without userinfo and query.
func display(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
