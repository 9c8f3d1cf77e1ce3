package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// TestPlainProducer: what is acknowledged is there in order, and what failed leaves nothing to be committed until it has settled.
func TestPlainProducer(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(2, "a", "b"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	const settle = 300 * time.Millisecond
	p := c.NewPlainProducer(settle)
	if _, err := p.Commit(deadline(t, 10*time.Second), records("a", 1, 1)); err == nil {
		t.Error("committed before Fence")
	}
	if err := p.Fence(deadline(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	want := append(records("a", 1, 7), record("b", 0, "k", "v"))
	offsets := mustCommit(t, p, want...)
	for i, rec := range read(t, c, "a", 1, 0, 7) {
		if rec.Offset != offsets[i] || !sameRecord(rec.Record, want[i]) {
			t.Errorf("got %+v, want %+v", rec, want[i])
		}
	}
	if got := consume(t, fake.ListenAddrs(), "b", 1); string(got[0].Value) != "v" || got[0].Attrs.IsTransactional() || got[0].ProducerID != -1 {
		t.Errorf("got %+v", got[0])
	}
	ends, err := p.Mark(deadline(t, 20*time.Second), []connector.Record{{Topic: "a", Partition: 1}, {Topic: "a"}})
	if err != nil || ends[0] != 7 || ends[1] != 0 {
		t.Errorf("got %v, %v", ends, err)
	}
	fake.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, errors.New("cut"), true
	})
	if _, err := p.Commit(deadline(t, 20*time.Second), records("a", 1, 1)); !errors.Is(err, kafka.ErrOutcomeUnknown) {
		t.Errorf("got %v", err)
	}
	if _, err := p.Commit(deadline(t, 20*time.Second), records("a", 1, 1)); err == nil {
		t.Error("committed after doubt")
	}
	if err := p.Fence(deadline(t, settle/10)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("settled at once: %v", err)
	}
	began := time.Now()
	if err := p.Fence(deadline(t, 20*time.Second)); err != nil || time.Since(began) < settle {
		t.Errorf("settled after %v: %v", time.Since(began), err)
	}
	if offsets := mustCommit(t, p, record("a", 1, "x", "y")); offsets[0] != 7 {
		t.Errorf("got %v", offsets)
	}
}
