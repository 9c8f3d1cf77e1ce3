package verify

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/calcdc/calcdc/connector"
)

func TestNoDifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.mark(events, "snapshot-end", "1")
		w.append(events, 0, "gone", envelopeOf(events, event("gone", "g"), 1))
		w.append(events, 0, "gone", []byte(`{"before":null,"after":null,"op":"d","source":{}}`))
		w.append(events, 0, "gone", nil)
		w.append(events, 0, "buried", envelopeOf(events, event("buried", "g"), 1))
		w.append(events, 0, "buried", nil)
		other := event("x", "as it was")
		other.JSON = []byte(strings.Replace(string(other.JSON), `\"as it was\", of x`, `\"2\"`, 1)) // the etag alone
		w.list(events, "/a/x", other)
		r := w.run(t)
		if !r.OK() || r.Streams != 2 || r.Rows != 3 || r.Total != 0 || w.polls[events] != 1 {
			t.Errorf("%+v after %d polls", r, w.polls[events])
		}
	})
}

func TestDifferences(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*world)
		want  string
	}{
		"missing":   {func(w *world) { w.list(events, "/a/z", event("z", "z")) }, "missing z"},
		"tombstone": {func(w *world) { w.append(events, 0, "x", nil) }, "missing x"},
		"extra":     {func(w *world) { w.publish(events, 0, event("z", "z")) }, "extra z"},
		"left over": {func(w *world) { w.unlist(events, "/a/y") }, "extra y"},
		"field": {func(w *world) { w.list(events, "/a/x", event("x", "as it is")) },
			`differs x summary is "as it was", must be "as it is"`},
		"fields": {func(w *world) {
			row := event("x", "as it was")
			row.JSON = []byte(strings.Replace(strings.Replace(string(row.JSON), `"sequence":0`, `"sequence":12345678901234567890`, 1), `"location":null,`, "", 1))
			w.publish(events, 0, row)
		}, `differs x sequence is 12345678901234567890, must be 0`},
		"calendar":        {func(w *world) { w.list(calendars, "/a/", calendar("/a/", "B")) }, `differs /a/ name is "A", must be "B"`},
		"a foreign value": {func(w *world) { w.append(events, 0, "x", []byte(`{"payload":1}`)) }, "unreadable x"},
		"no JSON":         {func(w *world) { w.append(events, 0, "x", []byte(`{`)) }, "unreadable x"},
		"a foreign key":   {func(w *world) { w.raw(events, 0, []byte(`{"id":"x"}`), []byte(`{}`)) }, `unreadable {"id":"x"}`},
		"a foreign stream": {func(w *world) {
			s := events
			s.Source = "other"
			w.raw(events, 0, s.Key("x"), []byte(`{}`))
		}, `unreadable {"source":"other","account":"alice","collection":"/a/","id":"x"}`},
		"a foreign key and its tombstone": {func(w *world) {
			w.raw(events, 0, []byte(`{"id":"x"}`), []byte(`{}`))
			w.raw(events, 0, []byte(`{"id":"x"}`), nil)
		}, ""},
		"another partition": {func(w *world) { w.publish(events, 1, event("x", "as it was")) }, "astray x"},
		"other bytes of the same": {func(w *world) {
			row := event("x", "as it was")
			row.JSON = []byte(strings.Replace(string(row.JSON), `"summary"`, ` "summary"`, 1))
			w.publish(events, 0, row)
		}, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			c.spoil(w)
			r := w.run(t)
			if text(r) != c.want || r.OK() != (c.want == "") || int(r.Total) != len(r.Differences) || len(r.NotCompared) > 0 {
				t.Errorf("%s: found %q (%+v), want %q", name, text(r), r, c.want)
			}
		})
	}
}

