package offsets_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sinks/kafka"
)

var stream = connector.Stream{Source: "work", Account: "alice", Collection: "/alice/work/", Kind: connector.Events}

func dataTopic(connector.Stream) string { return "cal.work.events" }

// broker is a client of an embedded broker with the topics of the connector "team".
func broker(t *testing.T) *kafka.Client {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "team-offsets", "team-state", "cal.work.events"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kafka.New(kafka.Config{Brokers: cluster.ListenAddrs()}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func ledger(c *kafka.Client) *offsets.Ledger {
	cfg := offsets.Config{Name: "team", Partition: 1, DataTopic: dataTopic,
		Missing: func(err error) bool { return errors.Is(err, kafkago.UnknownTopicOrPartition) }}
	return offsets.NewLedger(cfg, c.NewProducer("team-1"), c, hclog.NewNullLogger())
}

func page(commit int64) connector.Transaction {
	id := fmt.Sprint(commit)
	return connector.Transaction{
		Stream:  stream,
		Records: []connector.Record{{Topic: dataTopic(stream), Partition: 1, Key: stream.Key(id), Value: []byte("{}")}},
		State: &connector.StreamState{Epoch: 1, Phase: connector.Streaming, Partition: 1, Commit: commit, Resources: commit, Rows: commit,
			KeyFormat: "json"},
		Resources: []connector.ResourceChange{{ID: "/" + id, State: &connector.ResourceState{Epoch: 1, Rows: []string{id}}}},
		Rows:      []connector.RowChange{{ID: id, Hash: connector.HashOf([]byte(id)), Body: []byte(`{"id":"` + id + `"}`)}},
		Offset:    &connector.Offset{Token: "token-" + id, Epoch: 1, CommittedMs: 1},
	}
}

func load(t *testing.T, l *offsets.Ledger) *connector.Checkpoint {
	t.Helper()
	all, err := l.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if cp := all[stream]; cp != nil {
		return cp
	}
	return l.Open(stream)
}

// TestOnABroker goes through the life of a partition with the real producer and reader: a first owner, a second that fences it,
// the first that takes it back, a list from beside, a reset.
func TestOnABroker(t *testing.T) {
	client := broker(t)
	first, second := ledger(client), ledger(client)
	if cp := load(t, first); cp.State != nil || cp.Offset != nil {
		t.Fatalf("an empty partition: %+v", cp)
	}
	commit := func(l *offsets.Ledger, n int64) error { return l.Commit(t.Context(), []connector.Transaction{page(n)}) }
	for n := range int64(5) {
		if err := commit(first, n+1); err != nil {
			t.Fatal(err)
		}
	}
	check(t, load(t, second), 5)
	if err := commit(first, 6); !errors.Is(err, connector.ErrFenced) {
		t.Fatalf("the first owner: %v", err)
	}
	if err := commit(second, 6); err != nil {
		t.Fatal(err)
	}
	check(t, load(t, first), 6)
	entries, err := offsets.List(t.Context(), client, "team", 2)
	if err != nil || len(entries) != 1 || entries[0].Offset.Token != "token-6" {
		t.Fatalf("list: %+v, %v", entries, err)
	}
	if err := first.Reset(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	if cp := load(t, second); cp.Offset != nil || cp.State == nil || cp.State.Rows != 6 || cp.Refused != nil {
		t.Errorf("after the reset: %+v", cp)
	}
}

func check(t *testing.T, cp *connector.Checkpoint, n int64) {
	t.Helper()
	id := fmt.Sprint(n)
	if cp.Refused != nil || cp.State.Commit != n || cp.Offset.Token != "token-"+id {
		t.Fatalf("got %+v", cp)
	}
	if body, err := cp.Index.Body(id); err != nil || string(body) != `{"id":"`+id+`"}` {
		t.Fatalf("body %q, %v", body, err)
	}
	if r, ok := cp.Index.Resource("/" + id); !ok || len(r.Rows) != 1 || r.Rows[0] != id {
		t.Fatalf("resource %+v", r)
	}
	if cp.State.DataEnd < n-1 {
		t.Fatalf("data end %d after %d commits", cp.State.DataEnd, n)
	}
}

// TestDataTopicMissing: a deleted data topic is told from one that cannot be reached.
func TestDataTopicMissing(t *testing.T) {
	client := broker(t)
	l := ledger(client)
	load(t, l)
	for n := range int64(2) {
		if err := l.Commit(t.Context(), []connector.Transaction{page(n + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	renamed := offsets.Config{Name: "team", Partition: 1, DataTopic: func(connector.Stream) string { return "gone" },
		Missing: func(err error) bool { return errors.Is(err, kafkago.UnknownTopicOrPartition) }}
	if cp := load(t, offsets.NewLedger(renamed, client.NewProducer("team-1"), client, hclog.NewNullLogger())); cp.Lost == nil {
		t.Error("nothing is missing")
	}
}

// TestWithoutTransactions goes through the same life on a broker that refuses everything that transactions need, as Config.Steps has it.
func TestWithoutTransactions(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "team-offsets", "team-state", "cal.work.events", "cal.notifications"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	for _, key := range []kmsg.Key{kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.EndTxn, kmsg.FindCoordinator, kmsg.JoinGroup} {
		cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			t.Errorf("%s was asked for", key.Name())
			return nil, errors.New("not here"), true
		})
	}
	client, err := kafka.New(kafka.Config{Brokers: cluster.ListenAddrs()}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	open := func() *offsets.Ledger {
		return offsets.NewLedger(offsets.Config{Name: "team", Partition: 1, DataTopic: dataTopic, Missing: kafka.Missing, Notifications: "cal.notifications",
			Partitions: func(context.Context, string) (int32, error) { return 2, nil }, Start: client.Start, Steps: true,
		}, client.NewPlainProducer(0), client, hclog.NewNullLogger())
	}
	first := open()
	load(t, first)
	for n := range int64(5) {
		if err := first.Commit(t.Context(), []connector.Transaction{page(n + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	check(t, load(t, open()), 5)
	if overtaken, err := first.Overtaken(t.Context()); err != nil || !overtaken {
		t.Errorf("a second owner was not seen: %v, %v", overtaken, err)
	}

	// A commit that is cut short by its end: the data is there, the state says that it has begun.
	tx := page(6)
	tx.State.Pending, tx.State.Commit, tx.State.Resources, tx.State.Rows, tx.State.DataEnd = true, 5, 5, 5, 5
	pending, err := json.Marshal(tx.State)
	if err != nil {
		t.Fatal(err)
	}
	value := []byte(`{"after":{"id":"6"},"op":"c","source":{"connector":"caldav","epoch":1}}`)
	for _, rec := range []*kgo.Record{
		{Topic: "team-state", Partition: 1, Key: []byte(`["stream","work","alice","/alice/work/","events"]`), Value: pending},
		{Topic: "cal.work.events", Partition: 1, Key: stream.Key("6"), Value: value},
	} {
		if err := produce(t, cluster, rec); err != nil {
			t.Fatal(err)
		}
	}
	l := open()
	if cp := load(t, l); cp.Lost == nil {
		t.Fatalf("not seen: %+v", cp)
	}
	cp, err := l.Mend(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := cp.Index.Body("6"); err != nil || string(body) != `{"id":"6"}` || cp.State.Pending || cp.State.Rows != 6 ||
		cp.State.Commit <= 5 || cp.Offset.Token != "token-5" || cp.Offset.ReconciledMs != 0 || cp.State.Due != "" {
		t.Errorf("got %s, %v, %+v %+v", body, err, cp.State, cp.Offset)
	}
}

func produce(t *testing.T, cluster *kfake.Cluster, rec *kgo.Record) error {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite())
	if err != nil {
		return err
	}
	defer cl.Close()
	return cl.ProduceSync(t.Context(), rec).FirstErr()
}
