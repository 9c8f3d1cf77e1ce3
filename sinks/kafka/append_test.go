package kafka_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// What is appended is read by us and by another client as it is, beside transactions.
func TestAppend(t *testing.T) {
	for _, codec := range []string{"none", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			brokers := cluster(t, kfake.SeedTopics(1, "signals")).ListenAddrs()
			c := client(t, kafka.Config{Brokers: brokers, Compression: codec})
			ctx := deadline(t, 20*time.Second)
			rec := record("signals", 0, "cal", `{"id":"1"}`)
			for want := range int64(2) {
				if at, err := c.Append(ctx, rec); err != nil || at != want {
					t.Fatalf("appended at %d, want %d: %v", at, want, err)
				}
			}
			mustCommit(t, fenced(t, c, "team-0"), record("signals", 0, "cal", "in a transaction"))
			if at, err := c.Append(ctx, rec); err != nil || at != 4 { // behind the transaction's end
				t.Fatalf("appended at %d: %v", at, err)
			}
			got := read(t, c, "signals", 0, 0, 5)
			if len(got) != 4 || !sameRecord(got[0].Record, rec) || !sameRecord(got[3].Record, rec) || got[3].TimeMs == 0 {
				t.Fatalf("read %v", got)
			}
			if theirs := consume(t, brokers, "signals", 4); string(theirs[0].Key) != "cal" || string(theirs[3].Value) != string(rec.Value) {
				t.Fatalf("another client read %v", theirs)
			}
		})
	}
}

func TestAppendToNoTopic(t *testing.T) {
	t.Parallel()
	c := client(t, kafka.Config{Brokers: cluster(t).ListenAddrs()})
	if _, err := c.Append(deadline(t, 20*time.Second), connector.Record{Topic: "none"}); err == nil {
		t.Fatal("there is no such topic")
	}
}
