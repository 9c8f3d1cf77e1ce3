//go:build integration

package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/calcdc/calcdc/internal/testenv"
)

// patience is how long anything may take.
const patience = 3 * time.Minute

// internalPartitions is how many <name>-state and <name>-offsets have.
const internalPartitions = 16

func brokers(b *testing.B) string {
	b.Helper()
	return testenv.Env(b, testenv.EnvKafka)
}

func client(b *testing.B, options ...kgo.Opt) *kgo.Client {
	b.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(brokers(b), ",")...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(500 * time.Millisecond)}, options...)...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(cl.Close)
	return cl
}

// makeTopics creates the topics of name in the shape that calcdc gives its own, as they are of like.
func makeTopics(b *testing.B, cl *kgo.Client, name string) {
	b.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30_000
	for _, topic := range topics(name) {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = topic, 6, 1
		settings := map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "604800000", "max.message.bytes": "8388608"}
		if strings.HasSuffix(topic, "-state") || strings.HasSuffix(topic, "-offsets") {
			t.NumPartitions = internalPartitions
			settings = map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "0", "segment.bytes": "67108864", "max.message.bytes": "8388608"}
		}
		for k, v := range settings {
			t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: k, Value: &v})
		}
		req.Topics = append(req.Topics, t)
	}
	res, err := req.RequestWith(b.Context(), cl)
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range res.Topics {
		if t.ErrorCode != 0 {
			b.Fatalf("creating %s: error %d", t.Topic, t.ErrorCode)
		}
	}
	if err := settled(b.Context(), cl, topics(name)); err != nil {
		b.Fatal(err)
	}
}

// settled waits until every partition of the topics has a leader.
func settled(ctx context.Context, cl *kgo.Client, topics []string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		req := kmsg.NewPtrMetadataRequest()
		for _, t := range topics {
			rt := kmsg.NewMetadataRequestTopic()
			rt.Topic = &t
			req.Topics = append(req.Topics, rt)
		}
		res, err := req.RequestWith(ctx, cl)
		if err == nil && !slices.ContainsFunc(res.Topics, func(t kmsg.MetadataResponseTopic) bool {
			return t.ErrorCode != 0 || slices.ContainsFunc(t.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool { return p.ErrorCode != 0 })
		}) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// dropTopics deletes the topics of name, so that the broker's cleaner has nothing to do in the next round.
func dropTopics(b *testing.B, cl *kgo.Client, name string) {
	b.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 30_000
	for _, topic := range topics(name) {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &topic
		req.TopicNames = append(req.TopicNames, topic)
		req.Topics = append(req.Topics, t)
	}
	if _, err := req.RequestWith(context.WithoutCancel(b.Context()), cl); err != nil {
		b.Error(err)
	}
}

// ended waits for the snapshot-end of n events streams in the notifications of name and returns when the last was visible.
func ended(b *testing.B, name string, n int) time.Time {
	b.Helper()
	return endedWithin(b, name, n, patience)
}

func endedWithin(b *testing.B, name string, n int, patience time.Duration) time.Time {
	b.Helper()
	cl := client(b, kgo.ConsumeTopics(name+".notifications"), kgo.UnknownTopicRetries(-1), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.MetadataMaxAge(500*time.Millisecond))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	for seen := 0; ; {
		fetches := cl.PollFetches(ctx)
		at := time.Now()
		if ctx.Err() != nil {
			b.Fatalf("no snapshot-end after %v", patience)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if strings.Contains(string(r.Key), `"stream":"events","type":"snapshot-end"`) {
				seen++
			}
		})
		if seen >= n {
			return at
		}
	}
}

// consumer reads committed records of a topic from its end on.
func consumer(b *testing.B, topic string) *kgo.Client {
	b.Helper()
	cl := client(b, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
	defer cancel()
	cl.PollFetches(ctx) // until its positions are known and a fetch is under way
	return cl
}

// visible waits until n records are there and returns when the last was.
func visible(b *testing.B, cl *kgo.Client, n int) (time.Time, []*kgo.Record) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	var records []*kgo.Record
	for {
		fetches := cl.PollFetches(ctx)
		at := time.Now()
		if ctx.Err() != nil {
			b.Fatalf("%d of %d records after %v", len(records), n, patience)
		}
		if err := fetches.Err0(); err != nil {
			b.Fatal(err)
		}
		records = append(records, fetches.Records()...)
		if len(records) >= n {
			return at, records
		}
	}
}

// dump returns every committed record of the topics of name, in their order within a partition, and in each with the
// topic's place in topics in place of its name.
func dump(b *testing.B, name string) []record {
	b.Helper()
	var all []record
	for i, topic := range topics(name) {
		all = append(all, dumpTopic(b, i, topic)...)
	}
	return all
}

func dumpTopic(b *testing.B, place int, topic string) []record {
	b.Helper()
	cl := client(b)
	defer cl.Close()
	left, err := ends(b.Context(), cl, topic)
	if err != nil {
		b.Fatal(err)
	}
	from := map[int32]kgo.Offset{}
	for p := range left {
		from[p] = kgo.NewOffset().AtStart()
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	var all []record
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			b.Fatalf("reading %s back: %v", topic, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			all = append(all, recordOf(place, r))
			if r.Offset+2 >= left[r.Partition] { // behind it stands the transaction's marker
				delete(left, r.Partition)
			}
		})
	}
	return all
}

// ends are the ends of a topic's partitions that hold anything.
func ends(ctx context.Context, cl *kgo.Client, topic string) (map[int32]int64, error) {
	meta := kmsg.NewPtrMetadataRequest()
	mt := kmsg.NewMetadataRequestTopic()
	mt.Topic = &topic
	meta.Topics = append(meta.Topics, mt)
	m, err := meta.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for _, p := range m.Topics[0].Partitions {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = p.Partition, -1, -1
		t.Partitions = append(t.Partitions, rp)
	}
	req.Topics = append(req.Topics, t)
	res, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	found := map[int32]int64{}
	for _, p := range res.Topics[0].Partitions {
		if p.ErrorCode != 0 {
			return nil, fmt.Errorf("the end of %s/%d: error %d", topic, p.Partition, p.ErrorCode)
		}
		if p.Offset > 0 {
			found[p.Partition] = p.Offset
		}
	}
	return found, nil
}
