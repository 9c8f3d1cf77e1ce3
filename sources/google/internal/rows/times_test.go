package rows

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// event is the row of an item, and its parse error.
func event(t testing.TB, item string) (map[string]any, string) {
	t.Helper()
	e := ParseEvent([]byte(item))
	return fields(t, e.Row(stream, Options{})), e.ParseError
}

// TestTimes: what becomes of a start; a column that is not named is null.
func TestTimes(t *testing.T) {
	cases := []struct{ start, utc, local, tz, fault string }{
		// zones and offsets
		{`{"dateTime":"2026-06-02T10:00:00+02:00","timeZone":"Europe/Berlin"}`, "2026-06-02T08:00:00Z", "2026-06-02T10:00:00", "Europe/Berlin", ""},
		{`{"dateTime":"2026-06-02T10:00:00+02:00","timeZone":"America/New_York"}`, "2026-06-02T08:00:00Z", "2026-06-02T04:00:00", "America/New_York", ""},
		{`{"dateTime":"2026-06-02T08:00:00Z","timeZone":"Asia/Kathmandu"}`, "2026-06-02T08:00:00Z", "2026-06-02T13:45:00", "Asia/Kathmandu", ""},
		{`{"dateTime":"2026-06-02T08:00:00Z","timeZone":"Pacific/Chatham"}`, "2026-06-02T08:00:00Z", "2026-06-02T20:45:00", "Pacific/Chatham", ""},
		{`{"dateTime":"2026-12-31T23:30:00-11:00","timeZone":"Pacific/Kiritimati"}`, "2027-01-01T10:30:00Z", "2027-01-02T00:30:00", "Pacific/Kiritimati", ""},
		{`{"timeZone":"Australia/Lord_Howe","dateTime":"2026-01-01T00:00:00Z"}`, "2026-01-01T00:00:00Z", "2026-01-01T11:00:00", "Australia/Lord_Howe", ""},
		{`{"dateTime":"1890-01-01T00:00:00Z","timeZone":"Europe/Berlin"}`, "1890-01-01T00:00:00Z", "1890-01-01T00:53:28", "Europe/Berlin", ""},
		{`{"dateTime":"2026-06-02T08:00:00Z","timeZone":"UTC"}`, "2026-06-02T08:00:00Z", "2026-06-02T08:00:00", "UTC", ""},
		{`{"dateTime":"2026-06-02T08:00:00Z","timeZone":"Etc/GMT+5"}`, "2026-06-02T08:00:00Z", "2026-06-02T03:00:00", "Etc/GMT+5", ""},
		// either side of a change of clocks
		{`{"dateTime":"2026-03-29T00:59:59Z","timeZone":"Europe/Berlin"}`, "2026-03-29T00:59:59Z", "2026-03-29T01:59:59", "Europe/Berlin", ""},
		{`{"dateTime":"2026-03-29T01:00:00Z","timeZone":"Europe/Berlin"}`, "2026-03-29T01:00:00Z", "2026-03-29T03:00:00", "Europe/Berlin", ""},
		{`{"dateTime":"2026-10-25T02:30:00+02:00","timeZone":"Europe/Berlin"}`, "2026-10-25T00:30:00Z", "2026-10-25T02:30:00", "Europe/Berlin", ""},
		{`{"dateTime":"2026-10-25T02:30:00+01:00","timeZone":"Europe/Berlin"}`, "2026-10-25T01:30:00Z", "2026-10-25T02:30:00", "Europe/Berlin", ""},
		{`{"dateTime":"2099-07-01T10:00:00+02:00","timeZone":"Europe/Berlin"}`, "2099-07-01T08:00:00Z", "2099-07-01T10:00:00", "Europe/Berlin", ""},
		// no zone, or none that is known: as written
		{`{"dateTime":"2026-06-02T10:00:00+02:00"}`, "2026-06-02T08:00:00Z", "2026-06-02T10:00:00", "", ""},
		{`{"dateTime":"2026-06-02T10:00:00-03:30"}`, "2026-06-02T13:30:00Z", "2026-06-02T10:00:00", "", ""},
		{`{"dateTime":"2026-06-02T10:00:00Z"}`, "2026-06-02T10:00:00Z", "2026-06-02T10:00:00", "UTC", ""},
		{`{"dateTime":"2026-06-02T10:00:00+02:00","timeZone":"GMT+02:00"}`, "2026-06-02T08:00:00Z", "2026-06-02T10:00:00", "GMT+02:00", ""},
		{`{"dateTime":"2026-06-02T10:00:00+02:00","timeZone":"Local"}`, "2026-06-02T08:00:00Z", "2026-06-02T10:00:00", "Local", ""},
		{`{"dateTime":"2026-06-02T10:00:00+02:00","timeZone":"../../etc/passwd"}`, "2026-06-02T08:00:00Z", "2026-06-02T10:00:00", "../../etc/passwd", ""},
		{`{"dateTime":"2026-06-02T10:00:00+02:00","timeZone":"right/Europe/Berlin"}`, "2026-06-02T08:00:00Z", "2026-06-02T10:00:00", "right/Europe/Berlin", ""},
		// no offset: the zone tells it
		{`{"dateTime":"2026-06-02T10:00:00","timeZone":"Europe/Berlin"}`, "2026-06-02T08:00:00Z", "2026-06-02T10:00:00", "Europe/Berlin", ""},
		{`{"dateTime":"2026-10-25T02:30:00","timeZone":"Europe/Berlin"}`, "2026-10-25T00:30:00Z", "2026-10-25T02:30:00", "Europe/Berlin", ""},
		{`{"dateTime":"2026-03-29T02:30:00","timeZone":"Europe/Berlin"}`, "2026-03-29T01:30:00Z", "2026-03-29T02:30:00", "Europe/Berlin", ""},
		{`{"dateTime":"2026-03-08T02:30:00","timeZone":"America/New_York"}`, "2026-03-08T07:30:00Z", "2026-03-08T02:30:00", "America/New_York", ""},
		{`{"dateTime":"2026-06-02T10:00:00","timeZone":"Mars/Base"}`, "", "2026-06-02T10:00:00", "Mars/Base", "start.dateTime: neither an offset nor a zone that is known: 2026-06-02T10:00:00"},
		{`{"dateTime":"2026-06-02T10:00:00"}`, "", "2026-06-02T10:00:00", "", "start.dateTime: neither an offset nor a zone that is known: 2026-06-02T10:00:00"},
		// fractions
		{`{"dateTime":"2026-06-02T10:00:00.999+02:00","timeZone":"Europe/Berlin"}`, "2026-06-02T08:00:00Z", "2026-06-02T10:00:00", "Europe/Berlin", ""},
		// days
		{`{"date":"2026-06-02"}`, "", "2026-06-02", "", ""},
		{`{"date":"2024-02-29","timeZone":"Europe/Berlin"}`, "", "2024-02-29", "", ""},
		{`{"date":"0001-01-01"}`, "", "0001-01-01", "", ""},
		{`{"dateTime":"0001-01-01T00:00:00Z"}`, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00", "UTC", ""},
		// neither
		{`{"date":"2026-02-30"}`, "", "", "", "start.date: not a day: 2026-02-30"},
		{`{"dateTime":"2026-06-02"}`, "", "", "", "start.dateTime: not a time: 2026-06-02"},
		{`{"dateTime":"2026-06-02T25:00:00Z"}`, "", "", "", "start.dateTime: not a time: 2026-06-02T25:00:00Z"},
		{`{"dateTime":"9999-12-31T23:59:59-01:00"}`, "", "", "", "start.dateTime: beyond the years 0 to 9999: 9999-12-31T23:59:59-01:00"},
		{`{"dateTime":"0000-01-01T00:00:00+01:00"}`, "", "", "", "start.dateTime: beyond the years 0 to 9999: 0000-01-01T00:00:00+01:00"},
		{`{"dateTime":"x","date":"2026-06-02"}`, "", "2026-06-02", "", "start.dateTime: not a time: x"},
		{`{"timeZone":"Europe/Berlin"}`, "", "", "", "start: neither a day nor a time"},
		{`{}`, "", "", "", "start: neither a day nor a time"},
	}
	for _, c := range cases {
		row, fault := event(t, `{"id":"a","start":`+c.start+`}`)
		for column, want := range map[string]string{"start_utc": c.utc, "start_local": c.local, "start_tz": c.tz} {
			if got, _ := row[column].(string); got != want || want == "" && row[column] != nil {
				t.Errorf("%s: %s is %v, want %q", c.start, column, row[column], want)
			}
		}
		if fault != c.fault {
			t.Errorf("%s: parse error %q, want %q", c.start, fault, c.fault)
		}
	}
}

// TestEnds: the implied end, and what is all-day.
func TestEnds(t *testing.T) {
	cases := []struct {
		item     string
		local    string
		allDay   bool
		faultful bool
	}{
		{`"start":{"date":"2026-06-02"},"end":{"date":"2026-06-03"}`, "2026-06-03", true, false},
		{`"start":{"date":"2026-12-31"}`, "2027-01-01", true, false},
		{`"start":{"date":"9999-12-31"}`, "9999-12-31", true, false},
		{`"start":{"date":"2026-06-02"},"end":{"date":"2026-06-09"},"endTimeUnspecified":true`, "2026-06-03", true, false},
		{`"endTimeUnspecified":true,"start":{"dateTime":"2026-06-02T10:00:00Z"},"end":{"dateTime":"2026-06-02T11:00:00Z"}`, "2026-06-02T10:00:00", false, false},
		{`"endTimeUnspecified":false,"start":{"dateTime":"2026-06-02T10:00:00Z"},"end":{"dateTime":"2026-06-02T11:00:00Z"}`, "2026-06-02T11:00:00", false, false},
		{`"start":{"dateTime":"2026-06-02T10:00:00Z"}`, "2026-06-02T10:00:00", false, false},
		{`"start":{"dateTime":"2026-06-02T10:00:00Z"},"end":{"date":"2026-06-03"}`, "2026-06-03", false, true},
		{`"end":{"date":"2026-06-03"}`, "2026-06-03", true, false},
		{`"status":"cancelled"`, "", false, false},
	}
	for _, c := range cases {
		row, fault := event(t, `{"id":"a",`+c.item+`}`)
		if got, _ := row["end_local"].(string); got != c.local || row["all_day"] != c.allDay || (fault != "") != c.faultful {
			t.Errorf("%s: end %v, all-day %v, parse error %q", c.item, row["end_local"], row["all_day"], fault)
		}
	}
}

// TestStamps: the server's own times, and when the row changed.
func TestStamps(t *testing.T) {
	cases := []struct {
		updated, want string
		ms            int64
	}{
		{"2026-06-01T08:00:00.000Z", "2026-06-01T08:00:00Z", 1780300800000},
		{"2026-06-01T08:00:00.123Z", "2026-06-01T08:00:00.123Z", 1780300800123},
		{"2026-06-01T08:00:00.120Z", "2026-06-01T08:00:00.120Z", 1780300800120},
		{"2026-06-01T08:00:00.0009Z", "2026-06-01T08:00:00Z", 1780300800000},
		{"2026-06-01T10:00:00+02:00", "2026-06-01T08:00:00Z", 1780300800000},
		{"0000-12-31T00:00:00.000Z", "0000-12-31T00:00:00Z", -62135683200000},
		{"2026-06-01T08:00:00", "", 0},
		{"2026-06-01", "", 0},
	}
	for _, c := range cases {
		e := ParseEvent([]byte(`{"id":"a","updated":"` + c.updated + `"}`))
		row := e.Row(stream, Options{})
		if got, _ := fields(t, row)["updated_at"].(string); got != c.want || row.ChangedMs != c.ms || (e.ParseError == "") != (c.want != "") {
			t.Errorf("%s: %s, %d ms, parse error %q", c.updated, got, row.ChangedMs, e.ParseError)
		}
	}
}

// TestOccurrences: which occurrence of which series an event stands for.
func TestOccurrences(t *testing.T) {
	cases := []struct{ item, kind, series, recurrenceID string }{
		{`"id":"a"`, "single", "", ""},
		{`"id":"a","recurrence":["RRULE:FREQ=DAILY"]`, "series", "", ""},
		{`"id":"a","recurrence":[]`, "single", "", ""},
		{`"id":"a","recurrence":null`, "single", "", ""},
		{`"id":"x","recurringEventId":"a","originalStartTime":{"dateTime":"2026-06-02T10:00:00+02:00","timeZone":"Europe/Berlin"}`, "override", "a", "20260602T080000Z"},
		{`"id":"x","recurringEventId":"a","originalStartTime":{"dateTime":"2026-10-25T02:30:00+01:00"}`, "override", "a", "20261025T013000Z"},
		{`"id":"x","recurringEventId":"a","originalStartTime":{"dateTime":"2026-06-02T10:00:00","timeZone":"Europe/Berlin"}`, "override", "a", "20260602T080000Z"},
		{`"id":"x","recurringEventId":"a","originalStartTime":{"date":"2026-06-02"}`, "override", "a", "20260602"},
		{`"id":"a_20260609T080000Z","recurringEventId":"a","originalStartTime":{"date":"2026-06-02"}`, "override", "a", "20260602"},
		{`"id":"a_20260609T080000Z","recurringEventId":"a"`, "override", "a", "20260609T080000Z"},
		{`"id":"a_20260609","recurringEventId":"a","originalStartTime":{"date":"soon"}`, "override", "a", "20260609"},
		{`"id":"x","recurringEventId":"a"`, "override", "a", ""},
		{`"id":"a_20260609T080000Z","status":"cancelled"`, "override", "a", "20260609T080000Z"},
		{`"id":"a_20260609","status":"cancelled"`, "override", "a", "20260609"},
		{`"id":"a_R20260601T080000_20260609T080000Z","status":"cancelled"`, "override", "a_R20260601T080000", "20260609T080000Z"},
		{`"id":"a_R20260601T080000","status":"cancelled"`, "single", "", ""},
		{`"id":"a_20260609","status":"confirmed"`, "single", "", ""},
		{`"id":"a_20260631","status":"cancelled"`, "single", "", ""},
		{`"id":"a_20260609T080000","status":"cancelled"`, "single", "", ""},
		{`"id":"a_20260609T250000Z","status":"cancelled"`, "single", "", ""},
		{`"id":"_20260609","status":"cancelled"`, "single", "", ""},
		{`"id":"__20260609","status":"cancelled"`, "override", "_", "20260609"},
		{`"id":"a_20260609","status":"cancelled","recurrence":["RRULE:FREQ=DAILY"]`, "series", "", ""},
	}
	for _, c := range cases {
		e := ParseEvent([]byte(`{` + c.item + `}`))
		row := fields(t, e.Row(stream, Options{}))
		series, _ := row["series_id"].(string)
		id, _ := row["recurrence_id"].(string)
		if row["kind"] != c.kind || series != c.series || id != c.recurrenceID || e.SeriesID() != series {
			t.Errorf("%s: %v of %q, %q; SeriesID %q", c.item, row["kind"], series, id, e.SeriesID())
		}
		if c.kind == "override" && c.recurrenceID == "" && e.ParseError == "" {
			t.Errorf("%s: no parse error", c.item)
		}
	}
}

// TestZones goes through the hours about each change of the clocks of a few years: the wall time is that of the zone.
func TestZones(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Tehran", "Pacific/Apia", "America/St_Johns", "Antarctica/Troll"} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for at := time.Date(2008, 1, 1, 0, 0, 0, 0, time.UTC).In(loc); at.Year() < 2030; n++ {
			_, next := at.ZoneBounds()
			if next.IsZero() {
				break
			}
			for _, d := range []time.Duration{-3 * time.Hour, -time.Second, 0, 15 * time.Minute, 3 * time.Hour} {
				checkZone(t, next.Add(d), loc)
			}
			at = next
		}
		if n < 5 {
			t.Errorf("%s: %d changes", name, n)
		}
	}
}

