package caldav

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/calcdc/calcdc/connector"
)

// self asks for properties of the collection itself. That it is not there, in whichever way the server says so, is
// connector.ErrGone.
func (a *Account) self(ctx context.Context, at place, props ...string) (*node, error) {
	if err := a.client.selves.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer a.client.selves.Release(1)
	ans, err := a.client.do(ctx, request{method: "PROPFIND", url: at.url, depth: "0", body: propfind(props...), want: http.StatusMultiStatus})
	if err == nil {
		err = a.moved(at, ans)
	}
	if err != nil {
		return nil, gone(err)
	}
	defer ans.Close()
	all, err := readProps(ans.body, ans.Header.Get("Content-Type"), a.cfg.MaxCollections)
	if err == nil && len(all) == 0 {
		err = errEmpty
	}
	if err != nil {
		return nil, a.unread(ctx, ans, err)
	}
	if status := all[0].status; status >= 300 { // Xandikos says of a deleted collection: 207, and 404 within
		return nil, gone(&Error{Method: "PROPFIND", URL: display(at.url), Status: status, Hint: hint(status)})
	}
	return &all[0].props, nil
}

// gone wraps connector.ErrGone around an error that says that what was asked for is not there.
func gone(err error) error {
	var e *Error
	if errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusGone) {
		return fmt.Errorf("%w: %w", connector.ErrGone, err)
	}
	return err
}

// ctag is the collection's getctag, "" where it has none.
func (p *poll) ctag() (string, error) {
	props, err := p.account.self(p.ctx, p.place, "cs:getctag")
	if err != nil {
		return "", err
	}
	return props.first(csNS, "getctag").text, nil
}

// propfind lists a collection without sync-collection. The ctag is read before the members, so that what changes
// meanwhile is seen by the next poll.
func (p *poll) propfind() error {
	ctag := p.ctagNow
	if ctag == "" {
		var err error
		if ctag, err = p.ctag(); err != nil {
			return err
		}
	}
	ans, err := p.stream("PROPFIND", propfind(memberProps(false)...), "1")
	if err != nil {
		return gone(err)
	}
	defer p.account.client.listings.Release(1)
	defer ans.Close()
	s := &sifter{poll: p, at: ans, batch: batch{poll: p}}
	if _, err := s.run(p.account.cfg.MaxBody); err != nil {
		return p.account.unread(p.ctx, ans, err)
	}
	switch {
	case s.gone:
		return gone(&Error{Method: "PROPFIND", URL: display(p.place.url), Status: http.StatusNotFound})
	case s.truncated:
		return ans.failure(errors.New("the server cuts the listing short (507) and offers no way to go on"))
	case !s.self:
		return ans.failure(errors.New("the listing does not show the collection itself: it is not complete"))
	}
	token := ctagToken + ctag
	if ctag == "" || isSeconds(ctag) { // a second's ctag hides the rest of its second
		token = etagToken + s.sum.String()
	}
	return p.add(chunk{mark: &mark{token: token, last: true, listing: true}})
}
