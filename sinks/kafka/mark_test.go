package kafka_test

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// TestMark: a mark tells the true end, leaves nothing to read, and fails who was fenced.
func TestMark(t *testing.T) {
	c := client(t, kafka.Config{Brokers: cluster(t, kfake.SeedTopics(2, "a", "b")).ListenAddrs()})
	p := fenced(t, c, "team-0")
	mustCommit(t, p, records("a", 1, 5)...)
	marks := []connector.Record{{Topic: "a", Partition: 1, Key: []byte("mark")}, {Topic: "b", Key: []byte("mark")}}
	ends, err := p.Mark(deadline(t, 20*time.Second), marks)
	if err != nil || len(ends) != 2 || ends[0] != 6 || ends[1] != 0 { // a transaction's marker takes an offset
		t.Fatalf("got %v, %v", ends, err)
	}
	after := mustCommit(t, p, record("a", 1, "last", "x"))
	if got := read(t, c, "a", 1, 0, after[0]+1); len(got) != 6 || string(got[5].Key) != "last" {
		t.Errorf("got %v", got)
	}
	if got := read(t, c, "a", 1, 0, ends[0]); len(got) != 5 {
		t.Errorf("up to the mark: %v", got)
	}
	fenced(t, c, "team-0")
	if _, err := p.Mark(deadline(t, 20*time.Second), marks); !errors.Is(err, connector.ErrFenced) {
		t.Errorf("got %v", err)
	}
	if _, err := p.Commit(deadline(t, 20*time.Second), records("a", 0, 1)); err == nil {
		t.Error("a producer went on after it was fenced")
	}
}
