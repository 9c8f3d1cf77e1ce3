package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// finding is one thing that was looked at.
type finding struct {
	Kind   string `json:"kind"` // configuration, kafka, topic, permissions, source, account, stream
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
}

type checkReport struct {
	OK     bool      `json:"ok"`
	Checks []finding `json:"checks"`
	looks
}

func newCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration, reach Kafka and every source, say what each server can do",
		Long: "Validate the configuration file, reach Kafka and every account, say what each server can do, which Kafka ACLs and,\n" +
			"for Google, which scopes are missing. Nothing is written: topics that are missing are named as such. The exit code is 1 where something cannot be reached, 2 where\n" +
			"the file is wrong.",
		Example: "  calcdc check --config calcdc.yaml\n" +
			"  calcdc check --config calcdc.yaml --json | jq '.checks[] | select(.ok | not)'",
		Args: cobra.NoArgs,
	}
	load, asJSON := configFlag(cmd), jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := load()
		if err != nil {
			return err
		}
		progress(cmd, "asking the accounts and Kafka …")
		report := checkAll(cmd.Context(), c, cmd.Flag("config").Value.String())
		if err := printReport(cmd.OutOrStdout(), report, *asJSON); err != nil {
			return err
		}
		if !report.OK {
			return errReported
		}
		return nil
	}
	return cmd
}

func checkAll(ctx context.Context, c *config.Config, file string) checkReport {
	r := checkReport{Checks: []finding{{Kind: "configuration", Name: file, OK: true, Detail: count(len(c.Sources), "source")}}}
	inKafka := make(chan []finding, 1)
	go func() { inKafka <- checkKafka(ctx, c) }()
	r.looks = lookAtAll(ctx, c, true, hclog.NewNullLogger())
	r.Checks = append(r.Checks, <-inKafka...)
	for _, s := range r.Sources {
		r.Checks = append(r.Checks, s.finding())
		for _, v := range r.Accounts {
			if v.Source == s.Source {
				r.Checks = append(r.Checks, v.findings()...)
			}
		}
	}
	r.OK = !slices.ContainsFunc(r.Checks, func(f finding) bool { return !f.OK })
	return r
}

func (s sourceView) finding() finding {
	f := finding{Kind: "source", Name: s.Source, OK: s.Error == "", Error: s.Error}
	if f.OK {
		f.Detail = s.Connector + ", " + count(s.Accounts, "account")
	}
	return f
}

// findings are what is known of the account, then of each of its kinds of stream.
func (v *accountView) findings() []finding {
	f := finding{Kind: "account", Name: v.Source + "/" + v.Account, OK: v.Error == "", Error: v.Error}
	if f.OK {
		f.Detail = v.summary()
	}
	out := []finding{f}
	for _, p := range v.probes {
		stream := finding{Kind: "stream", Name: f.Name + "/" + string(p.kind), OK: p.err == nil}
		if stream.OK {
			stream.Detail = "can be read"
		} else {
			stream.Error = p.err.Error()
		}
		out = append(out, stream)
	}
	return out
}

// checkKafka looks at the cluster and the topics without changing anything.
func checkKafka(ctx context.Context, c *config.Config) []finding {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	cluster := finding{Kind: "kafka", Name: strings.Join(c.Kafka.Brokers, ",")}
	client, err := reach(ctx, c, nil, hclog.NewNullLogger())
	if err != nil {
		cluster.Error = err.Error()
		return []finding{cluster}
	}
	defer client.Close()
	cluster.OK, cluster.Detail = true, security(c)
	out := []finding{cluster}
	for _, spec := range topicSpecs(c) {
		out = append(out, checkTopic(ctx, c, client, spec))
	}
	return append(out, checkPermissions(ctx, c, client))
}

// checkPermissions asks what run would be refused, one line an ACL that is missing.
func checkPermissions(ctx context.Context, c *config.Config, client *kafka.Client) finding {
	f := finding{Kind: "permissions", Name: strings.Join(c.Kafka.Brokers, ",")}
	need := kafka.Needs{}
	for _, spec := range topicSpecs(c) {
		need.Topics = append(need.Topics, kafka.TopicNeeds{Name: spec.Name, Read: true, Write: true, Create: true})
	}
	if !atLeastOnce(c) {
		need.Groups = []string{c.Name}
	}
	for p := range c.Offsets.Partitions {
		if atLeastOnce(c) {
			break
		}
		need.TransactionalIDs = append(need.TransactionalIDs, transactionalID(c.Name, p))
	}
	missing, err := client.MissingACLs(ctx, need)
	switch {
	case err != nil:
		f.Error = err.Error()
	case len(missing) > 0:
		f.Error = "missing ACLs, to be added with kafka-acls --add --allow-principal User:<name>:\n" + strings.Join(missing, "\n")
	default:
		f.OK, f.Detail = true, "none is missing"
	}
	return f
}

func security(c *config.Config) string {
	text := "reached in plain text"
	if c.Kafka.TLS.Enabled {
		text = "reached with TLS"
	}
	if m := c.Kafka.SASL.Mechanism; m != "" {
		text += ", authenticated by " + m
	}
	return text
}

func checkTopic(ctx context.Context, c *config.Config, client *kafka.Client, spec kafka.TopicSpec) finding {
	f := finding{Kind: "topic", Name: spec.Name}
	t, exists, err := client.DescribeTopic(ctx, spec.Name)
	if err == nil && exists {
		t, err = client.EnsureTopic(ctx, spec) // it is there: this refuses a policy that would lose state
	}
	if err == nil && exists && fixed(c, spec) {
		err = partitionsAgree(c, t)
	}
	switch {
	case err != nil:
		f.Error = err.Error()
	case exists:
		f.OK, f.Detail = true, fmt.Sprintf("%s, records up to %d bytes", count(int(t.Partitions), "partition"), t.MaxMessageBytes)
	default:
		f.OK, f.Detail = true, fmt.Sprintf("missing: run creates it with %s, replication factor %d", count(spec.Partitions, "partition"), spec.ReplicationFactor)
	}
	return f
}

func printReport(w io.Writer, r checkReport, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Checks {
		mark, text := "ok", f.Detail
		if !f.OK {
			mark, text = "FAILED", f.Error
		}
		for i, line := range strings.Split(text, "\n") {
			if i > 0 {
				_, _ = fmt.Fprintf(tw, "\t\t\t%s\n", clean(line))
				continue
			}
			_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", mark, f.Kind, clean(f.Name), clean(line))
		}
	}
	return tw.Flush()
}
