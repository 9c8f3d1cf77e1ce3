package demo

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sinks/kafka"
	"github.com/calcdc/calcdc/sources/caldav"
)

const ledgers = 2

// topicMaker is the connector's view of the topics.
type topicMaker struct{ client *kafka.Client }

func (m topicMaker) Partitions(ctx context.Context, topic string) (int32, error) {
	t, err := m.client.EnsureTopic(ctx, kafka.TopicSpec{Name: topic, Partitions: 1, ReplicationFactor: 1})
	return t.Partitions, err
}

type deaf struct{}

func (deaf) Stream(connector.Status)                    {}
func (deaf) Published(connector.Stream, map[string]int) {}
func (deaf) Reset(connector.Stream, string)             {}
func (deaf) Account(source, account string, err error)  {}

// runConnector wires the connector as cmd/calcdc does.
func runConnector(ctx context.Context, e Endpoints) error {
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: e.Log})
	client, err := kafka.New(kafka.Config{Brokers: e.Brokers}, log)
	if err != nil {
		return err
	}
	defer client.Close()
	cfg := connector.Config{Version: "demo", TopicPrefix: e.TopicPrefix, Before: connector.BeforeFull, Tombstones: true, Partitions: ledgers}
	for _, topic := range []string{offsets.Topic("demo"), offsets.StateTopic("demo")} {
		spec := kafka.TopicSpec{Name: topic, Partitions: ledgers, ReplicationFactor: 1, Config: map[string]string{"cleanup.policy": "compact"}, Internal: true}
		if _, err := client.EnsureTopic(ctx, spec); err != nil {
			return err
		}
	}
	account, err := caldav.New(caldav.Config{Source: e.Source, URL: e.URL, Raw: true}, caldav.Credentials{Username: e.Username, Password: e.Password}, log)
	if err != nil {
		return err
	}
	defer account.CloseIdleConnections()
	owned := map[int32]connector.Ledger{}
	for p := range int32(ledgers) {
		ledger := offsets.Config{Name: "demo", Partition: p, DataTopic: cfg.DataTopic}
		owned[p] = offsets.NewLedger(ledger, client.NewProducer("demo-"+string('0'+p)), client, log)
	}
	src := connector.Source{Name: e.Source, Connector: "caldav", PollInterval: e.PollInterval, Accounts: []connector.Account{account}}
	return connector.New(cfg, []connector.Source{src}, owned, topicMaker{client}, deaf{}, log).Run(ctx)
}

// The story, told by the real connector: in the end the topic holds what the calendars do.
func TestTheWholeStory(t *testing.T) {
	out := &output{}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := Run(ctx, Options{Out: out, Pace: 300 * time.Millisecond, Start: runConnector, once: true})
	if err != nil || ctx.Err() != nil {
		t.Fatal(err, ctx.Err())
	}
	for _, want := range []string{
		`· work  5 objects, from before`, `= work snapshot-begin · epoch 1, initial`, `r home/dentist.ics +Dentist, Tue 08:30`,
		`c work/design.ics +Design review, Wed 15:00`, `u home/dentist.ics +Dentist: Tue 08:30 → Tue 10:00`,
		`d work/lunch.ics`, `∅ work/lunch.ics +tombstone`, `c work/standup.ics#2026`,
		`= work snapshot-reset · epoch 2, token-invalid`, `d work/release.ics`, `= trip snapshot-begin`, `u calendars/home +Home → Family`,
		`[1-9]\d* resets?\. In the end:\n✓ the topic, folded, is the calendars: \d+ objects in \d+ rows, byte for byte`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() || testing.Verbose() {
		t.Log(out)
	}
}
