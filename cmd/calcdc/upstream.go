package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/config"
)

// upstream is a configured source, opened: of whichever kind it is, the commands see no more of it than this.
type upstream struct {
	*config.Source
	connector        string                                         // as it stands in the envelope
	named            []principal                                    // the accounts that the configuration names
	find             func(ctx context.Context) ([]principal, error) // those that must be asked for; nil: there are none
	passes           int                                            // streams to read at once, accounts to look at at once
	passesPerAccount int
}

// principal is an account that can be shown.
type principal interface {
	connector.Account
	// describe lists the account's collections in v.
	describe(ctx context.Context, v *accountView) error
	// probe tries to read each kind of stream; nil where describe tells all there is.
	probe(ctx context.Context) []probe
}

// probe says whether streams of a kind can be read.
type probe struct {
	kind connector.Kind
	err  error // says what to do
}

// open makes a source's accounts; nothing is sent yet.
func open(c *config.Config, s *config.Source, log hclog.Logger) (*upstream, error) {
	if s.Google != nil {
		return openGoogle(c, s, log)
	}
	return openCalDAV(c, s, log)
}

// accounts are all of the source.
func (u *upstream) accounts(ctx context.Context) ([]principal, error) {
	if u.find == nil {
		return u.named, nil
	}
	found, err := u.find(ctx)
	if err != nil {
		return nil, err // which names the source
	}
	return slices.Concat(u.named, found), nil
}

// source is what the connector follows.
func (u *upstream) source() connector.Source {
	s := connector.Source{Name: u.Name, Connector: u.connector, PollInterval: u.PollInterval, ReconcileInterval: u.ReconcileInterval,
		Streams: streamsOf(u.Source), Passes: u.passes, PassesPerAccount: u.passesPerAccount, Accounts: asAccounts(u.named)}
	if u.find != nil {
		s.Find = func(ctx context.Context) ([]connector.Account, error) {
			found, err := u.find(ctx)
			return asAccounts(found), err
		}
	}
	return s
}

func asAccounts(ps []principal) []connector.Account {
	var out []connector.Account
	for _, p := range ps {
		out = append(out, p)
	}
	return out
}

// newSources makes what the connector follows; nothing is sent yet.
func newSources(c *config.Config, log hclog.Logger) ([]connector.Source, error) {
	var out []connector.Source
	var faults []error
	for i := range c.Sources {
		u, err := open(c, &c.Sources[i], log)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		out = append(out, u.source())
	}
	return out, errors.Join(faults...)
}

// accountsText says how many accounts are known at the start, and which sources will find more.
func accountsText(sources []connector.Source) string {
	n, finding := 0, []string{}
	for _, s := range sources {
		n += len(s.Accounts)
		if s.Find != nil {
			finding = append(finding, s.Name)
		}
	}
	found := "those found by " + strings.Join(finding, ", ")
	switch {
	case len(finding) == 0:
		return strconv.Itoa(n)
	case n == 0:
		return found
	}
	return strconv.Itoa(n) + " and " + found
}

// allStreams are the kinds of stream in the order in which they are shown.
var allStreams = []connector.Kind{connector.Events, connector.Calendars, connector.ACL, connector.Settings}

// streamsOf are the kinds of stream that a source follows.
func streamsOf(s *config.Source) []connector.Kind {
	switch {
	case s.Google != nil:
		return slices.DeleteFunc(slices.Clone(allStreams), func(k connector.Kind) bool { return !slices.Contains(s.Google.Streams, string(k)) })
	case s.CalDAV != nil:
		return []connector.Kind{connector.Events, connector.Calendars}
	}
	return allStreams // of a source that is no longer configured
}

// ofCollection tells the kinds of which each collection has a stream from those of which an account has one.
func ofCollection(k connector.Kind) bool { return k == connector.Events || k == connector.ACL }

// streamsOfAccounts are the followed kinds of which each account has one stream.
func streamsOfAccounts(s *config.Source) []connector.Kind {
	return slices.DeleteFunc(slices.Clone(streamsOf(s)), ofCollection)
}

// connectorOf is the kind of a source, as it stands in the envelope.
func connectorOf(s *config.Source) string {
	if s.Google != nil {
		return "google"
	}
	return "caldav"
}
