package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sinks/kafka"
)

func record(key, value string, headers ...string) connector.Committed {
	rec := connector.Committed{Offset: 7}
	rec.Topic, rec.Partition, rec.Key = "t.events", 3, []byte(key)
	if value != "" {
		rec.Value = []byte(value)
	}
	for i := 0; i < len(headers); i += 2 {
		rec.Headers = append(rec.Headers, connector.Header{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return rec
}

// of is the record in the topic of another kind of stream.
func of(kind string, rec connector.Committed) connector.Committed {
	rec.Topic = "t." + kind
	return rec
}

func TestLinesForPeople(t *testing.T) {
	t.Setenv("TZ", "UTC")
	key := `{"source":"work","account":"alice","collection":"/a/","id":"x.ics"}`
	for _, c := range []struct {
		rec  connector.Committed
		want string // without the time; "": no line
	}{
		{record(key, `{"before":null,"after":{"summary":"Lunch","start_local":"2026-06-02T12:00:00"}}`, "calcdc.op", "c"),
			`c  work/alice  /a/  x.ics  2026-06-02T12:00:00  "Lunch"`},
		{record(key, `{"before":{"summary":"Lunch"},"after":null}`, "calcdc.op", "d"), `d  work/alice  /a/  x.ics  "Lunch"`},
		{record(key, `{"before":null,"after":{"summary":null}}`, "calcdc.op", "r"), `r  work/alice  /a/  x.ics`},
		{record(key, "", "calcdc.marker", "snapshot-end", "calcdc.epoch", "2", "calcdc.reason", "token-invalid", "calcdc.count", "9"),
			`-- snapshot-end work/alice /a/ epoch 2 token-invalid 9 rows --`},
		{record(key, ""), ""},
		{of("acl", record(`{"source":"t","account":"a@b","collection":"a@b","id":"user:c@d"}`, `{"after":{"role":"reader"}}`, "calcdc.op", "c")), `c  t/a@b/acl  a@b  user:c@d  "reader"`},
		{of("settings", record(`{"source":"t","account":"a@b","id":"timezone"}`, `{"after":{"value":"UTC"}}`, "calcdc.op", "r")), `r  t/a@b/settings  timezone  "UTC"`},
		{of("calendars", record(`{"source":"t","account":"a@b","id":""}`, "", "calcdc.marker", "snapshot-begin", "calcdc.epoch", "1")), `-- snapshot-begin t/a@b/calendars epoch 1 --`},
		{record(`{"source":"w","account":"\u001b[2Jb","collection":"/\u202e/","id":"\u0007"}`, `{"after":{"summary":"\u001b]0;x\u0007"}}`, "calcdc.op", "\x1b"),
			`·  w/·[2Jb  /·/  ·  "\x1b]0;x\a"`},
		{record("no json", "none either"), "-  /"},
		{record(key, `{"after":{"summary":"`+strings.Repeat("é", 500)+`"}}`, "calcdc.op", "u"), `u  work/alice  /a/  x.ics  "` + strings.Repeat("é", 80) + `…"`},
	} {
		line, wanted := tailOptions{}.line(c.rec)
		if wanted != (c.want != "") {
			t.Errorf("%s: %v %q", c.rec.Value, wanted, line)
			continue
		}
		if _, rest, _ := strings.Cut(line, "  "); wanted && rest != c.want {
			t.Errorf("got  %s\nwant %s", rest, c.want)
		}
	}
}

func TestLinesForPrograms(t *testing.T) {
	for _, c := range []struct {
		rec  connector.Committed
		want string
	}{
		{record(`{"source":"w"}`, `{"a":"<&>"}`, "calcdc.op", "c"),
			`{"topic":"t.events","partition":3,"offset":7,"timestamp_ms":0,"key":{"source":"w"},"headers":{"calcdc.op":"c"},"value":{"a":"<&>"}}`},
		{record(`{"source":"w"}`, ""), `{"topic":"t.events","partition":3,"offset":7,"timestamp_ms":0,"key":{"source":"w"},"headers":{},"value":null}`},
		{record("k\xff", "v\n"), `{"topic":"t.events","partition":3,"offset":7,"timestamp_ms":0,"key":"k\ufffd","headers":{},"value":"v\n"}`},
	} {
		line, _ := tailOptions{asJSON: true}.line(c.rec)
		if line != c.want {
			t.Errorf("got  %s\nwant %s", line, c.want)
		}
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	if _, wanted := (tailOptions{asJSON: true, collection: "/b/*"}).line(record(`{"collection":"/a/x/"}`, "1")); wanted {
		t.Error("another collection's record is printed")
	}
}

func entry(source, account, collection string, kind connector.Kind, rows int64) offsets.Entry {
	return offsets.Entry{Stream: connector.Stream{Source: source, Account: account, Collection: collection, Kind: kind},
		State: &connector.StreamState{Phase: connector.Streaming, Epoch: 1, Rows: rows}}
}

func TestWhatOnlyTheStoreKnows(t *testing.T) {
	known := looks{Accounts: []*accountView{
		{Source: "work", Account: "alice", Collections: []collectionView{{ID: "/a/", Followed: true, Streams: []connector.Kind{connector.Events}}}},
		{Source: "work", Account: "bob", Error: "401"},
	}, Sources: []sourceView{{Source: "work", Connector: "caldav"}, {Source: "team", Connector: "google"}, {Source: "down", Connector: "google", Error: "503"}}}
	known.addStore([]offsets.Entry{
		entry("team", "eve", "e@example.org", connector.Events, 1), entry("down", "fay", "f@example.org", connector.Events, 1),
		entry("work", "alice", "", connector.Calendars, 2), entry("work", "alice", "/a/", connector.Events, 5),
		entry("work", "alice", "/gone/", connector.Events, 3), entry("work", "bob", "/b/", connector.Events, 1),
		entry("old", "carol", "/c/", connector.Events, 4), entry("old", "dave", "", connector.Calendars, 0),
	})
	got := map[string]string{}
	for _, v := range known.Accounts {
		got[v.Source+"/"+v.Account] = v.empty()
		for _, c := range v.Collections {
			got[v.Source+"/"+v.Account+" "+c.ID] = c.followed() + "; " + c.committed()
		}
	}
	want := map[string]string{
		"work/alice": "has no collections", "work/alice /a/": "yes; streaming, epoch 1, 5 rows",
		"work/alice /gone/": "no: in the store only: the server does not list it; streaming, epoch 1, 3 rows",
		"work/bob":          "cannot be asked", "work/bob /b/": "no: in the store; the server could not be asked; streaming, epoch 1, 1 row",
		"old/carol": "not in the configuration", "old/carol /c/": "no: not in the configuration; streaming, epoch 1, 4 rows",
		"old/dave": "not in the configuration",
		"team/eve": "not found by its source", "team/eve e@example.org": "no: not found by its source; streaming, epoch 1, 1 row",
		"down/fay": "in the store; its source could not be asked", "down/fay f@example.org": "no: in the store; its source could not be asked; streaming, epoch 1, 1 row",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestTopicSettings(t *testing.T) {
	c := testConfig([]string{"b:1"}, "http://h/")
	c.Kafka.Topics.Config["cleanup.policy"] = "delete"
	specs := map[string]kafka.TopicSpec{}
	for _, s := range topicSpecs(c) {
		specs[s.Name] = s
	}
	if len(specs) != 6 {
		t.Fatalf("topics: %v", specs)
	}
	for _, name := range []string{"team-offsets", "team-state"} {
		want := kafka.TopicSpec{Name: name, Partitions: 2, ReplicationFactor: 1, Internal: true, Config: map[string]string{"cleanup.policy": "compact",
			"min.compaction.lag.ms": "0", "segment.bytes": "67108864", "delete.retention.ms": "86400000", "max.message.bytes": "8388608"}}
		if !reflect.DeepEqual(specs[name], want) {
			t.Errorf("got  %+v\nwant %+v", specs[name], want)
		}
	}
	if s := specs["cal.work.events"]; s.Internal || s.Partitions != 6 || s.Config["cleanup.policy"] != "delete" {
		t.Errorf("a data topic is not as configured: %+v", s)
	}
	if s := specs["cal.notifications"]; s.Config["cleanup.policy"] != "compact" {
		t.Errorf("notifications are not compacted: %+v", s)
	}
	if s := specs["cal-signal"]; s.Partitions != 1 || s.Config["cleanup.policy"] != "delete" || s.Config["retention.ms"] != "604800000" {
		t.Errorf("the signal topic: %+v", s)
	}
}

// Partitions that a topic has got, and lost as one that was made anew, are noticed by streams that begin later, while it is not asked for at each.
func TestPartitionsAreAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, there := 0, int32(6)
		topics := newDataTopics(testConfig([]string{"b:1"}, "http://h/"), nil)
		topics.ensure = func(_ context.Context, spec kafka.TopicSpec) (kafka.Topic, error) {
			asked++
			return kafka.Topic{Name: spec.Name, Partitions: there}, nil
		}
		for i, n := range []int32{6, 12, 2} {
			there = n
			for range 100 {
				if got, err := topics.Partitions(t.Context(), "cal.work.events"); got != n || err != nil {
					t.Fatalf("%d partitions (%v), and not %d", got, err, n)
				}
			}
			if asked != i+1 {
				t.Errorf("asked %d times", asked)
			}
			time.Sleep(rememberTopics)
		}
	})
}

func TestPartitionsMustAgree(t *testing.T) {
	c := testConfig([]string{"b:1"}, "http://h/")
	if err := partitionsAgree(c, kafka.Topic{Name: "team-offsets", Partitions: 2}); err != nil {
		t.Error(err)
	}
	if err := partitionsAgree(c, kafka.Topic{Name: "cal-signal", Partitions: 1}); err != nil {
		t.Error(err)
	}
	for _, topic := range []string{"team-offsets", "team-state", "cal-signal"} {
		if err := partitionsAgree(c, kafka.Topic{Name: topic, Partitions: 4}); err == nil || !strings.Contains(err.Error(), topic) {
			t.Errorf("%s with 4 partitions: %v", topic, err)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err     error
		started bool
		code    int
		printed string
	}{
		{nil, true, 0, ""},
		{errReported, true, 1, ""},
		{errors.New("x"), true, 1, "calcdc: x\n"},
		{errors.New("unknown flag"), false, 2, "calcdc: unknown flag\nRun 'calcdc --help', or 'calcdc COMMAND --help', for usage.\n"},
		{fmt.Errorf("loading: %w", config.Faults{{File: "f", Line: 3, Key: "k", Message: "m"}}), true, 2, "f:3: k: m\n"},
	} {
		var out strings.Builder
		if code := report(&out, c.err, c.started); code != c.code || out.String() != c.printed {
			t.Errorf("%v: %d %q", c.err, code, out.String())
		}
	}
}

func TestStreamsOfSources(t *testing.T) {
	c := testConfig([]string{"b:1"}, "http://h/")
	g := config.DefaultGoogle()
	all, some := g, g
	some.Streams = []string{"acl", "calendars"}
	c.Sources = append(c.Sources, config.Source{Name: "all", Google: &all}, config.Source{Name: "some", Google: &some})
	want := []string{"cal.work.events", "cal.work.calendars", "cal.all.events", "cal.all.calendars", "cal.all.acl", "cal.all.settings",
		"cal.some.calendars", "cal.some.acl"}
	if got := dataTopicNames(c); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for source, want := range map[string][]string{
		"some": {"cal.some.calendars", "cal.some.acl"},
		"gone": {"cal.gone.events", "cal.gone.calendars", "cal.gone.acl", "cal.gone.settings"}, // its topics may be there still
	} {
		if got := tailTopics(c, source); !reflect.DeepEqual(got, want) {
			t.Errorf("tail of %s: got  %q\nwant %q", source, got, want)
		}
	}
	if got, want := streamsOfAccounts(&c.Sources[1]), []connector.Kind{connector.Calendars, connector.Settings}; !reflect.DeepEqual(got, want) {
		t.Errorf("of accounts: %q", got)
	}
}

func TestAccountsOfTheStart(t *testing.T) {
	finding := func(context.Context) ([]connector.Account, error) { return nil, nil }
	named := connector.Source{Name: "work", Accounts: make([]connector.Account, 2)}
	team, rooms := connector.Source{Name: "team", Find: finding}, connector.Source{Name: "rooms", Find: finding}
	for want, sources := range map[string][]connector.Source{
		"2": {named}, "those found by team, rooms": {team, rooms}, "2 and those found by team": {named, team},
	} {
		if got := accountsText(sources); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSummaries(t *testing.T) {
	v := accountView{Collections: []collectionView{
		{Followed: true, Sync: "sync-token"}, {Followed: true, Sync: "full"}, {Sync: "sync-token"}, {Followed: true, Sync: "sync-token"}}}
	if got, want := v.summary(), "4 collections, 3 followed: 2 by sync-token, 1 by full"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for want, c := range map[string]collectionView{
		"yes":                          {Followed: true, Streams: []connector.Kind{connector.Events}},
		"yes: events, acl":             {Followed: true, Streams: []connector.Kind{connector.Events, connector.ACL}},
		"yes: acl":                     {Followed: true, Streams: []connector.Kind{connector.ACL}},
		"yes: its calendars row alone": {Followed: true},
		"no: x":                        {Note: "x"},
	} {
		if got := c.followed(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestBoundsOfTransactionsReachTheClient(t *testing.T) {
	c := config.Default()
	c.Kafka.Transaction = config.Txn{MaxRecords: 77, MaxBytes: 1 << 20}
	if got := kafkaConfig(c); got.MaxRecords != 77 || got.MaxBytes != 1<<20 {
		t.Errorf("%+v", got)
	}
}
