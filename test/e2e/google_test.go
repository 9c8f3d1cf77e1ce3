//go:build integration

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/googleserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/cloud"
	"github.com/calcdc/calcdc/test/history"
	"github.com/calcdc/calcdc/test/oracle"
	"github.com/calcdc/calcdc/test/rig"
)

const (
	alice = "alice@example.org"
	bob   = "bob@example.org"
	carol = "carol@example.org"
)

// googleInstance is one configuration of calcdc between a Google server and Kafka, with the oracle on both ends.
type googleInstance struct {
	*runner
	cloud *cloud.Cloud
	users []string
	h     *history.Google
}

// newGoogle writes a configuration whose source is the server's users, whom the history adds; more of the source's
// google: lines are in extra.
func newGoogle(t testing.TB, brokers string, seed uint64, o googleserver.Options, extra string, users ...string) *googleInstance {
	t.Helper()
	servers := cloud.New(t, o) // which outlive calcdc
	in := &googleInstance{runner: newRunner(t, "google", brokers, "events", "calendars", "acl", "settings"), cloud: servers, users: users}
	in.reader.Fold.Connector = "google"
	var err error
	if in.h, err = history.NewGoogle(in.cloud.Server, seed, users...); err != nil {
		t.Fatal(err)
	}
	in.differences = func(context.Context) []string { return in.cloud.Differences(t, in.reader.Fold, "work", users...) }
	in.polled = func() int { return in.cloud.Polls(users...) }
	in.configure(in.cloud.Source(t, in.dir, extra, users...))
	return in
}

// must fails the test with what the history has done.
func (in *googleInstance) must(errs ...error) {
	in.t.Helper()
	for _, err := range errs {
		if err != nil {
			in.t.Fatalf("%v\n%q", err, in.h.Log)
		}
	}
}

// put stores an event of a user's primary calendar.
func (in *googleInstance) put(user, item string) {
	in.t.Helper()
	_, err := in.cloud.PutEvent(user, user, item)
	in.must(err)
}

func item(id, summary string) string {
	return fmt.Sprintf(`{"id":%q,"summary":%q,"start":{"dateTime":"2026-06-02T08:00:00Z"},"end":{"dateTime":"2026-06-02T09:00:00Z"}}`, id, summary)
}

// stream is what the oracle knows of a stream; a calendar of "" stands for the account's own.
func (in *googleInstance) stream(user, calendar string, kind connector.Kind) *oracle.State {
	in.t.Helper()
	return in.state(oracle.Stream{Source: "work", Account: user, Collection: calendar, Kind: kind})
}

// The whole way of a change, and another client (librdkafka's) that sees the same records as `calcdc tail` prints.
func TestGoogle(t *testing.T) {
	t.Parallel()
	brokers, python := testenv.Env(t, testenv.EnvKafka), testenv.Env(t, testenv.EnvPython)
	in := newGoogle(t, brokers, 1, googleserver.Options{}, "", alice)
	in.put(alice, item("one", "first"))
	in.start()
	in.settle(settleTime)
	in.put(alice, item("two", "second"))
	in.put(alice, strings.Replace(item("series", "daily"), "{", `{"recurrence":["RRULE:FREQ=DAILY;COUNT=9"],`, 1))
	in.settle(settleTime)
	in.put(alice, item("one", "changed"))
	_, err := in.cloud.CancelInstance(alice, alice, "series", in.h.Base().AddDate(0, 0, 2))
	in.must(err, in.cloud.DeleteEvent(alice, alice, "two"))
	in.settle(settleTime)
	in.must(in.cloud.DeleteEvent(alice, alice, "series"))
	in.settle(settleTime)
	in.quiet()
	in.stop()
	s := in.stream(alice, alice, "events")
	if got := fmt.Sprint(s.Ops); got != "map[c:3 d:3 r:1 tombstone:3 u:1]" {
		t.Errorf("records by op: %s", got)
	}
	printed, code := in.command(t.Context(), "tail", "--from-beginning", "--to-end", "--json")
	if code != 0 {
		t.Fatalf("calcdc tail ended with code %d", code)
	}
	consumed, err := rig.Consume(t.Context(), python, brokers,
		in.topic("events"), in.topic("calendars"), in.topic("acl"), in.topic("settings"))
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := lines(t, parsed(t, printed)), lines(t, consumed)
	if len(theirs) < 20 || !slices.Equal(ours, theirs) {
		t.Errorf("tail printed %d records, the other client read %d; first difference:\n%s", len(ours), len(theirs), firstDifference(ours, theirs))
	}
}

// Whatever is done to the calendars, the folded topics equal what each user can list, and no change is told twice.
func TestGoogleFoldEqualsSource(t *testing.T) {
	t.Parallel()
	brokers := testenv.Env(t, testenv.EnvKafka)
	for seed, o := range []googleserver.Options{
		{},
		{PageLimit: 3, EmptyPages: 2, DeltaExceptions: true, RichTombstones: true},
		{PageLimit: 7, SparseInstances: true},
		{RichCancelled: true, UnsharedStatus: 403, NoGzip: true},
	} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			in := newGoogle(t, brokers, uint64(seed), o, "", alice, bob, carol)
			in.must(in.h.Steps(120)) // before the first snapshot
			in.start()
			in.settle(settleTime)
			for range 4 {
				in.must(in.h.Steps(50))
				in.settle(settleTime)
			}
			in.quiet()
			in.stop()
			in.h.Quiet = true // the first poll after a start lists the calendars once
			in.must(in.h.Steps(80))
			in.start()
			in.settle(settleTime)
			in.quiet()
			in.stop()
			in.verified()
		})
	}
}

// After a restart every stream goes on from its token; the calendars, generated ones aside, are not listed again.
func TestGoogleResumes(t *testing.T) {
	t.Parallel()
	in := newGoogle(t, testenv.Env(t, testenv.EnvKafka), 8, googleserver.Options{PageLimit: 20}, "", alice, bob)
	in.must(in.h.Steps(150))
	in.start()
	in.settle(settleTime)
	in.polls(2) // the tokens of the last changes are committed too
	in.kill()
	from := len(in.cloud.Requests(0))
	for _, u := range in.users {
		in.must(in.h.Create(u, 2))
	}
	in.start()
	in.settle(settleTime)
	in.quiet()
	in.stop()
	listed := map[string]int{}
	for _, rq := range in.cloud.Requests(from) {
		if q := rq.HTTP.URL.Query(); strings.HasSuffix(string(rq.Kind), ".list") && !q.Has("syncToken") && !q.Has("pageToken") && rq.Calendar != googleserver.Birthdays {
			listed[rq.User+" "+string(rq.Kind)+" "+rq.Calendar]++
		}
	}
	for _, u := range in.users { // which calendars there are is kept in memory only
		if what := u + " " + string(googleserver.CalendarListList) + " "; listed[what] == 1 {
			delete(listed, what)
		}
	}
	if len(listed) > 0 {
		t.Errorf("after the restart without a token: %v", listed)
	}
}
