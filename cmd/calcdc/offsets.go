package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
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

func newOffsets() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "offsets",
		Short: "Look at what streams resume from, set it, reset it",
		Long: "A stream's offset is its sync token with its epoch. It lies in <name>-offsets, in Kafka Connect's format, and is\n" +
			"committed with the records that it follows. list, get and export read it beside a running calcdc.",
		Example: "  calcdc offsets list --config calcdc.yaml\n" +
			"  calcdc offsets reset --config calcdc.yaml --source work --account alice --collection /alice/work/",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError("name a command: calcdc offsets list, get, set, reset, export or import")
		},
	}
	cmd.AddCommand(newOffsetsList(), newOffsetsGet(), newOffsetsExport(), newOffsetsReset(),
		newOffsetsSet(), newOffsetsImport())
	return cmd
}

// selection chooses streams by what is given of them.
type selection struct{ source, account, collection, kind string }

func selectionFlags(cmd *cobra.Command) *selection {
	var s selection
	cmd.Flags().StringVar(&s.source, "source", "", "only streams of this `SOURCE`")
	cmd.Flags().StringVar(&s.account, "account", "", "only streams of this `ACCOUNT`")
	cmd.Flags().StringVar(&s.collection, "collection", "", "only streams of this collection, by `ID`")
	cmd.Flags().Var((*kindFlag)(&s.kind), "stream", "only streams of this `KIND`: events, calendars, acl, settings")
	return &s
}

// kindFlag is a kind of stream; empty: all.
type kindFlag string

// Set implements pflag.Value.
func (k *kindFlag) Set(kind string) error {
	if kind != "" && !slices.Contains(allStreams, connector.Kind(kind)) {
		return errors.New("kinds of stream are events, calendars, acl and settings")
	}
	*k = kindFlag(kind)
	return nil
}

func (k *kindFlag) String() string { return string(*k) }

// Type implements pflag.Value.
func (*kindFlag) Type() string { return "string" }

func (s selection) has(stream connector.Stream) bool {
	return (s.source == "" || s.source == stream.Source) && (s.account == "" || s.account == stream.Account) &&
		(s.collection == "" || s.collection == stream.Collection) && (s.kind == "" || s.kind == string(stream.Kind))
}

func (s selection) pick(entries []offsets.Entry) []offsets.Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e offsets.Entry) bool { return !s.has(e.Stream) })
}

// listing makes cmd print what is stored of the streams that its flags choose; nobody is fenced.
func listing(cmd *cobra.Command, print func(w io.Writer, entries []offsets.Entry, asJSON bool) error) *cobra.Command {
	load, asJSON, chosen := configFlag(cmd), jsonFlag(cmd), selectionFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := load()
		if err != nil {
			return err
		}
		entries, err := listOffsets(cmd.Context(), c)
		if err != nil {
			return err
		}
		return print(cmd.OutOrStdout(), chosen.pick(entries), *asJSON)
	}
	return cmd
}

// entryView is an entry for people and programs.
type entryView struct {
	connector.Stream
	Offset *offsetView            `json:"offset"` // null: forgotten, or the collection is gone
	State  *connector.StreamState `json:"state"`
}

type offsetView struct {
	SyncToken   *string `json:"sync_token"` // null: a snapshot is in progress
	Epoch       int64   `json:"epoch"`
	ConfigHash  string  `json:"config_hash"`
	Reconciled  int64   `json:"reconciled_ms"`
	CommittedMs int64   `json:"committed_ms"`
}

func newEntryView(e offsets.Entry) entryView {
	v := entryView{Stream: e.Stream, State: e.State}
	if o := e.Offset; o != nil {
		v.Offset = &offsetView{Epoch: o.Epoch, ConfigHash: o.ConfigHash, Reconciled: o.ReconciledMs, CommittedMs: o.CommittedMs}
		if o.Token != "" {
			v.Offset.SyncToken = &o.Token
		}
	}
	return v
}

