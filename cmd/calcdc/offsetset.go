package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sinks/kafka"
)

const setOwns = "The command becomes the owner of the streams' partitions for a moment: a running calcdc is fenced, which it sees\n" +
	"within seconds, loads again and goes on from there. With --dry-run nothing is committed and nobody is fenced."

func newOffsetsSet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Set one stream's token, or the epoch that its next one is above",
		Long: "Set what one stream resumes from.\n\n" +
			"With --token, the stream goes on from that sync token, in its epoch: what happened before it is taken for published. With\n" +
			"--epoch alone, it is read anew, in an epoch above that one. A stream of which nothing else is known is read anew in any\n" +
			"case (state-lost). A token is taken as one of the server, principal and components that are configured.\n\n" + setOwns,
		Example: "  calcdc offsets set --config calcdc.yaml --source work --account alice --collection /alice/work/ --token 'http://…/sync/17'\n" +
			"  calcdc offsets set --config calcdc.yaml --source work --account alice --stream calendars --epoch 12 --dry-run",
		Args: cobra.NoArgs,
	}
	load, asJSON, chosen := configFlag(cmd), jsonFlag(cmd), selectionFlags(cmd)
	token := cmd.Flags().String("token", "", "the sync `TOKEN` to go on from")
	epoch := cmd.Flags().Int64("epoch", 0, "the highest `EPOCH` so far, not below the one known")
	dry := cmd.Flags().Bool("dry-run", false, "only say what would change")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case *token == "" && !cmd.Flags().Changed("epoch"):
			return usageError("give --token or --epoch; calcdc offsets reset forgets an offset")
		case *token == "" && cmd.Flags().Changed("token"):
			return usageError("an empty token is none: calcdc offsets reset forgets an offset")
		case *epoch < 0 || cmd.Flags().Changed("epoch") && *epoch == 0:
			return usageError("epochs count from 1")
		case chosen.source == "" || chosen.account == "":
			return usageError("name one stream with --source, --account and, where it is of a collection, --collection")
		}
		c, err := load()
		if err != nil {
			return err
		}
		plan := func(entries []offsets.Entry) ([]offsets.Change, error) {
			e := chosen.one(entries)
			return []offsets.Change{{Stream: e.Stream, Offset: newOffset(e, *token, *epoch)}}, nil
		}
		return setOffsets(cmd, c, plan, *dry, *asJSON)
	}
	return cmd
}

// one is the stream that the selection names, as it is committed, or with nothing of it.
func (s selection) one(entries []offsets.Entry) offsets.Entry {
	kind := connector.Kind(s.kind)
	if kind == "" {
		kind = connector.Events
	}
	name := connector.Stream{Source: s.source, Account: s.account, Collection: s.collection, Kind: kind}
	for _, e := range entries {
		if e.Stream == name {
			return e
		}
	}
	return offsets.Entry{Stream: name}
}

// newOffset is the offset that stands for a token or an epoch.
func newOffset(e offsets.Entry, token string, epoch int64) *connector.Offset {
	now := time.Now().UnixMilli()
	o := &connector.Offset{Token: token, Epoch: cmp.Or(epoch, e.Epoch()), ReconciledMs: now, CommittedMs: now}
	if e.Offset != nil {
		o.ReconciledMs = e.Offset.ReconciledMs
	}
	return o
}

func newOffsetsImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Set offsets from an export",
		Long: "Set offsets from a file (- is the standard input) in the form of Kafka Connect's GET /connectors/<name>/offsets, as\n" +
			"calcdc offsets export writes it. All of them are looked at first: where one makes no sense, none is set. An offset\n" +
			"that is null forgets the stream's.\n\n" +
			"On a cluster without the state, each stream is read anew (state-lost): what the data topics hold is put together first, so\n" +
			"that rows that have vanished meanwhile get their d.\n\n" + setOwns,
		Example: "  calcdc offsets export --config old.yaml | calcdc offsets import --config new.yaml --dry-run -\n" +
			"  calcdc offsets import --config calcdc.yaml offsets.json",
		Args: cobra.ExactArgs(1),
	}
	load, asJSON := configFlag(cmd), jsonFlag(cmd)
	dry := cmd.Flags().Bool("dry-run", false, "only say what would change")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := load()
		if err != nil {
			return err
		}
		in := cmd.InOrStdin()
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		changes, err := offsets.Import(in)
		if err != nil {
			return err
		}
		return setOffsets(cmd, c, func([]offsets.Entry) ([]offsets.Change, error) { return changes, nil }, *dry, *asJSON)
	}
	return cmd
}

