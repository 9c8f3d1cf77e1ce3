package connector

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// feeds is a calendar service in memory in which every stream is a list with tokens of its own, as Google has them: the
// collections too, and exceptions are items that go with their series without a word.
type feeds struct {
	mu    sync.Mutex
	name  string
	lists map[Stream]*feed
	fail  func(what string) error // "page", "home", "look", "connect"
	ghost map[string]bool         // items that the next delta reports removed before it shows them
	polls []Query
	born  int // lists made so far, times 1000
}

type feed struct {
	items  map[string]feedItem
	log    []string // by version: the item that changed
	oldest int      // tokens below are forgotten
}

type feedItem struct {
	text, parent string
	version      int
}

func newFeeds(name string) *feeds {
	f := &feeds{name: name, lists: map[Stream]*feed{}}
	f.lists[f.stream("", Calendars)] = f.newFeed()
	f.lists[f.stream("", Settings)] = f.newFeed()
	return f
}

// newFeed is a list that knows no token of an earlier one in its place.
func (f *feeds) newFeed() *feed {
	f.born += 1000
	return &feed{items: map[string]feedItem{}, log: make([]string, f.born), oldest: f.born}
}

func (f *feeds) stream(collection string, k Kind) Stream {
	return Stream{Source: "team", Account: f.name, Collection: collection, Kind: k}
}

// calendar makes a collection, or changes the role that the account has in it.
func (f *feeds) calendar(id, role string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range perCollection {
		if s := f.stream(id, k); f.lists[s] == nil {
			f.lists[s] = f.newFeed()
		}
	}
	f.lists[f.stream("", Calendars)].put(id, role, "")
}

// drop takes a collection away.
func (f *feeds) drop(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range perCollection {
		delete(f.lists, f.stream(id, k))
	}
	f.lists[f.stream("", Calendars)].del(id)
}

func (f *feeds) put(s Stream, id, text, parent string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.lists[s]; l != nil {
		l.put(id, text, parent)
	}
}

// del removes an item and, without a word of them, its children.
func (f *feeds) del(s Stream, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.lists[s]; l != nil {
		l.del(id)
		for child, item := range l.items {
			if item.parent == id {
				delete(l.items, child)
			}
		}
	}
}

func (f *feeds) forget(s Stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.lists[s]; l != nil {
		l.log = append(l.log, "")
		l.oldest = len(l.log)
	}
}

func (l *feed) put(id, text, parent string) {
	l.log = append(l.log, id)
	l.items[id] = feedItem{text, parent, len(l.log)}
}

func (l *feed) del(id string) {
	l.log = append(l.log, id)
	delete(l.items, id)
}

func (f *feeds) Name() string                  { return f.name }
func (f *feeds) Connect(context.Context) error { return f.trouble("connect") }
func (f *feeds) ConfigHash(k Kind) string      { return "h-" + string(k) }

func (f *feeds) trouble(what string) error {
	f.mu.Lock()
	fail := f.fail
	f.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(what)
}

func (f *feeds) breaks(fail func(string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *feeds) Poll(ctx context.Context, q Query) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		all, token, err := f.ask(q)
		if err != nil {
			yield(Page{}, err)
			return
		}
		what := "page"
		if q.Stream.Kind == Calendars {
			what = "home"
		}
		for part := range slices.Chunk(all, 3) {
			if err := f.trouble(what); err != nil {
				yield(Page{}, err)
				return
			}
			if !yield(Page{Resources: part, Overlap: q.Token != ""}, nil) || ctx.Err() != nil {
				return
			}
		}
		if err := f.trouble(what); err != nil {
			yield(Page{}, err)
			return
		}
		yield(Page{Token: token, Last: true, Listing: q.Token == "", Overlap: q.Token != ""}, nil)
	}
}

