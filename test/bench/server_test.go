//go:build integration

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/davserver"
)

const (
	user     = "alice"
	password = "secret"
)

// serverOptions say what a calendar server holds: each of its users the same calendars, each calendar the same number of events.
type serverOptions struct {
	Users             int // 0: one
	Calendars, Events int
	InlineData        bool
	Delay             time.Duration // before each answer
}

// users are their names.
func (o serverOptions) users() []string {
	names := []string{user}
	for i := 1; i < o.Users; i++ {
		names = append(names, fmt.Sprintf("user%d", i))
	}
	return names
}

// account of what a server saw. Times are ns since 1970.
type account struct {
	Requests  map[davserver.Kind]int
	Bytes     map[davserver.Kind]int64
	FirstSync int64 // begin of the first sync REPORT since the last reset
	LastBody  int64 // end of the last answer with bodies
}

// server is a calendar server in a process of its own.
type server struct {
	*child
	options serverOptions
	URL     string // its DAV root
	Edit    string // where serverTask's handler listens
}

func (s *server) source() string { return "dav" }

func (s *server) config() string {
	var accounts []string
	for _, name := range s.options.users() {
		accounts = append(accounts, fmt.Sprintf("{username: %s, password: %s}", name, password))
	}
	return fmt.Sprintf("caldav: {url: %q, accounts: [%s]}", s.URL, strings.Join(accounts, ", "))
}

func (s *server) begin(b *testing.B) { s.account(b, true) }

func (s *server) first(b *testing.B) int64 { return s.account(b, false).FirstSync }

func startServer(b *testing.B, o serverOptions) *server {
	b.Helper()
	s := &server{child: spawn(b, "server", o), options: o}
	s.answer(b, s)
	b.Cleanup(func() { s.end(b) })
	return s
}

// davCalendar is the path of calendar i.
func davCalendar(i int) string { return fmt.Sprintf("/%s/calendars/c%d/", user, i) }

// account returns what the server saw; reset forgets FirstSync and LastBody.
func (s *server) account(b *testing.B, reset bool) account {
	b.Helper()
	var a account
	ask(b, fmt.Sprintf("%s/account?reset=%v", s.Edit, reset), &a)
	return a
}

// change gives n events of the first calendar another text.
func (s *server) change(b *testing.B, n int) {
	b.Helper()
	ask(b, fmt.Sprintf("%s/change?n=%d", s.Edit, n), nil)
}

// ask asks a server's control.
func ask(b *testing.B, url string, to any) {
	b.Helper()
	res, err := http.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b.Fatalf("the calendar server's control answers %s", res.Status)
	}
	if to != nil {
		if err := json.NewDecoder(res.Body).Decode(to); err != nil {
			b.Fatal(err)
		}
	}
}

// served is the server's side.
type served struct {
	dav      *davserver.Server
	options  serverOptions
	users    []string
	events   int
	mu       sync.Mutex
	first    int64
	body     int64
	edits    int
	driven   int
	answered map[int]int64 // ns since 1970 at the end of the first answer with it, by a change's serial number
}

func serverTask() error {
	var o serverOptions
	stdin := json.NewDecoder(os.Stdin)
	if err := stdin.Decode(&o); err != nil {
		return err
	}
	passwords := map[string]string{}
	for _, name := range o.users() {
		passwords[name] = password
	}
	s := &served{options: o, users: o.users(), events: o.Events, answered: map[int]int64{}, dav: davserver.New(davserver.Options{Users: passwords, InlineData: o.InlineData})}
	for _, owner := range o.users() {
		for c := range o.Calendars {
			name := fmt.Sprintf("c%d", c)
			s.dav.MakeCalendar(owner, name, name)
			for i := range o.Events {
				s.dav.Put(owner, name, davserver.SampleName(1, i), davserver.SampleEvent(1, i))
			}
		}
	}
	s.dav.Fault(func(k davserver.Kind, _ *http.Request) davserver.Fault {
		s.mu.Lock()
		defer s.mu.Unlock()
		if k == davserver.Sync && s.first == 0 {
			s.first = time.Now().UnixNano()
		}
		return davserver.Fault{Delay: o.Delay}
	})
	control := http.NewServeMux()
	control.HandleFunc("/account", s.serveAccount)
	control.HandleFunc("/change", s.serveChange)
	control.HandleFunc("/drive", s.serveDrive)
	control.HandleFunc("/answered", s.serveAnswered)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	edit, err1 := listen(ctx, control)
	dav, err2 := listen(ctx, http.HandlerFunc(s.serveDAV))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"URL": dav, "Edit": edit}); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin) // until the parent closes it
	return err
}

// listen serves h until the process ends.
func listen(ctx context.Context, h http.Handler) (url string, err error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() {
		_ = (&http.Server{Handler: h, ReadHeaderTimeout: time.Minute}).Serve(ln) // ends with the process
	}()
	return "http://" + ln.Addr().String(), nil
}

func (s *served) serveDAV(w http.ResponseWriter, r *http.Request) {
	if r.Method != "REPORT" {
		s.dav.ServeHTTP(w, r)
		return
	}
	out := &serials{ResponseWriter: w}
	s.dav.ServeHTTP(out, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = time.Now().UnixNano()
	for _, n := range out.found {
		if _, again := s.answered[n]; !again {
			s.answered[n] = s.body
		}
	}
}

func (s *served) serveAccount(w http.ResponseWriter, r *http.Request) {
	a := account{Requests: map[davserver.Kind]int{}, Bytes: map[davserver.Kind]int64{}}
	for k, t := range s.dav.Traffic() {
		a.Requests[k], a.Bytes[k] = t.Requests, t.In+t.Out
	}
	s.mu.Lock()
	a.FirstSync, a.LastBody = s.first, s.body
	if r.FormValue("reset") == "true" {
		s.first, s.body = 0, 0
	}
	s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(a) // a client that has gone sees an error of its own
}

func (s *served) serveChange(_ http.ResponseWriter, r *http.Request) {
	n := 0
	_, _ = fmt.Sscan(r.FormValue("n"), &n)
	for range n {
		i := s.edits % s.events
		s.edits++
		s.dav.Put(user, "c0", davserver.SampleName(1, i), davserver.SampleEvent(uint64(1+s.edits), i))
	}
}
