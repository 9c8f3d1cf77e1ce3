package verify

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/calcdc/calcdc/connector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	events    = Stream{Source: "work", Account: "alice", Collection: "/a/", Kind: connector.Events}
	calendars = Stream{Source: "work", Account: "alice", Kind: connector.Calendars}
)

// world is a source with one account, the topics of its streams, and what is committed of them.
type world struct {
	log       map[string][]connector.Committed // by topic and partition
	known     map[Stream]*Known
	resources map[Stream][]connector.ResourceChange
	listed    map[Stream][]connector.Resource
	looks     map[string]connector.Presence
	fails     map[Stream]error
	cutAfter  int // resources that are shown before a poll fails
	polls     map[Stream]int
	polled    func(s Stream, n int) // before the nth poll of a stream
	asked     []string              // ids whose bodies were wanted in polls after the first
	cfg       Config
}

// newWorld has one collection, /a/, with the rows x and y in topic and source.
func newWorld() *world {
	w := &world{log: map[string][]connector.Committed{}, known: map[Stream]*Known{}, resources: map[Stream][]connector.ResourceChange{},
		listed: map[Stream][]connector.Resource{}, looks: map[string]connector.Presence{}, fails: map[Stream]error{}, polls: map[Stream]int{}}
	w.know(events, connector.Streaming)
	w.know(calendars, connector.Streaming)
	cal := calendar("/a/", "A")
	w.publish(calendars, 0, cal)
	w.list(calendars, "/a/", cal)
	for _, id := range []string{"x", "y"} {
		w.publish(events, 0, event(id, "as it was"))
		w.list(events, "/a/"+id, event(id, "as it was"))
	}
	w.cfg = Config{
		Reader: w, Topic: func(s Stream) string { return "cal." + s.Source + "." + string(s.Kind) }, Limit: 100,
		Sources:    []connector.Source{{Name: "work", Connector: "caldav", PollInterval: 30 * time.Second, Accounts: []connector.Account{w}}},
		Partitions: func(context.Context, string) (int32, error) { return 2, nil },
		Known: func(context.Context) (all []Known, err error) {
			for _, k := range w.known {
				all = append(all, *k)
			}
			return all, nil
		},
		Resources: func(_ context.Context, s Stream, visit func(string, *connector.ResourceState)) error {
			for _, r := range w.resources[s] {
				visit(r.ID, r.State)
			}
			return nil
		},
	}
	return w
}

func (w *world) know(s Stream, phase connector.Phase) {
	w.known[s] = &Known{Stream: s, Offset: &connector.Offset{Token: "t", Epoch: 1},
		State: &connector.StreamState{Epoch: 1, Phase: phase, KeyFormat: "json", RowVersion: connector.RowVersion}}
}

