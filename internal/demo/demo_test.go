package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// told is the fold of records.
type told struct {
	*testing.T
	*fold
}

func (f told) take(topic, key, value string, headers ...connector.Header) {
	f.Helper()
	c := connector.Committed{Record: connector.Record{Topic: topic, Key: []byte(key), Headers: headers}}
	if value != "" {
		c.Value = []byte(value)
	}
	r, err := parseRecord(c)
	if err != nil {
		f.Fatal(err)
	}
	f.add(r)
}

var reset = connector.Header{Key: "calcdc.marker", Value: []byte("snapshot-reset")}

// The comparison is what the demo claims, so it must see every difference.
func TestTheFoldSeesDifferences(t *testing.T) {
	dav := newDAV(func(line) {})
	dav.make("a b", "Name", "")
	dav.Put(username, "a b", "50% #1.ics", []byte("body"))
	key := func(id string) string {
		return `{"source":"demo","account":"alice","collection":"/alice/calendars/a b/","id":"` + id + `"}`
	}
	name, row := `{"op":"c","after":{"name":"Name"}}`, `{"op":"c","after":{"raw":"body"}}`
	for want, differ := range map[string]func(told){
		"same":           func(told) {},
		"same, override": func(f told) { f.take("t.events", key("50%25 %231.ics#20260101"), `{"op":"c","after":{}}`) },
		"another body":   func(f told) { f.take("t.events", key("50%25 %231.ics"), `{"op":"u","after":{"raw":"other"}}`) },
		"a row too many": func(f told) { f.take("t.events", key("x.ics"), row) },
		"a row too few":  func(f told) { f.take("t.events", key("50%25 %231.ics"), "") },
		"another name":   func(f told) { f.take("t.calendars", key(""), `{"op":"u","after":{"name":"Old"}}`) },
		"no calendar":    func(f told) { f.take("t.calendars", key(""), `{"op":"d","after":null}`) },
		"in a snapshot":  func(f told) { f.take("t.events", key(""), "", reset) },
	} {
		f := told{t, newFold(dav)}
		f.take("t.calendars", key(""), name)
		f.take("t.events", key("50%25 %231.ics"), row)
		differ(f)
		if got := f.agrees(); got != strings.HasPrefix(want, "same") {
			t.Errorf("%s: agrees is %v", want, got)
		}
	}
}

// The same of Google's streams, which are compared byte for byte.
func TestTheFoldSeesDifferencesOfGoogles(t *testing.T) {
	g := both(t)[Google].(*google)
	newLife(g, func(line) {})
	key := func(o object) string {
		return fmt.Sprintf(`{"source":"demo","account":%q,"collection":%q,"id":%q}`, owner, o.collection, o.id)
	}
	value := func(raw string) string {
		b, err := json.Marshal(map[string]any{"op": "c", "after": map[string]string{"raw": raw}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	held := g.held()
	streams := map[string]int{}
	for o := range held {
		streams[o.stream]++
	}
	if fmt.Sprint(streams) != "map[acl:2 calendars:2 events:7 settings:4]" {
		t.Fatal(streams)
	}
	filled := func() told {
		f := told{t, newFold(g)}
		for o, raw := range held {
			f.take("t."+o.stream, key(o), value(raw))
		}
		return f
	}
	if !filled().agrees() {
		t.Fatal("what is held is not what is held")
	}
	for o, raw := range held {
		for want, differ := range map[string]func(told){
			"another item":   func(f told) { f.take("t."+o.stream, key(o), value(raw+" ")) },
			"a row too few":  func(f told) { f.take("t."+o.stream, key(o), "") },
			"a row too many": func(f told) { f.take("t."+o.stream, key(object{o.stream, o.collection + "x", o.id}), value(raw)) },
			"in a snapshot":  func(f told) { f.take("t."+o.stream, key(object{o.stream, o.collection, ""}), "", reset) },
		} {
			f := filled()
			if differ(f); f.agrees() {
				t.Errorf("%s of %v is not seen", want, o)
			}
		}
	}
	g.down(true)
	if !filled().agrees() {
		t.Error("the demo itself is not answered while the server is down")
	}
}

// What records of Google's streams look like in their column.
func TestLinesOfEveryStream(t *testing.T) {
	g := both(t)[Google]
	for _, c := range []struct{ topic, key, value, marker, want string }{
		{"t.events", `{"collection":"work@group.calendar.google.com","id":"a1"}`, `{"op":"c","after":{"summary":"S","kind":"override","status":"cancelled"}}`, "", "c work/a1 S, only this one, cancelled"},
		{"t.events", `{"collection":"alice@example.org","id":""}`, "", "snapshot-reset", "= home snapshot-reset · epoch , "},
		{"t.calendars", `{"collection":"alice@example.org"}`, `{"op":"u","before":{"name":"A"},"after":{"name":"B"}}`, "", "u calendars/home A → B"},
		{"t.calendars", `{"collection":""}`, "", "snapshot-begin", "= calendars snapshot-begin · epoch , "},
		{"t.acl", `{"collection":"alice@example.org","id":"user:bob"}`, `{"op":"c","after":{"role":"reader"}}`, "", "c acl/home/user:bob reader"},
		{"t.acl", `{"collection":"alice@example.org","id":"user:bob"}`, "", "", "∅ acl/home/user:bob tombstone"},
		{"t.acl", `{"collection":"alice@example.org","id":""}`, "", "snapshot-end", "= acl/home snapshot-end · 0 rows"},
		{"t.settings", `{"id":"timezone"}`, `{"op":"u","before":{"value":"UTC"},"after":{"value":"Europe/Lisbon"}}`, "", "u settings/timezone UTC → Europe/Lisbon"},
		{"t.settings", `{"id":""}`, "", "snapshot-begin", "= settings snapshot-begin · epoch , "},
	} {
		committed := connector.Committed{Record: connector.Record{Topic: c.topic, Key: []byte(c.key)}}
		if c.value != "" {
			committed.Value = []byte(c.value)
		}
		if c.marker != "" {
			committed.Headers = []connector.Header{{Key: "calcdc.marker", Value: []byte(c.marker)}}
		}
		r, err := parseRecord(committed)
		if err != nil {
			t.Fatal(err)
		}
		l := r.line(g.name)
		if got := strings.Join(strings.Fields(l.op+" "+l.right()), " "); got != strings.TrimSpace(c.want) {
			t.Errorf("%s %s: %q, want %q", c.topic, c.key, got, c.want)
		}
	}
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
