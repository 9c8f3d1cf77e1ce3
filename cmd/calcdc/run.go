package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/admin"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/offsets"
)

func newRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Follow the calendars until stopped",
		Long: "Follow the configured calendars and publish every change to Kafka, exactly once, until stopped. SIGTERM and\n" +
			"SIGINT let what is being committed end; a second signal does not wait.\n\n" +
			"Start it several times with the same file, on one machine or many, and the processes share the accounts: Kafka's\n" +
			"consumer group <name> says who follows which. One that is stopped hands its share over at once, one that is lost\n" +
			"after kafka.group.session_timeout; nothing is lost or published twice.\n\n" +
			"Each stream's state is logged when it changes; /metrics and /healthz are served on http.listen, and requests for\n" +
			"snapshots taken (POST /connectors/SOURCE/snapshot).",
		Example: "  DAV_PASSWORD=… calcdc run --config calcdc.yaml\n" +
			"  curl -s http://127.0.0.1:8083/metrics | grep calcdc_stream_\n" +
			"  curl -s -X POST -d '{\"account\": \"alice\"}' http://127.0.0.1:8083/connectors/work/snapshot",
		Args: cobra.NoArgs,
	}
	load := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := load()
		if err != nil {
			return err
		}
		return follow(cmd.Context(), c, cmd.ErrOrStderr())
	}
	return cmd
}

// follow runs the connector of a configuration, and its admin server, until ctx ends.
func follow(ctx context.Context, c *config.Config, logTo io.Writer) error {
	log := newLogger(c.Log, logTo)
	observer := admin.New(thisBuild().Version, log)
	client, err := reach(ctx, c, observer.Transaction, log)
	if err != nil {
		return ended(ctx, err)
	}
	defer client.Close()
	topics, err := ensureTopics(ctx, c, client)
	if err != nil {
		return ended(ctx, err)
	}
	sources, err := newSources(c, log)
	if err != nil {
		return err
	}
	conn := connector.New(connectorConfig(c), sources, topics, observer, log)
	conn.Heed(client)
	observer.TakeSnapshots(connectors(c), func(ctx context.Context, s connector.Signal) error {
		_, err := sendSignal(ctx, c, client, s)
		return err
	})
	cache := openCache(c, log)
	defer watchCache(cache, log)()
	defer closeCache(cache, log)
	ledger := func(p int32) *offsets.Ledger { return newLedger(c, client, topics, cache, p, log) }
	ln, err := listen(ctx, c.HTTP.Listen)
	if err != nil {
		return err
	}
	log.Info("started", "version", thisBuild().Version, "name", c.Name, "sources", len(sources), "accounts", accountsText(sources),
		"topics", c.Kafka.TopicPrefix+".<source>.<stream>", "partitions", c.Offsets.Partitions, "http", addressOf(ln))
	return serve(ctx, ln, observer, log, func(ctx context.Context) error {
		if atLeastOnce(c) {
			return runAlone(ctx, c, conn, ledger)
		}
		return conn.Run(ctx, newGroup(c, client), func(p int32) connector.Ledger { return ledger(p) })
	})
}

// listen opens the admin server's port; nil: there shall be none.
func listen(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for http: %w; choose another http.listen, or \"\" for none", err)
	}
	return ln, nil
}

func addressOf(ln net.Listener) string {
	if ln == nil {
		return "off"
	}
	return ln.Addr().String()
}

// serve runs the connector beside the admin server; the one ends with the other.
func serve(ctx context.Context, ln net.Listener, observer *admin.Admin, log hclog.Logger, run func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	if ln != nil {
		g.Go(func() error { return observer.Serve(ctx, ln) })
	}
	began := time.Now()
	g.Go(func() error {
		<-ctx.Done()
		log.Info("stopping: what is being committed may end; a second signal does not wait")
		return nil
	})
	g.Go(func() error {
		defer stop()
		if err := run(ctx); err != nil {
			return fmt.Errorf("following the calendars: %w", err)
		}
		return nil
	})
	err := g.Wait()
	log.Info("stopped", "after", time.Since(began).Round(time.Second).String())
	return err
}

// ended makes an error that only says that the user has ended the command none.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
