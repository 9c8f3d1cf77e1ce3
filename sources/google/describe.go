package google

import (
	"context"
	"fmt"
	"slices"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/google/internal/rows"
)

// Calendar is a calendar as discovery shows it.
type Calendar struct {
	ID         string           `json:"id"`
	Name       string           `json:"name"`
	AccessRole string           `json:"access_role"`
	Primary    bool             `json:"primary"`
	Hidden     bool             `json:"hidden"`
	Sync       string           `json:"sync"` // sync-token, updated-min or full
	Followed   bool             `json:"followed"`
	Streams    []connector.Kind `json:"streams"` // that it has and that are followed
	Why        string           `json:"why,omitempty"`
}

// Description is what discovery shows of an account.
type Description struct {
	Account   string     `json:"account"`
	Calendars []Calendar `json:"calendars"`
}

// Describe lists the account's calendars and how each is followed.
func (a *Account) Describe(ctx context.Context) (Description, error) {
	d := Description{Account: a.name}
	s := connector.Stream{Source: a.cfg.Source, Account: a.name, Kind: connector.Calendars}
	err := a.pages(ctx, s, pageQuery{max: othersPage}, func(it item) error {
		if c := rows.ParseCalendar(it.raw); c.ID != "" && !c.Deleted {
			d.Calendars = append(d.Calendars, a.describe(c))
		}
		return nil
	})
	if err != nil {
		return Description{}, fmt.Errorf("describing %s/%s: %w", a.cfg.Source, a.name, err)
	}
	slices.SortStableFunc(d.Calendars, compare)
	return d, nil
}

// compare puts the primary calendar first, then goes by id.
func compare(x, y Calendar) int {
	switch {
	case x.Primary == y.Primary && x.ID == y.ID:
		return 0
	case x.Primary != y.Primary && x.Primary, x.Primary == y.Primary && x.ID < y.ID:
		return -1
	}
	return 1
}

func (a *Account) describe(c *rows.Calendar) Calendar {
	out := Calendar{ID: c.ID, Name: c.Name, AccessRole: c.AccessRole, Primary: c.Primary, Hidden: c.Hidden, Sync: a.how(c.ID),
		Followed: a.cfg.Follow(c.ID, c.Name), Streams: a.streams(c)}
	switch {
	case !out.Followed:
		out.Streams, out.Why = []connector.Kind{}, "collections.include and exclude leave it out"
	case out.Sync == byFull:
		out.Why = "Google generates it and leaves deletions out of its deltas: it is listed fully at each poll"
	case slices.Contains(a.cfg.Streams, connector.ACL) && !slices.Contains(out.Streams, connector.ACL):
		out.Why = "no acl: access rules are shown to owners only"
	}
	return out
}

// Probe is what came of asking for one kind of stream.
type Probe struct {
	Kind connector.Kind
	Err  error // says what to do, e.g. which scope is missing; nil: it can be read
}

// Probe sends one request for each kind of stream that is followed, with a token for exactly the scopes that it needs.
func (a *Account) Probe(ctx context.Context) []Probe {
	var out []Probe
	for _, k := range allStreams {
		if !slices.Contains(a.cfg.Streams, k) {
			continue
		}
		s := connector.Stream{Source: a.cfg.Source, Account: a.name, Kind: k}
		if k == connector.Events || k == connector.ACL {
			s.Collection = "primary"
		}
		_, err := a.page(ctx, s, pageQuery{max: 1}, func(item) error { return nil })
		if err != nil {
			err = fmt.Errorf("asking for %s with the scope %s: %w", k, scopeOf(k), err)
		}
		out = append(out, Probe{Kind: k, Err: err})
	}
	return out
}
