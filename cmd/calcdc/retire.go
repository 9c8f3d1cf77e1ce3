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
// in it, of kinds that are not followed, and of collections that the server lists but that are not followed. What a
// server does not list is left to run, which looks before it deletes (Invariant 3); a source or an account that cannot be
// asked is an error.
func unnamed(ctx context.Context, c *config.Config, entries []offsets.Entry) ([]offsets.Entry, error) {
	var out []offsets.Entry
	n := naming{config: c, accounts: map[string][]principal{}, views: map[[2]string]*accountView{}}
	for _, e := range entries {
		named, err := n.names(ctx, e.Stream)
		if err != nil {
			return nil, fmt.Errorf("asking whether %s is followed: %w", e.Stream, err)
		}
		if !named {
			out = append(out, e)
		}
	}
	return out, nil
}

// naming knows what the configuration names, asking each source and account once.
type naming struct {
	config   *config.Config
	accounts map[string][]principal // by source
	views    map[[2]string]*accountView
}

func (n naming) names(ctx context.Context, s connector.Stream) (bool, error) {
	i := slices.IndexFunc(n.config.Sources, func(source config.Source) bool { return source.Name == s.Source })
	if i < 0 || !slices.Contains(streamsOf(&n.config.Sources[i]), s.Kind) {
		return false, nil
	}
	source := &n.config.Sources[i]
	if _, asked := n.accounts[s.Source]; !asked {
		_, accounts, err := found(ctx, n.config, source, hclog.NewNullLogger())
		if err != nil {
			return false, err
		}
		n.accounts[s.Source] = accounts
	}
	j := slices.IndexFunc(n.accounts[s.Source], func(a principal) bool { return a.Name() == s.Account })
	if j < 0 || !ofCollection(s.Kind) {
		return j >= 0, nil
	}
	v, err := n.view(ctx, source, n.accounts[s.Source][j])
	if err != nil {
		return false, err
	}
	left := slices.ContainsFunc(v.Collections, func(col collectionView) bool {
		return col.ID == s.Collection && !slices.Contains(col.Streams, s.Kind)
	})
	return !left, nil
}

func (n naming) view(ctx context.Context, s *config.Source, a principal) (*accountView, error) {
	key := [2]string{s.Name, a.Name()}
	if n.views[key] == nil {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		v := newAccountView(s, a.Name())
		if err := a.describe(ctx, v); err != nil {
			return nil, err
		}
		n.views[key] = v
	}
	return n.views[key], nil
}

// retirePartition publishes a d for every row of the streams, those of collections first, as their owner.
func retirePartition(ctx context.Context, c *config.Config, client *kafka.Client, p int32, streams []connector.Stream, log hclog.Logger) error {
	topics := newDataTopics(c, client)
	ledger := newLedger(c, client, topics, nil, p, log)
	conn := connector.New(connectorConfig(c), nil, topics, admin.New(thisBuild().Version, hclog.NewNullLogger()), log)
	slices.SortStableFunc(streams, func(a, b connector.Stream) int { return rank(a) - rank(b) })
	return owning(ctx, ledger, func() error { return conn.Retire(ctx, ledger, streams...) })
}

// rank puts what an account has one of behind what it has of each collection.
func rank(s connector.Stream) int {
	if ofCollection(s.Kind) {
		return 0
	}
	return 1
}

// owningTimes is how often a tool takes a partition back. A worker leaves it some seconds each time, in which a removal of many rows
// comes some thousands further.
const owningTimes = 100

// owning does act as the owner of the ledger's partition. A worker that takes it back in between only makes it take
// longer: whoever comes last has seen what the other had committed.
func owning(ctx context.Context, ledger *offsets.Ledger, act func() error) error {
	var err error
	for range owningTimes {
		if _, err = ledger.Load(ctx); err == nil {
			err = act()
		}
		if !errors.Is(err, connector.ErrFenced) && !errors.Is(err, kafka.ErrOutcomeUnknown) && !errors.Is(err, connector.ErrDoubt) {
			return err
		}
	}
	return err
}