func checkZone(t *testing.T, at time.Time, loc *time.Location) {
	t.Helper()
	for _, written := range []*time.Location{time.UTC, loc, time.FixedZone("", -9000)} {
		row, fault := event(t, fmt.Sprintf(`{"id":"a","start":{"dateTime":%q,"timeZone":%q}}`, at.In(written).Format(time.RFC3339), loc))
		if row["start_utc"] != at.UTC().Format("2006-01-02T15:04:05Z") || row["start_local"] != at.In(loc).Format(wall) || row["start_tz"] != loc.String() || fault != "" {
			t.Errorf("%s in %s: %v, %v, %v; %s", at, loc, row["start_utc"], row["start_local"], row["start_tz"], fault)
		}
	}
	// Without its offset the wall time is that instant too, or the other one of the two that it may mean.
	local := at.In(loc).Format(wall)
	item, _ := json.Marshal(map[string]any{"id": "a", "start": map[string]string{"dateTime": local, "timeZone": loc.String()}})
	row, _ := event(t, string(item))
	utc, err := time.Parse(time.RFC3339, row["start_utc"].(string))
	if err != nil || utc.In(loc).Format(wall) != local || utc.After(at) {
		t.Errorf("%s in %s: %v (%v)", local, loc, row["start_utc"], err)
	}
}

// TestZoneNames: what names a zone on every machine, and what would mean another thing on each.
func TestZoneNames(t *testing.T) {
	for name, want := range map[string]bool{
		"Europe/Berlin": true, "UTC": true, "Etc/GMT+5": true, "America/Argentina/Buenos_Aires": true, "America/Port-au-Prince": true,
		"Local": false, "localtime": false, "posixrules": false, "Factory": false, "right/UTC": false, "posix/UTC": false, "/etc/localtime": false, "../x": false,
		"a/../b": false, "GMT+02:00": false, "W. Europe Standard Time": false, "a\x00": false,
	} {
		if isZoneName(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
	for range 2 {
		if zone("Europe/Berlin") == nil || zone("Mars/Base") != nil || zone("") != nil || zone(strings.Repeat("a", maxZoneName+1)) != nil {
			t.Error("a zone is known that is none, or the other way round")
		}
	}
	for i := range 2 * maxZones {
		zone(fmt.Sprint("Mars/Base-", i))
	}
	if n := len(zones.known); n > maxZones {
		t.Errorf("%d names are remembered", n)
	}
}
