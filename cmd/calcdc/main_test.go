package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/calcdc/calcdc/internal/davserver"
)

func TestMain(m *testing.M) {
	testscript.Main(checked{m}, map[string]func(){"calcdc": func() { os.Exit(runMain()) }})
}

// checked looks for goroutines that the tests have left behind.
type checked struct{ m *testing.M }

func (c checked) Run() int {
	code := c.m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return code
}

// TestStories runs testdata/script/*.txt. Each has a broker ($BROKER) and a calendar server ($DAV) of its own, with the
// user alice, password secret, and her calendars work and home; dav changes what they hold.
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		Deadline:      time.Now().Add(2 * time.Minute), // scripts that hang are killed, and show what they did
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup:         setUp,
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"dav": dav, "until": until, "exitcode": exitCode},
	})
}

type davKey struct{}

func setUp(env *testscript.Env) error {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(1))
	if err != nil {
		return err
	}
	env.Defer(broker.Close)
	s := davserver.New(davserver.Options{Users: map[string]string{"alice": "secret"}})
	s.MakeCalendar("alice", "work", "Work")
	s.MakeCalendar("alice", "home", "Home & garden")
	for i := range 3 {
		s.Put("alice", "work", davserver.SampleName(1, i), davserver.SampleEvent(1, i))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	env.Defer(func() { cancel(); <-ended })
	env.Values[davKey{}] = s
	env.Setenv("BROKER", broker.ListenAddrs()[0])
	env.Setenv("DAV", "http://"+ln.Addr().String()+"/")
	env.Setenv("PASSWORD", "secret")
	env.Setenv("TZ", "UTC")
	return nil
}

// dav changes what the calendar server holds:
//
//	dav put CALENDAR NAME SUMMARY
//	dav churn CALENDAR            changes an event again and again, until the story ends
//	dav delete CALENDAR NAME
//	dav make CALENDAR
//	dav remove CALENDAR
//	dav invalidate CALENDAR
func dav(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: dav put|delete|make|remove|invalidate CALENDAR …")
	}
	s := ts.Value(davKey{}).(*davserver.Server)
	switch cal := args[1]; args[0] {
	case "put":
		s.Put("alice", cal, args[2], event(args[3]))
	case "churn":
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); churn(ctx, s, cal) }()
		ts.Defer(func() { cancel(); <-ended })
	case "delete":
		s.Delete("alice", cal, args[2])
	case "make":
		s.MakeCalendar("alice", cal, cal)
	case "remove":
		s.DeleteCalendar("alice", cal)
	case "invalidate":
		s.InvalidateTokens("alice", cal)
	default:
		ts.Fatalf("dav %s is unknown", args[0])
	}
}

func event(summary string) []byte {
	return []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:x\r\nDTSTAMP:20260601T000000Z\r\n" +
		"DTSTART:20260602T100000Z\r\nDURATION:PT1H\r\nSUMMARY:" + strings.ReplaceAll(summary, `\e`, "\x1b") + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

func churn(ctx context.Context, s *davserver.Server, cal string) {
	for i := 0; pause(ctx, 100*time.Millisecond); i++ {
		s.Put("alice", cal, "churn.ics", event(strconv.Itoa(i)))
	}
}

// exitCode runs a command that must end with this code:
//
//	exitcode CODE calcdc …
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE COMMAND …")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		got = -1
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d (%v), want %s\n%s\n%s", got, err, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// until runs a command again and again until its output has a text, for 20 seconds at most:
//
//	until TEXT calcdc …
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until TEXT COMMAND …")
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if err == nil && strings.Contains(out, args[0]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q did not come; the last was %v\n%s\n%s", args[0], err, out, ts.ReadFile("stderr"))
		}
		time.Sleep(100 * time.Millisecond) // between two looks, not instead of one
	}
}
