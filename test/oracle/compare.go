package oracle

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/verify"
)

// Compare returns every difference between what the fold holds of an account and what its server lists, and what the server lists
// and is in a snapshot that has not ended. (That of a collection that has gone meanwhile never ends: its removal has no marker.)
func Compare(f *Fold, source, account string, server map[string]Collection) []string {
	c := comparison{fold: f, source: source, account: account}
	c.rows(c.stream("", "calendars"), calendarRows(server), plain)
	for path, coll := range server {
		c.events(c.stream(path, "events"), coll)
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

type comparison struct {
	fold            *Fold
	source, account string
	found           []string
}

func (c *comparison) stream(collection string, kind connector.Kind) Stream {
	return Stream{Source: c.source, Account: c.account, Collection: collection, Kind: kind}
}

func (c *comparison) differ(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// rows compares a stream with the rows that it must hold, both in a form that makes equal what says the same.
func (c *comparison) rows(k Stream, want map[string]Row, form func(Row) Row) {
	rows := map[string]Row{}
	if s := c.fold.Streams[k]; s != nil {
		for id, row := range s.Rows {
			rows[id] = form(plain(row))
		}
	}
	for _, d := range verify.Compare(k, rows, want) {
		c.found = append(c.found, d.String())
	}
}

// plain makes an empty text none: servers and rows may say it either way.
func plain(row Row) Row {
	out := maps.Clone(row)
	for field, value := range out {
		if value == "" {
			out[field] = nil
		}
	}
	return out
}

// lines makes line ends equal: XML turns CR LF into LF (XML 1.0, 2.11) where the server does not escape the CR.
func lines(row Row) Row {
	if raw, ok := row["raw"].(string); ok {
		row["raw"] = strings.ReplaceAll(raw, "\r\n", "\n")
	}
	return row
}

// calendarRows are what the rows of the calendars must say; a name that the server does not give is left open.
func calendarRows(server map[string]Collection) map[string]Row {
	rows := map[string]Row{}
	for path, coll := range server {
		rows[path] = Row{}
		if coll.Name != "" {
			rows[path]["name"] = coll.Name
		}
	}
	return rows
}

func (c *comparison) events(k Stream, coll Collection) {
	expected := map[string]Row{}
	for name, body := range coll.Resources {
		of, err := wantRows(name, body)
		if err != nil {
			c.differ("%s%s: %v", k.Collection, name, err)
		}
		for id, w := range of {
			expected[id] = lines(w.row())
		}
	}
	c.rows(k, expected, lines)
}
