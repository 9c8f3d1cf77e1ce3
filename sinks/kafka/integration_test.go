//go:build integration

package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// environment is a variable that names a real server.
func environment(t testing.TB, name, what string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: it names %s", name, what)
	}
	return v
}

func realBroker(t testing.TB) string {
	t.Helper()
	return environment(t, "CALCDC_TEST_KAFKA", "a real Kafka broker, host:port")
}

var started = time.Now().UnixNano()

// unique is a name that no other run uses.
func unique(t *testing.T) string {
	return fmt.Sprintf("sinkskafka-%d-%s", started, strings.NewReplacer("/", "-", " ", "-", "=", "-", ",", "-").Replace(t.Name()))
}

func realTopic(t *testing.T, c *kafka.Client, parts int, cfg map[string]string) string {
	t.Helper()
	name := unique(t)
	if _, err := c.EnsureTopic(deadline(t, 30*time.Second), kafka.TopicSpec{Name: name, Partitions: parts, ReplicationFactor: 1, Config: cfg}); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRealCodecs(t *testing.T) {
	broker := realBroker(t)
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			c := client(t, kafka.Config{Brokers: []string{broker}, Compression: codec})
			topic := realTopic(t, c, 2, map[string]string{"max.message.bytes": "8388608"})
			p := fenced(t, c, unique(t))
			recs := append(records(topic, 1, 300), connector.Record{Topic: topic, Partition: 1, Key: []byte("gone")},
				connector.Record{Topic: topic, Partition: 1, Value: bytes.Repeat([]byte("long "), 400000)})
			offsets := mustCommit(t, p, recs...)
			got := read(t, c, topic, 1, 0, offsets[len(offsets)-1]+1)
			theirs := consume(t, []string{broker}, topic, len(recs))
			if len(got) != len(recs) || len(theirs) != len(recs) {
				t.Fatalf("committed %d, read %d, another client %d", len(recs), len(got), len(theirs))
			}
			for i := range recs {
				if got[i].Offset != offsets[i] || !sameRecord(got[i].Record, recs[i]) {
					t.Fatalf("record %d: committed %+v at %d, read %+v", i, recs[i], offsets[i], got[i])
				}
				if theirs[i].Offset != offsets[i] || !sameBytes(theirs[i].Key, recs[i].Key) || !sameBytes(theirs[i].Value, recs[i].Value) ||
					len(theirs[i].Headers) != len(recs[i].Headers) || theirs[i].Timestamp.UnixMilli() != got[i].TimeMs {
					t.Fatalf("record %d: another client read another: %+v", i, theirs[i])
				}
			}
		})
	}
}

