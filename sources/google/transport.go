package google

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/calcdc/calcdc/sources/internal/httpwait"
)

const maxErrorBody = 64 << 10 // read of an answer that is an error

// exchange is one request and what came of it. It travels in the request's context, since Google's client has no other
// place for it.
type exchange struct {
	each func(item) error // takes the items of a list; nil: the answer is one object

	one    item        // the answer, where it is one object
	status int         // of the answer; 0: none came
	header http.Header // of the answer
	listed bool        // there was an array of items
	handed int         // items handed over
	secret string      // the token that was sent, to be taken out of what the server echoes
}

type exchangeKey struct{}

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// reading reads answers in place of Google's client, which keeps neither the bytes of an item nor a bound. The client gets what
// stands beside the items, or an empty object where the whole answer is one.
type reading struct {
	base    http.RoundTripper
	silence time.Duration
}

// RoundTrip implements http.RoundTripper. It returns once the answer has been read to its end.
func (t *reading) RoundTrip(r *http.Request) (*http.Response, error) {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, errors.New("a request without its exchange") // every request is sent by (*Account).ask
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	resp, err := t.base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	x.status, x.header = resp.StatusCode, resp.Header
	body := httpwait.NewBody(resp.Body, cancel, t.silence, 0)
	defer body.Close()
	said, err := x.read(body, resp.StatusCode)
	if err != nil {
		return nil, err
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(said)), int64(len(said))
	return resp, nil
}

// read reads the answer, and returns what Google's client shall see of it.
func (x *exchange) read(body io.Reader, status int) ([]byte, error) {
	switch {
	case status == http.StatusNotModified:
		return nil, nil
	case status != http.StatusOK:
		b, err := io.ReadAll(io.LimitReader(body, maxErrorBody))
		if status/100 == 2 {
			err = errors.Join(fmt.Errorf("an answer %d where 200 was due", status), err)
		}
		return b, err
	case x.each == nil:
		var err error
		x.one, err = splitOne(body)
		return []byte("{}"), err
	}
	out, err := split(body, func(it item) error {
		x.handed++
		return x.each(it)
	})
	if err != nil {
		return nil, err
	}
	x.listed = out.listed
	return out.object, nil
}

// newTransport makes the transport of a service. Answers come compressed: Google does so for clients whose User-Agent says
// gzip, which (*Service).client adds.
func newTransport(timeout time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: min(timeout, 30*time.Second)}).DialContext,
		TLSHandshakeTimeout:    min(timeout, 30*time.Second),
		ResponseHeaderTimeout:  timeout,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        90 * time.Second,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		ReadBufferSize:         32 << 10,
		MaxResponseHeaderBytes: 256 << 10,
	}
}
