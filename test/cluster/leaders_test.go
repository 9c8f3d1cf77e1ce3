//go:build integration || soak

package cluster

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// moveLeaders gives every partition, those of the coordinators too, a replica of chance as its leader, as far as brokers are there.
func (c *cluster) moveLeaders(seed uint64) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.kafka.Addr(), ",")...), kgo.RequestTimeoutOverhead(5*time.Second))
	if err != nil {
		c.t.Error(err)
		return
	}
	defer cl.Close()
	moved, err := shuffle(ctx, cl, rand.New(rand.NewPCG(seed, 0x1ead)))
	c.note("leaders of %d partitions moved (%v)", moved, err)
}

// shuffle puts each partition's replicas in another order and has the first of them elected.
func shuffle(ctx context.Context, cl *kgo.Client, rng *rand.Rand) (moved int, err error) {
	known, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, cl)
	if err != nil {
		return 0, err
	}
	assign, elect := kmsg.NewPtrAlterPartitionAssignmentsRequest(), kmsg.NewPtrElectLeadersRequest()
	assign.TimeoutMillis, elect.TimeoutMillis, elect.ElectionType = 10_000, 10_000, 0
	for _, t := range known.Topics {
		order, vote := kmsg.NewAlterPartitionAssignmentsRequestTopic(), kmsg.NewElectLeadersRequestTopic()
		order.Topic, vote.Topic = *t.Topic, *t.Topic
		for _, p := range t.Partitions {
			rng.Shuffle(len(p.Replicas), func(i, j int) { p.Replicas[i], p.Replicas[j] = p.Replicas[j], p.Replicas[i] })
			ordered := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
			ordered.Partition, ordered.Replicas = p.Partition, p.Replicas
			order.Partitions, vote.Partitions = append(order.Partitions, ordered), append(vote.Partitions, p.Partition)
		}
		assign.Topics, elect.Topics = append(assign.Topics, order), append(elect.Topics, vote)
	}
	ordered, err := assign.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(ordered.ErrorCode)
	}
	if err != nil {
		return 0, err
	}
	elected, err := elect.RequestWith(ctx, cl)
	if err != nil {
		return 0, err
	}
	for _, t := range elected.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 {
				moved++
			}
		}
	}
	return moved, kerr.ErrorForCode(elected.ErrorCode)
}