// Every kind of stream is compared, of a source that has them.
func TestEveryKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.cfg.Sources[0].Streams = []connector.Kind{connector.Events, connector.Calendars, connector.ACL, connector.Settings}
		acl, settings := events, calendars
		acl.Kind, settings.Kind = connector.ACL, connector.Settings
		res := &w.listed[calendars][0]
		res.Streams = []connector.Kind{connector.Events, connector.ACL}
		for s, rows := range map[Stream][2]connector.Row{
			acl:      {rule("user:bob", "reader"), rule("user:bob", "writer")},
			settings: {setting("locale", "en"), setting("locale", "de")},
		} {
			w.know(s, connector.Streaming)
			w.publish(s, 0, rows[0])
			w.list(s, rows[0].ID, rows[0])
		}
		if r := w.run(t); !r.OK() || r.Streams != 4 || r.Rows != 5 {
			t.Errorf("equal: %+v", r)
		}
		w.list(acl, "user:bob", rule("user:bob", "writer"))
		w.list(settings, "locale", setting("locale", "de"))
		const want = "differs locale value is \"en\", must be \"de\"\ndiffers user:bob role is \"reader\", must be \"writer\""
		if r := w.run(t); text(r) != want {
			t.Errorf("found %s", text(r))
		}
	})
}

func rule(id, role string) connector.Row {
	r := connector.Rule{Source: "work", Account: "alice", Collection: "/a/", ID: id, Role: &role}
	return r.Row()
}

func setting(id, value string) connector.Row {
	s := connector.Setting{Source: "work", Account: "alice", ID: id, Value: &value}
	return s.Row()
}

// A stream that cannot be compared says why, and its rows are no differences.
func TestStreamsApart(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*world)
		why   string
		ok    bool
	}{
		"in a snapshot, by its state":   {func(w *world) { w.known[events].State.Phase = connector.Snapshot }, InSnapshot, false},
		"in a snapshot, by its markers": {func(w *world) { w.mark(events, "snapshot-reset", "2") }, InSnapshot, false},
		"removing":                      {func(w *world) { w.known[events].State.Phase = connector.Removing }, Leaving, false},
		"state lost":                    {func(w *world) { w.known[events].State = nil }, Lost, false},
		"topic cut":                     {func(w *world) { w.known[events].State.DataEnd = 99 }, Lost, false},
		"a loss that is being mended":   {func(w *world) { w.known[events].State.Mending = connector.TopicLost }, Lost, false},
		"another key format":            {func(w *world) { w.known[events].State.KeyFormat = "json_schemas" }, Refused, false},
		"gone":                          {func(w *world) { w.unlist(calendars, "/a/"); w.looks["/a/"] = connector.Gone }, Leaving, false},
		"forbidden":                     {func(w *world) { w.unlist(calendars, "/a/"); w.looks["/a/"] = connector.Forbidden }, Forbidden, false},
		"not listed, and there": {func(w *world) {
			w.unlist(calendars, "/a/")
			w.looks["/a/"] = connector.Read
			w.append(calendars, 0, "/a/", nil)
		}, Failing, false},
		"gone while it is looked at": {func(w *world) { w.fails[events] = connector.ErrGone }, Leaving, false},
		"failing":                    {func(w *world) { w.fails[events] = errors.New("503") }, Failing, false},
		"not to be connected":        {func(w *world) { w.fails[Stream{}] = errors.New("401") }, Failing, false},
		"not followed":               {func(w *world) { w.listed[calendars][0].Presence = connector.Ignored }, NotFollowed, true},
		"an account not configured": {func(w *world) {
			s := events
			s.Account = "bob"
			w.know(s, connector.Streaming)
			w.publish(s, 0, event("x", "bob's"))
		}, NotFollowed, true},
		"a source not configured": {func(w *world) {
			s := events
			s.Source = "old"
			w.know(s, connector.Streaming)
			w.known[s].State.Rows = 3
		}, NotFollowed, true},
		"not begun": {func(w *world) {
			w.list(calendars, "/b/", calendar("/b/", "B"))
			w.publish(calendars, 0, calendar("/b/", "B"))
		}, NotBegun, false},
		"gone and back, not begun": {func(w *world) {
			w.known[events].State.Phase = connector.RemovedAll
			w.append(events, 0, "x", nil)
			w.append(events, 0, "y", nil)
		}, NotBegun, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			c.spoil(w)
			r := w.run(t)
			if r.Total > 0 || r.OK() != c.ok || len(r.NotCompared) == 0 {
				t.Fatalf("%s: %+v", name, r)
			}
			for _, a := range r.NotCompared {
				if a.Why != c.why {
					t.Errorf("%s: %+v, want %s", name, a, c.why)
				}
			}
		})
	}
}

