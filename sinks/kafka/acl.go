package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/addpartitionstotxn"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/describeconfigs"
	"github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/heartbeat"
)

// Needs is what a process does with a cluster.
type Needs struct {
	Topics           []TopicNeeds
	TransactionalIDs []string
	Groups           []string // to be a member of
}

// TopicNeeds is what a process does with a topic. It describes it and its settings in any case.
type TopicNeeds struct {
	Name        string
	Read, Write bool
	Create      bool // where it is missing
}

// MissingACLs names the permissions that the user lacks, as kafka-acls knows them: "WRITE on topic cal.work.events".
//
// Each is found by a request that can have no effect and is authorised before it is looked at any further, so that the answer's code tells: a
// fetch that does not wait (READ), a heartbeat of nobody (READ on a group), DescribeConfigs, CreateTopics that only validates, FindCoordinator (DESCRIBE), and AddPartitionsToTxn
// with a producer id that no coordinator has given out (WRITE; InitProducerID would tell the same, and fence a running owner). WRITE on a topic that exists
// is also in its metadata's authorised operations, which tell it where a transactional id that is
// not allowed hides it; for a topic that is still missing it is named once the id is allowed.
func (c *Client) MissingACLs(ctx context.Context, need Needs) ([]string, error) {
	var missing []string
	for _, t := range need.Topics {
		lacks, err := c.missingOnTopic(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("checking the permissions on topic %s: %w", t.Name, explain(err))
		}
		for _, operation := range lacks {
			missing = append(missing, operation+" on topic "+t.Name)
		}
	}
	for _, id := range need.TransactionalIDs {
		lacks, err := c.missingOnID(ctx, id, need.Topics)
		if err != nil {
			return nil, fmt.Errorf("checking the permissions on transactional id %s: %w", id, explain(err))
		}
		missing = append(missing, lacks...)
	}
	for _, group := range need.Groups {
		n, err := c.probeGroup(ctx, group)
		if err != nil {
			return nil, fmt.Errorf("checking the permissions on group %s: %w", group, explain(err))
		}
		if denied(n) {
			missing = append(missing, "READ on group "+group)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing), nil
}

// probe says what a permission's lack is called, and asks.
type probe struct {
	operation string
	ask       func() (int16, error)
}

func (c *Client) missingOnTopic(ctx context.Context, t TopicNeeds) ([]string, error) {
	m, err := c.describe(ctx, t.Name)
	if err != nil {
		return nil, err
	}
	if len(m.Topics) != 1 {
		return nil, fmt.Errorf("%d topics in the answer", len(m.Topics))
	}
	state, allowed := code(m.Topics[0].ErrorCode), m.Topics[0].TopicAuthorizedOperations
	probes := []probe{
		{"DESCRIBE", func() (int16, error) { return m.Topics[0].ErrorCode, nil }},
		{"DESCRIBE_CONFIGS", func() (int16, error) { return c.probeConfigs(ctx, t.Name) }},
	}
	if t.Read {
		probes = append(probes, probe{"READ", func() (int16, error) { return c.probeFetch(ctx, t.Name) }})
	}
	if t.Create && errors.Is(state, kafkago.UnknownTopicOrPartition) {
		probes = append(probes, probe{"CREATE", func() (int16, error) { return c.probeCreate(ctx, t.Name) }})
	}
	var missing []string
	hidden := state != nil && denied(m.Topics[0].ErrorCode) // WRITE would imply DESCRIBE
	if t.Write && (hidden || state == nil && allowed > 0 && allowed&(1<<writeOperation) == 0) {
		missing = append(missing, "WRITE")
	}
	for _, p := range probes {
		n, err := p.ask()
		if err != nil {
			return nil, err
		}
		if denied(n) {
			missing = append(missing, p.operation)
		}
	}
	return missing, nil
}

const writeOperation = 4 // AclOperation.WRITE, its bit in the authorised operations; brokers before 2.3 send none

// denied tells the codes of authorisation: of topics, groups, the cluster, transactional ids.
func denied(n int16) bool {
	switch kafkago.Error(n) {
	case kafkago.TopicAuthorizationFailed, kafkago.GroupAuthorizationFailed, kafkago.ClusterAuthorizationFailed, kafkago.TransactionalIDAuthorizationFailed:
		return true
	}
	return false
}

func (c *Client) probeConfigs(ctx context.Context, topic string) (int16, error) {
	res, err := ask[*describeconfigs.Response](ctx, c, requestTimeout, &describeconfigs.Request{Resources: []describeconfigs.RequestResource{
		{ResourceType: topicResource, ResourceName: topic, ConfigNames: []string{maxMessageBytes}},
	}})
	if err != nil || len(res.Resources) == 0 {
		return 0, err
	}
	return res.Resources[0].ErrorCode, nil
}

func (c *Client) probeCreate(ctx context.Context, topic string) (int16, error) {
	res, err := askDirectly[*createtopics.Response](ctx, c, &direct{controller: true, req: &createtopics.Request{
		Topics:    []createtopics.RequestTopic{{Name: topic, NumPartitions: 1, ReplicationFactor: 1}},
		TimeoutMs: int32(requestTimeout.Milliseconds()), ValidateOnly: true,
	}})
	if err != nil || len(res.Topics) == 0 {
		return 0, err
	}
	return res.Topics[0].ErrorCode, nil
}

// anyBroker makes a fetch go to any broker: authorisation comes before leadership, and the topic may be missing.
type anyBroker struct{ fetchRequest }

// Broker is what the transport asks for the request's way.
func (anyBroker) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	for _, b := range cluster.Brokers {
		return b, nil
	}
	return protocol.Broker{ID: -1}, nil
}

