package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sinks/kafka"
	"github.com/calcdc/calcdc/sources/caldav"
)

func newLogger(c config.Log, w io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: "calcdc", Level: hclog.LevelFromString(c.Level), JSONFormat: c.Format == "json", Output: w})
}

// connectorConfig is what the connector itself needs of the configuration.
func connectorConfig(c *config.Config) connector.Config {
	return connector.Config{
		Version: thisBuild().Version, TopicPrefix: c.Kafka.TopicPrefix, Before: connector.Before(c.Events.Before),
		Tombstones: c.Events.Tombstones, Partitions: c.Offsets.Partitions,
		Changes: c.Events.Resnapshot == "changes", Uncommitted: int64(c.Limits.Uncommitted), Collections: c.Limits.Collections,
		Guard: &connector.Guard{MaxFraction: c.Deletes.MaxFraction, AboveRows: c.Deletes.AboveRows, ConfirmAfter: c.Deletes.ConfirmAfter},
	}
}

// transactionHook is told of every transaction; nil: nobody is.
type transactionHook func(records, bytes int, took time.Duration, err error)

// kafkaConfig is what the Kafka client needs of the configuration.
func kafkaConfig(c *config.Config) kafka.Config {
	k := c.Kafka
	return kafka.Config{
		Brokers: k.Brokers, ClientID: "calcdc-" + c.Name, Compression: k.Compression,
		TLS:        kafka.TLS{Enabled: k.TLS.Enabled, CAFile: k.TLS.CAFile, CertFile: k.TLS.CertFile, KeyFile: k.TLS.KeyFile},
		SASL:       kafka.SASL{Mechanism: k.SASL.Mechanism, Username: k.SASL.Username, Password: k.SASL.Password.Reveal()},
		MaxRecords: k.Transaction.MaxRecords, MaxBytes: int(k.Transaction.MaxBytes),
	}
}

// newClient makes the Kafka client; nothing is sent yet.
func newClient(c *config.Config, hook transactionHook, log hclog.Logger) (*kafka.Client, error) {
	cfg := kafkaConfig(c)
	cfg.OnTransaction = hook
	client, err := kafka.New(cfg, log.Named("kafka"))
	if err != nil {
		return nil, fmt.Errorf("setting up the Kafka client: %w", err)
	}
	return client, nil
}

// reach makes a client and asks the cluster for an answer.
func reach(ctx context.Context, c *config.Config, hook transactionHook, log hclog.Logger) (*kafka.Client, error) {
	client, err := newClient(c, hook, log)
	if err != nil {
		return nil, err
	}
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("reaching Kafka: %w", err)
	}
	return client, nil
}

func userAgent() string { return "calcdc/" + thisBuild().Version }

// maxRaw avoids that 0, which leaves out every raw, is taken for the default: no raw is shorter than one byte.
func maxRaw(c *config.Config) int { return max(int(c.Events.MaxRaw), 1) }

// plainSettles is how long a request that was given up may take to be written all the same, as far as can be foreseen.
const plainSettles = 5 * time.Second

// newLedger makes the ledger of one partition, in memory where cache is nil.
func newLedger(c *config.Config, client *kafka.Client, topics *dataTopics, cache *offsets.Cache, partition int32, log hclog.Logger) *offsets.Ledger {
	producer := client.NewProducer(transactionalID(c.Name, partition))
	if atLeastOnce(c) {
		producer = client.NewPlainProducer(plainSettles)
	}
	return offsets.NewLedger(offsets.Config{
		Name: c.Name, Partition: partition, DataTopic: connectorConfig(c).DataTopic, Notifications: connectorConfig(c).NotificationsTopic(),
		Count: c.Offsets.Partitions,
		Cache: cache, Identify: identify(c, client),
		Missing: kafka.Missing, Partitions: topics.anew, Start: client.Start, Resource: resourceOf(c),
		Ensure: func(ctx context.Context) error { return ensureInternal(ctx, c, client) }, Steps: atLeastOnce(c),
	}, producer, client, log.Named("offsets").With("partition", partition))
}

// resourceOf says which resource a row was published of, by the kind of its source: source, where the state or a record says it, else as
// configured.
func resourceOf(c *config.Config) func(s connector.Stream, source, id string, row []byte) (resource, parent string) {
	google := map[string]bool{}
	for i := range c.Sources {
		google[c.Sources[i].Name] = c.Sources[i].Google != nil
	}
	return func(s connector.Stream, source, id string, row []byte) (resource, parent string) {
		if s.Kind != connector.Events {
			return id, ""
		}
		if source == "google" || source == "" && google[s.Source] {
			return id, seriesOf(row)
		}
		return caldav.ResourceOf(s.Collection, id, row), ""
	}
}

// seriesOf is the series of a row that is an exception of one.
func seriesOf(row []byte) string {
	var published struct {
		Series string `json:"series_id"`
	}
	_ = json.Unmarshal(row, &published) // a row that was not kept says nothing
	return published.Series
}

// newGroup makes this process a member of the group of its name.
func newGroup(c *config.Config, client *kafka.Client) *kafka.Group {
	return client.NewGroup(kafka.GroupConfig{
		ID: c.Name, Topic: offsets.Topic(c.Name), Partitions: c.Offsets.Partitions, SessionTimeout: c.Kafka.Group.SessionTimeout,
	})
}

func transactionalID(name string, partition int32) string {
	return fmt.Sprintf("%s-%d", name, partition)
}

// dataTopicNames are the topics that hold rows, in the configuration's order.
func dataTopicNames(c *config.Config) []string {
	var out []string
	for i := range c.Sources {
		for _, kind := range streamsOf(&c.Sources[i]) {
			out = append(out, connectorConfig(c).DataTopic(connector.Stream{Source: c.Sources[i].Name, Kind: kind}))
		}
	}
	return out
}
