package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/admin"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// unnamed keeps, of entries, the streams that the configuration no longer names: of sources and accounts that are not
// in it, and of collections that the server lists but that are not followed. What a server does not list is left to
// run, which looks before it deletes (Invariant 3); an account whose server cannot be asked is an error.
func unnamed(ctx context.Context, c *config.Config, entries []offsets.Entry) ([]offsets.Entry, error) {
	var out []offsets.Entry
	views := map[[2]string]*accountView{}
	for _, e := range entries {
		s, a, named := find(c, e.Stream.Source, e.Stream.Account)
		if !named {
			out = append(out, e)
			continue
		}
		if e.Stream.Kind != connector.Events {
			continue
		}
		key := [2]string{s.Name, a.Name}
		if views[key] == nil {
			v := &accountView{Source: s.Name, Account: a.Name}
			if err := v.describe(ctx, c, s, a, hclog.NewNullLogger()); err != nil {
				return nil, fmt.Errorf("asking whether %s is followed: %w", e.Stream, err)
			}
			views[key] = v
		}
		if slices.ContainsFunc(views[key].Collections, func(col collectionView) bool { return col.ID == e.Stream.Collection && !col.Followed }) {
			out = append(out, e)
		}
	}
	return out, nil
}

// find looks an account up in the configuration.
func find(c *config.Config, source, account string) (*config.Source, config.Account, bool) {
	for i := range c.Sources {
		s := &c.Sources[i]
		for _, a := range s.CalDAV.Accounts {
			if s.Name == source && a.Name == account {
				return s, a, true
			}
		}
	}
	return nil, config.Account{}, false
}

// retirePartition publishes a d for every row of the streams, events before calendars, as their owner.
func retirePartition(ctx context.Context, c *config.Config, client *kafka.Client, p int32, streams []connector.Stream, log hclog.Logger) error {
	topics := newDataTopics(c, client)
	ledger := newLedger(c, client, topics, p, log)
	conn := connector.New(connectorConfig(c), nil, map[int32]connector.Ledger{p: ledger}, topics, admin.New(thisBuild().Version, hclog.NewNullLogger()), log)
	slices.SortStableFunc(streams, func(a, b connector.Stream) int { return rank(a) - rank(b) })
	return owning(ctx, ledger, func() error { return conn.Retire(ctx, ledger, streams...) })
}

func rank(s connector.Stream) int {
	if s.Kind == connector.Calendars {
		return 1
	}
	return 0
}

// owning does act as the owner of the ledger's partition. A worker that takes it back in between only makes it take
// longer: whoever comes last has seen what the other had committed.
func owning(ctx context.Context, ledger *offsets.Ledger, act func() error) error {
	var err error
	for range 5 {
		if _, err = ledger.Load(ctx); err == nil {
			err = act()
		}
		if !errors.Is(err, connector.ErrFenced) && !errors.Is(err, kafka.ErrOutcomeUnknown) {
			return err
		}
	}
	return err
}
