package google

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/calcdc/calcdc/connector"
	"google.golang.org/api/calendar/v3"
)

// The most items of a page that Google gives.
const (
	eventsPage = 2500
	othersPage = 250
)

// ask is what one request for a page of a list asks, beside what the configuration says. All but page must stay the same
// from page to page.
type pageQuery struct {
	sync       string // syncToken
	updatedMin string // RFC 3339: changes since, deletions among them
	page       string // pageToken
	match      string // If-None-Match
	iCalUID    string // of the events wanted; with the filters of the configuration
	max        int64
}

// pageAnswer is what a page says beside its items.
type pageAnswer struct {
	next, sync string    // nextPageToken, nextSyncToken
	etag       string    // of the list
	date       time.Time // when the server answered
	listed     bool      // the answer had an array of items
}

// page asks for one page of a stream's list and hands over its items.
func (a *Account) page(ctx context.Context, s connector.Stream, q pageQuery, each func(item) error) (pageAnswer, error) {
	x := &exchange{each: each}
	var ans pageAnswer
	var header http.Header
	left := 0 // items that the client has found where we have not
	err := a.ask(ctx, opOf(s), scopeOf(s.Kind), x, func(ctx context.Context) error {
		switch s.Kind {
		case connector.Calendars:
			r, err := calendarsCall(a.read, q).Context(ctx).Do()
			if err != nil {
				return err
			}
			ans, header, left = pageAnswer{next: r.NextPageToken, sync: r.NextSyncToken, etag: r.Etag}, r.Header, len(r.Items)
		case connector.ACL:
			r, err := rulesCall(a.rules, s.Collection, q).Context(ctx).Do()
			if err != nil {
				return err
			}
			ans, header, left = pageAnswer{next: r.NextPageToken, sync: r.NextSyncToken, etag: r.Etag}, r.Header, len(r.Items)
		case connector.Settings:
			r, err := settingsCall(a.read, q).Context(ctx).Do()
			if err != nil {
				return err
			}
			ans, header, left = pageAnswer{next: r.NextPageToken, sync: r.NextSyncToken, etag: r.Etag}, r.Header, len(r.Items)
		case connector.Events:
			r, err := eventsCall(a.read, s.Collection, a.cfg.Filter, q).Context(ctx).Do()
			if err != nil {
				return err
			}
			ans, header, left = pageAnswer{next: r.NextPageToken, sync: r.NextSyncToken, etag: r.Etag}, r.Header, len(r.Items)
		}
		return nil
	})
	if err != nil {
		return pageAnswer{}, err
	}
	if left > 0 {
		return pageAnswer{}, &Error{Op: opOf(s), Err: fmt.Errorf("%d items stand under another name than items", left)}
	}
	if ans.next != "" && ans.next == q.page {
		return pageAnswer{}, &Error{Op: opOf(s), Err: errCircle}
	}
	ans.listed = x.listed
	if t, err := http.ParseTime(header.Get("Date")); err == nil {
		ans.date = t
	}
	return ans, nil
}

// pages asks for all pages of a list and hands over their items.
func (a *Account) pages(ctx context.Context, s connector.Stream, q pageQuery, each func(item) error) error {
	for range maxIdlePages {
		ans, err := a.page(ctx, s, q, each)
		if err != nil || ans.next == "" {
			return err
		}
		q.page = ans.next
	}
	return &Error{Op: opOf(s), Err: errCircle}
}

// opOf says what listing a stream is, for errors.
func opOf(s connector.Stream) string {
	switch s.Kind {
	case connector.Calendars:
		return "listing the calendars"
	case connector.Settings:
		return "listing the settings"
	case connector.ACL:
		return "listing the access rules of " + s.Collection
	case connector.Events:
	}
	return "listing the events of " + s.Collection
}

// scopeOf is the scope that a kind of stream asks for.
func scopeOf(k connector.Kind) string {
	if k == connector.ACL {
		return rulesScope
	}
	return readScope
}

// eventsCall asks for series and exceptions, not for instances. Of what the configuration filters by, a sync token goes with
// event types only; the rest is there in updated-min mode only.
func eventsCall(c *calendar.Service, collection string, f Filter, q pageQuery) *calendar.EventsListCall {
	call := c.Events.List(collection).SingleEvents(false).MaxResults(q.max)
	if len(f.EventTypes) > 0 {
		call.EventTypes(f.EventTypes...)
	}
	if len(f.PrivateExtendedProperties) > 0 {
		call.PrivateExtendedProperty(f.PrivateExtendedProperties...)
	}
	if len(f.SharedExtendedProperties) > 0 {
		call.SharedExtendedProperty(f.SharedExtendedProperties...)
	}
	if q.updatedMin != "" {
		call.UpdatedMin(q.updatedMin).ShowDeleted(true)
	}
	if q.match != "" {
		call.IfNoneMatch(q.match)
	}
	uid := f.ICalUID
	if q.iCalUID != "" {
		uid = q.iCalUID
	}
	for _, p := range []struct {
		value string
		set   func(string) *calendar.EventsListCall
	}{
		{f.Query, call.Q}, {f.TimeMin, call.TimeMin}, {f.TimeMax, call.TimeMax}, {uid, call.ICalUID},
		{q.sync, call.SyncToken}, {q.page, call.PageToken},
	} {
		if p.value != "" {
			p.set(p.value)
		}
	}
	return call
}

func calendarsCall(c *calendar.Service, q pageQuery) *calendar.CalendarListListCall {
	call := c.CalendarList.List().ShowHidden(true).MaxResults(q.max)
	if q.sync != "" {
		call.SyncToken(q.sync)
	}
	if q.page != "" {
		call.PageToken(q.page)
	}
	return call
}

func rulesCall(c *calendar.Service, collection string, q pageQuery) *calendar.AclListCall {
	call := c.Acl.List(collection).MaxResults(q.max)
	if q.sync != "" {
		call.SyncToken(q.sync)
	}
	if q.page != "" {
		call.PageToken(q.page)
	}
	return call
}

func settingsCall(c *calendar.Service, q pageQuery) *calendar.SettingsListCall {
	call := c.Settings.List().MaxResults(q.max)
	if q.sync != "" {
		call.SyncToken(q.sync)
	}
	if q.page != "" {
		call.PageToken(q.page)
	}
	return call
}

// one asks for one object of a stream; an error that isMissing tells says that it is not there.
func (a *Account) one(ctx context.Context, s connector.Stream, id string) (item, error) {
	x := &exchange{}
	err := a.ask(ctx, fmt.Sprintf("asking for %s of the %s", id, s.Kind), scopeOf(s.Kind), x, func(ctx context.Context) (err error) {
		switch s.Kind {
		case connector.Calendars:
			_, err = a.read.CalendarList.Get(id).Context(ctx).Do()
		case connector.ACL:
			_, err = a.rules.Acl.Get(s.Collection, id).Context(ctx).Do()
		case connector.Settings:
			_, err = a.read.Settings.Get(id).Context(ctx).Do()
		case connector.Events:
			_, err = a.read.Events.Get(s.Collection, id).Context(ctx).Do()
		}
		return err
	})
	if err != nil {
		return item{}, err
	}
	return x.one, nil
}
