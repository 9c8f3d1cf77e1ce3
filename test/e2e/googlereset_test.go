//go:build integration

package e2e

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/googleserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/oracle"
)

// deaths are the ways in which tokens die, each for a user of its own.
var deaths = map[string]googleserver.Death{
	"full@example.org": googleserver.ByFullSync, "updatedmin@example.org": googleserver.ByUpdatedMin,
	"deleted@example.org": googleserver.ByDeleted, "invalid@example.org": googleserver.ByInvalid,
}

// Dead tokens of every stream, with changes and deletions in the gap: one reset and one end, every row again as r, a d for
// what is gone and not before the listing is complete, then nothing.
func TestGoogleTokensDie(t *testing.T) {
	t.Parallel()
	users := slices.Sorted(maps.Keys(deaths))
	in := newGoogle(t, testenv.Env(t, testenv.EnvKafka), 3, googleserver.Options{PageLimit: 9, EmptyPages: 1}, "", users...)
	for _, u := range users {
		in.must(in.h.Create(u, 25), in.cloud.AddCalendar(u, "old-"+u, googleserver.Calendar{Summary: "Old"}),
			in.cloud.PutRule(u, "user:guest@example.org", googleserver.Reader), in.cloud.PutRule(u, "group:g@example.org", googleserver.Writer))
	}
	order := newOrder(in.reader)
	in.start()
	in.settle(settleTime)
	in.polls(2)
	before := map[oracle.Stream]known{}
	for _, u := range users {
		for _, k := range in.four(u) {
			before[k] = in.known(k)
		}
	}
	in.signal(syscall.SIGSTOP)
	for _, u := range users {
		in.must(in.h.Create(u, 2), in.h.Delete(u), in.h.Delete(u), in.h.Delete(u), in.h.Change(u),
			in.cloud.DeleteCalendar("old-"+u), in.cloud.Rename(u, u, "Renamed"),
			in.cloud.DeleteRule(u, "user:guest@example.org"), in.cloud.PutRule(u, "group:g@example.org", googleserver.Owner),
			in.cloud.DropSetting(u, "weekStart"), in.cloud.PutSetting(u, "locale", "de"),
			in.cloud.Forget(googleserver.EventsList, u, u, deaths[u]), in.cloud.Forget(googleserver.CalendarListList, u, "", deaths[u]),
			in.cloud.Forget(googleserver.ACLList, u, u, deaths[u]), in.cloud.Forget(googleserver.SettingsList, u, "", deaths[u]))
	}
	in.signal(syscall.SIGCONT)
	in.settle(settleTime)
	in.quiet()
	in.stop()
	for k, was := range before {
		in.reset(k, was, "token-invalid")
	}
	if len(order.broken) > 0 {
		t.Errorf("deleted before the listing was complete: %q", head(order.broken))
	}
}

// four are the streams of a user, of the primary calendar where they are a calendar's.
func (in *googleInstance) four(user string) []oracle.Stream {
	return []oracle.Stream{{Source: "work", Account: user, Collection: user, Kind: "events"}, {Source: "work", Account: user, Kind: "calendars"},
		{Source: "work", Account: user, Collection: user, Kind: "acl"}, {Source: "work", Account: user, Kind: "settings"}}
}

// known is what was published of a stream at a moment.
type known struct {
	ops, rows map[string]int
	markers   int
	epoch     int64
}

func (in *googleInstance) known(k oracle.Stream) known {
	in.t.Helper()
	s := in.state(k)
	rows := map[string]int{}
	for id := range s.Rows {
		rows[id]++
	}
	return known{maps.Clone(s.Ops), rows, len(s.Markers), s.Epoch}
}

// reset demands one reset and one end since, of a stream that something was deleted of.
func (in *googleInstance) reset(k oracle.Stream, was known, reason string) {
	in.t.Helper()
	s, gone := in.state(k), 0
	for id := range was.rows {
		if _, there := s.Rows[id]; !there {
			gone++
		}
	}
	m := s.Markers[was.markers:]
	if len(m) != 2 || m[0].Type != "snapshot-reset" || m[0].Reason != reason || m[1].Type != "snapshot-end" || s.Epoch != was.epoch+1 {
		in.t.Errorf("%v: markers %+v, epoch %d after %d; want one reset and one end", k, m, s.Epoch, was.epoch)
	}
	read := len(s.Rows)
	if len(m) == 2 {
		read = int(m[1].Count) // a calendar that is not listed is known until it is found to be gone
	}
	if gone == 0 || s.Ops["d"]-was.ops["d"] != gone || s.Ops["r"]-was.ops["r"] != read || s.Ops["c"] != was.ops["c"] || s.Ops["u"] != was.ops["u"] {
		in.t.Errorf("%v: %d rows to %d, %d of them gone, came to %v over %v", k, len(was.rows), len(s.Rows), gone, s.Ops, was.ops)
	}
}

