// Package sourcetest is the suite that every connector.Account passes: what the connector relies on when it turns
// polls into exactly one record a change.
package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/calcdc/calcdc/connector"
	"go.uber.org/goleak"
)

// Fixture is an account on an upstream of its own, with one collection that is empty at first. Every function ends the
// test when it fails.
type Fixture struct {
	Account connector.Account
	Events  connector.Stream // of the collection

	// Put creates the named object or changes it, so that text is in its row.
	Put func(t *testing.T, name, text string)
	// Delete removes the named object.
	Delete func(t *testing.T, name string)
	// ID is the resource id of the named object.
	ID func(name string) string
	// RemoveCollection removes the collection; nil where it cannot be removed.
	RemoveCollection func(t *testing.T)
	// Forget makes upstream forget every token that it gave; nil where it gives none, because it can only list.
	Forget func(t *testing.T)
	// FreshTokens says that upstream gives another token each time, though nothing has changed.
	FreshTokens bool
	// Constant says that the collection's token says nothing, since every poll lists.
	Constant bool
	// Break makes every request fail from now on; Mend ends it.
	Break, Mend func(t *testing.T)
}

const (
	few      = 5
	many     = 1203 // more than two full pages
	maxPage  = 500
	deadline = time.Minute
)

// Run runs the suite. Each test gets a fixture of its own; goroutines that outlive a poll fail it.
func Run(t *testing.T, fixture func(t *testing.T) Fixture) {
	tests := map[string]func(*testing.T, Fixture){
		"connecting is repeatable":               connects,
		"an empty collection ends with a token":  empty,
		"a listing shows everything once":        lists,
		"pages are bounded and ordered":          pages,
		"a listing fetches only what is needed":  needs,
		"a delta shows creates and changes":      delta,
		"a delta shows removals":                 removal,
		"a poll can be repeated":                 repeats,
		"polls do not disturb one another":       together,
		"a fresh listing and a plain one agree":  fresh,
		"pending resources are asked for":        pending,
		"a forgotten token is an error":          forgotten,
		"an upstream that fails shows no token":  broken,
		"a consumer may stop early":              stops,
		"cancellation ends a poll":               cancels,
		"looking tells what is there":            looks,
		"the calendars stream lists":             calendars,
		"a collection that is gone is not empty": gone,
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			f := fixture(t)
			ignore := goleak.IgnoreCurrent()
			tests[name](t, f)
			leaks(t, ignore)
		})
	}
}

// leaks fails the test for goroutines that polls left behind. Those of idle connections, on either side, are the
// fixture's.
func leaks(t *testing.T, ignore goleak.Option) {
	t.Helper()
	err := goleak.Find(ignore,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("net/http.(*conn).serve"), goleak.IgnoreAnyFunction("net/http.(*Server).Serve"),
		goleak.IgnoreAnyFunction("net/http.(*connReader).backgroundRead"))
	if err != nil {
		t.Error(err)
	}
}

// shown is what a poll showed.
type shown struct {
	resources map[string]connector.Resource // the last of each id
	order     []string
	token     string
	listing   bool
	pages     int
}

// poll reads a stream to its end and checks what holds for every poll.
func poll(t *testing.T, f Fixture, q connector.Query) shown {
	t.Helper()
	s, err := try(t, f, q)
	if err != nil {
		t.Fatalf("polling %s: %v", q.Stream, err)
	}
	return s
}

func try(t *testing.T, f Fixture, q connector.Query) (shown, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if q.Needs == nil {
		q.Needs = func(string, string) bool { return true }
	}
	s := shown{resources: map[string]connector.Resource{}}
	last := false
	for page, err := range f.Account.Poll(ctx, q) {
		if err != nil {
			if page.Token != "" || page.Last || len(page.Resources) > 0 {
				t.Errorf("a page came beside an error: %+v", page)
			}
			return s, err
		}
		if last {
			t.Fatal("a page came after the last")
		}
		last = page.Last
		s.add(t, q, page)
	}
	if !last {
		t.Fatal("the poll ended without a last page and without an error")
	}
	return s, nil
}

func (s *shown) add(t *testing.T, q connector.Query, page connector.Page) {
	t.Helper()
	s.pages++
	if len(page.Resources) > maxPage {
		t.Errorf("a page of %d resources", len(page.Resources))
	}
	switch {
	case page.Last && page.Token == "":
		t.Error("the last page has no token")
	case page.Listing && !page.Last:
		t.Error("a page before the last says that everything was listed")
	case !page.Last && page.Token != "" && q.Token == "":
		t.Error("a page of a listing has a token before the last")
	case page.Last && q.Token == "" && !page.Listing:
		t.Error("a query without a token did not list everything")
	}
	if page.Last {
		s.token, s.listing = page.Token, page.Listing
	}
	for _, r := range page.Resources {
		if err := sound(q, r); err != nil {
			t.Errorf("%s: %v", r.ID, err)
		}
		s.resources[r.ID] = r
		s.order = append(s.order, r.ID)
	}
}

// sound checks what holds for every resource.
func sound(q connector.Query, r connector.Resource) error {
	ids := make([]string, len(r.Rows))
	for i, row := range r.Rows {
		ids[i] = row.ID
		if len(row.JSON) == 0 || row.Hash == (connector.Hash{}) {
			return errors.New("a row without JSON or hash")
		}
	}
	switch {
	case r.ID == "":
		return errors.New("no id")
	case !slices.IsSorted(ids):
		return fmt.Errorf("rows are not in id order: %q", ids)
	case r.Presence != connector.Read && r.Presence != connector.Failed && len(r.Rows) > 0:
		return fmt.Errorf("presence %d with rows", r.Presence)
	case r.Presence == connector.Read && r.Hash == (connector.Hash{}):
		return errors.New("read, without a hash")
	case r.Presence == connector.Failed && (r.Err == nil || len(r.Rows) != 1):
		return errors.New("failed, without an error and one row")
	case r.Presence >= connector.Gone:
		return fmt.Errorf("presence %d is Look's", r.Presence)
	case q.Stream.Kind == connector.Events && r.Presence == connector.Ignored:
		return errors.New("ignored is for collections")
	}
	return nil
}

func (s shown) want(t *testing.T, want map[string]connector.Presence) {
	t.Helper()
	got := map[string]connector.Presence{}
	for id, r := range s.resources {
		got[id] = r.Presence
	}
	if !maps.Equal(got, want) {
		t.Errorf("shown: %v, want %v", got, want)
	}
}

func name(i int) string { return fmt.Sprintf("object-%05d", i) }

// fill puts n objects.
func fill(t *testing.T, f Fixture, n int) {
	t.Helper()
	for i := range n {
		f.Put(t, name(i), fmt.Sprintf("text of %d", i))
	}
}