func (c *Client) probeFetch(ctx context.Context, topic string) (int16, error) {
	res, err := ask[*fetched](ctx, c, requestTimeout, &anyBroker{fetchRequest{clientID: c.cfg.ClientID, Request: fetch.Request{
		ReplicaID: -1, MaxBytes: 1, SessionEpoch: -1,
		Topics: []fetch.RequestTopic{{Topic: topic, Partitions: []fetch.RequestPartition{
			{CurrentLeaderEpoch: -1, LogStartOffset: -1, PartitionMaxBytes: 1},
		}}},
	}}})
	if err != nil {
		return 0, err
	}
	var kerr kafkago.Error
	errors.As(res.err, &kerr)
	return int16(kerr), nil
}

// firstVersion is a request in its first version: of heartbeat's answer kafka-go misreads the others.
type firstVersion struct{ direct }

// Required keeps the version.
func (*firstVersion) Required(map[protocol.ApiKey]int16) bool { return true }

// probeGroup asks for the coordinator (READ implies DESCRIBE), then sends the heartbeat of a member that there is not. Any broker authorises
// that one, and only the coordinator would look for the member.
func (c *Client) probeGroup(ctx context.Context, group string) (int16, error) {
	found, err := ask[*findcoordinator.Response](ctx, c, requestTimeout, &findcoordinator.Request{
		Key: group, KeyType: int8(kafkago.CoordinatorKeyTypeConsumer),
	})
	if err != nil || denied(found.ErrorCode) {
		return int16(kafkago.GroupAuthorizationFailed), err
	}
	a, err := ask[answer](ctx, c, requestTimeout, &firstVersion{direct{clientID: c.cfg.ClientID,
		req: &heartbeat.Request{GroupID: group, GenerationID: -1, MemberID: "calcdc-check"}}})
	if err != nil {
		return 0, err
	}
	res, ok := a.Message.(*heartbeat.Response)
	if !ok {
		return 0, protocol.Errorf("an answer of type %T", a.Message)
	}
	return res.ErrorCode, nil
}

// nobody is a producer id that coordinators do not give out.
const nobody = int64(1)<<62 + 1

// missingOnID asks for the id's own permissions and, because the same request tells, for WRITE on the topics.
func (c *Client) missingOnID(ctx context.Context, id string, topics []TopicNeeds) ([]string, error) {
	var missing []string
	found, err := ask[*findcoordinator.Response](ctx, c, requestTimeout, &findcoordinator.Request{
		Key: id, KeyType: int8(kafkago.CoordinatorKeyTypeTransaction),
	})
	if err != nil {
		return nil, err
	}
	if denied(found.ErrorCode) {
		missing = append(missing, "DESCRIBE on transactional id "+id)
	}
	req := &addpartitionstotxn.Request{TransactionalID: id, ProducerID: nobody}
	for _, t := range topics {
		if t.Write {
			req.Topics = append(req.Topics, addpartitionstotxn.RequestTopic{Name: t.Name, Partitions: []int32{0}})
		}
	}
	if len(req.Topics) == 0 {
		req.Topics = []addpartitionstotxn.RequestTopic{{Name: "calcdc-check", Partitions: []int32{0}}}
	}
	var res *addpartitionstotxn.Response
	err = repeat(ctx, kafkago.ConcurrentTransactions, 20*time.Millisecond, 200*time.Millisecond, 20, func() (err error) {
		if res, err = ask[*addpartitionstotxn.Response](ctx, c, requestTimeout, req); err != nil {
			return err
		}
		if err := addError(res); errors.Is(err, kafkago.ConcurrentTransactions) {
			return err
		}
		return nil
	})
	return append(missing, missingInAnswer(id, res)...), err
}

func missingInAnswer(id string, res *addpartitionstotxn.Response) []string {
	var missing []string
	if res == nil {
		return nil
	}
	for _, t := range res.Results {
		for _, p := range t.Results {
			switch kafkago.Error(p.ErrorCode) {
			case kafkago.TransactionalIDAuthorizationFailed:
				missing = append(missing, "WRITE on transactional id "+id)
			case kafkago.TopicAuthorizationFailed:
				missing = append(missing, "WRITE on topic "+t.Name)
			}
		}
	}
	return missing
}
