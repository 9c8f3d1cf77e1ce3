package main

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// internalTopic is <name>-offsets or <name>-state: compaction alone, and soon, because the whole of it is read at a start.
func internalTopic(c *config.Config, topic string) kafka.TopicSpec {
	settings := map[string]string{
		"cleanup.policy": "compact", "min.compaction.lag.ms": "0", "segment.bytes": "67108864", "delete.retention.ms": "86400000",
	}
	if limit, ok := c.Kafka.Topics.Config["max.message.bytes"]; ok {
		settings["max.message.bytes"] = limit
	}
	return kafka.TopicSpec{Name: topic, Partitions: int(c.Offsets.Partitions),
		ReplicationFactor: int(c.Kafka.Topics.ReplicationFactor), Config: settings, Internal: true}
}

// dataTopic is a topic of rows.
func dataTopic(c *config.Config, topic string) kafka.TopicSpec {
	return kafka.TopicSpec{Name: topic, Partitions: int(c.Kafka.Topics.Partitions),
		ReplicationFactor: int(c.Kafka.Topics.ReplicationFactor), Config: c.Kafka.Topics.Config}
}

// notificationsTopic keeps the last notification of each type, so it is compacted whatever the data topics are.
func notificationsTopic(c *config.Config) kafka.TopicSpec {
	spec := dataTopic(c, connectorConfig(c).NotificationsTopic())
	spec.Config = maps.Clone(spec.Config)
	spec.Config["cleanup.policy"] = "compact"
	return spec
}

// signalTopic keeps requests for a week. Its order is total, and its times are the broker's: they tell it from one of the same name
// that was deleted.
func signalTopic(c *config.Config) kafka.TopicSpec {
	return kafka.TopicSpec{Name: connectorConfig(c).SignalTopic(), Partitions: 1, ReplicationFactor: int(c.Kafka.Topics.ReplicationFactor),
		Config: map[string]string{"cleanup.policy": "delete", "retention.ms": "604800000", "message.timestamp.type": "LogAppendTime"}}
}

// topicSpecs are all topics that calcdc uses.
func topicSpecs(c *config.Config) []kafka.TopicSpec {
	specs := []kafka.TopicSpec{internalTopic(c, offsets.Topic(c.Name)), internalTopic(c, offsets.StateTopic(c.Name)), notificationsTopic(c), signalTopic(c)}
	for _, name := range dataTopicNames(c) {
		specs = append(specs, dataTopic(c, name))
	}
	return specs
}

// ensureInternal creates the internal topics where they are missing.
func ensureInternal(ctx context.Context, c *config.Config, client *kafka.Client) error {
	for _, spec := range []kafka.TopicSpec{internalTopic(c, offsets.Topic(c.Name)), internalTopic(c, offsets.StateTopic(c.Name))} {
		t, err := client.EnsureTopic(ctx, spec)
		if err != nil {
			return fmt.Errorf("preparing topic %s: %w", spec.Name, err)
		}
		if err := partitionsAgree(c, t); err != nil {
			return err
		}
	}
	return nil
}

// partitionsAgree refuses internal topics whose number of partitions is not the configuration's: accounts are mapped to
// them, so another number would look for their offsets elsewhere. Of the signal topic one partition is read.
func partitionsAgree(c *config.Config, t kafka.Topic) error {
	if t.Name == connectorConfig(c).SignalTopic() {
		if t.Partitions == 1 {
			return nil
		}
		return fmt.Errorf("topic %s has %d partitions, but signals are read in order: delete it, calcdc creates it with one", t.Name, t.Partitions)
	}
	if t.Partitions == c.Offsets.Partitions {
		return nil
	}
	if t.Name == offsets.Topic(c.Name) {
		return fmt.Errorf("topic %s has %d partitions, but offsets.partitions is %d: set offsets.partitions: %d; their number is fixed for life",
			t.Name, t.Partitions, c.Offsets.Partitions, t.Partitions)
	}
	return fmt.Errorf("topic %s has %d partitions, but %s needs the number of %s, %d: was it made by hand or by something else? "+
		"Use another name, or, if it holds nothing, delete it: calcdc creates it right",
		t.Name, t.Partitions, c.Name, offsets.Topic(c.Name), c.Offsets.Partitions)
}

// fixed tells whether the number of a topic's partitions is given.
func fixed(c *config.Config, spec kafka.TopicSpec) bool {
	return spec.Internal || spec.Name == connectorConfig(c).SignalTopic()
}

// ensureTopics creates what is missing of all topics and refuses internal ones that would lose something.
func ensureTopics(ctx context.Context, c *config.Config, client *kafka.Client) (*dataTopics, error) {
	topics := newDataTopics(c, client)
	for _, spec := range topicSpecs(c) {
		t, err := client.EnsureTopic(ctx, spec)
		if err != nil {
			return nil, fmt.Errorf("preparing topic %s: %w", spec.Name, err)
		}
		if !fixed(c, spec) {
			topics.count(t)
			continue
		}
		if err := partitionsAgree(c, t); err != nil {
			return nil, err
		}
	}
	return topics, nil
}

// dataTopics is a connector.Topics that remembers for a moment: at a first start thousands of streams ask at once, but a topic may get more
// partitions, which new streams use, or be deleted and made anew with fewer.
type dataTopics struct {
	config *config.Config
	ensure func(context.Context, kafka.TopicSpec) (kafka.Topic, error)

	mu    sync.Mutex
	known map[string]counted
}

// counted is a number of partitions, and when it was told.
type counted struct {
	partitions int32
	at         time.Time
}

// rememberTopics is for how long a topic's partitions are not asked for again.
const rememberTopics = 30 * time.Second

func newDataTopics(c *config.Config, client *kafka.Client) *dataTopics {
	return &dataTopics{config: c, ensure: client.EnsureTopic, known: map[string]counted{}}
}

// Partitions implements connector.Topics.
func (d *dataTopics) Partitions(ctx context.Context, topic string) (int32, error) {
	d.mu.Lock()
	was, ok := d.known[topic]
	d.mu.Unlock()
	if ok && time.Since(was.at) < rememberTopics {
		return was.partitions, nil
	}
	return d.anew(ctx, topic)
}

// anew asks, whatever is remembered: the topic may have been deleted meanwhile.
func (d *dataTopics) anew(ctx context.Context, topic string) (int32, error) {
	spec := dataTopic(d.config, topic)
	if topic == connectorConfig(d.config).NotificationsTopic() {
		spec = notificationsTopic(d.config)
	}
	t, err := d.ensure(ctx, spec)
	if err != nil {
		return 0, fmt.Errorf("preparing topic %s: %w", topic, err)
	}
	d.count(t)
	return t.Partitions, nil
}

func (d *dataTopics) count(t kafka.Topic) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[t.Name] = counted{t.Partitions, time.Now()}
}
