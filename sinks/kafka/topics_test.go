package kafka_test

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/calcdc/calcdc/sinks/kafka"
)

func TestTopicsAreCreatedWhereMissing(t *testing.T) {
	fake := cluster(t)
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	ctx := deadline(t, 20*time.Second)
	if _, there, err := c.DescribeTopic(ctx, "rows"); err != nil || there {
		t.Fatalf("before: there=%v, err=%v", there, err)
	}
	spec := kafka.TopicSpec{Name: "rows", Partitions: 5, ReplicationFactor: 3,
		Config: map[string]string{"cleanup.policy": "compact", "max.message.bytes": "2000000"}, Internal: true}
	for _, when := range []string{"created", "there already"} {
		got, err := c.EnsureTopic(ctx, spec)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if got.Name != "rows" || got.Partitions != 5 || got.MaxMessageBytes != 2000000 || got.Config["cleanup.policy"] != "compact" {
			t.Fatalf("%s: %+v", when, got)
		}
		spec.Partitions, spec.Config = 9, nil // what exists is used as it is
	}
	mustCommit(t, fenced(t, c, "team-0"), record("rows", 4, "k", "v")) // at once
}

// A broker that goes away while a topic is looked at or created is no reason to end: others are there.
func TestTopicsAreEnsuredWhileABrokerGoesAway(t *testing.T) {
	for key, seed := range map[kmsg.Key][]string{kmsg.DescribeConfigs: {"rows"}, kmsg.CreateTopics: nil} {
		fake := cluster(t, kfake.SeedTopics(2, seed...))
		var cuts atomic.Int64
		fake.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
			if cuts.Add(1) > 2 {
				return nil, nil, false
			}
			fake.KeepControl()
			return nil, errors.New("the broker goes away"), true
		})
		c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
		spec := kafka.TopicSpec{Name: "rows", Partitions: 2, ReplicationFactor: 3, Config: map[string]string{"cleanup.policy": "compact"}}
		if _, err := c.EnsureTopic(deadline(t, 30*time.Second), spec); err != nil || cuts.Load() < 3 {
			t.Errorf("%s: after %d connections that ended: %v", key.Name(), cuts.Load(), err)
		}
	}
}

// One of the brokers to begin with may accept connections and close them again, as a proxy before a dead one does.
func TestPingTriesMoreThanOneBroker(t *testing.T) {
	fake := cluster(t)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dead.Close() })
	go func() { // ends with the listener
		for conn, err := dead.Accept(); err == nil; conn, err = dead.Accept() {
			_ = conn.Close()
		}
	}()
	for range 10 {
		c := client(t, kafka.Config{Brokers: append([]string{dead.Addr().String()}, fake.ListenAddrs()...)})
		if err := c.Ping(deadline(t, 20*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInternalTopicThatLosesStateIsRefused(t *testing.T) {
	for policy, refused := range map[string]bool{"compact": false, "delete": true, "compact,delete": true} {
		fake := cluster(t)
		if err := fake.CreateTopic("team-state", 2, map[string]string{"cleanup.policy": policy}); err != nil {
			t.Fatal(err)
		}
		c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
		spec := kafka.TopicSpec{Name: "team-state", Internal: true}
		_, err := c.EnsureTopic(deadline(t, 20*time.Second), spec)
		if (err != nil) != refused {
			t.Fatalf("%s: %v", policy, err)
		}
		if refused && !strings.Contains(err.Error(), "--alter --entity-type topics --entity-name team-state --add-config cleanup.policy=compact") {
			t.Fatalf("%s: the error does not say what mends it: %v", policy, err)
		}
		spec.Internal = false
		if _, err := c.EnsureTopic(deadline(t, 20*time.Second), spec); err != nil {
			t.Fatalf("%s, as a data topic: %v", policy, err)
		}
	}
}

func TestReadingNeverCreatesATopic(t *testing.T) {
	t.Parallel()
	fake := cluster(t, kfake.AllowAutoTopicCreation())
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	ctx := deadline(t, 20*time.Second)
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.End(ctx, "absent", 0); err == nil {
		t.Fatal("a topic that is not there has an end")
	}
	if _, there, err := c.DescribeTopic(ctx, "absent"); there || err != nil {
		t.Fatalf("there=%v, err=%v", there, err)
	}
}

// A topic that was made anew with fewer partitions lacks some as one that was deleted lacks all.
func TestPartitionThatIsNotThere(t *testing.T) {
	t.Parallel()
	c := client(t, kafka.Config{Brokers: cluster(t, kfake.SeedTopics(2, "rows")).ListenAddrs()})
	if end, err := c.End(deadline(t, 20*time.Second), "rows", 1); end != 0 || err != nil {
		t.Fatal(end, err)
	}
	if _, err := c.End(deadline(t, 20*time.Second), "rows", 2); !kafka.Missing(err) {
		t.Fatal(err)
	}
}

func TestPingSaysThatNothingListens(t *testing.T) {
	c := client(t, kafka.Config{Brokers: []string{"127.0.0.1:1"}})
	err := c.Ping(deadline(t, 20*time.Second))
	if err == nil || !strings.Contains(err.Error(), "nothing listens there") {
		t.Fatal(err)
	}
}

func TestConfigurationFaultsComeAtOnce(t *testing.T) {
	_, err := kafka.New(kafka.Config{Compression: "brotli", TLS: kafka.TLS{CAFile: "ca.pem"}, SASL: kafka.SASL{Mechanism: "gssapi", Username: "u", Password: "hush"}}, nil)
	for _, want := range []string{"brokers", "brotli", "tls", "gssapi"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("the error tells the password: %v", err)
	}
	if errors.Unwrap(err) == nil {
		t.Error("the faults are not joined")
	}
}

// A topic's id is not taken for one that the broker does not know because connections broke, as they do while it is restarted.
func TestTopicIsIdentified(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(1, "team-state"))
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	cut := func(times int) {
		fake.ControlKey(kmsg.Metadata.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			fake.KeepControl()
			if req.GetVersion() != 10 || times == 0 {
				return nil, nil, false
			}
			times--
			return nil, errors.New("cut"), true
		})
	}
	whole, err := c.Identify(deadline(t, 10*time.Second), "team-state")
	if err != nil || whole.Topic == "" || whole.Cluster == "" || whole.Deletes != 24*time.Hour {
		t.Fatalf("got %+v, %v", whole, err)
	}
	cut(5)
	if got, err := c.Identify(deadline(t, 10*time.Second), "team-state"); err != nil || got != whole {
		t.Errorf("after five connections that broke: %+v, %v", got, err)
	}
	cut(-1)
	if got, err := c.Identify(deadline(t, time.Second), "team-state"); err == nil {
		t.Errorf("of a broker that never answers: %+v", got)
	}
}

// A broker before Kafka 2.8 is asked for no id, which it would answer by closing the connection.
func TestTopicOfAnOldBroker(t *testing.T) {
	fake := cluster(t, kfake.SeedTopics(1, "team-state"), kfake.MaxVersions(kversion.V2_7_0()))
	fake.ControlKey(kmsg.Metadata.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if req.GetVersion() > 9 {
			t.Errorf("asked in version %d", req.GetVersion())
		}
		return nil, nil, false
	})
	c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
	got, err := c.Identify(deadline(t, 10*time.Second), "team-state")
	if err != nil || got.Topic != "" || got.Cluster == "" || got.Deletes != 24*time.Hour {
		t.Errorf("got %+v, %v", got, err)
	}
}
