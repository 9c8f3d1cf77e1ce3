package google

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/calcdc/calcdc/connector"
)

const (
	aliveS     = `{"id":"s","status":"confirmed","summary":"Series","recurrence":["RRULE:FREQ=DAILY"]}`
	deadS      = `{"id":"s","status":"cancelled"}`
	instance   = `{"id":"s_20260603T100000Z","status":"cancelled","recurringEventId":"s","originalStartTime":{"dateTime":"2026-06-03T10:00:00Z"}}`
	told       = `{"id":"s_20260603T100000Z","status":"cancelled"}`
	moved      = `{"id":"s_20260604T100000Z","status":"confirmed","recurringEventId":"s","summary":"Moved"}`
	ordinary   = `{"id":"e","status":"confirmed","summary":"Event"}`
	ordinaryX  = `{"id":"e","status":"cancelled"}`
	instanceID = "s_20260603T100000Z"
)

// TestCancelled is the table of what a cancelled item comes to.
func TestCancelled(t *testing.T) {
	tests := map[string]struct {
		listing bool
		pages   []string
		items   map[string]string // events.get
		want    string
		gets    int
	}{
		"an event": {pages: []string{ordinaryX}, want: "e removed"},
		"an instance of a series that is there": {pages: []string{instance}, items: map[string]string{"s": aliveS},
			want: instanceID + " read of s", gets: 1},
		"an instance of a series that is not there": {pages: []string{instance}, want: instanceID + " removed", gets: 1},
		"an instance of a series that is cancelled": {pages: []string{instance}, items: map[string]string{"s": deadS},
			want: instanceID + " removed", gets: 1},
		"an instance, then its series, removed":  {pages: []string{instance, deadS}, want: "s removed, " + instanceID + " removed"},
		"a series, removed, then its instance":   {pages: []string{deadS, instance}, want: "s removed, " + instanceID + " removed"},
		"an instance, then its series":           {pages: []string{instance, aliveS}, want: "s read, " + instanceID + " read of s"},
		"a series that comes back":               {pages: []string{deadS, instance, aliveS}, want: "s removed, s read, " + instanceID + " read of s"},
		"an instance that comes back":            {pages: []string{deadS + "," + instance, aliveS, strings.Replace(instance, "cancelled", "confirmed", 1)}, want: "s removed, s read, " + instanceID + " read of s"},
		"an instance that is moved, of a series": {pages: []string{moved}, want: "s_20260604T100000Z read of s"},
		"an instance told by its id, of a removed series": {pages: []string{told + "," + deadS},
			want: "s removed, " + instanceID + " removed"},
		"an instance told by its id, whose body says more": {pages: []string{told}, items: map[string]string{"s": aliveS, instanceID: instance},
			want: instanceID + " read of s", gets: 2},
		"an instance told by its id, whose body says no more": {pages: []string{told}, items: map[string]string{"s": aliveS, instanceID: told},
			want: instanceID + " read of s", gets: 2},
		"an instance told by its id, without a body": {pages: []string{told}, items: map[string]string{"s": aliveS},
			want: instanceID + " read of s", gets: 2},
		"an instance told by its id, that is gone": {pages: []string{told}, items: map[string]string{"s": aliveS, instanceID: "410"},
			want: instanceID + " read of s", gets: 2},
		"an instance told by its id, that takes place": {pages: []string{told}, items: map[string]string{"s": aliveS,
			instanceID: strings.Replace(instance, "cancelled", "confirmed", 1)}, want: instanceID + " removed", gets: 2},
		"an instance told by its id, of no series": {pages: []string{told}, items: map[string]string{"s": "410"},
			want: instanceID + " removed", gets: 1},
		"an all-day instance told by its id": {pages: []string{`{"id":"s_20260603","status":"cancelled"}`}, items: map[string]string{"s": aliveS},
			want: "s_20260603 read of s", gets: 2},
		"the rest of a divided series": {pages: []string{`{"id":"s_R20260603T100000","status":"cancelled"}`}, want: "s_R20260603T100000 removed"},
		"many instances of one series": {pages: []string{instance + "," + strings.ReplaceAll(instance, "20260603", "20260604")},
			items: map[string]string{"s": aliveS}, want: instanceID + " read of s, s_20260604T100000Z read of s", gets: 1},
		"an event that is an exception of itself":   {pages: []string{`{"id":"e","status":"cancelled","recurringEventId":"e"}`}, want: "e removed"},
		"an event that is cancelled and then there": {pages: []string{ordinaryX, ordinary}, want: "e removed, e read"},

		"a listing passes over tombstones":                      {listing: true, pages: []string{ordinaryX + "," + deadS}, want: ""},
		"a listing shows an instance of its series":             {listing: true, pages: []string{aliveS, instance}, want: "s read, " + instanceID + " read of s"},
		"a listing shows an instance before its series":         {listing: true, pages: []string{instance, aliveS}, want: "s read, " + instanceID + " read of s"},
		"a listing passes over an instance of none":             {listing: true, pages: []string{instance, ordinary}, want: "e read"},
		"a listing passes over an instance of a tombstone":      {listing: true, pages: []string{deadS + "," + instance}, want: ""},
		"a listing asks for the body of one told by its id":     {listing: true, pages: []string{told, aliveS}, items: map[string]string{instanceID: instance}, want: "s read, " + instanceID + " read of s", gets: 1},
		"a listing shows an exception whose series it does not": {listing: true, pages: []string{moved}, want: "s_20260604T100000Z read of s"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			a, s := scripted(t, Config{}, pagesOf(c.pages, c.items))
			q := connector.Query{Stream: stream(connector.Events, team), Token: "before"}
			if c.listing {
				q.Token = ""
			}
			all, last, err := show(t, a, q)
			if err != nil {
				t.Fatal(err)
			}
			if got := words(all); got != c.want {
				t.Errorf("shown: %s\nwant:  %s", got, c.want)
			}
			if !last.Last || last.Token != "after" || last.Listing != c.listing || last.Overlap == c.listing {
				t.Errorf("the last page: %+v", last)
			}
			if gets := len(s.seen) - s.asked("/events"); gets != c.gets {
				t.Errorf("%d events asked for, want %d: %q", gets, c.gets, s.seen)
			}
			for _, r := range all {
				if r.Presence == connector.Read && (len(r.Rows) != 1 || r.Rows[0].ID != r.ID) {
					t.Errorf("%s has rows %+v", r.ID, r.Rows)
				}
			}
		})
	}
}

