package google

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// Tokens of streams that do not go by Google's sync tokens. Those are sent back byte for byte.
const (
	updatedMinToken = "updated-min:" // and an RFC 3339 time: the server's, at the beginning of the poll
	etagToken       = "etag:"        // and the ETag of a list of one page
	fullToken       = "full"
)

const (
	// updatedMinOverlap is how far before its token an updated-min poll asks: changes take a while to show in lists.
	updatedMinOverlap = 5 * time.Minute
	// maxIdlePages bounds the pages in a row that bring nothing new: a server that never ends is an error, a long listing is
	// not. Google's pages may be empty, above all under filters.
	maxIdlePages = 1000
)

var errCircle = errors.New("the pages go in a circle")

// poll is one poll of a stream.
type poll struct {
	account *Account
	query   connector.Query
	first   pageQuery       // of the list
	listing bool            // everything is shown: what is not is absent
	how     string          // bySyncToken, byUpdatedMin or byFull
	pending map[string]bool // to be shown with their bodies
	needs   func(id, etag string) bool

	pager
	seen  connector.IDs // shown in this poll
	dead  connector.IDs // of these, what is not alive as shown last
	fresh int           // ids that this page was the first to show
	idle  int           // pages in a row that brought none
	held  held
}

// newPoll decides what is asked for. A token that is not of the kind in use is invalid without asking.
func (a *Account) newPoll(q connector.Query) (*poll, error) {
	p := &poll{account: a, query: q, how: bySyncToken, listing: q.Token == "", pending: map[string]bool{},
		seen: connector.IDs{}, dead: connector.IDs{},
		first: pageQuery{max: othersPage, sync: q.Token}}
	p.held = held{byID: map[string]parsed{}, alive: map[string]bool{}}
	for _, id := range q.Pending {
		p.pending[id] = true
	}
	p.needs = serialised(q.Needs)
	if q.Stream.Kind != connector.Events {
		return p, nil
	}
	p.how, p.first.max = a.how(q.Stream.Collection), eventsPage
	own := strings.HasPrefix(q.Token, updatedMinToken) || strings.HasPrefix(q.Token, etagToken) || q.Token == fullToken
	switch {
	case p.how == byFull:
		p.listing, p.first.sync = true, ""
		if tag, ok := strings.CutPrefix(q.Token, etagToken); ok {
			p.first.match = tag
		}
	case p.how == byUpdatedMin && q.Token != "":
		at, err := time.Parse(time.RFC3339, strings.TrimPrefix(q.Token, updatedMinToken))
		if err != nil || !strings.HasPrefix(q.Token, updatedMinToken) {
			return nil, fmt.Errorf("%s: a token of another way to follow: %w", opOf(q.Stream), connector.ErrTokenInvalid)
		}
		p.first.sync, p.first.updatedMin = "", at.Add(-updatedMinOverlap).UTC().Format(time.RFC3339)
	case p.how == bySyncToken && own:
		return nil, fmt.Errorf("%s: a token of another way to follow: %w", opOf(q.Stream), connector.ErrTokenInvalid)
	}
	return p, nil
}

// run reads the list and yields pages.
func (p *poll) run(ctx context.Context, yield func(connector.Page, error) bool) {
	p.pager = pager{yield: yield, delta: !p.listing}
	flow(ctx, p.parse, p.list, p.take)
}

// list adds every page of the list to the pipeline. The token comes from the last (Invariant 2).
func (p *poll) list(to *pipeline) error {
	q := p.first
	begun := time.Time{}
	for n := 0; ; n++ {
		asked := time.Now()
		ans, err := p.account.page(to.ctx, p.query.Stream, q, to.add)
		if errors.Is(err, errNotModified) && q.match != "" {
			return to.put(chunk{end: &mark{token: p.query.Token}})
		}
		if err != nil {
			return p.explain(to.ctx, err, q)
		}
		if err := to.flush(); err != nil {
			return err
		}
		if n == 0 {
			if begun = ans.date; begun.IsZero() {
				begun = asked
			}
		}
		if ans.next == "" {
			end, err := p.end(ans, begun, n == 0)
			if err != nil {
				return err
			}
			return to.put(chunk{page: true, end: end})
		}
		if err := to.put(chunk{page: true}); err != nil {
			return err
		}
		q.page, q.match = ans.next, ""
	}
}

// end makes the mark of a list that has been read to its end.
func (p *poll) end(ans pageAnswer, begun time.Time, single bool) (*mark, error) {
	m := &mark{listing: p.listing, token: ans.sync}
	switch p.how {
	case byUpdatedMin:
		m.token = updatedMinToken + begun.UTC().Format(time.RFC3339)
	case byFull:
		if m.token = fullToken; single && ans.etag != "" && p.query.Stream.Collection != birthdays {
			m.token = etagToken + ans.etag
		}
	}
	switch {
	case m.token == "":
		return nil, &Error{Op: opOf(p.query.Stream), Err: errors.New("the last page has no nextSyncToken: the answer is not complete")}
	case p.how != bySyncToken && !ans.listed:
		return nil, &Error{Op: opOf(p.query.Stream), Err: errors.New("the answer has no items: it is not a list"), Hint: "check the endpoint"}
	}
	return m, nil
}

