package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/sinks/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is what the demo prints, for two goroutines.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// mirror stands in for the connector: it publishes what a REPORT of everything shows, once, and then waits.
func mirror(ctx context.Context, e Endpoints) error {
	client, err := kafka.New(kafka.Config{Brokers: e.Brokers}, hclog.NewNullLogger())
	if err != nil {
		return err
	}
	defer client.Close()
	events, calendars := e.TopicPrefix+"."+e.Source+".events", e.TopicPrefix+"."+e.Source+".calendars"
	for _, topic := range []string{events, calendars} {
		if _, err := client.EnsureTopic(ctx, kafka.TopicSpec{Name: topic, Partitions: 2, ReplicationFactor: 1}); err != nil {
			return err
		}
	}
	p := client.NewProducer("mirror")
	if err := p.Fence(ctx); err != nil {
		return err
	}
	work := connector.Stream{Source: e.Source, Account: e.Username, Collection: "/alice/calendars/work/", Kind: connector.Events}
	value, _ := json.Marshal(map[string]any{"op": "r", "after": map[string]any{"summary": "Dentist", "start_local": "2026-06-02T10:00:00"}})
	_, err = p.Commit(ctx, []connector.Record{
		{Topic: events, Key: work.Key(""), Headers: []connector.Header{
			{Key: "calcdc.marker", Value: []byte("snapshot-reset")}, {Key: "calcdc.epoch", Value: []byte("2")}, {Key: "calcdc.reason", Value: []byte("token-invalid")},
		}},
		{Topic: events, Partition: 1, Key: work.Key("dentist.ics"), Value: value},
		{Topic: events, Partition: 1, Key: work.Key("dentist.ics")},
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func TestShowsBothSides(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out := &output{}
	err := Run(ctx, Options{For: 3 * time.Second, Out: out, Pace: 10 * time.Millisecond, Start: mirror})
	if err != nil || ctx.Err() != nil {
		t.Fatal(err, ctx.Err())
	}
	for _, want := range []string{
		"kcat -C -b 127.0.0.1:", "· work  5 objects, from before",
		"│ = work snapshot-reset · epoch 2, token-invalid",
		"│ r work/dentist.ics       Dentist, Tue 10:00", "│ ∅ work/dentist.ics       tombstone",
		"Published: 0 c, 0 u, 0 d, 1 r; 1 reset. In the end:\n… the topic, folded, is not yet the calendars (7 objects in 0 rows)",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestTheConnectorsEndIsTheDemos(t *testing.T) {
	broken := errors.New("no broker")
	err := Run(context.Background(), Options{Out: io.Discard, Start: func(context.Context, Endpoints) error { return broken }})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	err = Run(context.Background(), Options{Out: io.Discard, Start: func(context.Context, Endpoints) error { return nil }})
	if err == nil || !strings.Contains(err.Error(), "without being asked to") {
		t.Fatal(err)
	}
}

func TestShowsWhatSpectatorsDoAndEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := &output{}
	err := Run(ctx, Options{Out: out, Start: func(ctx context.Context, e Endpoints) error {
		req, _ := http.NewRequestWithContext(ctx, "MKCALENDAR", e.DAVURL+"alice/calendars/mine/", nil)
		req.SetBasicAuth(e.Username, e.Password)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		http.DefaultClient.CloseIdleConnections()
		cancel()
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "+ mine  a calendar, by a CalDAV client"; !strings.Contains(out.String(), want) {
		t.Fatalf("no %q in %s", want, out)
	}
}

// However long it goes on, it does not run out of things to do, nor of bounds.
func TestLifeGoesOn(t *testing.T) {
	dav := davserver.New(davserver.Options{Users: map[string]string{username: password}})
	l := newLife(dav, func(line) {})
	dav.MakeCalendar(username, "a client's", "not of this life")
	ctx := context.Background()
	for n := range 2000 {
		if n%3 == 0 {
			l.forget(ctx, 0)
		} else {
			l.happen()
		}
		for cal, meetings := range l.meetings {
			if held := len(dav.List(username, cal)); held != len(meetings) || held > 12 {
				t.Fatalf("after %d: %s holds %d, of %d", n, cal, held, len(meetings))
			}
		}
	}
}

// The comparison is what the demo claims, so it must see every difference.
func TestTheFoldSeesDifferences(t *testing.T) {
	dav := davserver.New(davserver.Options{Users: map[string]string{username: password}})
	dav.MakeCalendar(username, "a b", "Name")
	dav.Put(username, "a b", "50% #1.ics", []byte("body"))
	key := `{"source":"demo","account":"alice","collection":"/alice/calendars/a b/","id":"%s"}`
	take := func(f *fold, topic, id, value string, headers ...connector.Header) {
		c := connector.Committed{Record: connector.Record{Topic: topic, Key: []byte(strings.Replace(key, "%s", id, 1)), Headers: headers}}
		if value != "" {
			c.Value = []byte(value)
		}
		r, err := parseRecord(c)
		if err != nil {
			t.Fatal(err)
		}
		f.add(r)
	}
	name, row := `{"op":"c","after":{"name":"Name"}}`, `{"op":"c","after":{"raw":"body"}}`
	for want, differ := range map[string]func(*fold){
		"same":           func(*fold) {},
		"same, override": func(f *fold) { take(f, "t.events", "50%25 %231.ics#20260101", `{"op":"c","after":{}}`) },
		"another body":   func(f *fold) { take(f, "t.events", "50%25 %231.ics", `{"op":"u","after":{"raw":"other"}}`) },
		"a row too many": func(f *fold) { take(f, "t.events", "x.ics", row) },
		"a row too few":  func(f *fold) { take(f, "t.events", "50%25 %231.ics", "") },
		"another name":   func(f *fold) { take(f, "t.calendars", "", `{"op":"u","after":{"name":"Old"}}`) },
		"no calendar":    func(f *fold) { take(f, "t.calendars", "", `{"op":"d","after":null}`) },
		"in a snapshot": func(f *fold) {
			take(f, "t.events", "", "", connector.Header{Key: "calcdc.marker", Value: []byte("snapshot-reset")})
		},
	} {
		f := newFold(dav)
		take(f, "t.calendars", "", name)
		take(f, "t.events", "50%25 %231.ics", row)
		differ(f)
		if got := f.agrees(); got != strings.HasPrefix(want, "same") {
			t.Errorf("%s: agrees is %v", want, got)
		}
	}
}
