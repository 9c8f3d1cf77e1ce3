package google

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/google/internal/rows"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/api/calendar/v3"
)

// Account is one user of a Google set-up. It is a connector.Account; its methods may be called at the same time.
type Account struct {
	service *Service
	cfg     Config
	name    string
	own     bool // the credentials' own account
	log     hclog.Logger
	user    *meter
	read    *calendar.Service // with the scope of all streams but acl
	rules   *calendar.Service // with that of acl
	first   time.Duration     // pause before a request is tried again

	mu      sync.Mutex
	reached bool // by Connect, and not refused since
}

var _ connector.Account = (*Account)(nil)

// called is the same account under its name, once that is known.
func (a *Account) called(name string) *Account {
	return &Account{service: a.service, cfg: a.cfg, name: name, own: a.own, log: a.service.log.With("account", name),
		user: a.user, read: a.read, rules: a.rules, first: a.first}
}

// Name is the account as it stands in keys and rows: the subject, else the id of the primary calendar.
func (a *Account) Name() string { return a.name }

// Connect asks for the primary calendar, once: whether the account can be reached at all and, of the credentials' own, whether
// it still is the one that it was.
func (a *Account) Connect(ctx context.Context) error {
	a.mu.Lock()
	reached := a.reached
	a.mu.Unlock()
	if reached {
		return nil
	}
	id, err := a.primary(ctx)
	if err != nil {
		return err
	}
	if a.own && id != a.name {
		return fmt.Errorf("the credentials are no longer those of %s but of %s: start again with the new account", a.name, clean(id, maxName))
	}
	a.setReached(true)
	return nil
}

func (a *Account) setReached(reached bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reached = reached
}

// primary is the id of the primary calendar. That of a service account may be missing from its list.
func (a *Account) primary(ctx context.Context) (string, error) {
	x := &exchange{}
	err := a.ask(ctx, "finding the primary calendar", readScope, x, func(ctx context.Context) error {
		_, err := a.read.CalendarList.Get("primary").Context(ctx).Do()
		return err
	})
	if isMissing(err) {
		err = a.ask(ctx, "finding the primary calendar", readScope, x, func(ctx context.Context) error {
			_, err := a.read.Calendars.Get("primary").Context(ctx).Do()
			return err
		})
	}
	if err != nil {
		return "", err
	}
	return rows.ParseCalendar(x.one.raw).ID, nil
}

// ConfigHash is a hash of the endpoint, the account, and the parameters of the kind's query.
func (a *Account) ConfigHash(kind connector.Kind) string {
	parts := []any{"1", a.cfg.Endpoint, a.name, kind}
	switch kind {
	case connector.Events:
		parts = append(parts, a.cfg.Filter)
	case connector.Calendars:
		parts = append(parts, "showHidden")
	case connector.ACL, connector.Settings:
	}
	b, err := json.Marshal(parts)
	if err != nil { // strings, and structs of them, encode
		b = fmt.Append(nil, parts...)
	}
	h := connector.HashOf(b)
	return hex.EncodeToString(h[:])
}

// Poll reads one stream, as connector.Account says.
func (a *Account) Poll(ctx context.Context, q connector.Query) iter.Seq2[connector.Page, error] {
	return func(yield func(connector.Page, error) bool) {
		p, err := a.newPoll(q)
		if err != nil {
			yield(connector.Page{}, err)
			return
		}
		p.run(ctx, yield)
	}
}

// How a calendar is followed, as it stands in its calendars row.
const (
	bySyncToken  = "sync-token"
	byUpdatedMin = "updated-min"
	byFull       = "full"
)

// how says how the events of a calendar are followed.
func (a *Account) how(calendar string) string {
	switch {
	case strings.HasSuffix(calendar, "@group.v.calendar.google.com"):
		return byFull
	case a.cfg.Filter.UpdatedMin:
		return byUpdatedMin
	}
	return bySyncToken
}

// birthdays is the calendar whose deltas never list deletes, nor is its ETag relied on.
const birthdays = "addressbook#contacts@group.v.calendar.google.com"

// streams are the kinds of stream that a calendar has. The rules are shown to owners only; where the role is not told, asking
// for them will tell.
func (a *Account) streams(c *rows.Calendar) []connector.Kind {
	has := []connector.Kind{}
	for _, k := range []connector.Kind{connector.Events, connector.ACL} {
		if k == connector.ACL && c.AccessRole != "owner" && c.AccessRole != "" {
			continue
		}
		if slices.Contains(a.cfg.Streams, k) {
			has = append(has, k)
		}
	}
	return has
}

func (a *Account) options() rows.Options { return rows.Options{Raw: a.cfg.Raw, MaxRaw: a.cfg.MaxRaw} }
