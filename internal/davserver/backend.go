package davserver

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/emersion/go-ical"
	"github.com/emersion/go-webdav"
	"github.com/emersion/go-webdav/caldav"
)

// userKey is the context's key for the user who asks.
type userKey struct{}

// backend lets go-webdav's handler read the server. What writes is served before it gets there.
type backend struct{ s *Server }

var errServedElsewhere = webdav.NewHTTPError(http.StatusNotImplemented, errors.New("not served here"))

func userOf(ctx context.Context) string {
	user, _ := ctx.Value(userKey{}).(string)
	return user
}

func (b backend) CurrentUserPrincipal(ctx context.Context) (string, error) {
	return "/" + userOf(ctx) + "/", nil
}

func (b backend) CalendarHomeSetPath(ctx context.Context) (string, error) {
	return "/" + userOf(ctx) + "/calendars/", nil
}

func (b backend) ListCalendars(ctx context.Context) ([]caldav.Calendar, error) {
	b.s.mu.RLock()
	defer b.s.mu.RUnlock()
	var all []caldav.Calendar
	h := b.s.homes[userOf(ctx)]
	for _, name := range h.order {
		if c := h.calendars[name]; c.hidden == 0 {
			all = append(all, c.view(userOf(ctx), name))
		}
	}
	return all, nil
}

func (c *calendar) view(user, name string) caldav.Calendar {
	return caldav.Calendar{
		Path: "/" + user + "/calendars/" + name + "/", Name: c.DisplayName, Description: c.Description,
		SupportedComponentSet: c.Components, ReadOnly: c.ReadOnly,
	}
}

func (b backend) GetCalendar(_ context.Context, path string) (*caldav.Calendar, error) {
	b.s.mu.RLock()
	defer b.s.mu.RUnlock()
	at, c, err := b.at(path)
	if err != nil {
		return nil, err
	}
	view := c.view(at.user, at.calendar)
	return &view, nil
}

func (b backend) GetCalendarObject(_ context.Context, path string, _ *caldav.CalendarCompRequest) (*caldav.CalendarObject, error) {
	b.s.mu.RLock()
	at, c, err := b.at(path)
	var e *entry
	if err == nil {
		e = c.object(at.object)
	}
	b.s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, notFound()
	}
	return e.view(path)
}

func (b backend) ListCalendarObjects(_ context.Context, path string, _ *caldav.CalendarCompRequest) ([]caldav.CalendarObject, error) {
	b.s.mu.RLock()
	_, c, err := b.at(path)
	var members []*entry
	if err == nil {
		members, _ = c.since(0, false, 0)
	}
	b.s.mu.RUnlock()
	var all []caldav.CalendarObject
	for _, e := range members {
		// A query can only be asked of what parses: the rest is in listings, multigets and GET.
		if view, err := e.view(strings.TrimSuffix(path, "/") + "/" + e.name); err == nil {
			all = append(all, *view)
		}
	}
	return all, err
}

func (b backend) QueryCalendarObjects(ctx context.Context, path string, q *caldav.CalendarQuery) ([]caldav.CalendarObject, error) {
	all, err := b.ListCalendarObjects(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	return caldav.Filter(q, all)
}

func (b backend) CreateCalendar(context.Context, *caldav.Calendar) error { return errServedElsewhere }

func (b backend) PutCalendarObject(context.Context, string, *ical.Calendar, *caldav.PutCalendarObjectOptions) (*caldav.CalendarObject, error) {
	return nil, errServedElsewhere
}

func (b backend) DeleteCalendarObject(context.Context, string) error { return errServedElsewhere }

// at finds the calendar that a decoded path leads to. s.mu is held.
func (b backend) at(path string) (target, *calendar, error) {
	at, err := parsePath((&url.URL{Path: path}).EscapedPath())
	if err != nil {
		return at, nil, webdav.NewHTTPError(http.StatusBadRequest, err)
	}
	c, status := b.s.seen(at)
	if status != 0 {
		return at, nil, webdav.NewHTTPError(status, errors.New(http.StatusText(status)))
	}
	return at, c, nil
}

// view parses the object for go-webdav, which quotes ETags itself.
func (e *entry) view(path string) (*caldav.CalendarObject, error) {
	data, err := ical.NewDecoder(bytes.NewReader(e.body)).Decode()
	if err != nil {
		return nil, err
	}
	return &caldav.CalendarObject{Path: path, ETag: strings.Trim(e.etag, `"`), ContentLength: int64(len(e.body)), Data: data}, nil
}

func notFound() error {
	return webdav.NewHTTPError(http.StatusNotFound, errors.New("no such object"))
}
