package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sinks/kafka"
)

func TestEveryCodecIsReadBack(t *testing.T) {
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			fake := cluster(t, kfake.SeedTopics(3, "rows"))
			c := client(t, kafka.Config{Brokers: fake.ListenAddrs(), Compression: codec})
			p := fenced(t, c, "team-0")
			recs := records("rows", 1, 300)
			recs = append(recs, connector.Record{Topic: "rows", Partition: 1, Key: []byte("gone")}, // a tombstone
				connector.Record{Topic: "rows", Partition: 1, Value: []byte{}})
			offsets := mustCommit(t, p, recs...)
			got := read(t, c, "rows", 1, 0, offsets[len(offsets)-1]+1)
			if len(got) != len(recs) {
				t.Fatalf("read %d records of %d", len(got), len(recs))
			}
			for i, rec := range got {
				if rec.Offset != offsets[i] || !sameRecord(rec.Record, recs[i]) {
					t.Fatalf("record %d: committed %+v at %d, read %+v", i, recs[i], offsets[i], rec)
				}
			}
			theirs := consume(t, fake.ListenAddrs(), "rows", len(recs))
			for i, rec := range theirs {
				if rec.Offset != offsets[i] || !sameBytes(rec.Key, recs[i].Key) || !sameBytes(rec.Value, recs[i].Value) {
					t.Fatalf("record %d: committed %+v at %d, another client read %+v", i, recs[i], offsets[i], rec)
				}
			}
		})
	}
}
