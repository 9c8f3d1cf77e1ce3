package demo

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/connector"
)

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