// A collection that has gone and whose rows have been deleted leaves nothing to say.
func TestRemovedIsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.known[events].State.Phase = connector.RemovedAll
		w.unlist(calendars, "/a/")
		for _, id := range []string{"x", "y"} {
			w.append(events, 0, id, nil)
		}
		w.append(calendars, 0, "/a/", nil)
		if r := w.run(t); !r.OK() || r.Streams != 1 || len(r.NotCompared) > 0 {
			t.Errorf("%+v", r)
		}
	})
}

// What is of an earlier row version is no difference while its bytes are those that the server has.
func TestOlderRowVersion(t *testing.T) {
	for name, c := range map[string]struct {
		known *connector.ResourceState // of x
		older int64
		want  string
	}{
		"the same bytes": {&connector.ResourceState{}, 1, ""},
		"other bytes":    {&connector.ResourceState{Hash: connector.Hash{9}}, 0, `differs x summary is "in the old form", must be "as it was"`},
		"unknown bytes":  {&connector.ResourceState{Unknown: true}, 0, `differs x summary is "in the old form", must be "as it was"`},
		"no state":       {nil, 0, `differs x summary is "in the old form", must be "as it was"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.append(events, 0, "x", envelopeOf(events, event("x", "in the old form"), connector.RowVersion-1))
			if c.known != nil && c.known.Hash == none {
				c.known.Hash = w.listed[events][0].Hash
			}
			w.resources[events] = []connector.ResourceChange{{ID: "/a/x", State: &connector.ResourceState{Hash: connector.Hash{1}}}, {ID: "/a/x", State: c.known}}
			r := w.run(t)
			if r.Older != c.older || text(r) != c.want || r.Rows != 2 {
				t.Errorf("%s: %+v", name, r)
			}
		})
	}
}

// Of a resource whose body cannot be had nothing can be said, of its rows neither.
func TestUnread(t *testing.T) {
	for _, p := range []connector.Presence{connector.Missing, connector.Failed} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.publish(events, 0, event("x#1", "an override"))
			w.listed[events][0] = connector.Resource{ID: "/a/x", Presence: p}
			if p == connector.Failed {
				w.listed[events][0].Rows = []connector.Row{event("x", "cannot be read")}
			}
			w.resources[events] = []connector.ResourceChange{{ID: "/a/x", State: &connector.ResourceState{Rows: []string{"x", "x#1"}}}}
			if r := w.run(t); !r.OK() || r.Unread != 1 || r.Rows != 2 {
				t.Errorf("presence %d: %+v", p, r)
			}
		})
	}
}

func TestRowsWithParseError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		row := event("x", "as it was")
		row.JSON = []byte(strings.Replace(string(row.JSON), `"parse_error":null`, `"parse_error":"a line is no property"`, 1))
		w.publish(events, 0, row)
		w.list(events, "/a/x", row)
		if r := w.run(t); !r.OK() || r.ParseErrors != 1 || r.Rows != 3 {
			t.Errorf("%+v", r)
		}
	})
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for i := range 20 {
			w.list(events, fmt.Sprint("/a/", i), event(fmt.Sprint(i), "missing"))
		}
		w.cfg.Limit = 5
		if r := w.run(t); r.Total != 20 || len(r.Differences) != 5 {
			t.Errorf("%d of %d", len(r.Differences), r.Total)
		}
	})
}

func TestRowHash(t *testing.T) {
	const head, tail = `{"id":"x","summary":"a,\"etag\":1"`, `,"href":"h"}`
	same := rowHash([]byte(head + `,"etag":null` + tail))
	for _, etag := range []string{`""`, `"a"`, `"\"a\\"`, `"a,b}\""`} {
		if rowHash([]byte(head+`,"etag":`+etag+tail)) != same {
			t.Errorf("etag %s counts", etag)
		}
	}
	for _, other := range []string{head + `,"etag":null,"href":"i"}`, `{"id":"y","etag":null` + tail, head + `,"etag":null`, head + tail, ""} {
		if rowHash([]byte(other)) == same && other != head+tail {
			t.Errorf("%s is the same", other)
		}
	}
}
