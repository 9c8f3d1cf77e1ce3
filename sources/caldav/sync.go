package caldav

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/calcdc/calcdc/connector"
)

// sync pages through sync-collection.
func (p *poll) sync() error {
	c := cursor{limit: p.account.cfg.Limit}
	if !p.listing() {
		c.token = p.query.Token
	}
	for {
		more, err := p.syncPage(&c)
		if whole := wholeAnswer(err); whole && c.limit > 0 {
			c.limit = 0
			continue
		}
		if err != nil {
			return p.judge(&c, err)
		}
		if !more {
			break
		}
	}
	p.account.tokenAnswered(p.place.id)
	if !p.listing() {
		if err := p.fetchPending(); err != nil {
			return err
		}
	}
	return p.add(chunk{mark: &mark{token: c.token, last: true, listing: p.listing()}})
}

// wholeAnswer tells a 507 about the whole request: the limit is not supported (RFC 6578 3.3).
func wholeAnswer(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusInsufficientStorage
}

// cursor is where paging through one poll's answers stands.
type cursor struct {
	token string
	limit int
	known connector.IDs // the members shown so far
	idle  int           // answers in a row without a new one
	pages int
}

// advance goes to the next answer's token and tells whether there is more to ask for. truncated: the server said so.
func (c *cursor) advance(token string, truncated bool, members, fresh int) (bool, error) {
	moved := token != c.token
	more := truncated || c.limit > 0 && moved && members > 0
	c.token = token
	c.pages++
	if c.idle++; fresh > 0 {
		c.idle = 0
	}
	if more && (truncated && !moved || c.idle >= maxIdlePages) {
		return false, fmt.Errorf("%d answers in a row brought nothing new, yet the server says that there is more", max(c.idle, 1))
	}
	return more, nil
}

// syncPage sends one request and adds what it answers.
func (p *poll) syncPage(c *cursor) (more bool, err error) {
	inline := p.asksInline()
	ans, err := p.report(syncCollection(c.token, c.limit, inline), "0")
	if err != nil {
		return false, err
	}
	defer p.account.client.listings.Release(1)
	defer ans.Close()
	s := &sifter{poll: p, at: ans, batch: batch{poll: p}, cursor: c, inline: inline, delta: c.token != "" && !p.listing()}
	token, err := s.run(p.account.cfg.MaxBody)
	if err != nil {
		return false, p.account.unread(p.ctx, ans, err)
	}
	if token == "" {
		return false, ans.failure(errors.New("the answer has no sync-token"))
	}
	if inline {
		p.account.learnInline(s.bodies, s.bodiless)
	}
	if more, err = c.advance(token, s.truncated, s.members, s.fresh); err != nil {
		return false, ans.failure(err)
	}
	if more && !p.listing() && s.truncated {
		return true, p.add(chunk{mark: &mark{token: token}}) // a full token (RFC 6578 3.6)
	}
	return more, nil
}

// asksInline tells whether a listing should bring bodies: where most are wanted, unless the server is known not to.
func (p *poll) asksInline() bool {
	p.account.mu.Lock()
	defer p.account.mu.Unlock()
	return p.account.inline != no && (!p.listing() || p.query.Fresh)
}

// learnInline remembers whether an answer that was asked for bodies had any.
func (a *Account) learnInline(bodies, bodiless int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case bodies > 0:
		a.inline = yes
	case bodiless > 0 && a.inline == unknown:
		a.inline = no
	}
}
