package caldav

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// How a collection is followed, as it stands in a calendars row.
const (
	bySync = "sync-collection"
	byCTag = "ctag"
	byETag = "etag"
)

const maxPage = 500 // resources in a page

var collectionProps = []string{"d:resourcetype", "d:displayname", "d:sync-token", "cs:getctag", "d:supported-report-set",
	"d:current-user-privilege-set", "d:owner", "c:supported-calendar-component-set", "c:calendar-description",
	"c:calendar-timezone", "c:calendar-timezone-id", "a:calendar-color"}

// Collection is a calendar as discovery shows it.
type Collection struct {
	ID         string   `json:"id"` // the decoded path with its last slash
	Name       string   `json:"name"`
	Components []string `json:"components"` // empty: not said, so any
	Sync       string   `json:"sync"`       // sync-collection, ctag or etag
	Followed   bool     `json:"followed"`
}

// Description is what discovery shows of an account.
type Description struct {
	Principal   string       `json:"principal"`
	Homes       []string     `json:"homes"`
	Collections []Collection `json:"collections"`
}

// Describe lists the account's calendars and how each is followed.
func (a *Account) Describe(ctx context.Context) (Description, error) {
	f, err := a.discovered(ctx)
	if err != nil {
		return Description{}, err
	}
	d := Description{Principal: decode(normalise(f.principal))}
	for _, h := range f.homes {
		d.Homes = append(d.Homes, h.id)
	}
	all, err := a.collections(ctx, f)
	if err != nil {
		return Description{}, err
	}
	for _, c := range all {
		d.Collections = append(d.Collections, Collection{c.id, c.name(), c.components(), c.sync(), a.follows(c)})
	}
	return d, nil
}

// collection is a calendar as a home's listing shows it.
type collection struct {
	place
	href  string
	props node
}

func (c *collection) name() string { return c.props.first(davNS, "displayname").text }

// components are those that the collection says to take; none: it does not say.
func (c *collection) components() []string {
	var names []string
	for _, n := range c.props.first(caldavNS, "supported-calendar-component-set").child {
		if n.name.Local == "comp" && n.attr != "" {
			names = append(names, strings.ToUpper(n.attr))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// sync is how the collection is followed. Servers leave the report wrapper out of supported-report-set (Xandikos)
// or have a token without that property.
func (c *collection) sync() string {
	switch {
	case c.props.first(davNS, "supported-report-set").has(davNS, "sync-collection"),
		!c.props.has(davNS, "supported-report-set") && c.token() != "":
		return bySync
	case c.ctag() != "":
		return byCTag
	}
	return byETag
}

func (c *collection) token() string { return c.props.first(davNS, "sync-token").text }
func (c *collection) ctag() string  { return c.props.first(csNS, "getctag").text }

// hint is the cheap sign that the collection has moved. It is not a cursor: SOGo's runs ahead of what its reports show.
func (c *collection) hint() connector.Hint {
	v := c.token()
	if v == "" {
		v = c.ctag()
	}
	if !isSeconds(v) {
		return connector.Hint{Value: v}
	}
	return connector.Hint{Value: v, Coarse: coarse}
}

// coarse is a second, and another in which what was written shows.
const coarse = 2 * time.Second

// isSeconds tells whether a token or ctag is, or ends in, a time in seconds since 1970 (SOGo): equal values then do
// not prove that nothing happened.
func isSeconds(v string) bool {
	v = strings.Trim(v, `"`)
	tail := v[len(strings.TrimRight(v, "0123456789")):]
	n, err := strconv.ParseInt(tail, 10, 64)
	return err == nil && n >= 1_000_000_000 && n < 5_000_000_000
}

// follows says whether the configuration wants the collection's events.
func (a *Account) follows(c collection) bool {
	if comps := c.components(); len(comps) > 0 && !slices.ContainsFunc(comps, a.wants) {
		return false
	}
	return a.cfg.Follow(c.id, c.name())
}

func (a *Account) wants(component string) bool { return slices.Contains(a.cfg.Components, component) }

// row is the collection's row. It holds nothing that changes with the collection's contents: no token, no ctag.
// raw is null: what a server sends about a collection is an excerpt of properties, in an order and with prefixes of
// its whim, so it would change without a change.
func (a *Account) row(c collection) connector.Row {
	cal := connector.Calendar{Source: a.cfg.Source, Account: a.name, Collection: c.id, Components: c.components(),
		Sync: c.sync(), Href: optional(c.href), Name: optional(c.name()),
		Description: optional(c.props.first(caldavNS, "calendar-description").text),
		Color:       optional(c.props.first(appleNS, "calendar-color").text),
		Timezone:    optional(c.timezone()), AccessRole: optional(c.role(a.principal()))}
	return cal.Row()
}

func optional(s string) *string {
	if s = strings.ToValidUTF8(s, "\uFFFD"); s == "" {
		return nil
	}
	return &s
}

func (a *Account) principal() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.found == nil {
		return ""
	}
	return normalise(a.found.principal)
}

// timezone is the TZID of calendar-timezone, or calendar-timezone-id (RFC 7809).
func (c *collection) timezone() string {
	if id := c.props.first(caldavNS, "calendar-timezone-id").text; id != "" {
		return id
	}
	for line := range strings.Lines(c.props.first(caldavNS, "calendar-timezone").text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name, _, _ = strings.Cut(name, ";"); strings.EqualFold(name, "TZID") {
			return value
		}
	}
	return ""
}

// role puts the privileges (RFC 3744, RFC 4791 6.1.1) in Google's words; "" where the server does not tell.
func (c *collection) role(principal string) string {
	set := c.props.first(davNS, "current-user-privilege-set")
	may := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return set.has(davNS, n) })
	}
	known, owned := c.ownedBy(principal)
	switch {
	case owned && may("all", "write", "read"), !known && may("all", "write-acl"):
		return "owner"
	case may("all", "write", "write-content", "bind"):
		return "writer"
	case may("read"):
		return "reader"
	case set.has(caldavNS, "read-free-busy"):
		return "freeBusyReader"
	}
	return ""
}

