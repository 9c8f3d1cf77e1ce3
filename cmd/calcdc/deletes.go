package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/offsets"
)

func newDeletes() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deletes",
		Short: "Show deletes that are held, approve or refuse them",
		Long: "A listing that would delete more than deletes.max_fraction of a stream's rows at once is held: nothing of it is\n" +
			"deleted until another full look, deletes.confirm_after later, comes to the same. approve does not wait for it; refuse\n" +
			"keeps the rows until a listing shows all of them again, or until they are approved later.\n\n" +
			"Decisions are requests in <topic_prefix>-signal, as those of calcdc snapshot: no worker is fenced, and where none\n" +
			"runs, the next one heeds them. A decision is about what is held when it is written, and about the streams that are\n" +
			"shown: what is held later, of them or of others that match, is not decided with it.",
		Example: "  calcdc deletes list --config calcdc.yaml\n" +
			"  calcdc deletes approve --config calcdc.yaml --source work --account alice --collection /alice/work/\n" +
			"  calcdc deletes refuse --config calcdc.yaml --source work --account alice",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError("name a command: calcdc deletes list, approve or refuse")
		},
	}
	cmd.AddCommand(newDeletesList(),
		newDecision("approve", "Publish the deletes that are held", "its rows are deleted at the next look", connector.ApproveDeletes),
		newDecision("refuse", "Keep the rows whose deletes are held", "its rows are kept until a listing shows all of them again", connector.RefuseDeletes))
	return cmd
}

// heldView is a stream whose deletes are held.
type heldView struct {
	connector.Stream
	Hold connector.Hold `json:"hold"`
}

func newDeletesList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the streams whose deletes are held", Args: cobra.NoArgs,
		Example: "  calcdc deletes list --config calcdc.yaml --json"}
	return listing(cmd, func(w io.Writer, entries []offsets.Entry, asJSON bool) error {
		if asJSON {
			return printJSON(w, heldOf(entries))
		}
		return printHeld(w, heldOf(entries))
	})
}

// heldOf are the entries whose deletes are held.
func heldOf(entries []offsets.Entry) []heldView {
	views := []heldView{}
	for _, e := range entries {
		if e.State != nil && e.State.Hold != nil {
			views = append(views, heldView{e.Stream, *e.State.Hold})
		}
	}
	return views
}

func printHeld(w io.Writer, views []heldView) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "STREAM\tDELETES\tOF ROWS\tSINCE\tDECISION")
	for _, v := range views {
		decision := "-"
		if v.Hold.Kept {
			decision = "refused"
		}
		_, _ = fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%s\n", clean(v.Stream.String()), v.Hold.Rows, v.Hold.Of, timeText(v.Hold.SinceMs), decision)
	}
	return tw.Flush()
}

func newDecision(use, short, effect string, what connector.SignalType) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs,
		Example: "  calcdc deletes " + use + " --config calcdc.yaml --source work --account alice --collection /alice/work/\n" +
			"  calcdc deletes " + use + " --config calcdc.yaml --all --yes"}
	load, asJSON, chosen := configFlag(cmd), jsonFlag(cmd), selectionFlags(cmd)
	all := cmd.Flags().Bool("all", false, "every stream whose deletes are held")
	yes := cmd.Flags().Bool("yes", false, "with --all: really")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case !*all && *chosen == selection{}:
			return usageError("choose streams with --source, --account, --collection, --stream, or all of them with --all --yes")
		case *all && *chosen != selection{}:
			return usageError("--all stands beside a choice of streams; give one of them")
		case *all && !*yes:
			return usageError("--all decides about every stream; add --yes if that is meant")
		}
		c, err := load()
		if err != nil {
			return err
		}
		views, err := decide(cmd.Context(), c, *chosen, what, cmd.ErrOrStderr())
		if err != nil && len(views) == 0 {
			return err
		}
		if *asJSON {
			return errors.Join(printJSON(cmd.OutOrStdout(), map[string]any{"decision": what, "streams": views}), err)
		}
		for _, v := range views {
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%sd %s, %d of %d rows: %s\n", use, clean(v.Stream.String()), v.Hold.Rows, v.Hold.Of, effect)
		}
		return err
	}
	return cmd
}

// decide writes a decision about each of the chosen streams whose deletes are held, and returns these.
func decide(ctx context.Context, c *config.Config, chosen selection, what connector.SignalType, logTo io.Writer) ([]heldView, error) {
	client, err := reach(ctx, c, nil, newLogger(config.Log{Level: "warn", Format: c.Log.Format}, logTo))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	entries, _, err := storedOffsets(ctx, c, client)
	if err != nil {
		return nil, err
	}
	views := heldOf(chosen.pick(entries))
	if len(views) == 0 {
		return nil, errors.New("no deletes are held of a stream that matches; calcdc deletes list shows those that are")
	}
	for i, v := range views { // one for each: what is held from now on is not meant
		signal := connector.Signal{ID: rand.Text(), Type: what, Account: v.Account, Collection: v.Collection,
			Topics: []string{connectorConfig(c).DataTopic(v.Stream)}, Held: v.Hold.SinceMs}
		if _, err := sendSignal(ctx, c, client, signal); err != nil {
			return views[:i], err
		}
	}
	return views, nil
}