// explain says what the error of a page means for the stream.
func (p *poll) explain(ctx context.Context, err error, q pageQuery) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	token := q.sync != "" || q.updatedMin != ""
	collection := p.query.Stream.Collection != ""
	switch {
	case token && e.Status == http.StatusGone:
		return fmt.Errorf("%w: %w", connector.ErrTokenInvalid, err)
	case token && e.Status == http.StatusBadRequest && p.blames(ctx, e, q):
		return fmt.Errorf("%w: %w", connector.ErrTokenInvalid, err)
	case collection && e.Status == http.StatusNotFound, collection && e.Status == http.StatusGone && q.page == "":
		return fmt.Errorf("%w: %w", connector.ErrGone, err)
	case e.Status == http.StatusNotFound:
		e.Hint = "check the endpoint"
	}
	return err
}

// blames tells whether a 400 is about the token: it says so or, where it does not, the same is answered without the token.
func (p *poll) blames(ctx context.Context, e *Error, q pageQuery) bool {
	switch {
	case e.about("pageToken"):
		return false
	case e.about("syncToken"), e.has("syncTokenWithRequestRestrictions"), e.names("sync token"), q.updatedMin != "" && e.about("updatedMin"):
		return true
	case q.page != "":
		return false
	}
	q.sync, q.updatedMin, q.max = "", "", 1
	_, err := p.account.page(ctx, p.query.Stream, q, func(item) error { return nil })
	return err == nil
}

// take takes a chunk in its order, and yields what makes a page; false when nothing more is wanted.
func (p *poll) take(ctx context.Context, c chunk) bool {
	if c.err != nil {
		p.yield(connector.Page{}, c.err)
		return false
	}
	for _, it := range c.items {
		if !p.show(it) {
			return false
		}
	}
	if p.held.bytes > maxHeld && !p.settle(ctx, false) {
		return false
	}
	if c.page {
		if p.idle++; p.fresh > 0 {
			p.idle, p.fresh = 0, 0
		}
		if p.idle > maxIdlePages {
			p.yield(connector.Page{}, &Error{Op: opOf(p.query.Stream), Err: fmt.Errorf("%d pages without anything new: %w", p.idle, errCircle)})
			return false
		}
	}
	if c.end != nil {
		p.finish(ctx, c.end)
		return false
	}
	return true
}

// show takes one item; false when nothing more is wanted.
func (p *poll) show(it parsed) bool {
	id := it.res.ID
	if !p.seen.Has(id) {
		p.fresh++
	}
	p.mark(it)
	p.held.drop(id) // it is shown again, and the later one counts
	switch {
	case it.skip:
		return true
	case it.series == "":
		return p.add(it.res, it.bytes)
	case p.listing && !it.told && p.alive(it.series):
		return p.add(it.res, it.bytes)
	}
	p.held.hold(it)
	return true
}

// mark notes that an item has been shown, and whether it is alive.
func (p *poll) mark(it parsed) {
	p.seen.Add(it.res.ID)
	if it.skip || it.res.Presence == connector.Removed {
		p.dead.Add(it.res.ID)
	} else {
		p.dead.Remove(it.res.ID)
	}
}

// alive tells whether what has the id was shown, and alive.
func (p *poll) alive(id string) bool { return p.seen.Has(id) && !p.dead.Has(id) }

// finish ends a poll whose answer has been read completely.
func (p *poll) finish(ctx context.Context, end *mark) {
	if !p.settle(ctx, true) || !p.fetchPending(ctx, end) {
		return
	}
	p.page.Token, p.page.Last, p.page.Listing = end.token, true, end.listing
	p.flush()
}

// fetchPending asks for what was pending and has not been shown; false when nothing more is wanted. A listing needs no such
// question: it shows what there is.
func (p *poll) fetchPending(ctx context.Context, end *mark) bool {
	if end.listing {
		return true
	}
	var ids []string
	for _, id := range p.query.Pending {
		if !p.seen.Has(id) {
			ids = append(ids, id)
		}
	}
	return p.askFor(ctx, ids, p.fetch, func(it parsed) bool { return p.add(it.res, it.bytes) })
}

// askFor asks for single resources, and keeps the answers for a few before they are taken.
func (p *poll) askFor(ctx context.Context, ids []string, ask func(context.Context, string) (parsed, error), take func(parsed) bool) bool {
	for some := range slices.Chunk(ids, someIDs) {
		found, err := each(ctx, some, ask)
		if err != nil {
			p.yield(connector.Page{}, err)
			return false
		}
		for _, it := range found {
			if !take(it) {
				return false
			}
		}
	}
	return true
}

// fetch reads one resource.
func (p *poll) fetch(ctx context.Context, id string) (parsed, error) {
	missing := parsed{res: connector.Resource{ID: id, Presence: connector.Missing}}
	told, err := p.account.one(ctx, p.query.Stream, id)
	if isMissing(err) {
		return missing, nil
	}
	if err != nil {
		return parsed{}, err
	}
	it, err := p.parse(told)
	if err != nil {
		return parsed{}, err
	}
	if it.series != "" {
		alive, err := p.livesOn(ctx, it.series)
		if err != nil {
			return parsed{}, err
		}
		it.skip = !alive
	}
	if it.skip || it.res.Presence == connector.Removed || it.res.ID != id {
		return missing, nil
	}
	return it, nil
}
