package connector

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// upstream is a calendar service in memory: collections with members, and a log of changes that makes its tokens.
type upstream struct {
	mu          sync.Mutex
	collections map[string]*memCollection
	account     string
	hash        string
	pageSize    int
	polls       []Query
	fetches     int
	lookAs      map[string]Presence            // answers of Look for collections that are not there: Gone by default
	before      func(kind string, n int) error // called before each page ("page") and fetch ("fetch")
	calls       map[string]int
	hang        map[string]time.Duration // collections that answer with an error after so long
	forbid      map[string]bool          // bodies that are refused
	hide        map[string]bool          // bodies that are listed and then absent, once
	hashed      bool                     // the home's signs are of what a collection holds, so that an old one may come again
	coarse      time.Duration            // they are times, cut to this
}

type memCollection struct {
	version int
	oldest  int  // tokens below are forgotten
	silent  bool // a forgotten token is answered with a full list, without deletions
	members map[string]memMember
	log     []string  // by version: what changed
	changed time.Time // last
}

type memMember struct{ etag, body string }

const memAccount = "alice"

func newUpstream() *upstream {
	return &upstream{
		collections: map[string]*memCollection{}, account: memAccount, hash: "h1", pageSize: 3,
		lookAs: map[string]Presence{}, calls: map[string]int{}, forbid: map[string]bool{}, hide: map[string]bool{},
	}
}

func (u *upstream) add(name string) *memCollection {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := &memCollection{members: map[string]memMember{}}
	u.collections[name] = c
	return c
}

func (c *memCollection) move() {
	c.version++
	c.changed = time.Now()
}

func (u *upstream) drop(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.collections, name)
}

// put stores a member; body is its rows, "name=value" separated by commas.
func (u *upstream) put(c *memCollection, id, body string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c.move()
	c.log = append(c.log, id)
	c.members[id] = memMember{etag: "e" + strconv.Itoa(c.version), body: body}
}

func (u *upstream) del(c *memCollection, id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c.move()
	c.log = append(c.log, id)
	delete(c.members, id)
}

func (u *upstream) forget(c *memCollection) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c.move()
	c.log = append(c.log, "")
	c.oldest = c.version
}

func (u *upstream) Name() string                  { return u.account }
func (u *upstream) Connect(context.Context) error { return u.call("connect") }
func (u *upstream) ConfigHash(Kind) string        { return u.hash }

func (u *upstream) call(kind string) error {
	u.mu.Lock()
	u.calls[kind]++
	n, before := u.calls[kind], u.before
	u.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(kind, n)
}

func (u *upstream) fail(before func(kind string, n int) error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.before = before
}

// count is how often the kind of request was made.
func (u *upstream) count(kind string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.calls[kind]
}

func (u *upstream) Poll(ctx context.Context, q Query) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		u.mu.Lock()
		u.polls = append(u.polls, q)
		u.mu.Unlock()
		if q.Stream.Kind == Calendars {
			yield(u.home(q))
			return
		}
		if d, ok := u.hang[q.Stream.Collection]; ok {
			if sleep(ctx, d) {
				yield(Page{}, errLost)
			}
			return
		}
		ids, removed, token, err := u.list(q)
		if err != nil {
			yield(Page{}, err)
			return
		}
		u.pages(ctx, q, ids, removed, token, yield)
	}
}

