// Package httpwait is what every source does with an HTTP answer, whoever sends it: it bounds the time that the body may take, and
// reads how long the server wishes to be left alone.
package httpwait

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// minRate is the fewest bytes a second that a body may bring, over the time spent waiting for it.
const minRate = 1 << 10

// What a body that takes too long ends with.
var (
	ErrSilent = errors.New("the server fell silent in the middle of its answer")
	ErrSlow   = errors.New("the server's answer comes too slowly")
)

// Body bounds an answer's body in size and in the time spent waiting for it: no read may take longer than silence, nor
// all of them together much longer than the bytes they brought deserve. Time that the consumer takes does not count.
type Body struct {
	body    io.ReadCloser
	cancel  context.CancelCauseFunc
	silence time.Duration
	most    int64
	timer   *time.Timer
	silent  atomic.Bool // the timer has fired: whatever a read says then comes of that
	waited  time.Duration
	read    int64
}

// NewBody guards the body of a request that cancel ends. most bounds its bytes; 0: others do.
func NewBody(body io.ReadCloser, cancel context.CancelCauseFunc, silence time.Duration, most int64) *Body {
	b := &Body{body: body, cancel: cancel, silence: silence, most: most}
	b.timer = time.AfterFunc(silence, func() {
		b.silent.Store(true)
		cancel(ErrSilent)
	})
	b.timer.Stop()
	return b
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	b.timer.Reset(b.silence)
	begun := time.Now()
	n, err := b.body.Read(p)
	b.waited += time.Since(begun)
	b.timer.Stop()
	b.read += int64(n)
	switch {
	case err != nil && !errors.Is(err, io.EOF) && b.silent.Load():
		return n, ErrSilent
	case b.most > 0 && b.read > b.most:
		return n, fmt.Errorf("an answer of more than %d GiB", b.most>>30)
	case err == nil && b.waited > b.silence+time.Duration(b.read/minRate)*time.Second:
		return n, ErrSlow
	}
	return n, err
}

// Close ends the answer and its request. What little is left is read, so that the connection can serve again.
func (b *Body) Close() error {
	b.timer.Reset(time.Second)
	_, _ = io.CopyN(io.Discard, b.body, 4<<10)
	err := b.body.Close()
	b.timer.Stop()
	b.cancel(nil)
	return err
}

// RetryAfter reads the header of that name: seconds, or a date (RFC 9110 10.2.3). At most a day.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	d := time.Duration(0)
	if s, err := strconv.ParseInt(v, 10, 32); err == nil {
		d = time.Duration(s) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), 24*time.Hour)
}
