package oracle

import (
	"strings"
	"testing"

	"github.com/calcdc/calcdc/internal/verify"
)

func events(collection string) Stream {
	return Stream{Source: "work", Account: "alice", Collection: collection, Kind: "events"}
}

const series = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:u\r\nSUMMARY:one\r\n  two\r\nRRULE:FREQ=DAILY\r\nEND:VEVENT\r\n" +
	"BEGIN:VEVENT\r\nUID:u\r\nSUMMARY:moved\r\nRECURRENCE-ID;TZID=Europe/Berlin:20260602T100000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

func TestCompare(t *testing.T) {
	server := map[string]Collection{"/a/": {Name: "A", Resources: map[string]string{"x#1.ics": series}}}
	rows := map[string]Row{
		"x%231.ics":                  {"uid": "u", "summary": "one two", "kind": "series", "component": "VEVENT", "raw": series},
		"x%231.ics#20260602T080000Z": {"uid": "u", "summary": "moved", "kind": "override", "component": "VEVENT"},
	}
	f := NewFold()
	f.Streams[events("/a/")] = &State{Rows: rows}
	f.Streams[Stream{Source: "work", Account: "alice", Kind: "calendars"}] = &State{Rows: map[string]Row{"/a/": {"name": "A"}}}
	if found := Compare(f, "work", "alice", server); len(found) > 0 {
		t.Errorf("equal, and found %q", found)
	}
	f.Streams[events("/left/")] = &State{Progress: verify.Progress{Snapshot: true}} // went in the middle of its snapshot
	if found := Compare(f, "work", "alice", server); len(found) > 0 {
		t.Errorf("a snapshot of what has gone: %q", found)
	}
	f.Streams[events("/a/")].Snapshot = true
	rows["x%231.ics"]["raw"] = series + " "
	rows["gone.ics"] = Row{}
	delete(rows, "x%231.ics#20260602T080000Z")
	f.Streams[events("/b/")] = &State{Rows: map[string]Row{"y": {}}}
	found := strings.Join(Compare(f, "work", "alice", server), "\n")
	for _, want := range []string{"x%231.ics: raw is", "gone.ics has a row and is not at the source", "#20260602T080000Z has no row", "/b/ is gone, and 1", "events /a/: the snapshot has not ended"} {
		if !strings.Contains(found, want) {
			t.Errorf("found %s, want %q", found, want)
		}
	}
}