// order watches that in each snapshot every r comes before the first d.
type order struct {
	deleted map[string]bool // by stream
	broken  []string
}

func newOrder(r *oracle.Reader) *order {
	o := &order{deleted: map[string]bool{}}
	r.Seen = o.see
	return o
}

func (o *order) see(r oracle.Record) {
	stream := r.Topic + string(r.Key[:strings.LastIndex(string(r.Key), `,"`)])
	switch {
	case r.Headers["calcdc.marker"] != "":
		o.deleted[stream] = false
	case r.Headers["calcdc.op"] == "d":
		o.deleted[stream] = true
	case r.Headers["calcdc.op"] == "r" && o.deleted[stream]:
		o.broken = append(o.broken, r.String())
	}
}

// Another filter is another query: the events are reset, and only they; what no longer matches gets its d.
func TestGoogleConfiguration(t *testing.T) {
	t.Parallel()
	in := newGoogle(t, testenv.Env(t, testenv.EnvKafka), 4, googleserver.Options{}, "", alice)
	for i := range 12 {
		kind := []string{"default", "focusTime", "outOfOffice"}[i%3]
		in.put(alice, strings.Replace(item(fmt.Sprintf("e%d", i), "text"), "{", fmt.Sprintf(`{"eventType":%q,`, kind), 1))
	}
	in.start()
	in.settle(settleTime)
	in.stop()
	streams := in.four(alice)
	was := in.known(streams[0])
	in.edit("      quota:", "      event_types: [focusTime, default]\n      quota:")
	in.cloud.Filter = url.Values{"eventTypes": {"default", "focusTime"}}
	in.start()
	in.settle(settleTime)
	in.put(alice, item("e99", "matches"))
	in.put(alice, strings.Replace(item("e98", "does not"), "{", `{"eventType":"outOfOffice",`, 1))
	in.settle(settleTime)
	in.quiet()
	in.stop()
	s := in.state(streams[0])
	if m := s.Markers[was.markers:]; len(m) != 2 || m[0].Reason != "configuration" || len(s.Rows) != 9 || s.Ops["d"] != 4 || s.Ops["c"] != 1 {
		t.Errorf("markers %+v, %d rows, %v", m, len(s.Rows), s.Ops)
	}
	for _, k := range streams[1:] {
		if s := in.state(k); len(s.Markers) != 2 {
			t.Errorf("%v was reset too: %+v", k, s.Markers)
		}
	}
}

// The token dies of age where events are followed by their time of change, and is good for a long time before.
func TestGoogleUpdatedMin(t *testing.T) {
	t.Parallel()
	began := time.Now()
	later := &clock{}
	in := newGoogle(t, testenv.Env(t, testenv.EnvKafka), 6, googleserver.Options{PageLimit: 10, EmptyPages: 1, Now: later.now},
		"      updated_min: true\n      time_max: 2036-01-01T00:00:00Z\n", alice, bob)
	in.cloud.Filter = url.Values{"timeMax": {"2036-01-01T00:00:00Z"}}
	in.h.Stamped = true
	in.must(in.h.Steps(100))
	in.start()
	in.settle(settleTime)
	for range 3 {
		in.must(in.h.Steps(40))
		in.settle(settleTime)
	}
	in.quiet()
	in.stop()
	streams := in.four(alice)
	if s := in.state(streams[0]); len(s.Markers) != 2 {
		t.Errorf("was reset: %+v", s.Markers)
	}
	was := in.known(streams[0])
	later.add(40 * 24 * time.Hour)
	in.must(in.h.Delete(alice), in.h.Delete(alice), in.h.Create(alice, 2))
	in.start()
	in.settle(settleTime)
	in.quiet()
	in.stop()
	in.reset(streams[0], was, "token-invalid")
	for _, rq := range in.cloud.Requests(0) {
		if rq.Kind == googleserver.EventsList && rq.HTTP.URL.Query().Has("syncToken") {
			t.Fatalf("a sync token was sent: %s", rq.HTTP.URL)
		}
	}
	t.Log("after", time.Since(began))
}
