package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/admin"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// silence is how long nothing may begin until the command says what may be the reason.
const silence = 30 * time.Second

func newSnapshot() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Ask for a re-snapshot of sources, accounts or collections",
		Long: "Ask the running workers to read the chosen streams anew: of each a snapshot-reset marker (requested), every row\n" +
			"again, the deletes that were missed, and snapshot-end, in its next epoch. No worker is fenced and no other stream is\n" +
			"touched. The request stands in <topic_prefix>-signal, in Debezium's signal format, for a week: where no worker runs, the next\n" +
			"one carries it out. Each stream heeds it once.\n\n" +
			"The command says which streams match and waits until all have been read, showing their progress, unless --no-wait is\n" +
			"given. Ending the wait does not take the request back.",
		Example: "  calcdc snapshot --config calcdc.yaml --source work --account alice --collection /alice/work/\n" +
			"  calcdc snapshot --config calcdc.yaml --source work --stream events --no-wait\n" +
			"  calcdc snapshot --config calcdc.yaml --all --yes --timeout 10m --json",
		Args: cobra.NoArgs,
	}
	load, asJSON, chosen := configFlag(cmd), jsonFlag(cmd), selectionFlags(cmd)
	all := cmd.Flags().Bool("all", false, "every stream of this configuration's name")
	yes := cmd.Flags().Bool("yes", false, "with --all: really")
	noWait := cmd.Flags().Bool("no-wait", false, "do not wait until the streams have been read")
	timeout := cmd.Flags().Duration("timeout", 0, "wait no longer than that; 0: as long as it takes")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := allowed(*chosen, *all, *yes); err != nil {
			return err
		}
		c, err := load()
		if err != nil {
			return err
		}
		w := &waiting{out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(), json: *asJSON, timeout: *timeout, wait: !*noWait}
		return w.snapshot(cmd.Context(), c, *chosen)
	}
	return cmd
}

// requested is what a request comes to.
type requested struct {
	Signal  string         `json:"signal"` // its id
	Topic   string         `json:"topic"`
	Offset  int64          `json:"offset"`
	Streams []streamAnswer `json:"streams"`
}

// streamAnswer is what has become of a request for one stream.
type streamAnswer struct {
	connector.Stream
	Epoch  int64  `json:"epoch,omitempty"` // of the snapshot
	Rows   *int64 `json:"rows,omitempty"`  // that the stream then has
	State  string `json:"state"`           // requested, snapshot, done
	Reason string `json:"reason,omitempty"`

	after int64 // the epoch before
}

// waiting asks for snapshots and waits for them.
type waiting struct {
	out, errs  io.Writer
	json, wait bool
	timeout    time.Duration

	answer requested
	client *kafka.Client
}

func (w *waiting) snapshot(ctx context.Context, c *config.Config, chosen selection) error {
	client, err := reach(ctx, c, nil, newLogger(config.Log{Level: "warn", Format: c.Log.Format}, w.errs))
	if err != nil {
		return err
	}
	defer client.Close()
	w.client = client
	streams, err := w.match(ctx, c, chosen)
	if err != nil {
		return err
	}
	notes, err := openNotes(ctx, c, client)
	if err != nil {
		return err
	}
	w.answer.Streams = streams
	if err := w.ask(ctx, c, chosen); err != nil {
		return err
	}
	if w.wait {
		err = w.await(ctx, notes)
	}
	if w.json {
		err = errors.Join(printJSON(w.out, w.answer), err)
	}
	return err
}

