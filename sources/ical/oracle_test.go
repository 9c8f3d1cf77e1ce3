//go:build integration

package ical

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestOracle compares times with Python's icalendar and zoneinfo over a generated corpus. CALCDC_ORACLE_PYTHON is the
// interpreter of a virtual environment with testdata/oracle/requirements.txt.
func TestOracle(t *testing.T) {
	python := os.Getenv("CALCDC_ORACLE_PYTHON")
	if python == "" {
		t.Fatal("CALCDC_ORACLE_PYTHON is not set: python3 -m venv DIR && DIR/bin/pip install -r sources/ical/testdata/oracle/requirements.txt, then CALCDC_ORACLE_PYTHON=DIR/bin/python")
	}
	const seed, resources = 20261122, 1500
	g := generator{rand.New(rand.NewPCG(seed, 0))}
	texts := make([]string, resources)
	for i := range texts {
		texts[i] = g.resource()
	}
	want := ask(t, python, texts)
	if len(want) != len(texts) {
		t.Fatalf("the oracle answered %d of %d", len(want), len(texts))
	}
	failures, compared := 0, 0
	for i, text := range texts {
		got := map[any]map[string]any{}
		for _, r := range Rows(object("a.ics"), []byte(text)) {
			m := fields(t, r)
			got[m["recurrence_id"]] = m
			if m["parse_error"] != nil {
				t.Errorf("resource %d: parse_error %v", i, m["parse_error"])
			}
		}
		if len(got) != len(want[i]) {
			t.Errorf("resource %d: %d rows, the oracle has %d", i, len(got), len(want[i]))
		}
		for _, w := range want[i] {
			compared++
			for field, value := range w {
				if g := got[w["recurrence_id"]][field]; g != value {
					failures++
					t.Errorf("resource %d %v: %s is %v, the oracle says %v", i, w["recurrence_id"], field, g, value)
				}
			}
		}
		if failures > 0 {
			t.Fatalf("resource %d of seed %d:\n%s", i, seed, text)
		}
	}
	if compared < 2*resources {
		t.Errorf("only %d rows compared", compared)
	}
}

func ask(t *testing.T, python string, texts []string) [][]map[string]any {
	t.Helper()
	in, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/oracle/oracle.py")
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("running the oracle: %v\n%s", err, errs.String())
	}
	var rows [][]map[string]any
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
		t.Fatalf("reading the oracle's answer: %v\n%s", err, errs.String())
	}
	return rows
}

// generator makes resources whose times lie near changes of offset more often than chance would have it.
type generator struct{ *rand.Rand }

var oracleZones = []string{
	"Europe/Berlin", "Europe/London", "Europe/Dublin", "Europe/Istanbul", "Europe/Moscow", "America/New_York", "America/Sao_Paulo", "America/St_Johns",
	"America/Caracas", "America/Mexico_City", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tehran", "Asia/Tokyo", "Asia/Gaza", "Africa/Casablanca", "Africa/Cairo",
	"Australia/Lord_Howe", "Australia/Sydney", "Pacific/Apia", "Pacific/Chatham", "Pacific/Auckland", "Antarctica/Troll", "America/Nuuk", "UTC",
}

// aliases are TZIDs that mean a zone by another name.
var aliases = map[string]string{
	"W. Europe Standard Time": "Europe/Berlin", "GMT Standard Time": "Europe/London", "Eastern Standard Time": "America/New_York",
	"India Standard Time": "Asia/Kolkata", "AUS Eastern Standard Time": "Australia/Sydney",
	"/freeassociation.sourceforge.net/Europe/Berlin": "Europe/Berlin", "/mozilla.org/20070129_1/America/St_Johns": "America/St_Johns",
}

// ownZone is a zone of nobody's, by European rules.
const ownZone = "BEGIN:VTIMEZONE\nTZID:Own Zone\nBEGIN:STANDARD\nDTSTART:19701025T030000\nTZOFFSETFROM:+0345\nTZOFFSETTO:+0245\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\nEND:STANDARD\n" +
	"BEGIN:DAYLIGHT\nDTSTART:19700329T020000\nTZOFFSETFROM:+0245\nTZOFFSETTO:+0345\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\nEND:DAYLIGHT\nEND:VTIMEZONE\n"

func pick[T any](g generator, list ...T) T { return list[g.IntN(len(list))] }