// TestCancelledRow: what is told by an id only is a row all the same.
func TestCancelledRow(t *testing.T) {
	a, _ := scripted(t, Config{Raw: true}, pagesOf([]string{told}, map[string]string{"s": aliveS}))
	all, _, err := show(t, a, connector.Query{Stream: stream(connector.Events, team), Token: "before"})
	if err != nil || len(all) != 1 {
		t.Fatal(words(all), err)
	}
	var row struct {
		ID, Kind, Status, Raw string
		SeriesID              string `json:"series_id"`
		RecurrenceID          string `json:"recurrence_id"`
	}
	if err := json.Unmarshal(all[0].Rows[0].JSON, &row); err != nil {
		t.Fatal(err)
	}
	if row.Kind != "override" || row.Status != "cancelled" || row.SeriesID != "s" || row.RecurrenceID != "20260603T100000Z" || row.Raw != told {
		t.Errorf("%+v", row)
	}
}

// TestCancelledTrouble: an error while the fate of a cancelled instance is looked for ends the poll without its token.
func TestCancelledTrouble(t *testing.T) {
	for name, items := range map[string]map[string]string{"the series": {"s": "500"}, "the instance": {"s": aliveS, instanceID: "500"}} {
		t.Run(name, func(t *testing.T) {
			a, _ := scripted(t, Config{}, pagesOf([]string{told}, items))
			_, last, err := show(t, a, connector.Query{Stream: stream(connector.Events, team), Token: "before"})
			var e *Error
			if !errors.As(err, &e) || e.Status != 500 || last.Last || errors.Is(err, connector.ErrGone) {
				t.Errorf("%v, %+v", err, last)
			}
		})
	}
}

// TestHeldIsBounded: cancelled instances that wait for their series do not pile up.
func TestHeldIsBounded(t *testing.T) {
	var pages []string
	long := strings.Repeat("x", 64<<10)
	for i := range 200 { // 12.5 MiB
		pages = append(pages, fmt.Sprintf(`{"id":"s_202606%02dT10%02d00Z","status":"cancelled","recurringEventId":"s","x":%q}`, 1+i/60, i%60, long))
	}
	for _, listing := range []bool{true, false} {
		t.Run(fmt.Sprint("listing ", listing), func(t *testing.T) {
			a, s := scripted(t, Config{}, pagesOf(append(pages[:199:199], aliveS), map[string]string{"s": aliveS}))
			q := connector.Query{Stream: stream(connector.Events, team), Token: "before"}
			if listing {
				q.Token = ""
			}
			n, most := 0, 0
			for page, err := range a.Poll(t.Context(), q) {
				if err != nil {
					t.Fatal(err)
				}
				bytes := 0
				for _, r := range page.Resources {
					n++
					for _, row := range r.Rows {
						bytes += len(row.JSON)
					}
				}
				most = max(most, bytes)
			}
			if n != 200 || s.asked("/s") != 1 {
				t.Errorf("%d resources, the series asked for %d times", n, s.asked("/s"))
			}
			if most > 2*pageBytes {
				t.Errorf("a page of %d bytes", most)
			}
		})
	}
}

// TestPendingInstance: an instance that was pending is there for as long as its series is.
func TestPendingInstance(t *testing.T) {
	const other = "x_20260603T100000Z"
	a, _ := scripted(t, Config{}, pagesOf([]string{ordinary}, map[string]string{"s": aliveS, instanceID: instance,
		other: `{"id":"x_20260603T100000Z","status":"cancelled","recurringEventId":"x"}`, "gone": `{"id":"gone","status":"cancelled"}`,
		"false": `{"id":"true","status":"confirmed"}`}))
	all, _, err := show(t, a, connector.Query{Stream: stream(connector.Events, team), Token: "before", Pending: []string{instanceID, other, "gone", "false", "e"}})
	want := "e read, " + instanceID + " read of s, " + other + " missing, gone missing, false missing"
	if err != nil || words(all) != want {
		t.Errorf("%s, %v\nwant %s", words(all), err, want)
	}
}

// TestIdlePages: a list that never comes to an end is an error, whatever its page tokens are.
func TestIdlePages(t *testing.T) {
	for name, items := range map[string]string{"empty pages": "", "the same again": ordinary} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			a, _ := scripted(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, `{"kind":"calendar#events","items":[%s],"nextPageToken":"%d"}`, items, n.Add(1))
			})
			_, last, err := show(t, a, connector.Query{Stream: stream(connector.Events, team)})
			if !errors.Is(err, errCircle) || last.Token != "" || n.Load() < maxIdlePages || n.Load() > 2*maxIdlePages {
				t.Errorf("%v after %d requests", err, n.Load())
			}
		})
	}
}
