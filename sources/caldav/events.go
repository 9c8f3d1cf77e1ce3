package caldav

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/calcdc/calcdc/connector"
)

const (
	ctagToken = "ctag:"
	etagToken = "etag:"
)

const (
	// maxIdlePages bounds the pages in a row that bring no new member: a server that never ends is an error, a long
	// listing is not.
	maxIdlePages = 10
)

// poll is one poll of an events stream.
type poll struct {
	account *Account
	query   connector.Query
	place   place
	pending map[string]bool // to be fetched besides what is listed; the lister's alone
	ctagNow string          // the ctag, where list has asked for it already
	probed  probe
	*pipeline

	bodies, bodyBytes atomic.Int64 // read so far
}

// pollEvents reads a collection: by sync-collection, or by comparing ctag and ETags where there is none.
func (a *Account) pollEvents(ctx context.Context, q connector.Query) iter.Seq2[connector.Page, error] {
	return func(yield func(connector.Page, error) bool) {
		p := &poll{account: a, query: q, place: a.place(q.Stream.Collection), pending: map[string]bool{}}
		for _, id := range q.Pending {
			p.pending[id] = true
		}
		run(ctx, 2*a.cfg.Concurrency, a.client.ahead, func(pl *pipeline) error {
			p.pipeline = pl
			if err := p.list(); err != nil {
				return fmt.Errorf("reading %s: %w", q.Stream.Collection, err)
			}
			return nil
		}, yield)
	}
}

// listing tells whether the poll shows everything.
func (p *poll) listing() bool { return p.query.Token == "" || p.compares() }

// compares tells whether the token is one of a collection without sync-collection.
func (p *poll) compares() bool {
	return strings.HasPrefix(p.query.Token, ctagToken) || strings.HasPrefix(p.query.Token, etagToken)
}

// list adds the whole answer to the pipeline.
func (p *poll) list() error {
	if ctag, ok := strings.CutPrefix(p.query.Token, ctagToken); ok {
		now, err := p.ctag()
		if err != nil {
			return err
		}
		if now == ctag {
			return p.unchanged()
		}
		p.ctagNow = now
	}
	if !p.account.without(p.place.id) {
		if err := p.sync(); !errors.Is(err, errNoSync) {
			return err
		}
		p.account.setWithout(p.place.id)
	}
	return p.propfind()
}

// unchanged is the end of a poll that has nothing to show but what was pending.
func (p *poll) unchanged() error {
	if err := p.fetchPending(); err != nil {
		return err
	}
	return p.add(chunk{mark: &mark{token: p.query.Token, last: true}})
}

// report sends a REPORT on the collection whose answer is read as fast as pages are taken. The caller releases
// listings.
func (p *poll) report(body []byte, depth string) (*answer, error) {
	return p.stream("REPORT", body, depth)
}

// stream sends a request on the collection. An answer from another path than the collection's is refused: its
// members would all seem gone.
func (p *poll) stream(method string, body []byte, depth string) (*answer, error) {
	c := p.account.client
	if err := c.listings.Acquire(p.ctx, 1); err != nil {
		return nil, err
	}
	ans, err := c.do(p.ctx, request{method: method, url: p.place.url, depth: depth, body: body, want: http.StatusMultiStatus})
	if err == nil {
		err = p.account.moved(p.place, ans)
	}
	if err != nil {
		c.listings.Release(1)
		return nil, err
	}
	return ans, nil
}

// moved is the error of an answer that came from another path than it was asked of.
func (a *Account) moved(asked place, ans *answer) error {
	if here, _ := placeAt(ans.url, ans.url.EscapedPath()); here.normal == asked.normal {
		return nil
	}
	ans.Close()
	a.rediscover()
	return &Error{Method: ans.Request.Method, URL: display(asked.url), Err: fmt.Errorf("the collection has moved to %s", display(ans.url)),
		Hint: "the home is looked for again"}
}
