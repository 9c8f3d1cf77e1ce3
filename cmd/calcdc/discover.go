package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sinks/kafka"
)

type discovery struct {
	looks
	Error string `json:"error,omitempty"` // where the store could not be read
}

func newDiscover() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "discover",
		Short: "List accounts and collections, with how each will be synchronised",
		Long: "List every account's collections: whether each is followed, how (CalDAV: sync-collection, or by comparing ctags or\n" +
			"ETags where the server has no RFC 6578; Google: sync-token, updated-min, or full, where it is listed at each poll),\n" +
			"the streams, where they are not events alone, and what is committed of its events. Collections and accounts that only the store\n" +
			"knows are listed as not followed. The exit code is 1 where an account or Kafka cannot be reached.",
		Example: "  calcdc discover --config calcdc.yaml\n" +
			"  calcdc discover --config calcdc.yaml --json | jq -r '.accounts[].collections[].id'",
		Args: cobra.NoArgs,
	}
	load, asJSON := configFlag(cmd), jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := load()
		if err != nil {
			return err
		}
		progress(cmd, "asking the accounts and Kafka …")
		d := discover(cmd.Context(), c)
		if *asJSON {
			err = printJSON(cmd.OutOrStdout(), d)
		} else {
			err = printDiscovery(cmd.OutOrStdout(), d)
		}
		return errors.Join(err, d.failed(cmd.ErrOrStderr()))
	}
	return cmd
}

func discover(ctx context.Context, c *config.Config) discovery {
	d := discovery{looks: lookAtAll(ctx, c, false, hclog.NewNullLogger())}
	entries, err := listOffsets(ctx, c)
	if err != nil {
		d.Error = err.Error()
	}
	d.addStore(entries)
	return d
}

// failed prints what could not be reached.
func (d discovery) failed(stderr io.Writer) error {
	var errs []string
	for _, s := range d.Sources {
		errs = append(errs, s.Error)
	}
	for _, v := range d.Accounts {
		errs = append(errs, v.Error)
	}
	if d.Error != "" {
		errs = append(errs, "reading what is committed: "+d.Error)
	}
	var failed error
	for _, text := range errs {
		if text != "" {
			_, _ = fmt.Fprintf(stderr, "calcdc: %s\n", text)
			failed = errReported
		}
	}
	return failed
}

// listOffsets reads what is committed, without fencing anyone. Topics that are missing hold nothing.
func listOffsets(ctx context.Context, c *config.Config) ([]offsets.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	client, err := reach(ctx, c, nil, hclog.NewNullLogger())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	entries, _, err := storedOffsets(ctx, c, client)
	return entries, err
}

// storedOffsets also tells how many partitions the offsets have, 0 where nothing was committed ever.
func storedOffsets(ctx context.Context, c *config.Config, client *kafka.Client) ([]offsets.Entry, int32, error) {
	topic, exists, err := client.DescribeTopic(ctx, offsets.Topic(c.Name))
	if err != nil {
		return nil, 0, fmt.Errorf("describing %s: %w", offsets.Topic(c.Name), err)
	}
	if !exists {
		return nil, 0, nil
	}
	entries, err := offsets.List(ctx, client, c.Name, topic.Partitions)
	if errors.Is(err, kafka.ErrNoTopic) {
		return nil, 0, fmt.Errorf("%w: topic %s is missing beside %s; start calcdc run, which says what to do",
			err, offsets.StateTopic(c.Name), topic.Name)
	}
	return entries, topic.Partitions, err
}

func printDiscovery(w io.Writer, d discovery) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "ACCOUNT\tCOLLECTION\tNAME\tROLE\tFOLLOWED\tBY\tCOMMITTED")
	for _, s := range d.Sources {
		if s.Error != "" {
			_, _ = fmt.Fprintf(tw, "%s\t-\t\t\tcannot be asked\t\t\n", clean(s.Source))
		}
	}
	for _, v := range d.Accounts {
		name := clean(v.Source + "/" + v.Account)
		if len(v.Collections) == 0 {
			_, _ = fmt.Fprintf(tw, "%s\t-\t\t\t%s\t\t\n", name, v.empty())
		}
		for _, c := range v.Collections {
			_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, clean(c.ID), clean(c.Name), orDash(clean(c.AccessRole)), c.followed(), orDash(c.Sync), c.committed())
		}
	}
	return tw.Flush()
}

func (v *accountView) empty() string {
	switch {
	case v.Error != "":
		return "cannot be asked"
	case v.Note != "":
		return v.Note
	}
	return "has no collections"
}

func (c collectionView) followed() string {
	if !c.Followed {
		return "no: " + c.Note
	}
	if len(c.Streams) == 1 && c.Streams[0] == connector.Events {
		return "yes"
	}
	return "yes: " + kindsText(c.Streams)
}

func kindsText(kinds []connector.Kind) string {
	if len(kinds) == 0 {
		return "its calendars row alone"
	}
	texts := make([]string, len(kinds))
	for i, k := range kinds {
		texts[i] = string(k)
	}
	return strings.Join(texts, ", ")
}

func (c collectionView) committed() string {
	if c.Rows == nil {
		return "-"
	}
	return fmt.Sprintf("%s, epoch %d, %s", c.Phase, c.Epoch, count(int(*c.Rows), "row"))
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
