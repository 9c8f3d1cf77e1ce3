package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/calcdc/calcdc/internal/davserver"
)

func TestMain(m *testing.M) {
	testscript.Main(checked{m}, map[string]func(){"calcdc": main})
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

// TestStories runs testdata/script/*.txt. Each has a broker ($BROKER), one with users (SASL PLAIN, admin and
// guest, who may nothing; $SECURED_BROKER) and a calendar server ($DAV) of its own, with the user alice and her
// calendars work and home; dav changes what they hold. All passwords are secret. And each has what setUpGoogle starts.
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		Deadline:      time.Now().Add(6 * time.Minute), // scripts that hang are killed, and show what they did
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup:         setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"dav": dav, "google": googleCmd, "until": until, "exitcode": exitCode,
			"broker": brokerCmd, "signal": signalCmd},
	})
}

type (
	davKey  struct{}
	hangKey struct{}
)

func setUp(env *testscript.Env) error {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(1))
	if err != nil {
		return err
	}
	env.Defer(broker.Close)
	h := &hang{cluster: broker, asked: make(chan struct{}, 1), release: make(chan struct{})}
	env.Defer(h.end)
	env.Values[hangKey{}] = h
	secured, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.Superuser("PLAIN", "admin", "secret"), kfake.User("PLAIN", "guest", "secret"))
	if err != nil {
		return err
	}
	env.Defer(secured.Close)
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
	env.Setenv("SECURED_BROKER", secured.ListenAddrs()[0])
	env.Setenv("DAV", "http://"+ln.Addr().String()+"/")
	env.Setenv("PASSWORD", "secret")
	env.Setenv("TZ", "UTC")
	env.Setenv("XDG_CACHE_HOME", env.WorkDir+"/cache")
	return setUpGoogle(env)
}

// dav changes what the calendar server holds:
//
//	dav put CALENDAR NAME SUMMARY
//	dav churn CALENDAR            changes an event again and again, until the story ends
//	dav delete CALENDAR NAME
//	dav clear CALENDAR            deletes what it held at the start
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
	case "clear":
		for i := range 3 {
			s.Delete("alice", cal, davserver.SampleName(1, i))
		}
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

// hang makes a broker answer no end of a transaction for a while.
type hang struct {
	cluster *kfake.Cluster
	asked   chan struct{}
	release chan struct{}
	once    sync.Once
}

func (h *hang) begin() {
	h.cluster.ControlKey(kmsg.EndTxn.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		select {
		case h.asked <- struct{}{}:
		default:
		}
		h.cluster.SleepControl(func() { <-h.release })
		return nil, nil, false
	})
}

func (h *hang) end() { h.once.Do(func() { close(h.release) }) }

// brokerCmd makes the broker hang at the end of the next transaction:
//
//	broker hang
//	broker awaited     waits until it does
//	broker go on
func brokerCmd(ts *testscript.TestScript, neg bool, args []string) {
	h := ts.Value(hangKey{}).(*hang)
	switch strings.Join(args, " ") {
	case "hang":
		h.begin()
	case "awaited":
		select {
		case <-h.asked:
		case <-time.After(20 * time.Second):
			ts.Fatalf("no transaction has ended")
		}
	case "go on":
		h.end()
	default:
		ts.Fatalf("usage: broker hang|awaited|go on")
	}
}

// signalCmd sends a signal to all that runs in the background:
//
//	signal TERM|INT
func signalCmd(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt}
	if len(args) != 1 || signals[args[0]] == nil {
		ts.Fatalf("usage: signal TERM|INT")
	}
	for _, cmd := range ts.BackgroundCmds() {
		if err := cmd.Process.Signal(signals[args[0]]); err != nil && !errors.Is(err, os.ErrProcessDone) {
			ts.Fatalf("sending %s: %v", args[0], err)
		}
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
