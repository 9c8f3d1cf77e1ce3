package kafka

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// describe asks a broker for the metadata of topics; none means none.
func (c *Client) describe(ctx context.Context, topics ...string) (*metadata.Response, error) {
	return askDirectly[*metadata.Response](ctx, c, &direct{req: &metadata.Request{
		TopicNames: append([]string{}, topics...), IncludeTopicAuthorizedOperations: true,
	}})
}

// Ping reaches the cluster and asks a broker for its metadata: one after the other of those to begin with, since some may be away. Its
// error names the real cause (a wrong password, an unknown CA, TLS on one side only) and what to do: any other request would say "broker
// not available".
func (c *Client) Ping(ctx context.Context) error {
	defer c.reconnect() // the transport keeps a first failure, and a pool for each address
	var err error
	for _, broker := range c.cfg.Brokers {
		if err = c.ping(ctx, kafkago.TCP(broker)); err == nil || refused(err) || ctx.Err() != nil {
			break
		}
	}
	return err
}

func (c *Client) ping(ctx context.Context, broker net.Addr) error {
	req := &metadata.Request{TopicNames: []string{}, IncludeTopicAuthorizedOperations: true}
	if _, err := c.roundTrip(ctx, broker, requestTimeout, req); err != nil { // answered with what kept the transport from connecting
		return fmt.Errorf("connecting to kafka at %s: %w", c.addr, explain(err))
	}
	if _, err := c.roundTrip(ctx, broker, requestTimeout, &direct{clientID: c.cfg.ClientID, req: req}); err != nil {
		return fmt.Errorf("asking kafka at %s for its metadata: %w", c.addr, explain(err))
	}
	return nil
}

// cause is what keeps the cluster out of reach where that is a refusal: a wrong password, an unknown CA. Requests that follow such a
// failure say "broker not available" only.
func (c *Client) cause(ctx context.Context) error {
	_, err := ask[*metadata.Response](ctx, c, requestTimeout, &metadata.Request{TopicNames: []string{}})
	c.reconnect()
	if refused(err) {
		return backoff.Permanent(explain(err))
	}
	return nil
}

type partition struct {
	topic string
	id    int32
}

func (p partition) String() string { return fmt.Sprintf("%s/%d", p.topic, p.id) }

// leaders returns the leader of each partition as the transport knows it, waiting a moment for topics that are new.
func (c *Client) leaders(ctx context.Context, parts []partition) (map[partition]int32, error) {
	topics := topicsOf(parts)
	c.know(topics...)
	var lead map[partition]int32
	err := retry(ctx, waitForTopic, func() (bool, error) {
		m, err := ask[*metadata.Response](ctx, c, requestTimeout, &metadata.Request{TopicNames: topics})
		if err == nil {
			lead, err = leadersOf(m, parts)
		}
		return !refused(err), err
	})
	return lead, err
}

func topicsOf(parts []partition) []string {
	var topics []string
	for _, p := range parts {
		if !slices.Contains(topics, p.topic) {
			topics = append(topics, p.topic)
		}
	}
	return topics
}

func leadersOf(m *metadata.Response, parts []partition) (map[partition]int32, error) {
	all := make(map[partition]int32, len(parts))
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if p.LeaderID >= 0 {
				all[partition{t.Name, p.PartitionIndex}] = p.LeaderID
			}
		}
	}
	for _, p := range parts {
		if _, ok := all[p]; !ok {
			return nil, withoutLeader(m, p)
		}
	}
	return all, nil
}

// withoutLeader says why a partition has none. A topic that was made anew may have fewer partitions than it had: of such a partition the
// error is that of a topic which is not there.
func withoutLeader(m *metadata.Response, p partition) error {
	for _, t := range m.Topics {
		if t.Name != p.topic {
			continue
		}
		if t.ErrorCode != 0 {
			return fmt.Errorf("%s: %w", p, code(t.ErrorCode))
		}
		if !slices.ContainsFunc(t.Partitions, func(tp metadata.ResponsePartition) bool { return tp.PartitionIndex == p.id }) {
			return fmt.Errorf("%s: the topic has %d partitions: %w", p, len(t.Partitions), kafkago.UnknownTopicOrPartition)
		}
	}
	return fmt.Errorf("%s: it has no leader", p)
}

const waitForTopic = 5 * time.Second
