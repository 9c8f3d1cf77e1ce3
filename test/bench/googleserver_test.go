//go:build integration

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/googleserver"
)

const (
	googleUser = "alice@example.org"
	googleTeam = "team@example.org"
)

// googleOptions say what a Google server holds beside the user's empty primary calendar: calendars with the same number of
// events each.
type googleOptions struct {
	Calendars, Events int
	Shared            bool // the calendars are somebody else's, of whom the user may read them
	PerUser           int  // quota of requests in any minute; 0: none
}

// googleCalendar is the id of calendar i.
func googleCalendar(i int) string { return fmt.Sprintf("c%d@group.calendar.google.com", i) }

// request is one that a Google server has answered. Times are ns since 1970.
type request struct {
	Kind     googleserver.Kind
	Calendar string
	Status   int
	Bytes    int64
	Began    int64
	Ended    int64
}

// google is a Google server in a process of its own.
type google struct {
	*child
	URL   string // the API's endpoint
	Edit  string // where googleTask's handler listens
	Token string
}

func startGoogle(b *testing.B, o googleOptions) *google {
	b.Helper()
	s := &google{child: spawn(b, "google", o)}
	s.answer(b, s)
	b.Cleanup(func() { s.end(b) })
	return s
}

func (s *google) source() string { return "google" }

func (s *google) config() string {
	return fmt.Sprintf("google: {endpoint: %q, access_token: %s}", s.URL, s.Token)
}

func (s *google) begin(b *testing.B) { s.requests(b, true) }

func (s *google) first(b *testing.B) int64 {
	i := slices.IndexFunc(s.requests(b, false), request.ofEvents)
	if i < 0 {
		b.Fatal("the calendar has not been listed")
	}
	return s.requests(b, false)[i].Began
}

// ofEvents says that the events of the first calendar were asked for.
func (r request) ofEvents() bool {
	return r.Calendar == googleCalendar(0) && (r.Kind == googleserver.EventsList || r.Kind == googleserver.EventsGet)
}

// requests are what the server has answered since the last reset, in the order of their begin.
func (s *google) requests(b *testing.B, reset bool) []request {
	b.Helper()
	var all []request
	ask(b, s.Edit+"/requests?reset="+strconv.FormatBool(reset), &all)
	return all
}

// change gives an event of the first calendar another text.
func (s *google) change(b *testing.B) {
	b.Helper()
	ask(b, s.Edit+"/change", nil)
}

// googleServed is the server's side.
type googleServed struct {
	*googleserver.Server
	owner string // of the calendars
	mu    sync.Mutex
	log   []request
	edits int
}

func googleTask() error {
	var o googleOptions
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	s := &googleServed{owner: googleUser}
	s.Server = googleserver.New(googleserver.Options{NoGzip: true, Seen: s.note, Quota: googleserver.Quota{PerUser: o.PerUser}})
	if err := s.fill(o); err != nil {
		return err
	}
	control := http.NewServeMux()
	control.HandleFunc("/requests", s.serveRequests)
	control.HandleFunc("/change", s.serveChange)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	edit, err1 := listen(ctx, control)
	url, err2 := listen(ctx, s)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	to := map[string]string{"URL": googleserver.Endpoint(url), "Edit": edit, "Token": s.Token(googleUser)}
	if err := json.NewEncoder(os.Stdout).Encode(to); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin) // until the parent closes it
	return err
}

func (s *googleServed) fill(o googleOptions) error {
	err := s.AddUser(googleUser)
	if o.Shared {
		s.owner = googleTeam
		err = errors.Join(err, s.AddUser(googleTeam))
	}
	for c := range o.Calendars {
		id := googleCalendar(c)
		err = errors.Join(err, s.AddCalendar(s.owner, id, googleserver.Calendar{Summary: id}))
		if o.Shared {
			err = errors.Join(err, s.Share(id, googleUser, googleserver.Reader), s.Subscribe(googleUser, id, googleserver.Entry{Selected: true}))
		}
		for i := range o.Events {
			for _, item := range sampleItems(1, i) {
				_, put := s.PutEvent(s.owner, id, item)
				err = errors.Join(err, put)
			}
		}
	}
	return err
}

func (s *googleServed) note(r googleserver.Request) {
	now := time.Now()
	one := request{Kind: r.Kind, Calendar: r.Calendar, Status: r.Status, Bytes: r.Bytes, Began: now.Add(-r.Took).UnixNano(), Ended: now.UnixNano()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, one)
}

func (s *googleServed) serveRequests(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	log := slices.Clone(s.log)
	if r.FormValue("reset") == "true" {
		s.log = nil
	}
	s.mu.Unlock()
	slices.SortFunc(log, func(a, b request) int { return int(a.Began - b.Began) })
	_ = json.NewEncoder(w).Encode(log) // a client that has gone sees an error of its own
}

func (s *googleServed) serveChange(w http.ResponseWriter, _ *http.Request) {
	s.edits++
	item := sampleItems(uint64(1+s.edits), s.edits)[0]
	if _, err := s.PutEvent(s.owner, googleCalendar(0), item); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
