package caldav

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/calcdc/calcdc/connector"
)

// judge decides what an error of sync-collection means: the token, the collection, or itself.
func (p *poll) judge(c *cursor, err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Status == 0 {
		return err
	}
	fresh := c.token == ""
	if c.pages == 0 && unsupported(e, fresh) {
		return fmt.Errorf("%w: %w", errNoSync, err)
	}
	if e.Status != http.StatusInternalServerError {
		p.account.tokenAnswered(p.place.id)
	}
	switch {
	case p.tokenInvalid(e, c.token):
		if p.listing() {
			return fmt.Errorf("the server forgot the token of a page: %w", err)
		}
		return fmt.Errorf("%w: %w", connector.ErrTokenInvalid, err)
	case e.Status == http.StatusNotFound || e.Status == http.StatusGone && fresh:
		return fmt.Errorf("%w: %w", connector.ErrGone, err)
	}
	return err
}

// tokenInvalid knows every form in which servers say that they have forgotten a token.
func (p *poll) tokenInvalid(e *Error, token string) bool {
	if token == "" {
		return false
	}
	if e.Precondition == validSyncToken {
		return e.Status/100 == 4
	}
	switch e.Status {
	case http.StatusForbidden, http.StatusConflict, http.StatusGone, http.StatusPreconditionFailed:
		return e.Precondition == ""
	case http.StatusBadRequest, http.StatusUnsupportedMediaType:
		return e.Precondition != supportedReport
	case http.StatusInternalServerError:
		return p.account.tokenFailed(p.place.id, token) >= 2 && p.well()
	}
	return false
}

// well tells whether the server answers other questions about the collection: when it is down as a whole, 500 says
// nothing about a token.
func (p *poll) well() bool { return p.probed.once(p.ctx, p) == nil }

// tokenFailed counts an answer 500 to a token.
func (a *Account) tokenFailed(collection, token string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.failures[collection]
	if f.token != token {
		f = tokenFault{token: token}
	}
	f.count++
	a.failures[collection] = f
	return f.count
}

// tokenAnswered ends the count: the server said something else.
func (a *Account) tokenAnswered(collection string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.failures, collection)
}

// errNoSync says that the collection has no sync-collection.
var errNoSync = errors.New("no sync-collection")

// unsupported tells whether the answer to a first request says that the collection has no sync-collection. Without
// a token in play the ways of saying so are many; with one, only the precondition is clear.
func unsupported(e *Error, fresh bool) bool {
	if e.Precondition == supportedReport {
		return true
	}
	return fresh && e.Precondition == "" && slices.Contains([]int{http.StatusMethodNotAllowed, http.StatusNotImplemented,
		http.StatusBadRequest, http.StatusUnsupportedMediaType}, e.Status)
}

// without tells whether the collection is known to have no sync-collection.
func (a *Account) without(collection string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.noSync[collection]
}

func (a *Account) setWithout(collection string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noSync[collection] = true
}
