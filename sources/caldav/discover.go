package caldav

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

var (
	errEmpty       = errors.New("an empty multistatus: it should tell of what was asked for at least")
	errNoPrincipal = errors.New("neither a calendar, a home, nor a principal is found there")
)

// found is what discovery found (RFC 6764, RFC 5397, RFC 4791 6.2.1).
type found struct {
	principal string // its path, as written; that of the given address where there is none
	homes     []home
}

// home is a collection that holds calendars, or one calendar that was given itself.
type home struct {
	place
	single bool
}

var shapeProps = []string{"d:resourcetype", "d:current-user-principal", "c:calendar-home-set"}

// discover looks at the given address, then at the well-known one, then at the host's root; the first that leads
// to a calendar or to homes counts. Bad credentials end it at once.
func (a *Account) discover(ctx context.Context) (*found, error) {
	tries := []*url.URL{a.client.base, a.client.base.ResolveReference(&url.URL{Path: "/.well-known/caldav"}),
		a.client.base.ResolveReference(&url.URL{Path: "/"})}
	var first error
	for i, at := range tries {
		f, err := a.discoverAt(ctx, at, i == 0)
		var e *Error
		if errors.As(err, &e) && e.Hint == "" && e.Status != 0 {
			e.Hint = hintURL
		}
		if err == nil {
			a.log.Debug("discovered", "principal", f.principal, "homes", len(f.homes))
			return f, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil || decisive(err) {
			return nil, err
		}
	}
	return nil, first
}

// decisive tells the errors after which other addresses need not be tried.
func decisive(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Status == 0 || e.Status == http.StatusUnauthorized || e.Status == http.StatusTooManyRequests || e.Status >= 500 && e.Status != http.StatusNotImplemented
	}
	return errors.Is(err, errForeignHome)
}

// discoverAt looks at one address; given is that of the configuration.
func (a *Account) discoverAt(ctx context.Context, at *url.URL, given bool) (*found, error) {
	at, self, err := a.shape(ctx, at)
	if err != nil {
		return nil, err
	}
	here, _ := placeAt(at, at.EscapedPath())
	if self.has(caldavNS, "calendar") && given {
		return &found{principal: here.normal, homes: []home{{here, true}}}, nil
	}
	f, err := a.principalHomes(ctx, at, self)
	if err != nil && !errors.Is(err, errNoPrincipal) {
		return nil, err
	}
	if given && !f.leadsFrom(here) && a.holdsCalendars(ctx, at) {
		return &found{principal: f.principalOr(here), homes: []home{{here, false}}}, nil
	}
	return f, err
}

// shape asks what stands at an address, and where that is after redirects.
func (a *Account) shape(ctx context.Context, at *url.URL) (*url.URL, *node, error) {
	at, all, err := a.properties(ctx, at, "0", shapeProps)
	if err != nil {
		return nil, nil, err
	}
	if !a.client.trusts(at) {
		return nil, nil, a.foreign("the service", at, display(at))
	}
	if all[0].status >= 400 {
		return nil, nil, &Error{Method: "PROPFIND", URL: display(at), Status: all[0].status, Hint: hint(all[0].status)}
	}
	return at, &all[0].props, nil
}

// principalHomes finds the homes of what stands at an address, or of the principal that it names.
func (a *Account) principalHomes(ctx context.Context, at *url.URL, self *node) (*found, error) {
	if self.has(caldavNS, "calendar-home-set") && len(hrefs(self, caldavNS, "calendar-home-set")) > 0 {
		return a.homes(at, principalOf(at, self), self)
	}
	principal := hrefs(self, davNS, "current-user-principal")
	if len(principal) == 0 {
		return nil, &Error{Method: "PROPFIND", URL: display(at), Err: errNoPrincipal, Hint: hintURL}
	}
	path, ok := resolve(at, principal[0])
	if !ok {
		return nil, a.foreign("current-user-principal", at, principal[0])
	}
	at, self, err := a.shape(ctx, address(at, path))
	if err != nil {
		return nil, err
	}
	return a.homes(at, path, self)
}

// principalOf is the principal whose homes stand at an address: that address where it is a principal itself, else
// the one that it names.
func principalOf(at *url.URL, self *node) string {
	named := hrefs(self, davNS, "current-user-principal")
	if self.first(davNS, "resourcetype").has(davNS, "principal") || len(named) == 0 {
		return at.EscapedPath()
	}
	if path, ok := resolve(at, named[0]); ok {
		return path
	}
	return at.EscapedPath()
}

var errForeignHome = errors.New("it is on another host, and credentials go to the configured one only")

// foreign refuses an address on another host.
func (a *Account) foreign(what string, at *url.URL, href string) error {
	return &Error{Method: "PROPFIND", URL: display(at), Err: fmt.Errorf("%s is %.200q: %w", what, href, errForeignHome),
		Hint: "set url to that host if it is the service's"}
}

// homes are those that a principal names. One on another host is an error, not left out: its calendars would be
// missing without a word.
func (a *Account) homes(at *url.URL, principal string, self *node) (*found, error) {
	f := &found{principal: principal}
	seen := map[string]bool{}
	for _, href := range hrefs(self, caldavNS, "calendar-home-set") {
		p, ok := placeAt(at, href)
		if !ok || !a.client.trusts(p.url) {
			return nil, a.foreign("calendar-home-set", at, href)
		}
		if !seen[p.id] {
			seen[p.id] = true
			f.homes = append(f.homes, home{p, false})
		}
	}
	if len(f.homes) == 0 {
		return nil, &Error{Method: "PROPFIND", URL: display(at), Err: errors.New("the principal has no calendar-home-set"),
			Hint: "set url to the collection that holds the calendars"}
	}
	return f, nil
}

// leadsFrom tells whether the given address is a way to what was found: its root, its principal or its home. It
// is not where, say, the home of someone else was given.
func (f *found) leadsFrom(here place) bool {
	if f == nil {
		return false
	}
	if strings.HasPrefix(normalise(f.principal)+"/", here.normal) {
		return true
	}
	for _, h := range f.homes {
		if strings.HasPrefix(h.normal, here.normal) {
			return true
		}
	}
	return false
}

func (f *found) principalOr(here place) string {
	if f == nil {
		return here.normal
	}
	return f.principal
}

// holdsCalendars tells whether a collection's members include a calendar.
func (a *Account) holdsCalendars(ctx context.Context, at *url.URL) bool {
	_, all, err := a.properties(ctx, at, "1", []string{"d:resourcetype"})
	if err != nil {
		return false // what discovery found without it counts, or its error
	}
	for _, d := range all {
		if d.props.first(davNS, "resourcetype").has(caldavNS, "calendar") {
			return true
		}
	}
	return false
}

// hrefs are those within the property of that name.
func hrefs(n *node, space, local string) []string {
	var all []string
	for _, p := range n.find(space, local) {
		for _, h := range p.find(davNS, "href") {
			all = append(all, h.text)
		}
	}
	return all
}
