package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/describeconfigs"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// TopicSpec is a topic that shall exist.
type TopicSpec struct {
	Name              string
	Partitions        int               // for a topic that is created
	ReplicationFactor int               // for a topic that is created
	Config            map[string]string // for a topic that is created
	Internal          bool              // holds offsets or state: one that does not keep every key's last record is refused
}

// Topic is a topic as it stands.
type Topic struct {
	Name            string
	Partitions      int32
	MaxMessageBytes int
	Config          map[string]string // every setting, the brokers' defaults included
}

// topicPatience is for how long EnsureTopic tries: until a broker that hangs has been found out, by the cluster or by us.
const topicPatience = 25 * time.Second

const topicResource = 2 // ConfigResource.Type of Kafka

// EnsureTopic creates the topic where it is missing and returns it as it stands; one that exists is used as it is. An internal
// topic with a policy that would lose state is refused with the command that mends it. Brokers that are away, hang or are being
// restarted are given a while.
func (c *Client) EnsureTopic(ctx context.Context, spec TopicSpec) (Topic, error) {
	var t Topic
	err := retry(ctx, topicPatience, func() (bool, error) {
		var there bool
		var err error
		if t, there, err = c.DescribeTopic(ctx, spec.Name); err == nil && !there {
			t, err = c.createTopic(ctx, spec)
		}
		return passes(err), err
	})
	if err != nil {
		return Topic{}, err
	}
	if spec.Internal {
		if err := c.keepsState(t); err != nil {
			return Topic{}, err
		}
	}
	return t, nil
}

func (c *Client) keepsState(t Topic) error {
	policy := t.Config["cleanup.policy"]
	if policy == "compact" {
		return nil
	}
	return fmt.Errorf("topic %s has cleanup.policy=%s and would lose offsets or state, which must be kept for ever: run "+
		"kafka-configs --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config cleanup.policy=compact",
		t.Name, policy, c.cfg.Brokers[0], t.Name)
}

func (c *Client) createTopic(ctx context.Context, spec TopicSpec) (Topic, error) {
	req := &createtopics.Request{TimeoutMs: int32(requestTimeout.Milliseconds()), Topics: []createtopics.RequestTopic{{
		Name: spec.Name, NumPartitions: int32(spec.Partitions), ReplicationFactor: int16(spec.ReplicationFactor),
	}}}
	for _, k := range slices.Sorted(maps.Keys(spec.Config)) {
		req.Topics[0].Configs = append(req.Topics[0].Configs, createtopics.RequestConfig{Name: k, Value: spec.Config[k]})
	}
	res, err := askDirectly[*createtopics.Response](ctx, c, &direct{controller: true, req: req})
	if err != nil {
		return Topic{}, fmt.Errorf("creating topic %s: %w", spec.Name, explain(err))
	}
	for _, t := range res.Topics {
		if err := code(t.ErrorCode); err != nil && !errors.Is(err, kafkago.TopicAlreadyExists) {
			return Topic{}, fmt.Errorf("creating topic %s: %w: %s", spec.Name, explain(err), t.ErrorMessage)
		}
	}
	return c.awaitTopic(ctx, spec.Name)
}

// awaitTopic waits until a new topic is known with all its leaders, and these know that they lead.
func (c *Client) awaitTopic(ctx context.Context, name string) (Topic, error) {
	var t Topic
	err := retry(ctx, 15*time.Second, func() (bool, error) {
		var there bool
		var err error
		if t, there, err = c.DescribeTopic(ctx, name); err != nil {
			return true, err
		}
		if !there {
			return true, fmt.Errorf("topic %s: %w", name, ErrNoTopic)
		}
		for i := range t.Partitions {
			if _, err := c.End(ctx, name, i); err != nil {
				return !refused(err), err
			}
		}
		return false, nil
	})
	if err != nil {
		return Topic{}, fmt.Errorf("waiting for the new topic %s: %w", name, err)
	}
	return t, nil
}

