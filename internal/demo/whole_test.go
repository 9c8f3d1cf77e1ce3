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
	googlesource "github.com/calcdc/calcdc/sources/google"
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
func (deaf) Assigned([]int32)                           {}
func (deaf) Left(source, account string)                {}

// sourceOf is what the connector follows, and what closes its connections.
func sourceOf(e Endpoints, log hclog.Logger) (connector.Source, func(), error) {
	src := connector.Source{Name: e.Source, Connector: string(e.Kind), PollInterval: e.PollInterval}
	if e.Kind == Google {
		service, err := googlesource.New(googlesource.Config{Source: e.Source, Endpoint: e.URL, Raw: true,
			Credentials: googlesource.Credentials{AccessToken: e.Token}, Quota: googlesource.Quota{UserPerMinute: 60_000, ProjectPerMinute: 60_000}}, log)
		if err != nil {
			return src, nil, err
		}
		src.Streams = []connector.Kind{connector.Events, connector.Calendars, connector.ACL, connector.Settings}
		src.Find = func(ctx context.Context) ([]connector.Account, error) {
			found, err := service.Accounts(ctx)
			var all []connector.Account
			for _, a := range found {
				all = append(all, a)
			}
			return all, err
		}
		return src, service.CloseIdleConnections, nil
	}
	account, err := caldav.New(caldav.Config{Source: e.Source, URL: e.URL, Raw: true}, caldav.Credentials{Username: e.Username, Password: e.Password}, log)
	if err != nil {
		return src, nil, err
	}
	src.Accounts = []connector.Account{account}
	return src, account.CloseIdleConnections, nil
}

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
	src, closing, err := sourceOf(e, log)
	if err != nil {
		return err
	}
	defer closing()
	ledger := func(p int32) connector.Ledger {
		kept := offsets.Config{Name: "demo", Partition: p, DataTopic: cfg.DataTopic}
		return offsets.NewLedger(kept, client.NewProducer("demo-"+string('0'+p)), client, log)
	}
	return connector.New(cfg, []connector.Source{src}, topicMaker{client}, deaf{}, log).Run(ctx, connector.All(ledgers), ledger)
}

// The story, told by the real connector: in the end the topics hold what the calendars do.
func TestTheWholeStory(t *testing.T) {
	for kind, wants := range map[Kind][]string{
		CalDAV: {
			`r home/dentist.ics +Dentist, Tue 08:30`, `c work/design.ics +Design review, Wed 15:00`,
			`u home/dentist.ics +Dentist: Tue 08:30 → Tue 10:00`, `d work/lunch.ics`, `∅ work/lunch.ics +tombstone`,
			`c work/standup.ics#2026`, `d work/release.ics`,
		},
		Google: {
			`r home/dentist +Dentist, Tue 08:30`, `r work/standup +Stand-up, Mon 09:15, a series`, `c work/design +Design review, Wed 15:00`,
			`u home/dentist +Dentist: Tue 08:30 → Tue 10:00`, `d work/lunch `, `∅ work/lunch +tombstone`,
			`c work/standup_20\d{6}… Stand-up, Mon 10:30`, `c work/standup_20\d{6}… only this one, cancelled`, `c home/vacation +Vacation, Fri`,
			`c acl/work/user:bob@ex\S* reader`, `u settings/timezone +UTC → Europe/Lisbon`,
			`! +server up, 410 to its sync token`, `d work/release`, `= acl/trip snapshot-begin`,
		},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			tellWhole(t, kind, append(wants, `· work  5 objects, from before`, `= work snapshot-begin · epoch 1, initial`,
				`= work snapshot-reset · epoch 2, token-invalid`, `= trip snapshot-begin`, `u calendars/home +Home → Family`,
				`[1-9]\d* resets?\. In the end:\n✓ the topic, folded, is the calendars: \d+ objects in \d+ rows, byte for byte`))
		})
	}
}

func tellWhole(t *testing.T, kind Kind, wants []string) {
	out := &output{}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := Run(ctx, Options{Kind: kind, Out: out, Pace: 300 * time.Millisecond, Start: runConnector, once: true})
	if err != nil || ctx.Err() != nil {
		t.Fatal(err, ctx.Err(), out)
	}
	for _, want := range wants {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() || testing.Verbose() {
		t.Log(out)
	}
}