// setView is what a change comes to, for people and programs.
type setView struct {
	connector.Stream
	From   *offsetView `json:"from"`
	To     *offsetView `json:"to"`
	Effect string      `json:"effect"`
}

// setOffsets commits what plan says, given what is committed, and prints what it comes to.
func setOffsets(cmd *cobra.Command, c *config.Config, plan func([]offsets.Entry) ([]offsets.Change, error), dry, asJSON bool) error {
	ctx, log := cmd.Context(), newLogger(config.Log{Level: "warn", Format: c.Log.Format}, cmd.ErrOrStderr())
	client, err := reach(ctx, c, nil, log)
	if err != nil {
		return err
	}
	defer client.Close()
	if !dry {
		if err := ensureInternal(ctx, c, client); err != nil {
			return err
		}
	}
	entries, _, err := storedOffsets(ctx, c, client)
	if err != nil {
		return err
	}
	changes, err := plan(entries)
	if err != nil {
		return err
	}
	views, err := effects(c, entries, changes)
	if err != nil {
		return err
	}
	if !dry {
		if err := commitChanges(ctx, c, client, changes, log); err != nil {
			return err
		}
	}
	return printChanges(cmd.OutOrStdout(), views, dry, asJSON)
}

// effects are what the changes come to; an error names all that make no sense.
func effects(c *config.Config, entries []offsets.Entry, changes []offsets.Change) ([]setView, error) {
	known := map[connector.Stream]offsets.Entry{}
	for _, e := range entries {
		known[e.Stream] = e
	}
	views := []setView{}
	var errs []error
	for _, change := range changes {
		s := change.Stream
		e, ok := known[s]
		if !ok {
			e = offsets.Entry{Stream: s}
		}
		effect, err := e.Effect(change)
		if err == nil && !slices.ContainsFunc(c.Sources, func(source config.Source) bool { return source.Name == s.Source }) {
			err = fmt.Errorf("the configuration of %s has no source %q", c.Name, s.Source)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s, err))
			continue
		}
		views = append(views, setView{Stream: s, From: newEntryView(e).Offset, Effect: string(effect),
			To: newEntryView(offsets.Entry{Offset: change.Offset}).Offset})
	}
	return views, errors.Join(errs...)
}

// commitChanges commits the changes of one partition after the other.
func commitChanges(ctx context.Context, c *config.Config, client *kafka.Client, changes []offsets.Change, log hclog.Logger) error {
	byPartition := map[int32][]offsets.Change{}
	for _, change := range changes {
		p := connector.AccountPartition(change.Stream.Source, change.Stream.Account, c.Offsets.Partitions)
		byPartition[p] = append(byPartition[p], change)
	}
	for _, p := range slices.Sorted(maps.Keys(byPartition)) {
		ledger := newLedger(c, client, newDataTopics(c, client), nil, p, log)
		if err := owning(ctx, ledger, func() error { return ledger.Set(ctx, byPartition[p]...) }); err != nil {
			return fmt.Errorf("setting the offsets of partition %d: %w", p, err)
		}
	}
	return nil
}

func printChanges(w io.Writer, views []setView, dry, asJSON bool) error {
	if asJSON {
		return printJSON(w, map[string]any{"dry_run": dry, "changes": views})
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "STREAM\tFROM\tTO\tEFFECT")
	for _, v := range views {
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", clean(v.String()), v.From, v.To, v.Effect)
	}
	if err := tw.Flush(); err != nil || !dry {
		return err
	}
	_, err := fmt.Fprintln(w, "nothing was changed (--dry-run)")
	return err
}

// String is an offset in a table.
func (o *offsetView) String() string {
	switch {
	case o == nil:
		return "none"
	case o.SyncToken == nil:
		return fmt.Sprintf("null, epoch %d", o.Epoch)
	}
	return fmt.Sprintf("%s, epoch %d", clean(shortened(*o.SyncToken, 32)), o.Epoch)
}
