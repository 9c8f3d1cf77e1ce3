package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/internal/demo"
)

func newDemo() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See what calcdc does: everything embedded, nothing to install",
		Long: "Start a calendar server, a Kafka broker and the connector between them, all embedded, with a little life in the\n" +
			"calendars, and show both sides: what people change, and what consumers of the topics read. Then the server\n" +
			"forgets its sync token, and the reset follows. Both ports are real: open the calendars with any CalDAV client\n" +
			"(those of --source google with curl), read the topics with kcat.",
		Example: "  calcdc demo\n  calcdc demo --source google\n  calcdc demo --for 20s --plain",
		Args:    cobra.NoArgs,
	}
	duration := cmd.Flags().Duration("for", 0, "end after so long (default: when you leave)")
	kind := cmd.Flags().String("source", string(demo.CalDAV), "the `KIND` of calendar server: caldav or google")
	plain := cmd.Flags().Bool("plain", false, "print lines, even on a terminal")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if k := demo.Kind(*kind); k != demo.CalDAV && k != demo.Google {
			return usageError(fmt.Sprintf("--source is %q; it may be caldav or google", *kind))
		}
		return demo.Run(cmd.Context(), demo.Options{Kind: demo.Kind(*kind), For: *duration, Plain: *plain, Out: cmd.OutOrStdout(),
			Start: func(ctx context.Context, e demo.Endpoints) error { return follow(ctx, demoConfig(e), e.Log) }})
	}
	return cmd
}

// demoConfig is the configuration that one would write for the demo's server and broker.
func demoConfig(e demo.Endpoints) *config.Config {
	c := config.Default()
	c.Name, c.Kafka.Brokers, c.Kafka.TopicPrefix = "demo", e.Brokers, e.TopicPrefix
	c.Kafka.Topics.Partitions, c.Offsets.Partitions = 1, 1
	c.HTTP.Listen = ""
	s := config.DefaultSource()
	s.Name, s.PollInterval = e.Source, e.PollInterval
	if e.Kind == demo.Google {
		g := config.DefaultGoogle()
		g.Endpoint, g.AccessToken = e.URL, config.NewSecret(e.Token)
		g.Quota = config.GoogleQuota{UserPerMinute: 60_000, ProjectPerMinute: 60_000} // the demo's server has none
		s.Google = &g
	} else {
		dav := config.DefaultCalDAV()
		dav.URL = e.URL
		dav.Accounts = []config.Account{{Name: e.Username, Username: e.Username, Password: config.NewSecret(e.Password)}}
		s.CalDAV = &dav
	}
	c.Sources = []config.Source{s}
	return c
}