// match are the streams that the choice comes to, as they are now.
func (w *waiting) match(ctx context.Context, c *config.Config, chosen selection) ([]streamAnswer, error) {
	entries, _, err := storedOffsets(ctx, c, w.client)
	if err != nil {
		return nil, err
	}
	var out []streamAnswer
	for _, e := range chosen.pick(entries) {
		if named(c, e.Stream) && !gone(e) {
			out = append(out, streamAnswer{Stream: e.Stream, State: "requested", after: epochOf(e)})
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no stream matches that the configuration names and that has been read before; calcdc offsets list shows them")
	}
	return out, nil
}

// named tells whether the configuration follows streams like it.
func named(c *config.Config, s connector.Stream) bool {
	i := slices.IndexFunc(c.Sources, func(source config.Source) bool { return source.Name == s.Source })
	if i < 0 || !slices.Contains(streamsOf(&c.Sources[i]), s.Kind) {
		return false
	}
	accounts := configured(&c.Sources[i])
	return accounts == nil || slices.Contains(accounts, s.Account)
}

// configured are the accounts that the configuration names, nil where they are found.
func configured(s *config.Source) []string {
	if s.CalDAV == nil {
		if s.Google == nil {
			return nil
		}
		return s.Google.Subjects
	}
	names := []string{}
	for _, a := range s.CalDAV.Accounts {
		names = append(names, a.Name)
	}
	return names
}

// connectors are the configuration's sources, as the HTTP API names them.
func connectors(c *config.Config) map[string]admin.Connector {
	all := map[string]admin.Connector{}
	for i := range c.Sources {
		s := &c.Sources[i]
		of := admin.Connector{Accounts: configured(s), Topics: map[connector.Kind]string{}}
		for _, kind := range streamsOf(s) {
			of.Topics[kind] = connectorConfig(c).DataTopic(connector.Stream{Source: s.Name, Kind: kind})
		}
		all[s.Name] = of
	}
	return all
}

// gone tells whether the stream's collection is: it is read from its begin when it is back.
func gone(e offsets.Entry) bool {
	return e.State != nil && (e.State.Phase == connector.Removing || e.State.Phase == connector.RemovedAll)
}

func epochOf(e offsets.Entry) int64 {
	epoch := int64(0)
	if e.State != nil {
		epoch = e.State.Epoch
	}
	if e.Offset != nil {
		epoch = max(epoch, e.Offset.Epoch)
	}
	return epoch
}

// ask writes the signal and says so.
func (w *waiting) ask(ctx context.Context, c *config.Config, chosen selection) error {
	signal := connector.Signal{ID: rand.Text(), Type: connector.ExecuteSnapshot, Account: chosen.account, Collection: chosen.collection,
		Topics: topicsOf(c, w.answer.Streams)}
	offset, err := sendSignal(ctx, c, w.client, signal)
	if err != nil {
		return err
	}
	w.answer.Signal, w.answer.Topic, w.answer.Offset = signal.ID, connectorConfig(c).SignalTopic(), offset
	for _, s := range w.answer.Streams {
		w.say("requested %s, now in epoch %d", clean(s.Stream.String()), s.after)
	}
	return nil
}

// topicsOf are the topics of the streams, each once.
func topicsOf(c *config.Config, streams []streamAnswer) []string {
	var topics []string
	for _, s := range streams {
		topics = append(topics, connectorConfig(c).DataTopic(s.Stream))
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// sendSignal writes a signal into the signal topic.
func sendSignal(ctx context.Context, c *config.Config, client *kafka.Client, s connector.Signal) (int64, error) {
	value := s.Value()
	if _, err := connector.ParseSignal(value); err != nil { // as whoever reads it will
		return 0, fmt.Errorf("this cannot be asked for in one request, choose fewer: %w", err)
	}
	spec := signalTopic(c)
	t, err := client.EnsureTopic(ctx, spec)
	if err != nil {
		return 0, fmt.Errorf("preparing topic %s: %w", spec.Name, err)
	}
	if err := partitionsAgree(c, t); err != nil {
		return 0, err
	}
	offset, err := client.Append(ctx, connector.Record{Topic: spec.Name, Key: []byte(c.Kafka.TopicPrefix), Value: value})
	if err != nil {
		return 0, fmt.Errorf("writing the request: %w", err)
	}
	return offset, nil
}

func (w *waiting) say(format string, args ...any) {
	if !w.json {
		_, _ = fmt.Fprintf(w.out, format+"\n", args...)
	}
}

// await follows the notifications until every stream has been read.
func (w *waiting) await(ctx context.Context, notes *notes) error {
	waits, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if w.timeout > 0 {
		timer := time.AfterFunc(w.timeout, func() { stop(fmt.Errorf("%v have passed", w.timeout)) })
		defer timer.Stop()
	}
	hint := time.AfterFunc(silence, func() {
		_, _ = fmt.Fprintln(w.errs, "nothing more has begun for a while: does calcdc run run, and is what is not read yet well, and still followed? "+
			"The request stands; Ctrl-C ends the wait only")
	})
	defer hint.Stop()
	err := notes.follow(waits, func(n note) bool {
		hint.Reset(silence)
		w.take(n)
		return w.left() > 0
	})
	switch {
	case w.left() == 0:
		return nil
	case ctx.Err() != nil:
		err = errors.New("the wait was ended")
	case waits.Err() != nil:
		err = context.Cause(waits)
	}
	return fmt.Errorf("%s of %d not read yet: %w; the request stands and is carried out all the same",
		count(w.left(), "stream"), len(w.answer.Streams), err)
}

func (w *waiting) left() int {
	n := 0
	for _, s := range w.answer.Streams {
		if s.State != "done" {
			n++
		}
	}
	return n
}

// take notes what a notification says of a stream that is waited for. A snapshot that had begun before is not the one.
func (w *waiting) take(n note) {
	i := slices.IndexFunc(w.answer.Streams, func(s streamAnswer) bool { return s.Stream == n.Stream })
	if i < 0 {
		return
	}
	switch s := &w.answer.Streams[i]; {
	case s.State == "done" || n.Epoch <= s.after:
	case n.Type != "snapshot-end":
		s.State, s.Epoch, s.Reason = "snapshot", n.Epoch, n.Reason
		w.say("begun %s, epoch %d, %s", clean(s.Stream.String()), n.Epoch, clean(n.Reason))
	case s.State == "snapshot" && s.Epoch == n.Epoch && n.Count != nil:
		s.State, s.Rows = "done", n.Count
		w.say("done %s, epoch %d, %s (%d of %d)", clean(s.Stream.String()), n.Epoch, count(int(*n.Count), "row"),
			len(w.answer.Streams)-w.left(), len(w.answer.Streams))
	}
}

// note is a notification.
type note struct {
	connector.Stream
	Type   string `json:"type"`
	Epoch  int64  `json:"epoch"`
	Reason string `json:"reason"`
	Count  *int64 `json:"count"`
}

// notes are the notifications that come from now on.
type notes struct {
	client *kafka.Client
	topic  string
	from   []int64 // by partition
}

func openNotes(ctx context.Context, c *config.Config, client *kafka.Client) (*notes, error) {
	n := &notes{client: client, topic: connectorConfig(c).NotificationsTopic()}
	t, exists, err := client.DescribeTopic(ctx, n.topic)
	if err == nil && !exists {
		err = kafka.ErrNoTopic
	}
	for p := int32(0); err == nil && p < t.Partitions; p++ {
		var end int64
		end, err = client.End(ctx, n.topic, p)
		n.from = append(n.from, end)
	}
	if err != nil {
		return nil, fmt.Errorf("asking where %s ends: %w", n.topic, err)
	}
	return n, nil
}

// follow hands over notifications until more is false or ctx ends.
func (n *notes) follow(ctx context.Context, more func(note) bool) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	found := make(chan note)
	g, ctx := errgroup.WithContext(ctx)
	for p, from := range n.from {
		g.Go(func() error { return n.read(ctx, int32(p), from, found) })
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	for {
		select {
		case one := <-found:
			if more(one) {
				continue
			}
			stop()
			return <-ended
		case err := <-ended:
			return err
		}
	}
}

func (n *notes) read(ctx context.Context, p int32, from int64, found chan<- note) error {
	for rec, err := range n.client.Read(ctx, n.topic, p, from, -1) {
		if err != nil {
			return ended(ctx, fmt.Errorf("reading %s partition %d: %w", n.topic, p, err))
		}
		var one note
		if json.Unmarshal(rec.Value, &one) != nil {
			continue // what is none of ours
		}
		select {
		case found <- one:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