func newOffsetsList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List every stream with its offset", Args: cobra.NoArgs,
		Example: "  calcdc offsets list --config calcdc.yaml\n  calcdc offsets list --config calcdc.yaml --source work --json"}
	return listing(cmd, func(w io.Writer, entries []offsets.Entry, asJSON bool) error {
		views := []entryView{}
		for _, e := range entries {
			views = append(views, newEntryView(e))
		}
		if asJSON {
			return printJSON(w, views)
		}
		return printEntries(w, views)
	})
}

func printEntries(w io.Writer, views []entryView) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "STREAM\tPHASE\tEPOCH\tROWS\tCOMMITTED\tTOKEN")
	for _, v := range views {
		phase, epoch, rows := "-", int64(0), int64(0)
		if v.State != nil {
			phase, epoch, rows = string(v.State.Phase), v.State.Epoch, v.State.Rows
		}
		committed, token := "-", "forgotten"
		if v.Offset != nil {
			epoch = max(epoch, v.Offset.Epoch)
			committed, token = timeText(v.Offset.CommittedMs), "null (a snapshot is in progress)"
			if v.Offset.SyncToken != nil {
				token = shortened(*v.Offset.SyncToken, 48)
			}
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%s\t%s\n", clean(v.Stream.String()), phase, epoch, rows, committed, clean(token))
	}
	return tw.Flush()
}

func timeText(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return time.UnixMilli(ms).Local().Format(time.RFC3339)
}

func shortened(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n]) + "…"
	}
	return text
}

func newOffsetsGet() *cobra.Command {
	cmd := &cobra.Command{Use: "get", Short: "Print one stream's offset and state as JSON", Args: cobra.NoArgs,
		Example: "  calcdc offsets get --config calcdc.yaml --source work --account alice --collection /alice/work/"}
	return listing(cmd, func(w io.Writer, entries []offsets.Entry, _ bool) error {
		if len(entries) != 1 {
			return fmt.Errorf("%s; name one with --source, --account, --collection and --stream (calcdc offsets list has them)",
				count(len(entries), "matching stream"))
		}
		return printJSON(w, newEntryView(entries[0]))
	})
}

func newOffsetsExport() *cobra.Command {
	cmd := &cobra.Command{Use: "export", Short: "Print all offsets in Kafka Connect's format", Args: cobra.NoArgs,
		Long:    "Print all offsets as Kafka Connect's GET /connectors/<name>/offsets does. Streams without an offset are not in it.",
		Example: "  calcdc offsets export --config calcdc.yaml > offsets.json"}
	return listing(cmd, func(w io.Writer, entries []offsets.Entry, _ bool) error {
		return printJSON(w, offsets.Export{Entries: entries})
	})
}

func newOffsetsReset() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Forget offsets: streams are read anew, in their next epoch",
		Long: "Forget the offsets of the chosen streams. Each is then read anew: a snapshot-reset marker, every row again, and\n" +
			"the deletes that were missed.\n\n" +
			"The command becomes the owner of the streams' partitions for a moment: the workers that run are fenced, which\n" +
			"they see within seconds, load again and go on from there.\n\n" +
			"With --delete, a delete is published instead for every row of those chosen streams that the configuration no\n" +
			"longer names: sources and accounts that are not in it (or not found by it), collections that are listed but not\n" +
			"followed, kinds of stream that are not. Without it their rows are left as they stand.",
		Example: "  calcdc offsets reset --config calcdc.yaml --source work --account alice --collection /alice/work/\n" +
			"  calcdc offsets reset --config calcdc.yaml --all --yes\n" +
			"  calcdc offsets reset --config calcdc.yaml --delete --source retired",
		Args: cobra.NoArgs,
	}
	load, asJSON, chosen := configFlag(cmd), jsonFlag(cmd), selectionFlags(cmd)
	all := cmd.Flags().Bool("all", false, "every stream of this configuration's name")
	yes := cmd.Flags().Bool("yes", false, "with --all: really")
	remove := cmd.Flags().Bool("delete", false, "publish a delete for every row of streams that the configuration no longer names")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := allowed(*chosen, *all, *yes); err != nil {
			return err
		}
		c, err := load()
		if err != nil {
			return err
		}
		streams, err := reset(cmd.Context(), c, *chosen, *remove, newLogger(config.Log{Level: "warn", Format: c.Log.Format}, cmd.ErrOrStderr()))
		return errors.Join(printStreams(cmd.OutOrStdout(), streams, *remove, *asJSON), err)
	}
	return cmd
}

