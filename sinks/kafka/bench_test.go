//go:build integration

package kafka_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// rows are records as a snapshot of n events makes them: 3 KiB of text that compresses about as JSON does, and 200 bytes of state.
func rows(n int, topic, state string) []connector.Record {
	rng := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 500)
	for i := range words {
		words[i] = fmt.Sprintf("%x", rng.Uint64())[:3+rng.IntN(8)]
	}
	recs := make([]connector.Record, 0, 2*n)
	for i := range n {
		value := make([]byte, 0, 3100)
		for len(value) < 3000 {
			value = append(append(value, words[rng.IntN(len(words))]...), `","`...)
		}
		key := fmt.Appendf(nil, `{"source":"work","account":"alice","collection":"/alice/work/","id":"%d"}`, i)
		recs = append(recs, connector.Record{Topic: topic, Key: key, Value: value, Headers: []connector.Header{
			{Key: "calcdc.op", Value: []byte("r")}, {Key: "calcdc.epoch", Value: []byte("1")}, {Key: "calcdc.id", Value: key[:32]}}})
		recs = append(recs, connector.Record{Topic: state, Key: key, Value: value[:120]})
	}
	return recs
}

// BenchmarkCommit publishes one caller's pages one after another, and pages of ten records of many callers at once.
func BenchmarkCommit(b *testing.B) {
	c, topics := benchTopics(b)
	p := c.NewProducer("bench-" + topics[0])
	if err := p.Fence(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, page := range []int{1, 10, 500, 1000, 2000} {
		recs := rows(page, topics[0], topics[1])
		b.Run(fmt.Sprintf("rows=%d", page), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Commit(b.Context(), recs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*page)/b.Elapsed().Seconds(), "rows/s")
		})
	}
	recs := rows(10, topics[0], topics[1])
	for _, callers := range []int{4, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d/rows=10", callers), func(b *testing.B) {
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for range b.N {
						if _, err := p.Commit(b.Context(), recs); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N*callers)/b.Elapsed().Seconds(), "pages/s")
		})
	}
}

func benchTopics(b *testing.B) (*kafka.Client, [2]string) {
	b.Helper()
	broker := os.Getenv("CALCDC_TEST_KAFKA")
	if broker == "" {
		b.Fatal("CALCDC_TEST_KAFKA is not set: it names a real Kafka broker, host:port")
	}
	c, err := kafka.New(kafka.Config{Brokers: []string{broker}}, hclog.NewNullLogger())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	stamp := time.Now().UnixNano()
	topics := [2]string{fmt.Sprintf("kfbench-%d-rows", stamp), fmt.Sprintf("kfbench-%d-state", stamp)}
	for _, name := range topics {
		_, err := c.EnsureTopic(b.Context(), kafka.TopicSpec{Name: name, Partitions: 1, ReplicationFactor: 1,
			Config: map[string]string{"max.message.bytes": "8388608", "retention.ms": "600000"}})
		if err != nil {
			b.Fatal(err)
		}
	}
	return c, topics
}

// BenchmarkRead loads a partition of 100,000 rows of 1 KiB.
func BenchmarkRead(b *testing.B) {
	c, topics := benchTopics(b)
	p := c.NewProducer("bench-" + topics[0])
	if err := p.Fence(b.Context()); err != nil {
		b.Fatal(err)
	}
	recs := rows(1000, topics[0], topics[1])
	page := make([]connector.Record, 0, 1000)
	for i := 0; i < len(recs); i += 2 {
		recs[i].Value = recs[i].Value[:1000]
		page = append(page, recs[i])
	}
	var end int64
	for range 100 {
		offsets, err := p.Commit(b.Context(), page)
		if err != nil {
			b.Fatal(err)
		}
		end = offsets[len(offsets)-1] + 1
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range c.Read(b.Context(), topics[0], 0, 0, end) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 100000 {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.N)*100000/b.Elapsed().Seconds(), "rows/s")
}
