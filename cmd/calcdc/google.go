package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/sources/google"
)

// How many streams of a Google source, and of one of its accounts, are read at once. Google bounds requests by the
// minute, not those in flight, so many users are read side by side, and none of them takes all places.
const (
	googlePasses           = 32
	googlePassesPerAccount = 4
)

// googleAccount is a user of a Google set-up.
type googleAccount struct{ *google.Account }

// openGoogle reads the credentials; nothing is sent yet, so which accounts there are is not known.
func openGoogle(c *config.Config, s *config.Source, log hclog.Logger) (*upstream, error) {
	service, err := google.New(googleConfig(c, s), log.Named("google").With("source", s.Name))
	if err != nil {
		return nil, fmt.Errorf("setting up %s: %w", s.Name, err)
	}
	find := func(ctx context.Context) ([]principal, error) {
		accounts, err := service.Accounts(ctx)
		out := make([]principal, len(accounts))
		for i, a := range accounts {
			out[i] = googleAccount{a}
		}
		return out, err
	}
	return &upstream{Source: s, connector: connectorOf(s), find: find, passes: googlePasses, passesPerAccount: googlePassesPerAccount}, nil
}

func googleConfig(c *config.Config, s *config.Source) google.Config {
	g := s.Google
	out := google.Config{
		Source: s.Name, Endpoint: g.Endpoint, Timeout: c.Limits.Silence, Streams: streamsOf(s), Raw: c.Events.Raw, MaxRaw: maxRaw(c), Follow: s.Collections.Follow,
		Filter: google.Filter{UpdatedMin: g.UpdatedMin, Query: g.Query, TimeMin: g.TimeMin, TimeMax: g.TimeMax, ICalUID: g.ICalUID,
			PrivateExtendedProperties: g.PrivateExtendedProperties, SharedExtendedProperties: g.SharedExtendedProperties, EventTypes: g.EventTypes},
		Quota:       google.Quota{UserPerMinute: g.Quota.UserPerMinute, ProjectPerMinute: g.Quota.ProjectPerMinute},
		Credentials: google.Credentials{File: g.CredentialsFile, AccessToken: g.AccessToken.Reveal(), Impersonate: g.Impersonate},
		Subjects:    g.Subjects, UserAgent: userAgent(),
	}
	if d := g.Domain; d != nil {
		out.Domain = &google.Domain{Admin: d.Admin, Customer: d.Customer, Query: d.Query, Endpoint: d.Endpoint}
	}
	return out
}

func (a googleAccount) describe(ctx context.Context, v *accountView) error {
	d, err := a.Describe(ctx)
	if err != nil {
		return err
	}
	for _, cal := range d.Calendars {
		view := collectionView{ID: cal.ID, Name: cal.Name, AccessRole: cal.AccessRole, Sync: cal.Sync, Followed: cal.Followed,
			Streams: cal.Streams, Note: cal.Why}
		if !view.Followed {
			view.Note = notIncluded
		}
		v.Collections = append(v.Collections, view)
	}
	return nil
}

func (a googleAccount) probe(ctx context.Context) []probe {
	var out []probe
	for _, p := range a.Probe(ctx) {
		out = append(out, probe{p.Kind, p.Err})
	}
	return out
}