// TestRealTransactionsFollowAtOnce lets each transaction meet the markers of the one before (51).
func TestRealTransactionsFollowAtOnce(t *testing.T) {
	c := client(t, kafka.Config{Brokers: []string{realBroker(t)}})
	topic := realTopic(t, c, 3, nil)
	p := fenced(t, c, unique(t))
	const callers, each = 8, 25
	var wg sync.WaitGroup
	for k := range callers {
		wg.Go(func() {
			for i := range each {
				_, err := p.Commit(t.Context(), []connector.Record{
					record(topic, int32(k%3), fmt.Sprint(k), fmt.Sprint(i)), record(topic, int32((k+1)%3), fmt.Sprintf("%d again", k), fmt.Sprint(i))})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	next := map[string]int{}
	for _, rec := range consume(t, []string{realBroker(t)}, topic, 2*callers*each) {
		if string(rec.Value) != fmt.Sprint(next[string(rec.Key)]) {
			t.Fatalf("key %s: %s after %d", rec.Key, rec.Value, next[string(rec.Key)]-1)
		}
		next[string(rec.Key)]++
	}
	if len(next) != 2*callers {
		t.Fatal(next)
	}
}

// TestRealZombie fences an owner that had left a transaction open, and one that comes back.
func TestRealZombie(t *testing.T) {
	broker := realBroker(t)
	c := client(t, kafka.Config{Brokers: []string{broker}})
	topic, id := realTopic(t, c, 1, nil), unique(t)
	old := fenced(t, c, id)
	mustCommit(t, old, record(topic, 0, "a", "1"))
	if err := kafka.LeaveOpen(t.Context(), old, record(topic, 0, "never committed", "")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ours := fenced(t, client(t, kafka.Config{Brokers: []string{broker}}), id)
	t.Logf("fenced in %v", time.Since(began))
	if _, err := old.Commit(deadline(t, 20*time.Second), []connector.Record{record(topic, 0, "zombie", "")}); !errors.Is(err, connector.ErrFenced) {
		t.Fatal(err)
	}
	barrier := mustCommit(t, ours, record(topic, 0, "b", "2"))
	got := read(t, c, topic, 0, 0, barrier[0]+1)
	if len(got) != 2 || string(got[0].Key) != "a" || string(got[1].Key) != "b" {
		t.Fatalf("%v", got)
	}
}

func TestRealOversizedRecord(t *testing.T) {
	c := client(t, kafka.Config{Brokers: []string{realBroker(t)}, Compression: "none"})
	topic := realTopic(t, c, 1, map[string]string{"max.message.bytes": "100000"})
	p := fenced(t, c, unique(t))
	var fit, tooLong int // find the broker's limit, and ours: they must be the same
	for _, n := range []int{99000, 100000 - 200, 100000 - 61 - 8, 100000, 200000} {
		_, err := p.Commit(deadline(t, 20*time.Second), []connector.Record{{Topic: topic, Value: make([]byte, n)}})
		var large *connector.TooLargeError
		switch {
		case err == nil:
			fit++
		case errors.As(err, &large) && large.Size > large.Limit:
			tooLong++
		default:
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	if fit < 2 || tooLong < 2 {
		t.Fatalf("%d fit, %d do not", fit, tooLong)
	}
	lowerLimit(t, topic, "20000") // behind our back
	awaitLimit(t, c, topic, 20000)
	var large *connector.TooLargeError
	_, err := p.Commit(deadline(t, 20*time.Second), []connector.Record{{Topic: topic, Key: []byte("huge"), Value: make([]byte, 30000)}})
	if !errors.As(err, &large) || large.Limit != 20000 {
		t.Fatalf("%v", err)
	}
	many := make([]connector.Record, 30)
	for i := range many {
		many[i] = connector.Record{Topic: topic, Value: make([]byte, 5000)}
	}
	mustCommit(t, p, many...)
}

func lowerLimit(t *testing.T, topic, limit string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(realBroker(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	cfg := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	cfg.Name, cfg.Value = "max.message.bytes", &limit
	res.Configs = append(res.Configs, cfg)
	req.Resources = append(req.Resources, res)
	answer, err := req.RequestWith(deadline(t, 20*time.Second), cl)
	if err != nil || answer.Resources[0].ErrorCode != 0 {
		t.Fatalf("%+v %v", answer, err)
	}
}

func awaitLimit(t *testing.T, c *kafka.Client, topic string, want int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got, _, err := c.DescribeTopic(deadline(t, 20*time.Second), topic)
		if err == nil && got.MaxMessageBytes == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%+v %v", got, err)
		}
	}
}

func TestRealTopicPolicies(t *testing.T) {
	c := client(t, kafka.Config{Brokers: []string{realBroker(t)}})
	ctx := deadline(t, 60*time.Second)
	for policy, refused := range map[string]bool{"compact": false, "delete": true, "compact,delete": true} {
		spec := kafka.TopicSpec{Name: unique(t) + strings.ReplaceAll(policy, ",", "-"), Partitions: 3, ReplicationFactor: 1,
			Config: map[string]string{"cleanup.policy": policy, "segment.bytes": "67108864", "max.message.bytes": "8388608"}}
		made, err := c.EnsureTopic(ctx, spec)
		if err != nil || made.Partitions != 3 || made.MaxMessageBytes != 8388608 || made.Config["cleanup.policy"] != policy {
			t.Fatalf("%+v %v", made, err)
		}
		spec.Internal = true
		if _, err = c.EnsureTopic(ctx, spec); (err != nil) != refused {
			t.Fatalf("%s: %v", policy, err)
		}
	}
	compact, err := c.Identify(ctx, unique(t)+"compact")
	if other, err2 := c.Identify(ctx, unique(t)+"delete"); errors.Join(err, err2) != nil || len(compact.Topic) != 32 || compact.Cluster != other.Cluster || compact.Topic == other.Topic {
		t.Fatal(compact, other, err, err2)
	}
	if end, err := c.End(ctx, unique(t)+"compact", 2); err != nil || end != 0 {
		t.Fatal(end, err)
	}
	if _, err := c.EnsureTopic(ctx, kafka.TopicSpec{Name: unique(t) + "wide", Partitions: 1, ReplicationFactor: 5}); err == nil {
		t.Fatal("a replication factor that the cluster cannot have was accepted")
	}
}

// TestRealCompaction reads over what compaction has left: gaps, and batches without records at the end.
func TestRealCompaction(t *testing.T) {
	broker := realBroker(t)
	c := client(t, kafka.Config{Brokers: []string{broker}})
	topic := realTopic(t, c, 1, map[string]string{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.0001",
		"segment.ms": "100", "min.compaction.lag.ms": "0", "max.compaction.lag.ms": "100", "delete.retention.ms": "100"})
	p := fenced(t, c, unique(t))
	want := map[string]string{}
	for round := range 4 {
		var recs []connector.Record
		for i := range 50 {
			key := fmt.Sprint(i)
			recs = append(recs, record(topic, 0, key, fmt.Sprintf("%d of round %d", i, round)))
			want[key] = string(recs[i].Value)
		}
		mustCommit(t, p, recs...)
	}
	end := mustCommit(t, p, record(topic, 0, "0", "last"))[0] + 1
	want["0"] = "last"
	for wait := time.Now().Add(90 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		got := map[string]string{}
		recs := read(t, c, topic, 0, 0, end)
		for _, rec := range recs {
			got[string(rec.Key)] = string(rec.Value)
		}
		for k, v := range want {
			if got[k] != v {
				t.Fatalf("%s is %q, not %q", k, got[k], v)
			}
		}
		if len(recs) < 120 { // the cleaner has been here
			t.Logf("%d records left of 201", len(recs))
			return
		}
		if time.Now().After(wait) {
			t.Fatalf("no compaction: %d records", len(recs))
		}
		end = mustCommit(t, p, record(topic, 0, "0", "last"))[0] + 1 // rolls the segment
	}
}

func TestRealSecurity(t *testing.T) {
	broker := environment(t, "CALCDC_TEST_KAFKA_SASL_SSL", "a real broker with SASL_SSL, user alice, password secret")
	ca := environment(t, "CALCDC_TEST_KAFKA_CA", "the file of the CA of its certificate")
	otherCA, _ := authority(t)
	good := kafka.TLS{Enabled: true, CAFile: ca}
	for _, tt := range []struct {
		name, mechanism, password string
		tls                       kafka.TLS
		fault                     string
	}{
		{"plain", "plain", "secret", good, ""},
		{"scram 256", "scram-sha-256", "secret", good, ""},
		{"scram 512", "scram-sha-512", "secret", good, ""},
		{"wrong password", "plain", "hush", good, "kafka.sasl"},
		{"wrong password, scram", "scram-sha-512", "hush", good, "kafka.sasl"},
		{"other CA", "plain", "secret", kafka.TLS{Enabled: true, CAFile: otherCA}, "kafka.tls.ca_file"},
		{"no TLS", "plain", "secret", kafka.TLS{}, "kafka.tls.enabled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, kafka.Config{Brokers: []string{broker}, TLS: tt.tls, SASL: kafka.SASL{Mechanism: tt.mechanism, Username: "alice", Password: tt.password}})
			err := c.Ping(deadline(t, 20*time.Second))
			if tt.fault == "" {
				if err != nil {
					t.Fatal(err)
				}
				mustCommit(t, fenced(t, c, unique(t)), record(realTopic(t, c, 1, nil), 0, "k", "v"))
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.fault) || strings.Contains(err.Error(), "hush") {
				t.Fatalf("%v", err)
			}
			t.Log(err)
			if tt.name == "no TLS" {
				return
			}
			err = c.NewProducer(unique(t)).Fence(deadline(t, 20*time.Second))
			if err == nil || !strings.Contains(err.Error(), tt.fault) || errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("fencing: %v", err)
			}
		})
	}
	if _, err := os.Stat(filepath.Clean(ca)); err != nil {
		t.Fatal(err)
	}
}

func TestRealACLProbesAreHarmless(t *testing.T) {
	c := client(t, kafka.Config{Brokers: []string{realBroker(t)}})
	topic, id := realTopic(t, c, 1, nil), unique(t)
	p := fenced(t, c, id)
	mustCommit(t, p, record(topic, 0, "k", "v"))
	got, err := c.MissingACLs(deadline(t, 30*time.Second), kafka.Needs{TransactionalIDs: []string{id, id + "-new"}, Groups: []string{id},
		Topics: []kafka.TopicNeeds{{Name: topic, Read: true, Write: true, Create: true}, {Name: topic + "-absent", Read: true, Write: true, Create: true}}})
	if err != nil || len(got) != 0 {
		t.Fatal(got, err)
	}
	mustCommit(t, p, record(topic, 0, "k", "v")) // not fenced
	if _, there, err := c.DescribeTopic(deadline(t, 30*time.Second), topic+"-absent"); there || err != nil {
		t.Fatal(there, err)
	}
}

// Brokers as they come put off a group's first generation (here by 6 s): a worker that is alone does not wait for it, one that is not does.
func TestRealGroupBeginsAtOnce(t *testing.T) {
	k := testenv.NewKafka(t, testenv.KafkaOptions{Properties: map[string]string{"group.initial.rebalance.delay.ms": "6000"}})
	c := client(t, kafka.Config{Brokers: []string{k.Addr()}})
	topic := realTopic(t, c, 7, nil)
	warm := unique(t) // the topic of all groups' offsets is made for the first of them
	for _, id := range []string{warm, unique(t) + "-2"} {
		ctx, cancel := context.WithCancel(deadline(t, 60*time.Second))
		began := time.Now()
		var times []time.Duration
		err := c.NewGroup(kafka.GroupConfig{ID: id, Topic: topic, Partitions: 7}).Follow(ctx, func(share []int32) {
			times = append(times, time.Since(began))
			if len(share) != 7 {
				t.Errorf("a share of %v", share)
			}
			if len(times) == 2 {
				cancel()
			}
		})
		cancel()
		t.Logf("told after %v", times)
		if err != nil || len(times) != 2 {
			t.Fatalf("%v, told %d times", err, len(times))
		}
		if id != warm && (times[0] > 4*time.Second || times[1] < 4*time.Second) {
			t.Errorf("told after %v", times)
		}
	}
}
