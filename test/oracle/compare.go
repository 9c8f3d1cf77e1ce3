package oracle

import (
	"fmt"
	"slices"
	"strings"
)

// Compare returns every difference between what the fold holds of an account and what its server lists, and what the server lists
// and is in a snapshot that has not ended. (That of a collection that has gone meanwhile never ends: its removal has no marker.)
func Compare(f *Fold, source, account string, server map[string]Collection) []string {
	c := comparison{source: source, account: account}
	c.calendars(f.rows(Stream{Source: source, Account: account, Kind: "calendars"}), server)
	for path, coll := range server {
		c.events(path, f.rows(Stream{source, account, path, "events"}), coll)
	}
	for k, s := range f.Streams {
		mine := k.Kind == "events" && k.Source == source && k.Account == account
		_, exists := server[k.Collection]
		if mine && !exists && len(s.Rows) > 0 {
			c.differ("%s is gone, and %d of its rows are left", k.Collection, len(s.Rows))
		}
		home := k.Kind == "calendars" && k.Source == source && k.Account == account
		if s.InSnapshot() && (home || mine && exists) {
			c.differ("%v: the snapshot has not ended", k)
		}
	}
	slices.Sort(c.found)
	return c.found
}

func (f *Fold) rows(k Stream) map[string]Row {
	if s := f.Streams[k]; s != nil {
		return s.Rows
	}
	return nil
}

type comparison struct {
	source, account string
	found           []string
}

func (c *comparison) differ(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

func (c *comparison) calendars(rows map[string]Row, server map[string]Collection) {
	for path, coll := range server {
		row, ok := rows[path]
		if !ok {
			c.differ("calendar %s has no row", path)
		} else if coll.Name != "" && row.Text("name") != coll.Name {
			c.differ("calendar %s is named %q, its row says %q", path, coll.Name, row.Text("name"))
		}
	}
	for path := range rows {
		if _, ok := server[path]; !ok {
			c.differ("calendar %s is gone, and its row is there", path)
		}
	}
}

func (c *comparison) events(path string, rows map[string]Row, coll Collection) {
	expected := map[string]want{}
	for name, body := range coll.Resources {
		of, err := wantRows(name, body)
		if err != nil {
			c.differ("%s%s: %v", path, name, err)
		}
		for id, w := range of {
			expected[id] = w
		}
	}
	for id, w := range expected {
		if row, ok := rows[id]; ok {
			c.row(path+id, row, w)
		} else {
			c.differ("%s%s has no row", path, id)
		}
	}
	for id := range rows {
		if _, ok := expected[id]; !ok {
			c.differ("%s%s has a row and is not on the server", path, id)
		}
	}
}

func (c *comparison) row(id string, row Row, w want) {
	for field, value := range map[string]string{"uid": w.uid, "summary": w.summary, "kind": w.kind, "component": w.component} {
		if row.Text(field) != value {
			c.differ("%s: %s is %q, must be %q", id, field, row.Text(field), value)
		}
	}
	if row["parse_error"] != nil {
		c.differ("%s: parse_error %q", id, row.Text("parse_error"))
	}
	raw, has := row["raw"].(string)
	switch {
	case w.raw == nil && has:
		c.differ("%s: raw stands on a row that is not the resource's first", id)
	case w.raw != nil && !has:
		c.differ("%s: raw is missing", id)
	case w.raw != nil && lines(raw) != lines(*w.raw):
		c.differ("%s: raw differs:\n row    %q\n server %q", id, raw, *w.raw)
	}
}

// lines makes line ends equal: XML turns CR LF into LF (XML 1.0, 2.11) where the server does not escape the CR.
func lines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