// zone returns a TZID and the zone near whose changes times shall lie.
func (g generator) zone() (string, *time.Location) {
	tzid := pick(g, oracleZones...)
	name := tzid
	switch g.IntN(6) {
	case 0:
		keys := []string{"W. Europe Standard Time", "GMT Standard Time", "Eastern Standard Time", "India Standard Time", "AUS Eastern Standard Time",
			"/freeassociation.sourceforge.net/Europe/Berlin", "/mozilla.org/20070129_1/America/St_Johns"}
		tzid = pick(g, keys...)
		name = aliases[tzid]
	case 1:
		tzid, name = "Own Zone", "Europe/Berlin"
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		loc = time.UTC
	}
	return tzid, loc
}

// wall is a wall time of 1990 to 2036.
func (g generator) wall(loc *time.Location) string {
	t := time.Date(1990+g.IntN(47), 1, 1, 0, 0, g.IntN(365*86400), 0, loc)
	if _, end := t.ZoneBounds(); g.IntN(2) == 0 && !end.IsZero() && end.Year() < 2037 {
		_, before := end.Add(-time.Second).Zone()
		return end.UTC().Add(time.Duration(before-7200+300*g.IntN(56)) * time.Second).Format("20060102T150405")
	}
	return t.Format("20060102T150405")
}

// prop writes a time property of a form: 0 day, 1 floating, 2 UTC, 3 zoned.
func (g generator) prop(name string, form int, tzid string, loc *time.Location) string {
	wall := g.wall(loc)
	switch form {
	case 0:
		return name + ";VALUE=DATE:" + wall[:8]
	case 1:
		return name + ":" + wall
	case 2:
		return name + ":" + wall + "Z"
	}
	return name + ";TZID=" + tzid + ":" + wall
}

func (g generator) duration(form int) string {
	sign := pick(g, "", "", "", "-", "+")
	if form == 0 {
		return sign + fmt.Sprintf(pick(g, "P%dD", "P%dW"), g.IntN(9))
	}
	return sign + pick(g, fmt.Sprintf("P%dD", g.IntN(4)), fmt.Sprintf("P%dDT%dH", g.IntN(3), g.IntN(24)), fmt.Sprintf("PT%dM", g.IntN(600)),
		fmt.Sprintf("PT%dH%dM%dS", g.IntN(24), g.IntN(60), g.IntN(60)), fmt.Sprintf("P%dW", g.IntN(3)))
}

// component writes a VEVENT or VTODO; of an override, with the RECURRENCE-ID rid.
func (g generator) component(name, rid string) string {
	tzid, loc := g.zone()
	form := pick(g, 0, 1, 2, 3, 3, 3, 3)
	lines := []string{"BEGIN:" + name, "UID:u", g.prop("DTSTART", form, tzid, loc)}
	if rid != "" {
		lines = append(lines, rid)
	}
	switch g.IntN(3) {
	case 0:
		end := "DTEND"
		if name == "VTODO" {
			end = "DUE"
		}
		lines = append(lines, g.prop(end, form, tzid, loc))
	case 1:
		lines = append(lines, "DURATION:"+g.duration(form))
	}
	if rid == "" && g.IntN(2) == 0 {
		lines = append(lines, "RRULE:FREQ=DAILY;COUNT=5")
	}
	return strings.Join(append(lines, "END:"+name), "\n") + "\n"
}

// resource writes a master and up to four overrides of different occurrences, or overrides alone.
func (g generator) resource() string {
	name := pick(g, "VEVENT", "VEVENT", "VEVENT", "VTODO")
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//calcdc//oracle//EN\n" + ownZone)
	if g.IntN(8) > 0 {
		b.WriteString(g.component(name, ""))
	}
	seen := map[string]bool{}
	for range 1 + g.IntN(4) {
		tzid, loc := g.zone()
		rid := g.prop("RECURRENCE-ID", pick(g, 0, 1, 2, 3, 3), tzid, loc)
		if key := rid[strings.LastIndexByte(rid, ':'):][:9]; !seen[key] { // of another day
			seen[key] = true
			b.WriteString(g.component(name, rid))
		}
	}
	b.WriteString("END:VCALENDAR\n")
	return strings.ReplaceAll(b.String(), "\n", pick(g, "\r\n", "\r\n", "\n"))
}
