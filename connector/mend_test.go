package connector

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/go-hclog"
)

// lossWorld has followed two collections and is down, its ledger has lost something of some streams.
func lossWorld(t *testing.T, lost map[Stream]string) *world {
	w := newWorld(t)
	for _, name := range []string{"/a/", "/b/"} {
		c := w.up.add(name)
		w.up.put(c, "1", "=1")
		w.up.put(c, "2", "=1")
	}
	w.start()
	w.polls(1)
	w.end()
	w.ledger.lost = lost
	return w
}

func (w *world) markers(collection string) []string {
	var out []string
	for _, op := range fold(w.t, w.ledger.records(), collection).ops {
		if strings.HasPrefix(op, "marker") {
			out = append(out, op)
		}
	}
	return out
}

// What is lost of a stream is mended before its first pass, which is a reset: what has vanished meanwhile gets its d.
func TestLostStreamsAreMended(t *testing.T) {
	for _, reason := range []string{StateLost, TopicLost} {
		synctest.Test(t, func(t *testing.T) {
			calendars := Stream{"work", memAccount, "", Calendars}
			w := lossWorld(t, map[Stream]string{events("/a/"): reason, calendars: reason})
			w.up.del(w.up.collections["/a/"], "2")
			before := len(w.ledger.records())
			w.start()
			w.polls(2)
			w.end()
			w.check("/a/", "/b/")
			if m := w.markers("/a/"); len(m) != 4 || m[2] != "marker snapshot-reset 2 "+reason {
				t.Errorf("got %v", m)
			}
			if m := w.markers("/b/"); len(m) != 2 {
				t.Errorf("the other: %v", m)
			}
			deletes := 0
			for _, r := range w.ledger.records()[before:] {
				if len(r.Headers) > 0 && string(r.Headers[0].Value) == opDelete {
					deletes++
				}
			}
			if deletes != 1 || w.ledger.mends != 2 {
				t.Errorf("%d deletes, %d mended", deletes, w.ledger.mends)
			}
		})
	}
}

// A stream that cannot be mended holds nobody up and is tried again; one whose Mend leaves doubt has everything loaded again.
func TestMendingFails(t *testing.T) {
	for _, fault := range []error{errLost, fmt.Errorf("mending: %w", ErrDoubt)} {
		synctest.Test(t, func(t *testing.T) {
			w := lossWorld(t, map[Stream]string{events("/a/"): StateLost})
			w.ledger.loads = 0
			w.ledger.mend = func(Stream) error { return fault }
			w.up.put(w.up.collections["/b/"], "3", "=1")
			w.start()
			w.polls(3)
			if !errors.Is(fault, ErrDoubt) { // doubt is the whole partition's: what else runs may have had no turn yet
				w.check("/b/")
			}
			if loads := w.ledger.loads; errors.Is(fault, ErrDoubt) == (loads == 1) {
				t.Errorf("%v: loaded %d times", fault, loads)
			}
			if s := w.obs.status(events("/a/")); !errors.Is(fault, ErrDoubt) && (s.Condition != Failing || s.Err == "") {
				t.Errorf("got %+v", s)
			}
			w.ledger.mu.Lock()
			w.ledger.mend = nil
			w.ledger.mu.Unlock()
			w.polls(10)
			w.end()
			w.check("/a/", "/b/")
		})
	}
}

// A collection that is gone, and of which the state is lost too, gets its deletes all the same.
func TestLostAndGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := lossWorld(t, map[Stream]string{events("/a/"): StateLost})
		w.up.drop("/a/")
		w.start()
		w.polls(5)
		w.end()
		if f := fold(t, w.ledger.records(), "/a/"); len(f.rows) != 0 {
			t.Errorf("left: %v", f.rows)
		}
		if got := w.calendars(); len(got) != 1 {
			t.Errorf("calendars %v", got)
		}
	})
}

// A retired stream of which something is lost is mended before its rows are deleted.
func TestLostAndRetired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := lossWorld(t, map[Stream]string{events("/a/"): StateLost, {"work", memAccount, "", Calendars}: StateLost})
		cfg := Config{Version: "test", TopicPrefix: "cal", Before: BeforeFull, Tombstones: true, Partitions: 1}
		c := New(cfg, nil, fixedTopics(3), w.obs, hclog.NewNullLogger())
		if err := c.Retire(t.Context(), w.ledger, events("/a/")); err != nil {
			t.Fatal(err)
		}
		if f := fold(t, w.ledger.records(), "/a/"); len(f.rows) != 0 {
			t.Errorf("left: %v", f.rows)
		}
	})
}

// A row that was kept has the hash that it had when it was made.
func TestKeptRow(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, etag := range []*string{nil, text(`"1"`), text(`W/"a\,b`), text("")} {
		e := &Event{}
		e.ID, e.Source, e.Summary = "a", "work", text(`x","etag":"no","`)
		e.ETag, e.Raw = etag, text("BEGIN")
		e.OtherProperties = []Property{{Name: "X", Parameters: map[string]string{"a": "1", "etag": "x"}}}
		row := e.Row(0)
		kept := KeptRow(Events, "a", slices.Clone(row.JSON))
		if kept.Hash != row.Hash || kept.ID != row.ID {
			t.Errorf("%s: got %x, want %x", row.JSON, kept.Hash, row.Hash)
		}
	}
	rule := (&Rule{ID: "r"}).Row()
	if kept := KeptRow(ACL, "r", rule.JSON); kept.Hash != rule.Hash {
		t.Errorf("got %x, want %x", kept.Hash, rule.Hash)
	}
	KeptRow(Events, "a", []byte(`{"x":1,"etag":"`)) // not ours: no panic
	KeptRow(Events, "a", []byte(`{"x":1,"etag":`))
	KeptRow(Events, "a", []byte(`{"x":1,"etag":null}`))
}

// Where nothing at all is known of what was published, no stream begins as if it were new: what has vanished meanwhile gets its deletes,
// of collections that are gone too, and no epoch comes again.
func TestEverythingLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := lossWorld(t, map[Stream]string{events("/a/"): StateLost, events("/b/"): StateLost, {"work", memAccount, "", Calendars}: StateLost})
		w.ledger.blank = true
		w.up.del(w.up.collections["/a/"], "2")
		w.up.drop("/b/")
		w.up.put(w.up.add("/c/"), "1", "=1")
		w.start()
		w.polls(5)
		w.end()
		w.check("/a/", "/c/")
		if f := fold(t, w.ledger.records(), "/b/"); len(f.rows) != 0 {
			t.Errorf("left: %v", f.rows)
		}
		if got := w.calendars(); len(got) != 2 {
			t.Errorf("calendars %v", got)
		}
		if m := w.markers("/a/"); len(m) != 4 || m[2] != "marker snapshot-reset 2 "+StateLost {
			t.Errorf("got %v", m)
		}
		if m := w.markers("/c/"); len(m) != 2 {
			t.Errorf("the new one: %v", m)
		}
	})
}
