package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/sources/caldav"
)

// davAccount is a user of a CalDAV service.
type davAccount struct {
	*caldav.Account
	source *config.Source
}

// openCalDAV makes the accounts; nothing is sent yet.
func openCalDAV(c *config.Config, s *config.Source, log hclog.Logger) (*upstream, error) {
	service, err := caldav.Open(caldav.Config{
		Source: s.Name, URL: s.CalDAV.URL, Components: s.CalDAV.Components, Concurrency: s.CalDAV.Concurrency,
		Timeout: c.Limits.Silence, MaxBody: int(c.Limits.Body), Ahead: int64(c.Limits.Ahead), MaxCollections: c.Limits.Collections, Raw: c.Events.Raw, MaxRaw: maxRaw(c), Follow: s.Collections.Follow,
		CAFile: s.CalDAV.TLS.CAFile, InsecureSkipVerify: s.CalDAV.TLS.InsecureSkipVerify, UserAgent: userAgent(),
	})
	if err != nil {
		return nil, fmt.Errorf("setting up %s: %w", s.Name, err)
	}
	u := &upstream{Source: s, connector: connectorOf(s), passes: s.CalDAV.Concurrency}
	var faults []error
	for _, a := range s.CalDAV.Accounts {
		account, err := service.Account(caldav.Credentials{Name: a.Name, Username: a.Username, Password: a.Password.Reveal(), Token: a.Token.Reveal()},
			log.Named("caldav").With("account", s.Name+"/"+a.Name))
		if err != nil {
			faults = append(faults, fmt.Errorf("setting up %s/%s: %w", s.Name, a.Name, err))
			continue
		}
		u.named = append(u.named, davAccount{account, s})
	}
	return u, errors.Join(faults...)
}

func (a davAccount) describe(ctx context.Context, v *accountView) error {
	d, err := a.Describe(ctx)
	if err != nil {
		return err
	}
	v.Principal, v.Homes = d.Principal, d.Homes
	for _, col := range d.Collections {
		v.Collections = append(v.Collections, a.view(col))
	}
	return nil
}

func (a davAccount) view(col caldav.Collection) collectionView {
	v := collectionView{ID: col.ID, Name: col.Name, Components: col.Components, Sync: col.Sync, Followed: col.Followed}
	switch {
	case v.Followed:
		v.Streams = []connector.Kind{connector.Events}
	case !a.source.Collections.Follow(col.ID, col.Name):
		v.Note = notIncluded
	default:
		v.Note = "has no component that is followed"
	}
	return v
}

func (a davAccount) probe(context.Context) []probe { return nil }
