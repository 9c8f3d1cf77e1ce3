package caldav

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/calcdc/calcdc/connector"
)

// Look asks directly for what a listing did not show, as connector.Account says.
func (a *Account) Look(ctx context.Context, s connector.Stream, ids []string) ([]connector.Presence, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var all []connector.Presence
	var err error
	if s.Kind == connector.Calendars {
		all, err = a.lookAtCollections(ctx, ids)
	} else {
		all, err = a.lookAtMembers(ctx, a.place(s.Collection), ids)
	}
	if err != nil {
		return all, fmt.Errorf("looking for what %s did not show: %w", s, err)
	}
	return all, nil
}

func (a *Account) lookAtCollections(ctx context.Context, ids []string) ([]connector.Presence, error) {
	all := make([]connector.Presence, len(ids))
	var failed error
	for i, id := range ids {
		props, err := a.self(ctx, a.place(id), "d:resourcetype")
		var e *Error
		switch {
		case errors.Is(err, connector.ErrGone):
			all[i] = connector.Gone
		case errors.As(err, &e) && e.Status == http.StatusForbidden:
			all[i] = connector.Forbidden
		case ownTrouble(e):
			all[i], failed = connector.Failed, cmp.Or(failed, err)
		case err != nil:
			return nil, err
		default:
			all[i] = stillCalendar(props)
		}
	}
	return all, failed
}

// ownTrouble tells an error that is the collection's own and decides nothing about the others.
func ownTrouble(e *Error) bool {
	return e != nil && e.Status >= 400 && e.Status != http.StatusUnauthorized && e.Status != http.StatusTooManyRequests
}

// stillCalendar: what stands at a calendar's address now may be something else; then the calendar is gone.
func stillCalendar(props *node) connector.Presence {
	if props.has(davNS, "resourcetype") && !props.has(caldavNS, "calendar") {
		return connector.Gone
	}
	return connector.Read
}

// lookAtMembers asks for the ETags of ids by multiget: what is 404 or left out is gone. An answer that speaks of
// none of them proves nothing about those it leaves out, so they are asked for one by one.
func (a *Account) lookAtMembers(ctx context.Context, at place, ids []string) ([]connector.Presence, error) {
	if err := a.client.fetches.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer a.client.fetches.Release(1)
	seen, err := a.lookByMultiget(ctx, at, ids)
	var e *Error
	if err != nil && (!errors.As(err, &e) || !oneByOne(e)) {
		return nil, err
	}
	all := make([]connector.Presence, len(ids))
	for i, id := range ids {
		p, known := seen[id]
		switch {
		case known:
			all[i] = p
		case len(seen) > 0:
			all[i] = connector.Gone
		default:
			if all[i], err = a.lookByHead(ctx, at, id); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// oneByOne tells the refusals of a multiget that may be about one of its hrefs, or about multiget itself.
func oneByOne(e *Error) bool {
	switch e.Status {
	case http.StatusNotFound, http.StatusGone, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return e.Precondition == supportedReport
}

func (a *Account) lookByMultiget(ctx context.Context, at place, ids []string) (map[string]connector.Presence, error) {
	ans, err := a.client.do(ctx, request{method: "REPORT", url: at.url, depth: "1", body: multiget(ids, false), want: http.StatusMultiStatus})
	if err != nil {
		return nil, err
	}
	defer ans.Close()
	ms, err := newMultistatus(ans.body, ans.Header.Get("Content-Type"), a.cfg.MaxBody)
	if err != nil {
		return nil, a.unread(ctx, ans, err)
	}
	defer ms.release()
	asked := make(map[string]bool, len(ids))
	for _, id := range ids {
		asked[id] = true
	}
	seen := map[string]connector.Presence{}
	for {
		r, err := ms.next()
		if errors.Is(err, io.EOF) {
			return seen, nil
		}
		if err != nil {
			return nil, a.unread(ctx, ans, err)
		}
		raw, _ := resolve(ans.url, r.href)
		id := normalise(raw)
		if !asked[id] {
			continue
		}
		if seen[id], err = presence(r); err != nil {
			return nil, ans.failure(fmt.Errorf("%s: %w", id, err))
		}
	}
}

// presence is what one response says; a refusal says nothing.
func presence(r *response) (connector.Presence, error) {
	switch {
	case r.status == http.StatusNotFound || r.status == http.StatusGone:
		return connector.Gone, nil
	case r.status >= 300:
		return 0, refusal(r.status)
	}
	return connector.Read, nil
}

// lookByHead asks for one member.
func (a *Account) lookByHead(ctx context.Context, at place, id string) (connector.Presence, error) {
	ans, err := a.client.do(ctx, request{method: http.MethodGet, url: address(at.url, id), want: http.StatusOK})
	if err == nil {
		ans.Close()
		return connector.Read, nil
	}
	if errors.Is(gone(err), connector.ErrGone) {
		return connector.Gone, nil
	}
	return 0, err
}
