package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// lookForTopics is how often tail looks for topics and partitions that are new.
const lookForTopics = 2 * time.Second

type tailOptions struct {
	fromBeginning, toEnd, asJSON bool
	most                         int
	atMost                       time.Duration
	source, collection           string
}

func newTail() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print changes from the topics as they are committed",
		Long: "Print the records of the data topics as they are committed, a line each: time, op (c created, u updated, d\n" +
			"deleted, r read in a snapshot), account, collection, id and summary; markers stand between dashes. Records of\n" +
			"aborted transactions never show. Tombstones, which follow each d, are left out.\n\n" +
			"With --json every record is printed as it stands: topic, partition, offset, key, headers and value, tombstones\n" +
			"and markers too, exactly what another read_committed consumer gets.",
		Example: "  calcdc tail --config calcdc.yaml\n" +
			"  calcdc tail --config calcdc.yaml --from-beginning --collection '/alice/*'\n" +
			"  calcdc tail --config calcdc.yaml --from-beginning --to-end --json | jq -c 'select(.value.op == \"d\") | .key'",
		Args: cobra.NoArgs,
	}
	var o tailOptions
	load := configFlag(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.fromBeginning, "from-beginning", false, "begin with what the topics hold, not with what comes next")
	f.BoolVar(&o.toEnd, "to-end", false, "stop where the topics end now")
	f.BoolVar(&o.asJSON, "json", false, "print a JSON object a line, for programs")
	f.IntVar(&o.most, "max", 0, "stop after so many `RECORDS`")
	f.DurationVar(&o.atMost, "for", 0, "stop after so long")
	f.StringVar(&o.source, "source", "", "only this `SOURCE`")
	f.StringVar(&o.collection, "collection", "", "only collections whose id matches this `GLOB`; * crosses /")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := load()
		if err != nil {
			return err
		}
		return tail(cmd.Context(), c, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// tail prints until it is told to stop, or all there is has been printed.
func tail(ctx context.Context, c *config.Config, o tailOptions, stdout, stderr io.Writer) error {
	if o.atMost > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.atMost)
		defer cancel()
	}
	client, err := reach(ctx, c, nil, newLogger(config.Log{Level: "warn"}, stderr))
	if err != nil {
		return ended(ctx, err)
	}
	defer client.Close()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	t := &tailer{client: client, o: o, out: make(chan connector.Committed, 64)}
	g, reading := errgroup.WithContext(reading)
	for _, topic := range tailTopics(c, o.source) {
		g.Go(func() error { return t.topic(reading, topic) })
	}
	result := make(chan error, 1)
	go func() { result <- g.Wait(); close(t.out) }()
	return errors.Join(t.print(stdout, stop), <-result)
}

func tailTopics(c *config.Config, source string) []string {
	if source == "" {
		return dataTopicNames(c)
	}
	only := *c
	only.Sources = slices.DeleteFunc(slices.Clone(c.Sources), func(s config.Source) bool { return s.Name != source })
	if len(only.Sources) == 0 {
		only.Sources = []config.Source{{Name: source}} // its topics may be there still
	}
	return dataTopicNames(&only)
}

// tailer reads topics into out.
type tailer struct {
	client *kafka.Client
	o      tailOptions
	out    chan connector.Committed
}

// topic reads a topic's partitions until ctx ends or all is read.
func (t *tailer) topic(ctx context.Context, topic string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return ended(ctx, t.find(ctx, topic, g)) })
	return g.Wait()
}

// find starts a reader for each partition of the topic. What comes into being after the start is read from its
// beginning.
func (t *tailer) find(ctx context.Context, topic string, g *errgroup.Group) error {
	var reading int32
	for start := true; ; start = false {
		found, exists, err := t.client.DescribeTopic(ctx, topic)
		if err != nil && start {
			return fmt.Errorf("describing %s: %w", topic, err)
		}
		for ; err == nil && exists && reading < found.Partitions; reading++ {
			p := reading
			from, until, err := t.bounds(ctx, topic, p, start)
			if err != nil {
				return err
			}
			g.Go(func() error { return t.partition(ctx, topic, p, from, until) })
		}
		if t.o.toEnd || !pause(ctx, lookForTopics) {
			return nil
		}
	}
}

// bounds says from where to where a partition is read; -1: for ever.
func (t *tailer) bounds(ctx context.Context, topic string, p int32, start bool) (from, until int64, err error) {
	if t.o.fromBeginning && !t.o.toEnd || !start {
		return 0, -1, nil
	}
	end, err := t.client.End(ctx, topic, p)
	if err != nil {
		return 0, 0, fmt.Errorf("asking for the end of %s partition %d: %w", topic, p, err)
	}
	from, until = end, -1
	if t.o.fromBeginning {
		from = 0
	}
	if t.o.toEnd {
		until = end
	}
	return from, until, nil
}

func (t *tailer) partition(ctx context.Context, topic string, p int32, from, until int64) error {
	for rec, err := range t.client.Read(ctx, topic, p, from, until) {
		if err != nil {
			return ended(ctx, fmt.Errorf("reading %s partition %d: %w", topic, p, err))
		}
		select {
		case t.out <- rec:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// print prints what is wanted of out, stops the reading after the last, and returns once out is closed.
func (t *tailer) print(w io.Writer, stop func()) error {
	defer func() {
		stop()
		for range t.out { // readers that are about to send may do so
		}
	}()
	printed := 0
	for rec := range t.out {
		line, wanted := t.o.line(rec)
		if !wanted {
			continue
		}
		if _, err := io.WriteString(w, line+"\n"); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
		if printed++; printed == t.o.most {
			return nil
		}
	}
	return nil
}

// pause waits, and reports whether it could wait to the end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