// ownedBy compares the collection's owner, where it is known, with principal (RFC 3744 5.1).
func (c *collection) ownedBy(principal string) (known, owned bool) {
	owner := hrefs(&c.props, davNS, "owner")
	if len(owner) == 0 || owner[0] == "" {
		return false, false
	}
	path, ok := resolve(c.url, owner[0])
	return true, ok && strings.TrimSuffix(normalise(path), "/") == strings.TrimSuffix(principal, "/")
}

// pollHome lists the account's calendars, one request for each home.
func (a *Account) pollHome(ctx context.Context) iter.Seq2[connector.Page, error] {
	return func(yield func(connector.Page, error) bool) {
		pages, err := a.homePages(ctx)
		if err != nil {
			yield(connector.Page{}, fmt.Errorf("listing the calendars of %s/%s: %w", a.cfg.Source, a.name, err))
			return
		}
		for _, p := range pages {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (a *Account) homePages(ctx context.Context) ([]connector.Page, error) {
	f, err := a.discovered(ctx)
	if err != nil {
		return nil, err
	}
	all, err := a.collections(ctx, f)
	if err != nil {
		return nil, err
	}
	var pages []connector.Page
	var sum []byte
	for chunk := range slices.Chunk(all, maxPage) {
		var p connector.Page
		for _, c := range chunk {
			r := a.resource(c)
			sum = append(append(sum, r.ID...), r.Hash[:]...)
			p.Resources = append(p.Resources, r)
		}
		pages = append(pages, p)
	}
	if len(pages) == 0 {
		pages = append(pages, connector.Page{})
	}
	h := connector.HashOf(sum)
	last := &pages[len(pages)-1]
	last.Token, last.Last, last.Listing = "home:"+hex.EncodeToString(h[:]), true, true
	return pages, nil
}

func (a *Account) resource(c collection) connector.Resource {
	if !a.follows(c) {
		return connector.Resource{ID: c.id, Presence: connector.Ignored, Hint: c.hint()}
	}
	row := a.row(c)
	return connector.Resource{ID: c.id, Presence: connector.Read, Hash: row.Hash, Rows: []connector.Row{row}, Hint: c.hint()}
}

// collections lists the calendars of every home, by id. A home that cannot be listed is an error of the whole.
func (a *Account) collections(ctx context.Context, f *found) ([]collection, error) {
	byID := map[string]collection{}
	for _, h := range f.homes {
		if err := a.list(ctx, h, byID); err != nil {
			return nil, err
		}
	}
	all := make([]collection, 0, len(byID))
	for _, c := range byID {
		all = append(all, c)
	}
	slices.SortFunc(all, func(x, y collection) int { return strings.Compare(x.id, y.id) })
	a.remember(all)
	return all, nil
}

// remember keeps the calendars' hrefs as the server wrote them.
func (a *Account) remember(all []collection) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range all {
		a.places[c.id] = c.place
	}
}

// list adds the calendars of one home.
func (a *Account) list(ctx context.Context, h home, into map[string]collection) error {
	depth := "1"
	if h.single {
		depth = "0"
	}
	at, all, err := a.properties(ctx, h.url, depth, collectionProps)
	var e *Error
	if errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusGone) {
		a.rediscover()
	}
	if err != nil {
		return err
	}
	if here, _ := placeAt(at, at.EscapedPath()); here.normal != h.normal {
		a.rediscover()
		return &Error{Method: "PROPFIND", URL: display(h.url), Err: fmt.Errorf("the home has moved to %s", display(at)), Hint: "it is looked for again"}
	}
	return h.sift(all, into)
}

// sift keeps what is a calendar in the home. The home itself must be among the answers: an answer without it is
// not a complete listing, and absence would delete (Invariant 3).
func (h home) sift(all []described, into map[string]collection) error {
	complete := false
	for _, d := range all {
		p, ok := placeAt(h.url, d.href)
		if !ok {
			continue
		}
		if p.normal == h.normal {
			if d.status >= 400 {
				return &Error{Method: "PROPFIND", URL: display(h.url), Status: d.status, Hint: hint(d.status)}
			}
			complete = true
			if !h.single {
				continue
			}
		}
		if d.props.first(davNS, "resourcetype").has(caldavNS, "calendar") {
			into[p.id] = collection{place: p, href: d.href, props: d.props}
		}
	}
	if !complete {
		return &Error{Method: "PROPFIND", URL: display(h.url), Err: errors.New("the listing does not show the home itself: it is not complete")}
	}
	return nil
}
