package caldav

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// minRate is the fewest bytes a second that an answer may bring, over the time spent waiting for it.
const minRate = 1 << 10

var errTooLong = fmt.Errorf("an answer of more than %d GiB", int64(maxAnswer)>>30)

// guarded bounds an answer's body in size and in the time spent waiting for it: no read may take longer than
// silence, nor all of them together much longer than the bytes they brought deserve. Time that the consumer takes
// does not count.
type guarded struct {
	body    io.ReadCloser
	cancel  context.CancelCauseFunc
	silence time.Duration
	timer   *time.Timer
	waited  time.Duration
	read    int64
}

func newGuarded(body io.ReadCloser, cancel context.CancelCauseFunc, silence time.Duration) *guarded {
	g := &guarded{body: body, cancel: cancel, silence: silence}
	g.timer = time.AfterFunc(silence, func() { cancel(errSilent) })
	g.timer.Stop()
	return g
}

var (
	errSilent = errors.New("the server fell silent in the middle of its answer")
	errSlow   = errors.New("the server's answer comes too slowly")
)

func (g *guarded) Read(p []byte) (int, error) {
	g.timer.Reset(g.silence)
	begun := time.Now()
	n, err := g.body.Read(p)
	g.waited += time.Since(begun)
	fired := !g.timer.Stop()
	g.read += int64(n)
	switch {
	case err != nil && !errors.Is(err, io.EOF) && fired:
		return n, errSilent
	case g.read > maxAnswer:
		return n, errTooLong
	case err == nil && g.waited > g.silence+time.Duration(g.read/minRate)*time.Second:
		return n, errSlow
	}
	return n, err
}

// Close ends the answer. What little is left is read, so that the connection can serve again.
func (g *guarded) Close() error {
	g.timer.Reset(time.Second)
	_, _ = io.CopyN(io.Discard, g.body, 4<<10)
	err := g.body.Close()
	g.timer.Stop()
	g.cancel(nil)
	return err
}