// DescribeTopic asks a broker for a topic; false where there is none.
func (c *Client) DescribeTopic(ctx context.Context, name string) (Topic, bool, error) {
	m, err := c.describe(ctx, name)
	if err != nil {
		return Topic{}, false, fmt.Errorf("describing topic %s: %w", name, explain(err))
	}
	t := Topic{Name: name}
	for _, mt := range m.Topics {
		if err := code(mt.ErrorCode); errors.Is(err, kafkago.UnknownTopicOrPartition) {
			return Topic{}, false, nil
		} else if err != nil {
			return Topic{}, false, fmt.Errorf("describing topic %s: %w", name, explain(err))
		}
		t.Partitions = int32(len(mt.Partitions))
	}
	if t.Config, err = c.topicConfig(ctx, name); errors.Is(err, kafkago.UnknownTopicOrPartition) {
		return Topic{}, false, nil
	} else if err != nil {
		return Topic{}, false, err
	}
	if t.MaxMessageBytes, err = strconv.Atoi(t.Config[maxMessageBytes]); err != nil {
		return Topic{}, false, fmt.Errorf("reading %s of topic %s: %w", maxMessageBytes, name, err)
	}
	return t, true, nil
}

const maxMessageBytes = "max.message.bytes"

// topicConfig returns the settings of a topic, only those named where any are.
func (c *Client) topicConfig(ctx context.Context, name string, only ...string) (map[string]string, error) {
	res, err := ask[*describeconfigs.Response](ctx, c, requestTimeout, &describeconfigs.Request{Resources: []describeconfigs.RequestResource{
		{ResourceType: topicResource, ResourceName: name, ConfigNames: only},
	}})
	if err != nil {
		return nil, fmt.Errorf("reading the settings of topic %s: %w", name, explain(err))
	}
	cfg := map[string]string{}
	for _, r := range res.Resources {
		if err := code(r.ErrorCode); err != nil {
			return nil, fmt.Errorf("reading the settings of topic %s: %w: %s", name, explain(err), strings.TrimSpace(r.ErrorMessage))
		}
		for _, e := range r.ConfigEntries {
			cfg[e.ConfigName] = e.ConfigValue
		}
	}
	return cfg, nil
}

// End is where the partition ends, as its leader reports it: not an end to trust for loading, because a leader that was deposed
// without knowing answers with an old one. ErrNoTopic: the topic, or that partition of it, has not been there for a while.
func (c *Client) End(ctx context.Context, topic string, part int32) (int64, error) {
	return c.bound(ctx, topic, part, -1)
}

// Start is the first offset that the partition still holds.
func (c *Client) Start(ctx context.Context, topic string, part int32) (int64, error) {
	return c.bound(ctx, topic, part, -2)
}

// bound asks for the offset of a timestamp: -1 the end, -2 the start.
func (c *Client) bound(ctx context.Context, topic string, part int32, timestamp int64) (int64, error) {
	offset := int64(-1)
	err := retry(ctx, waitForTopic, func() (bool, error) {
		if _, err := c.leaders(ctx, []partition{{topic, part}}); err != nil {
			return false, err
		}
		res, err := ask[*listoffsets.Response](ctx, c, requestTimeout, &listoffsets.Request{
			ReplicaID: -1, IsolationLevel: 0,
			Topics: []listoffsets.RequestTopic{{Topic: topic, Partitions: []listoffsets.RequestPartition{
				{Partition: part, CurrentLeaderEpoch: -1, Timestamp: timestamp},
			}}},
		})
		if err != nil {
			return true, err
		}
		for _, t := range res.Topics {
			for _, p := range t.Partitions {
				offset, err = p.Offset, code(p.ErrorCode)
			}
		}
		if err == nil && offset < 0 {
			err = errors.New("no offset in the answer")
		}
		return !refused(err), err
	})
	if errors.Is(err, kafkago.UnknownTopicOrPartition) {
		err = fmt.Errorf("%w: %w", ErrNoTopic, err)
	}
	if err != nil {
		return 0, fmt.Errorf("asking for the bounds of %s/%d: %w", topic, part, explain(err))
	}
	return offset, nil
}
