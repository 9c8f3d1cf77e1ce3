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
		req, _ := http.NewRequestWithContext(ctx, "MKCALENDAR", e.URL+"alice/calendars/mine/", nil)
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
	for kind, calendars := range both(t) {
		l := newLife(calendars, func(line) {})
		calendars.make("a client's", "not of this life", "")
		ctx := context.Background()
		for n := range 1000 {
			if n%3 == 0 {
				l.forget(ctx, 0)
			} else {
				l.happen()
			}
			held := map[string]int{}
			for o := range calendars.held() {
				if o.stream == "events" {
					held[calendars.name(o.collection)]++
				}
			}
			for cal, meetings := range l.meetings {
				if held[cal] != len(meetings) || held[cal] > 12 {
					t.Fatalf("%s, after %d: %s holds %d, of %d", kind, n, cal, held[cal], len(meetings))
				}
			}
		}
	}
}

// both are servers of each kind, with nothing in them.
func both(t *testing.T) map[Kind]calendars {
	t.Helper()
	all := map[Kind]calendars{}
	for _, kind := range []Kind{CalDAV, Google} {
		c, err := newCalendars(kind, func(l line) {
			if l.op == "!" {
				t.Error(l.what)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		all[kind] = c
	}
	return all
}

func TestGooglesBanner(t *testing.T) {
	out := &output{}
	gone := errors.New("enough")
	err := Run(context.Background(), Options{Kind: Google, Out: out, Start: func(ctx context.Context, e Endpoints) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.URL+"users/me/calendarList", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+e.Token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer http.DefaultClient.CloseIdleConnections()
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return gone
	}})
	if !errors.Is(err, gone) {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Calendars: curl -H 'Authorization: Bearer token-of-alice@example.org' http://127.0.0.1:", "/calendar/v3/users/me/calendarList\n",
		"calendars (Google) ", "│ Kafka (cal.demo.events, .calendars, .acl and .settings)\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