func (u *upstream) home(q Query) (Page, error) {
	if err := u.call("home"); err != nil {
		return Page{}, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	page := Page{Last: true, Listing: true}
	all := ""
	for _, name := range slices.Sorted(maps.Keys(u.collections)) {
		row := (&Calendar{Source: q.Stream.Source, Account: q.Stream.Account, Collection: name}).Row()
		hint := Hint{Value: fmt.Sprint(u.collections[name].version)}
		if u.hashed {
			hint.Value = fmt.Sprint(slices.Sorted(maps.Keys(u.collections[name].members)))
		}
		if u.coarse > 0 {
			hint = Hint{Value: u.collections[name].changed.Truncate(u.coarse).String(), Coarse: u.coarse}
		}
		page.Resources = append(page.Resources, Resource{ID: name, Presence: Read, Hash: row.Hash, Rows: []Row{row}, Hint: hint})
		all += name + "\n"
	}
	page.Token = "home:" + all
	return page, nil
}

func (u *upstream) list(q Query) (ids, removed []string, token string, err error) {
	if err := u.call("list"); err != nil {
		return nil, nil, "", err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	c, ok := u.collections[q.Stream.Collection]
	if !ok {
		return nil, nil, "", ErrGone
	}
	token = strconv.Itoa(c.version)
	from, _ := strconv.Atoi(q.Token)
	switch {
	case q.Token != "" && from < c.oldest && !c.silent:
		return nil, nil, "", fmt.Errorf("403: %w", ErrTokenInvalid)
	case q.Token == "", from < c.oldest:
		return slices.Sorted(maps.Keys(c.members)), nil, token, nil
	}
	changed := map[string]bool{}
	for _, id := range c.log[from:] {
		changed[id] = true
	}
	delete(changed, "")
	for _, id := range slices.Sorted(maps.Keys(changed)) {
		if _, ok := c.members[id]; ok {
			ids = append(ids, id)
		} else {
			removed = append(removed, id)
		}
	}
	return ids, removed, token, nil
}

func (u *upstream) pages(ctx context.Context, q Query, ids, removed []string, token string, yield func(Page, error) bool) {
	for _, id := range q.Pending {
		if !slices.Contains(ids, id) && !slices.Contains(removed, id) {
			ids = append(ids, id)
		}
	}
	var page Page
	for _, id := range removed {
		page.Resources = append(page.Resources, Resource{ID: id, Presence: Removed})
	}
	for part := range slices.Chunk(ids, u.pageSize) {
		if err := u.call("page"); err != nil {
			yield(Page{}, err)
			return
		}
		for _, id := range part {
			res, err := u.fetch(q, id)
			if err != nil {
				yield(Page{}, err)
				return
			}
			page.Resources = append(page.Resources, res)
		}
		if !yield(page, nil) || ctx.Err() != nil {
			return
		}
		page = Page{}
	}
	if err := u.call("end"); err != nil {
		yield(Page{}, err)
		return
	}
	page.Token, page.Last, page.Listing = token, true, q.Token == ""
	yield(page, nil)
}

func (u *upstream) fetch(q Query, id string) (Resource, error) {
	u.mu.Lock()
	m, there := u.collections[q.Stream.Collection].members[id]
	hidden, forbidden := u.hide[id], u.forbid[id]
	delete(u.hide, id)
	u.mu.Unlock()
	if q.Token == "" && there && !q.Needs(id, m.etag) {
		return Resource{ID: id, Presence: Listed, ETag: m.etag}, nil
	}
	if err := u.call("fetch"); err != nil {
		return Resource{}, err
	}
	u.mu.Lock()
	u.fetches++
	u.mu.Unlock()
	switch {
	case forbidden:
		return Resource{ID: id, Presence: Failed, Err: errors.New("403"), Rows: []Row{memRow(q.Stream, id, "", "unreadable")}}, nil
	case hidden || !there:
		return Resource{ID: id, Presence: Missing}, nil
	}
	return Resource{ID: id, Presence: Read, ETag: m.etag, Hash: HashOf([]byte(m.body)), Rows: memRows(q.Stream, id, m)}, nil
}

func (u *upstream) Look(_ context.Context, s Stream, ids []string) ([]Presence, error) {
	if err := u.call("look"); err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	out := make([]Presence, len(ids))
	var failed error
	for i, id := range ids {
		out[i] = Gone
		if s.Kind == Calendars {
			if _, ok := u.collections[id]; ok {
				out[i] = Read
			} else if p, ok := u.lookAs[id]; ok {
				if out[i] = p; p == Failed {
					failed = errLost
				}
			}
			continue
		}
		if c, ok := u.collections[s.Collection]; ok {
			if _, ok := c.members[id]; ok {
				out[i] = Read
			}
		}
	}
	return out, failed
}

func memRows(s Stream, id string, m memMember) []Row {
	var rows []Row
	for part := range strings.SplitSeq(m.body, ",") {
		name, value, _ := strings.Cut(part, "=")
		rowID := id
		if name != "" {
			rowID += "#" + name
		}
		rows = append(rows, memRow(s, rowID, m.etag, value))
	}
	return rows
}

func memRow(s Stream, id, etag, summary string) Row {
	e := &Event{ETag: &etag}
	e.Source, e.Account, e.Collection, e.ID, e.Summary = s.Source, s.Account, s.Collection, id, &summary
	return e.Row(0)
}

// rows is what a mirror of the collection holds: summaries by row id.
func (u *upstream) rows(name string) map[string]string {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := map[string]string{}
	c, ok := u.collections[name]
	if !ok {
		return out
	}
	for id, m := range c.members {
		for part := range strings.SplitSeq(m.body, ",") {
			rowName, value, _ := strings.Cut(part, "=")
			rowID := id
			if rowName != "" {
				rowID += "#" + rowName
			}
			out[rowID] = value
		}
	}
	return out
}
