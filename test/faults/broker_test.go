//go:build integration

package faults

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// operator does to a broker what an operator might.
type operator struct {
	t  testing.TB
	cl *kgo.Client
}

func newOperator(t testing.TB, brokers []string) *operator {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &operator{t, cl}
}

// set changes one setting of a topic.
func (o *operator) set(topic, name, value string) {
	o.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = name, &value
	res.Configs = append(res.Configs, config)
	req.Resources = append(req.Resources, res)
	resp, err := req.RequestWith(context.WithoutCancel(o.t.Context()), o.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Resources[0].ErrorCode)
	}
	if err != nil {
		o.t.Fatalf("setting %s of %s: %v", name, topic, err)
	}
}

// delete deletes a topic.
func (o *operator) delete(topic string) {
	o.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 30_000
	named := kmsg.NewDeleteTopicsRequestTopic()
	named.Topic = &topic
	req.Topics, req.TopicNames = append(req.Topics, named), []string{topic}
	resp, err := req.RequestWith(o.t.Context(), o.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		o.t.Fatalf("deleting %s: %v", topic, err)
	}
}

// create creates a topic.
func (o *operator) create(topic string, partitions int32) {
	o.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30_000
	named := kmsg.NewCreateTopicsRequestTopic()
	named.Topic, named.NumPartitions, named.ReplicationFactor = topic, partitions, 1
	req.Topics = append(req.Topics, named)
	resp, err := req.RequestWith(o.t.Context(), o.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		o.t.Fatalf("creating %s: %v", topic, err)
	}
}
