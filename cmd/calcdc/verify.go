package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/internal/verify"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sinks/kafka"
)

type verifyOptions struct {
	selection
	wait  time.Duration // negative: by the sources' intervals
	limit int
}

func newVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Fold the topics, list the sources, report every difference",
		Long: "Read the data topics as a read_committed consumer does, list every account's collections in full, and report each row\n" +
			"that is missing, left over, or other in one of its fields. Nothing is written, and a running calcdc goes on beside it.\n\n" +
			"What differs is asked for again, and the topics are read on: a row is called a difference once it has been as it is at\n" +
			"its source for as long as a running calcdc may take to see it (poll_interval and a little more; --wait says otherwise).\n" +
			"Rows that changed meanwhile, rows in the form of an earlier release, and what could not be read are counted apart.\n\n" +
			"Rows that the topics still have because their deletes are held or refused (calcdc deletes) are differences too, named held.\n\n" +
			"Streams that cannot be compared are named with the reason: in a snapshot, not begun, lost or refused, gone with rows still to be\n" +
			"deleted, a source that cannot be asked, or not followed. The exit code is 0 where topics and sources are the same, 1 where a row\n" +
			"differs or a stream that is followed could not be compared.",
		Example: "  calcdc verify --config calcdc.yaml\n" +
			"  calcdc verify --config calcdc.yaml --source work --account alice --wait 0s\n" +
			"  calcdc verify --config calcdc.yaml --json | jq -r '.differences[] | [.what, .collection, .id] | @tsv'",
		Args: cobra.NoArgs,
	}
	load, asJSON, chosen := configFlag(cmd), jsonFlag(cmd), selectionFlags(cmd)
	wait := cmd.Flags().Duration("wait", -1, "how long a row must have differed, e.g. 0s while no calcdc runs (default: by poll_interval)")
	cmd.Flags().Lookup("wait").DefValue = "0s" // which is not shown
	limit := cmd.Flags().Int("limit", 1000, "report so many `ROWS` in full, count the others")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := load()
		if err != nil {
			return err
		}
		if *limit < 0 {
			return usageError("--limit must not be negative")
		}
		report, err := verifyAll(cmd.Context(), c, verifyOptions{*chosen, *wait, *limit}, func(text string) { progress(cmd, text) }, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		if *asJSON {
			err = printJSON(cmd.OutOrStdout(), verification{report.OK(), report})
		} else {
			err = printVerification(cmd.OutOrStdout(), report)
		}
		if err == nil && !report.OK() {
			err = errReported
		}
		return err
	}
	return cmd
}

// verification is a report for programs.
type verification struct {
	OK bool `json:"ok"`
	*verify.Report
}

func verifyAll(ctx context.Context, c *config.Config, o verifyOptions, tell func(string), stderr io.Writer) (*verify.Report, error) {
	log := newLogger(config.Log{Level: "error", Format: c.Log.Format}, stderr)
	client, err := reach(ctx, c, nil, log)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	sources, err := newSources(c, log)
	if err != nil {
		return nil, err
	}
	store := verifyStore{config: c, client: client}
	cfg := verify.Config{
		Reader: client, Sources: sources, Topic: connectorConfig(c).DataTopic, Limit: o.limit, Tell: tell,
		Partitions: store.partitions, Known: store.known, Resources: store.resources,
		Selected: o.has, SelectsAccount: o.hasAccount,
	}
	if o.wait >= 0 {
		cfg.Patience = &o.wait
	}
	report, err := verify.Run(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("verifying: %w", err)
	}
	if report.Streams == 0 && report.Total == 0 && len(report.NotCompared) == 0 {
		return nil, errors.New("verifying: no stream matches; calcdc discover shows what is followed")
	}
	return report, nil
}

// hasAccount tells whether streams of an account may be chosen.
func (s selection) hasAccount(source, account string) bool {
	return (s.source == "" || s.source == source) && (s.account == "" || s.account == account)
}

// verifyStore reads what is committed, without fencing anyone.
type verifyStore struct {
	config *config.Config
	client *kafka.Client
}

func (s verifyStore) partitions(ctx context.Context, topic string) (int32, error) {
	t, _, err := s.client.DescribeTopic(ctx, topic)
	return t.Partitions, err
}

func (s verifyStore) known(ctx context.Context) ([]verify.Known, error) {
	entries, _, err := storedOffsets(ctx, s.config, s.client)
	var out []verify.Known
	for _, e := range entries {
		out = append(out, verify.Known(e))
	}
	return out, err
}

func (s verifyStore) resources(ctx context.Context, stream connector.Stream, visit func(string, *connector.ResourceState)) error {
	n, err := s.partitions(ctx, offsets.StateTopic(s.config.Name))
	if err != nil || n == 0 {
		return err
	}
	return offsets.Resources(ctx, s.client, s.config.Name, n, stream, visit)
}