func (f *feeds) ask(q Query) ([]Resource, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls = append(f.polls, q)
	l := f.lists[q.Stream]
	if l == nil {
		return nil, "", ErrGone
	}
	var from int
	_, _ = fmt.Sscan(q.Token, &from)
	if q.Token != "" && from < l.oldest {
		return nil, "", fmt.Errorf("410: %w", ErrTokenInvalid)
	}
	ids := slices.Sorted(maps.Keys(l.items))
	if q.Token != "" {
		changed := map[string]bool{}
		for _, id := range l.log[from:] {
			changed[id] = true
		}
		delete(changed, "")
		ids = slices.Sorted(maps.Keys(changed))
	}
	var all []Resource
	for _, id := range ids {
		if q.Token != "" && f.ghost[id] {
			all = append(all, Resource{ID: id, Presence: Removed})
		}
		all = append(all, l.resource(q, id))
	}
	return all, fmt.Sprint(len(l.log)), nil
}

func (l *feed) resource(q Query, id string) Resource {
	item, there := l.items[id]
	if !there {
		return Resource{ID: id, Presence: Removed}
	}
	res := Resource{ID: id, ETag: fmt.Sprint(item.version), Parent: item.parent, Hash: HashOf([]byte(item.text)), Presence: Read}
	if q.Token == "" && q.Stream.Kind != Calendars && !q.Needs(id, res.ETag) {
		res.Presence = Listed
		return res
	}
	s := q.Stream
	switch s.Kind {
	case Events:
		res.Rows = []Row{memRow(s, id, res.ETag, item.text)}
	case Calendars:
		res.Rows = []Row{(&Calendar{Source: s.Source, Account: s.Account, Collection: id, Name: &item.text}).Row()}
		res.Streams = []Kind{Events}
		if item.text == "owner" {
			res.Streams = []Kind{Events, ACL}
		}
	case ACL:
		res.Rows = []Row{(&Rule{Source: s.Source, Account: s.Account, Collection: s.Collection, ID: id, Role: &item.text}).Row()}
	case Settings:
		res.Rows = []Row{(&Setting{Source: s.Source, Account: s.Account, ID: id, Value: &item.text}).Row()}
	}
	return res
}

func (f *feeds) Look(_ context.Context, s Stream, ids []string) ([]Presence, error) {
	if err := f.trouble("look"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Presence, len(ids))
	for i, id := range ids {
		out[i] = Gone
		if l := f.lists[s]; l != nil {
			if _, there := l.items[id]; there {
				out[i] = Read
			}
		}
	}
	return out, nil
}

// holds is what a mirror of the service holds: texts by key. Rules of calendars that are not the account's own are not seen.
func (f *feeds) holds() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	roles := f.lists[f.stream("", Calendars)].items
	out := map[string]string{}
	for s, l := range f.lists {
		if s.Kind == ACL && roles[s.Collection].text != "owner" {
			continue
		}
		for id, item := range l.items {
			out[string(s.Kind)+" "+string(s.Key(id))] = item.text
		}
	}
	return out
}

// mirror folds all rows, checking each record against what came before it: texts by topic and key.
func mirror(t *testing.T, log []Record) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for i, r := range log {
		if len(r.Headers) == 0 || r.Headers[0].Key != "calcdc.op" {
			continue
		}
		key := r.Topic[strings.LastIndexByte(r.Topic, '.')+1:] + " " + string(r.Key)
		old, known := rows[key]
		var v struct {
			Op            string
			Before, After *struct{ Summary, Name, Role, Value string }
		}
		if err := json.Unmarshal(r.Value, &v); err != nil {
			t.Fatal(err)
		}
		if known != (v.Op != opCreate) && v.Op != opRead {
			t.Fatalf("record %d: %s of %s, known %v", i, v.Op, key, known)
		}
		text := ""
		if v.After != nil {
			text = v.After.Summary + v.After.Name + v.After.Role + v.After.Value
		}
		switch {
		case v.Op == opDelete:
			delete(rows, key)
			continue
		case v.Op == opUpdate && old == text:
			t.Fatalf("record %d: u of %s changes nothing", i, key)
		}
		rows[key] = text
	}
	return rows
}
