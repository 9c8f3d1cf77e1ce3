package kafka_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/calcdc/calcdc/sinks/kafka"
)

// A request whose transport is replaced between its choice and its use leaves no connections and no goroutines: TestMain looks.
func TestNothingOutlivesItsTransport(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(1, "rows"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	if err := kafka.LateRequest(deadline(t, 20*time.Second), c, "rows"); err != nil {
		t.Fatal(err)
	}
}
