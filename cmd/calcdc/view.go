package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/offsets"
)

// lookTimeout is what looking at one account, or finding the accounts of a source, may take.
const lookTimeout = time.Minute

// Why something is not followed.
const (
	notIncluded   = "not included, or excluded, by collections"
	notConfigured = "not in the configuration"
)

// looks are the configured sources and accounts, as their servers show them.
type looks struct {
	Sources  []sourceView   `json:"sources"`
	Accounts []*accountView `json:"accounts"`
}

// sourceView is a configured source.
type sourceView struct {
	Source    string `json:"source"`
	Connector string `json:"connector"`
	Accounts  int    `json:"accounts"`
	Error     string `json:"error,omitempty"` // why its accounts could not be found
}

// accountView is an account as its server and, for discover, the store show it.
type accountView struct {
	Source      string           `json:"source"`
	Account     string           `json:"account"`
	Principal   string           `json:"principal,omitempty"`
	Homes       []string         `json:"homes,omitempty"`
	Streams     []connector.Kind `json:"streams"` // those that are followed and of which an account has one
	Collections []collectionView `json:"collections"`
	Note        string           `json:"note,omitempty"`
	Error       string           `json:"error,omitempty"`
	probes      []probe
}

// collectionView is a collection. Phase, epoch and rows are those of its events stream in the store.
type collectionView struct {
	ID         string           `json:"id"`
	Name       string           `json:"name"`
	Components []string         `json:"components"`
	AccessRole string           `json:"access_role,omitempty"`
	Sync       string           `json:"sync"` // sync-collection, ctag, etag; sync-token, updated-min, full; "" where the server does not list it
	Followed   bool             `json:"followed"`
	Streams    []connector.Kind `json:"streams"` // those that are followed of it
	Note       string           `json:"note,omitempty"`
	Phase      connector.Phase  `json:"phase,omitempty"`
	Epoch      int64            `json:"epoch,omitempty"`
	Rows       *int64           `json:"rows,omitempty"` // nil where nothing is committed
}

// lookAtAll asks every source for its accounts and every account what it has, and with probes whether each stream can be
// read. What fails says so in its Error.
func lookAtAll(ctx context.Context, c *config.Config, probes bool, log hclog.Logger) looks {
	found := make([]looks, len(c.Sources))
	var wg sync.WaitGroup
	for i := range c.Sources {
		wg.Go(func() { found[i] = lookAt(ctx, c, &c.Sources[i], probes, log) })
	}
	wg.Wait()
	all := looks{Sources: []sourceView{}, Accounts: []*accountView{}}
	for _, l := range found {
		all.Sources, all.Accounts = append(all.Sources, l.Sources...), append(all.Accounts, l.Accounts...)
	}
	return all
}

func lookAt(ctx context.Context, c *config.Config, s *config.Source, probes bool, log hclog.Logger) looks {
	view := sourceView{Source: s.Name, Connector: connectorOf(s)}
	u, accounts, err := found(ctx, c, s, log)
	if err != nil {
		view.Error = err.Error()
		return looks{Sources: []sourceView{view}}
	}
	view.Accounts = len(accounts)
	out := looks{Sources: []sourceView{view}}
	var g errgroup.Group
	g.SetLimit(u.passes)
	for _, a := range accounts {
		v := newAccountView(s, a.Name())
		out.Accounts = append(out.Accounts, v)
		g.Go(func() error { v.look(ctx, a, probes); return nil })
	}
	_ = g.Wait() // each has its own error
	return out
}

// found opens a source and finds its accounts. None at all is an error: a typing mistake in a query must not pass for a
// domain that everybody has left.
func found(ctx context.Context, c *config.Config, s *config.Source, log hclog.Logger) (*upstream, []principal, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	u, err := open(c, s, log)
	if err != nil {
		return nil, nil, err
	}
	accounts, err := u.accounts(ctx)
	if err == nil && len(accounts) == 0 {
		err = fmt.Errorf("finding the accounts of %s: there is none; check domain.query and domain.customer", s.Name)
	}
	return u, accounts, err
}

func newAccountView(s *config.Source, account string) *accountView {
	return &accountView{Source: s.Name, Account: account, Streams: streamsOfAccounts(s), Collections: []collectionView{}}
}

func (v *accountView) look(ctx context.Context, a principal, probes bool) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if err := a.describe(ctx, v); err != nil {
		v.Error = err.Error()
	}
	if probes {
		v.probes = a.probe(ctx)
	}
}

// addStore tells of each collection what is committed, and adds collections and accounts that only the store knows.
func (l *looks) addStore(entries []offsets.Entry) {
	byAccount := map[[2]string]*accountView{}
	for _, v := range l.Accounts {
		byAccount[[2]string{v.Source, v.Account}] = v
	}
	for _, e := range entries {
		key := [2]string{e.Stream.Source, e.Stream.Account}
		v, ok := byAccount[key]
		if !ok {
			v = &accountView{Source: key[0], Account: key[1], Streams: []connector.Kind{}, Collections: []collectionView{}, Note: l.absence(key[0])}
			byAccount[key] = v
			l.Accounts = append(l.Accounts, v)
		}
		if e.Stream.Kind == connector.Events {
			v.addEntry(e)
		}
	}
}

// absence says why an account that the store knows is not among those of its source.
func (l *looks) absence(source string) string {
	for _, s := range l.Sources {
		switch {
		case s.Source != source:
		case s.Error != "":
			return "in the store; its source could not be asked"
		case s.Connector == "google":
			return "not found by its source"
		}
	}
	return notConfigured
}

func (v *accountView) addEntry(e offsets.Entry) {
	for i := range v.Collections {
		if v.Collections[i].ID == e.Stream.Collection {
			v.Collections[i].addState(e)
			return
		}
	}
	c := collectionView{ID: e.Stream.Collection, Streams: []connector.Kind{}, Note: v.Note}
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

// summary says what the server can do, e.g. "3 collections, 2 followed: 2 by sync-collection".
func (v *accountView) summary() string {
	followed, how, ways := 0, map[string]int{}, []string{}
	for _, c := range v.Collections {
		if !c.Followed {
			continue
		}
		followed++
		if how[c.Sync]++; !slices.Contains(ways, c.Sync) {
			ways = append(ways, c.Sync)
		}
	}
	text := fmt.Sprintf("%s, %d followed", count(len(v.Collections), "collection"), followed)
	for i, w := range ways {
		separator := ", "
		if i == 0 {
			separator = ": "
		}
		text += fmt.Sprintf("%s%d by %s", separator, how[w], w)
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
