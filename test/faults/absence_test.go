//go:build integration

package faults

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/oracle"
)

// absence is a way in which a calendar, or what is in it, is not to be seen. Each has a user of its own.
type absence struct {
	begin, end func(cal *calendars, user string)
	drops      bool // the home leaves the calendar out in one answer, or in each until end
	once       bool
	looks      int      // status of a direct look meanwhile; 0: as it is
	members    []string // left out of a sync answer until end
	forgotten  bool     // not in the rows while it lasts, by right
	markers    []string // of the calendar in the end, after begin and end
	deletes    int      // d's in the end
}

var absences = map[string]absence{
	"listed not, once":        {drops: true, once: true},
	"neither listed nor seen": {drops: true, once: true, looks: http.StatusNotFound},
	"listed not, but there":   {drops: true},
	"forbidden": {
		begin: func(cal *calendars, user string) { cal.Hide(user, "work", http.StatusForbidden) },
		end:   unhide,
	},
	"forbidden and not listed": {drops: true,
		begin: func(cal *calendars, user string) { cal.Hide(user, "work", http.StatusForbidden) },
		end:   unhide,
	},
	"gone for a while": {drops: true, forgotten: true, deletes: 5,
		begin:   func(cal *calendars, user string) { cal.Hide(user, "work", http.StatusNotFound) },
		end:     unhide,
		markers: []string{"snapshot-begin", "snapshot-end"},
	},
	"gone (410) for a while": {drops: true, forgotten: true, deletes: 5,
		begin:   func(cal *calendars, user string) { cal.Hide(user, "work", http.StatusGone) },
		end:     unhide,
		markers: []string{"snapshot-begin", "snapshot-end"},
	},
	"deleted and made again at once": {deletes: 3,
		begin: func(cal *calendars, user string) {
			cal.DeleteCalendar(user, "work")
			cal.fill(user, "work", 2)
		},
		markers: []string{"snapshot-reset", "snapshot-end"},
	},
	"deleted": {deletes: 5, forgotten: true,
		begin: func(cal *calendars, user string) { cal.DeleteCalendar(user, "work") },
	},
	"a listing without a member that is there": {members: []string{"0.ics", "3.ics"},
		begin:   func(cal *calendars, user string) { cal.InvalidateTokens(user, "work") },
		markers: []string{"snapshot-reset", "snapshot-end"},
	},
}

func unhide(cal *calendars, user string) { cal.Hide(user, "work", 0) }

// What is not to be seen is looked for, and deleted only when it is found to be gone: collections twice.
func TestSecondLook(t *testing.T) {
	t.Parallel()
	kinds := map[string]absence{}
	var users []string
	for name, a := range absences {
		user := strings.Map(func(r rune) rune {
			if r == ' ' || r == '(' || r == ')' || r == ',' {
				return '-'
			}
			return r
		}, name)
		users = append(users, user)
		kinds[user] = a
	}
	slices.Sort(users)
	cal := newCalendars(t, davserver.Options{}, users...)
	var lasts atomic.Bool
	homes := map[string]*atomic.Int64{}
	for _, u := range users {
		cal.fill(u, "work", 5)
		cal.fill(u, "other", 1)
		homes[u] = &atomic.Int64{}
	}
	cal.Fault(func(k davserver.Kind, r *http.Request) davserver.Fault {
		user, _, _ := r.BasicAuth()
		a := kinds[user]
		atWork := strings.Contains(r.URL.Path, "/calendars/work/")
		switch {
		case !lasts.Load():
		case k == davserver.Home:
			if n := homes[user].Add(1); a.drops && (!a.once || n == 1) {
				return davserver.Fault{Drop: []string{"work"}}
			}
		case atWork && a.looks != 0 && k == davserver.Collection && homes[user].Load() == 1:
			return davserver.Fault{Status: a.looks}
		case atWork && k == davserver.Sync:
			return davserver.Fault{Drop: a.members}
		}
		return davserver.Fault{}
	})
	in := newInstance(t, testenv.Env(t, testenv.EnvKafka), "", upstream{name: "work", cal: cal, users: users})
	in.start()
	in.settle()
	lasts.Store(true)
	for _, u := range users {
		if kinds[u].begin != nil {
			kinds[u].begin(cal, u)
		}
	}
	eventually(t, inTime, "five polls of each home", func() string {
		for u, n := range homes {
			if n.Load() < 5 {
				return u
			}
		}
		return ""
	})
	in.catchUp()
	in.sound()
	for _, u := range users {
		a := kinds[u]
		eventually(t, inTime, u, func() string {
			in.catchUp()
			return rowsWhile(in, cal, u, a.forgotten)
		})
	}
	if !in.logged("a-listing-without-a-member-that-is-there", "it was not complete") {
		t.Error("the log does not tell of the incomplete listing")
	}
	lasts.Store(false)
	for _, u := range users {
		if kinds[u].end != nil {
			kinds[u].end(cal, u)
		}
	}
	in.settle()
	in.quiet()
	for _, u := range users {
		verdict(t, in.stream("work", u, cal.Path(u, "work")), u, kinds[u])
	}
	in.run.Stop()
}

// rowsWhile says what is wrong with the rows of a calendar while the absence lasts.
func rowsWhile(in *instance, cal *calendars, user string, forgotten bool) string {
	s := in.stream("work", user, cal.Path(user, "work"))
	home := in.reader.Fold.Streams[oracle.Stream{Source: "work", Account: user, Kind: "calendars"}]
	_, listed := home.Rows[cal.Path(user, "work")]
	if forgotten && (len(s.Rows) > 0 || listed) {
		return fmt.Sprintf("%d rows, the calendar's %t; want none", len(s.Rows), listed)
	}
	if !forgotten && (len(s.Rows) != len(cal.List(user, "work")) || !listed) {
		return fmt.Sprintf("%d rows of %d, the calendar's %t", len(s.Rows), len(cal.List(user, "work")), listed)
	}
	return ""
}

func verdict(t *testing.T, s *oracle.State, user string, a absence) {
	t.Helper()
	var markers []string
	for _, m := range s.Markers[2:] {
		markers = append(markers, m.Type)
	}
	if !slices.Equal(markers, a.markers) || s.Ops["d"] != a.deletes {
		t.Errorf("%s: %d deletes and the markers %v, want %d and %v", user, s.Ops["d"], markers, a.deletes, a.markers)
	}
}