// allowed wants a choice, and twice the word where it is everything.
func allowed(s selection, all, yes bool) error {
	switch {
	case !all && s == selection{}:
		return usageError("choose streams with --source, --account, --collection, --stream, or all of them with --all --yes")
	case all && s != selection{}:
		return usageError("--all stands beside a choice of streams; give one of them")
	case all && !yes:
		return usageError("--all makes every stream be read anew; add --yes if that is meant")
	}
	return nil
}

// reset forgets the chosen streams' offsets, one partition after the other, and returns those that it has reset. With
// remove it deletes the rows of those that the configuration no longer names, and leaves the others alone.
func reset(ctx context.Context, c *config.Config, chosen selection, remove bool, log hclog.Logger) ([]connector.Stream, error) {
	client, err := reach(ctx, c, nil, log)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	entries, partitions, err := storedOffsets(ctx, c, client)
	if err != nil {
		return nil, err
	}
	entries, act := chosen.pick(entries), resetPartition
	if remove {
		act = retirePartition
		if entries, err = unnamed(ctx, c, entries); err != nil {
			return nil, err
		}
	}
	byPartition := byOwner(entries, partitions)
	if len(byPartition) == 0 && remove {
		return nil, errors.New("no stream matches that the configuration does not name; calcdc discover shows what is followed")
	}
	if len(byPartition) == 0 {
		return nil, errors.New("no stream matches; calcdc offsets list shows them")
	}
	if err := ensureDataTopics(ctx, c, client, entries); err != nil {
		return nil, err
	}
	var done []connector.Stream
	for _, p := range slices.Sorted(maps.Keys(byPartition)) {
		if err := act(ctx, c, client, p, byPartition[p], log); err != nil {
			return done, fmt.Errorf("resetting partition %d: %w", p, err)
		}
		done = append(done, byPartition[p]...)
	}
	return done, nil
}

// ensureDataTopics creates the data topics of entries that are missing, before anyone is fenced: what is reset will be
// published there again, also by a calcdc that has been running since before its topic was deleted.
func ensureDataTopics(ctx context.Context, c *config.Config, client *kafka.Client, entries []offsets.Entry) error {
	topics := newDataTopics(c, client)
	for _, e := range entries {
		if _, err := topics.Partitions(ctx, connectorConfig(c).DataTopic(e.Stream)); err != nil {
			return err
		}
	}
	return nil
}

// byOwner groups streams by the partition that their account maps to.
func byOwner(entries []offsets.Entry, partitions int32) map[int32][]connector.Stream {
	byPartition := map[int32][]connector.Stream{}
	for _, e := range entries {
		if e.Offset == nil && e.State != nil && e.State.Phase == connector.RemovedAll {
			continue // gone, with nothing left to forget
		}
		p := connector.AccountPartition(e.Stream.Source, e.Stream.Account, partitions)
		byPartition[p] = append(byPartition[p], e.Stream)
	}
	return byPartition
}

// resetPartition becomes the partition's owner for a moment.
func resetPartition(ctx context.Context, c *config.Config, client *kafka.Client, p int32, streams []connector.Stream, log hclog.Logger) error {
	ledger := newLedger(c, client, newDataTopics(c, client), nil, p, log)
	return owning(ctx, ledger, func() error { return ledger.Reset(ctx, streams...) })
}

func printStreams(w io.Writer, streams []connector.Stream, removed, asJSON bool) error {
	slices.SortFunc(streams, func(a, b connector.Stream) int { return cmp.Compare(a.String(), b.String()) })
	what, text := "reset", "it is read anew, in its next epoch; a running calcdc sees it within seconds"
	if removed {
		what, text = "deleted", "a delete of every row is published"
	}
	if asJSON {
		if streams == nil {
			streams = []connector.Stream{}
		}
		return printJSON(w, map[string]any{what: streams})
	}
	for _, s := range streams {
		if _, err := fmt.Fprintf(w, "%s %s: %s\n", what, clean(s.String()), text); err != nil {
			return err
		}
	}
	return nil
}