// run verifies.
func (w *world) run(t *testing.T) *Report {
	t.Helper()
	r, err := Run(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// list makes the source show a resource, in place of one with its id.
func (w *world) list(s Stream, id string, rows ...connector.Row) {
	w.unlist(s, id)
	var body []byte
	for _, r := range rows {
		body = append(body, r.JSON...)
	}
	hash := connector.HashOf(body)
	w.listed[s] = append(w.listed[s], connector.Resource{ID: id, Presence: connector.Read, ETag: fmt.Sprintf("%x", hash[:2]), Hash: hash, Rows: rows})
}

func (w *world) unlist(s Stream, id string) {
	w.listed[s] = slices.DeleteFunc(slices.Clone(w.listed[s]), func(r connector.Resource) bool { return r.ID == id })
}

// unlistAfter takes a resource away once a stream has been polled n times.
func (w *world) unlistAfter(s Stream, id string, n int) {
	w.polled = func(polled Stream, polls int) {
		if polled == s && polls == n+1 {
			w.unlist(s, id)
		}
	}
}

func (w *world) publish(s Stream, partition int32, row connector.Row) {
	w.append(s, partition, row.ID, envelopeOf(s, row, connector.RowVersion))
}

func envelopeOf(s Stream, row connector.Row, version int) []byte {
	return fmt.Appendf(nil, `{"before":null,"after":%s,"op":"c","ts_ms":5,"source":{"version":"1","connector":"caldav","name":"cal.work","db":"alice",`+
		`"table":"%s","epoch":1,"row_version":%d}}`, row.JSON, s.Kind, version)
}

func (w *world) append(s Stream, partition int32, id string, value []byte, headers ...connector.Header) {
	w.raw(s, partition, s.Key(id), value, headers...)
}

func (w *world) raw(s Stream, partition int32, key, value []byte, headers ...connector.Header) {
	at := fmt.Sprint(w.cfgTopic(s), partition)
	w.log[at] = append(w.log[at], connector.Committed{Offset: int64(len(w.log[at])), Record: connector.Record{
		Topic: w.cfgTopic(s), Partition: partition, Key: key, Value: value, Headers: headers}})
}

func (w *world) cfgTopic(s Stream) string { return "cal." + s.Source + "." + string(s.Kind) }

func (w *world) mark(s Stream, what, epoch string) {
	w.append(s, 0, "", nil, connector.Header{Key: "calcdc.marker", Value: []byte(what)}, connector.Header{Key: "calcdc.epoch", Value: []byte(epoch)},
		connector.Header{Key: "calcdc.count", Value: []byte("0")})
}

func event(id, summary string) connector.Row {
	e := connector.Event{}
	e.Source, e.Account, e.Collection, e.ID, e.Kind = "work", "alice", "/a/", id, connector.Single
	etag := "\"" + summary + "\", of " + id
	e.Summary, e.ETag = &summary, &etag
	return e.Row(0)
}

func calendar(id, name string) connector.Row {
	c := connector.Calendar{Source: "work", Account: "alice", Collection: id, Name: &name}
	return c.Row()
}

func (w *world) End(_ context.Context, topic string, partition int32) (int64, error) {
	return int64(len(w.log[fmt.Sprint(topic, partition)])), nil
}

func (w *world) Read(_ context.Context, topic string, partition int32, from, until int64) iter.Seq2[connector.Committed, error] {
	return func(yield func(connector.Committed, error) bool) {
		for _, rec := range w.log[fmt.Sprint(topic, partition)] {
			if rec.Offset >= from && rec.Offset < until && !yield(rec, nil) {
				return
			}
		}
	}
}

func (w *world) Name() string                     { return "alice" }
func (w *world) Connect(context.Context) error    { return w.fails[Stream{}] }
func (w *world) ConfigHash(connector.Kind) string { return "" }

func (w *world) Poll(_ context.Context, q connector.Query) iter.Seq2[connector.Page, error] {
	return func(yield func(connector.Page, error) bool) {
		if w.polls[q.Stream]++; w.polled != nil {
			w.polled(q.Stream, w.polls[q.Stream])
		}
		if err := w.fails[q.Stream]; err != nil {
			if shown := w.listed[q.Stream]; len(shown) >= w.cutAfter && !yield(connector.Page{Resources: shown[:w.cutAfter]}, nil) {
				return
			}
			yield(connector.Page{}, err)
			return
		}
		var page connector.Page
		for _, res := range w.listed[q.Stream] {
			if res.Presence == connector.Read && !q.Needs(res.ID, res.ETag) {
				res.Presence, res.Rows = connector.Listed, nil
			} else if w.polls[q.Stream] > 1 && q.Stream.Kind == connector.Events {
				w.asked = append(w.asked, res.ID)
			}
			page.Resources = append(page.Resources, res)
			if len(page.Resources) == 2 {
				if !yield(page, nil) {
					return
				}
				page = connector.Page{}
			}
		}
		page.Token, page.Last, page.Listing = "t", true, true
		yield(page, nil)
	}
}

func (w *world) Look(_ context.Context, _ Stream, ids []string) ([]connector.Presence, error) {
	return []connector.Presence{w.looks[ids[0]]}, nil
}

// text is the differences, a line each.
func text(r *Report) string {
	var lines []string
	for _, d := range r.Differences {
		line := d.What + " " + d.ID
		for _, f := range d.Fields {
			line += " " + f.String()
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
