package oracle

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // so that zones do not depend on the machine
)

// component is a VEVENT or VTODO of a resource, read by a parser that knows only what the histories write.
type component struct {
	kind     string
	uid      string
	summary  string
	override string // the RECURRENCE-ID as it stands in the row's id, "" for a master
	repeats  bool
	sequence string
}

// components reads the VEVENTs and VTODOs of an iCalendar text.
func components(text string) ([]component, error) {
	var all []component
	var open []string
	for _, line := range unfold(text) {
		name, params, value := property(line)
		switch {
		case name == "BEGIN":
			open = append(open, value)
			if value == "VEVENT" || value == "VTODO" {
				all = append(all, component{kind: value})
			}
		case name == "END":
			open = open[:max(len(open)-1, 0)]
		case len(open) == 2 && (open[1] == "VEVENT" || open[1] == "VTODO"):
			if err := all[len(all)-1].set(name, params, value); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func (c *component) set(name, params, value string) (err error) {
	switch name {
	case "UID":
		c.uid = value
	case "SUMMARY":
		c.summary = strings.NewReplacer(`\,`, ",", `\;`, ";", `\n`, "\n", `\\`, `\`).Replace(value)
	case "RRULE":
		c.repeats = true
	case "SEQUENCE":
		c.sequence = value
	case "RECURRENCE-ID":
		c.override, err = recurrenceID(params, value)
	}
	return err
}

// recurrenceID is UTC where it has an instant, else the date or the floating time as written.
func recurrenceID(params, value string) (string, error) {
	zone := ""
	for _, p := range strings.Split(params, ";") {
		if z, ok := strings.CutPrefix(p, "TZID="); ok {
			zone = strings.Trim(z, `"`)
		}
	}
	if zone == "" {
		return value, nil
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return "", fmt.Errorf("loading the zone of a RECURRENCE-ID: %w", err)
	}
	t, err := time.ParseInLocation("20060102T150405", value, loc)
	if err != nil {
		return "", fmt.Errorf("reading a RECURRENCE-ID: %w", err)
	}
	return t.UTC().Format("20060102T150405Z"), nil
}

func unfold(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\n ", ""), "\n\t", "")
	return strings.Split(strings.TrimSpace(text), "\n")
}

// property splits NAME;params:value; quoted parameters hold no colon in these tests.
func property(line string) (name, params, value string) {
	head, value, _ := strings.Cut(line, ":")
	name, params, _ = strings.Cut(head, ";")
	return strings.ToUpper(name), params, value
}

// want is what the row of a component must say.
type want struct {
	uid, summary, kind, component string
	raw                           *string
}

// row is what the row must say, in fields that it must have.
func (w want) row() Row {
	row := Row{"uid": w.uid, "summary": w.summary, "kind": w.kind, "component": w.component, "parse_error": nil, "raw": nil}
	if w.raw != nil {
		row["raw"] = *w.raw
	}
	return plain(row)
}

// wantRows returns the rows that a resource must have, by id.
func wantRows(name, body string) (map[string]want, error) {
	all, err := components(body)
	if err != nil {
		return nil, err
	}
	base := strings.NewReplacer("%", "%25", "#", "%23").Replace(name)
	rows := map[string]want{}
	for _, c := range all {
		w := want{uid: c.uid, summary: c.summary, component: c.kind, kind: "single"}
		id := base
		switch {
		case c.override != "":
			id, w.kind = base+"#"+c.override, "override"
		case c.repeats:
			w.kind = "series"
		}
		rows[id] = w
	}
	if len(rows) == 0 {
		return rows, nil
	}
	first := base
	if _, ok := rows[base]; !ok {
		ids := make([]string, 0, len(rows))
		for id := range rows {
			ids = append(ids, id)
		}
		first = slices.Min(ids)
	}
	w := rows[first]
	w.raw = &body
	rows[first] = w
	return rows, nil
}
