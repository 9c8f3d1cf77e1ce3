package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sources/caldav"
)

// What looking at servers may cost: time for one account, and how many at once.
const (
	lookTimeout = time.Minute
	looksAtOnce = 8
)

// accountView is an account as its server and, for discover, the store show it.
type accountView struct {
	Source      string           `json:"source"`
	Account     string           `json:"account"`
	Principal   string           `json:"principal,omitempty"`
	Homes       []string         `json:"homes,omitempty"`
	Collections []collectionView `json:"collections"`
	Note        string           `json:"note,omitempty"`
	Error       string           `json:"error,omitempty"`
}

// collectionView is a collection. Phase, epoch and rows are those of its events stream in the store.
type collectionView struct {
	ID         string          `json:"id"`
	Name       string          `json:"name"`
	Components []string        `json:"components"`
	Sync       string          `json:"sync"` // sync-collection, ctag or etag; "" where the server does not list it
	Followed   bool            `json:"followed"`
	Note       string          `json:"note,omitempty"`
	Phase      connector.Phase `json:"phase,omitempty"`
	Epoch      int64           `json:"epoch,omitempty"`
	Rows       *int64          `json:"rows,omitempty"` // nil where nothing is committed
}

// describeAll asks every account's server what it has. An account that fails says so in its Error.
func describeAll(ctx context.Context, c *config.Config, log hclog.Logger) []*accountView {
	var views []*accountView
	var wg sync.WaitGroup
	slots := make(chan struct{}, looksAtOnce)
	for i := range c.Sources {
		s := &c.Sources[i]
		for _, a := range s.CalDAV.Accounts {
			v := &accountView{Source: s.Name, Account: a.Name, Collections: []collectionView{}}
			views = append(views, v)
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if err := v.describe(ctx, c, s, a, log); err != nil {
					v.Error = err.Error()
				}
			})
		}
	}
	wg.Wait()
	return views
}

func (v *accountView) describe(ctx context.Context, c *config.Config, s *config.Source, a config.Account, log hclog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	account, err := newAccount(c, s, a, log)
	if err != nil {
		return err
	}
	d, err := account.Describe(ctx)
	if err != nil {
		return err
	}
	v.Principal, v.Homes = d.Principal, d.Homes
	for _, col := range d.Collections {
		v.Collections = append(v.Collections, newCollectionView(s, col))
	}
	return nil
}

func newCollectionView(s *config.Source, col caldav.Collection) collectionView {
	v := collectionView{ID: col.ID, Name: col.Name, Components: col.Components, Sync: col.Sync, Followed: col.Followed}
	switch {
	case v.Followed:
	case !s.Collections.Follow(col.ID, col.Name):
		v.Note = "not included, or excluded, by collections"
	default:
		v.Note = "has no component that is followed"
	}
	return v
}

// addStore tells of each collection what is committed, and adds collections and accounts that only the store knows.
func addStore(views []*accountView, entries []offsets.Entry) []*accountView {
	byAccount := map[[2]string]*accountView{}
	for _, v := range views {
		byAccount[[2]string{v.Source, v.Account}] = v
	}
	for _, e := range entries {
		key := [2]string{e.Stream.Source, e.Stream.Account}
		v, ok := byAccount[key]
		if !ok {
			v = &accountView{Source: key[0], Account: key[1], Collections: []collectionView{}, Note: "not in the configuration"}
			byAccount[key] = v
			views = append(views, v)
		}
		if e.Stream.Kind == connector.Events {
			v.addEntry(e)
		}
	}
	return views
}

func (v *accountView) addEntry(e offsets.Entry) {
	for i := range v.Collections {
		if v.Collections[i].ID == e.Stream.Collection {
			v.Collections[i].addState(e)
			return
		}
	}
	c := collectionView{ID: e.Stream.Collection, Note: v.Note}
	switch {
	case v.Error != "":
		c.Note = "in the store; the server could not be asked"
	case v.Note == "":
		c.Note = "in the store only: the server does not list it"
	}
	c.addState(e)
	v.Collections = append(v.Collections, c)
}

func (c *collectionView) addState(e offsets.Entry) {
	if e.State != nil {
		c.Phase, c.Epoch, c.Rows = e.State.Phase, e.State.Epoch, &e.State.Rows
	}
}

// summary says what the server can do, e.g. "3 collections, 2 followed (2 sync-collection)".
func (v *accountView) summary() string {
	followed, how := 0, map[string]int{}
	for _, c := range v.Collections {
		if c.Followed {
			followed++
			how[c.Sync]++
		}
	}
	text := fmt.Sprintf("%s, %d followed", count(len(v.Collections), "collection"), followed)
	var ways []string
	for _, w := range []string{"sync-collection", "ctag", "etag"} {
		if how[w] > 0 {
			ways = append(ways, fmt.Sprintf("%d by %s", how[w], w))
		}
	}
	if len(ways) > 0 {
		text += ": " + strings.Join(ways, ", ")
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// clean makes text from a calendar fit for a terminal: what does not print, escape sequences above all, becomes '·'.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, text)
}
