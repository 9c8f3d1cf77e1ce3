package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// cluster is a fake of three brokers with the given topics, of three partitions each.
func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func client(t *testing.T, cfg kafka.Config) *kafka.Client {
	t.Helper()
	c, err := kafka.New(cfg, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func deadline(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func fenced(t *testing.T, c *kafka.Client, id string) *kafka.Producer {
	t.Helper()
	p := c.NewProducer(id)
	if err := p.Fence(deadline(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	return p
}

func record(topic string, part int32, key, value string) connector.Record {
	return connector.Record{Topic: topic, Partition: part, Key: []byte(key), Value: []byte(value)}
}

func records(topic string, part int32, n int) []connector.Record {
	recs := make([]connector.Record, n)
	for i := range recs {
		recs[i] = record(topic, part, fmt.Sprintf("key-%d", i), fmt.Sprintf("value %d of %d", i, n))
		recs[i].Headers = []connector.Header{{Key: "calcdc.op", Value: []byte("c")}, {Key: "none"}, {Key: "", Value: []byte{}}}
	}
	return recs
}

func mustCommit(t *testing.T, p *kafka.Producer, recs ...connector.Record) []int64 {
	t.Helper()
	offsets, err := p.Commit(deadline(t, 30*time.Second), recs)
	if err != nil {
		t.Fatal(err)
	}
	if len(offsets) != len(recs) {
		t.Fatalf("%d offsets for %d records", len(offsets), len(recs))
	}
	return offsets
}

func read(t *testing.T, c *kafka.Client, topic string, part int32, from, until int64) []connector.Committed {
	t.Helper()
	var got []connector.Committed
	for rec, err := range c.Read(deadline(t, 30*time.Second), topic, part, from, until) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rec)
	}
	return got
}

// sameRecord compares nil and empty as different: a nil value is a tombstone.
func sameRecord(a, b connector.Record) bool {
	same := a.Topic == b.Topic && a.Partition == b.Partition && sameBytes(a.Key, b.Key) && sameBytes(a.Value, b.Value) && len(a.Headers) == len(b.Headers)
	for i := 0; same && i < len(a.Headers); i++ {
		same = a.Headers[i].Key == b.Headers[i].Key && sameBytes(a.Headers[i].Value, b.Headers[i].Value)
	}
	return same
}

func sameBytes(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// consume reads n committed records with another client.
func consume(t *testing.T, brokers []string, topic string, n int, opts ...kgo.Opt) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx := deadline(t, 30*time.Second)
	var got []*kgo.Record
	for len(got) < n {
		f := cl.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(got), n, err)
		}
		got = append(got, f.Records()...)
	}
	return got
}
