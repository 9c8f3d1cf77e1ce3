//go:build integration

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/calcdc/calcdc/test/oracle"
)

// binary is the calcdc under test, built by TestMain.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "calcdc-e2e-")
	if err == nil {
		binary = filepath.Join(dir, "calcdc")
		err = build(binary)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "building calcdc:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// build builds calcdc; with CALCDC_TEST_RACE, with the race detector, whose findings fail the tests by exit code.
func build(path string) error {
	args := []string{"build", "-o", path}
	if os.Getenv("CALCDC_TEST_RACE") != "" {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/calcdc/calcdc/cmd/calcdc")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// pollInterval is the least that the configuration takes.
const pollInterval = time.Second

// runner is one configuration of calcdc with one source, work, and the oracle that reads its topics.
type runner struct {
	t       testing.TB
	name    string
	dir     string
	brokers string
	http    string // address of the admin server
	reader  *oracle.Reader
	process *exec.Cmd
	ended   chan error

	differences func(context.Context) []string // between the fold and the source
	polled      func() int                     // how often the source's home has been asked for
}

// newRunner names everything after what it is for; streams are the kinds of the source.
func newRunner(t testing.TB, what, brokers string, streams ...string) *runner {
	t.Helper()
	var id [4]byte
	_, _ = rand.Read(id[:])
	in := &runner{t: t, name: "e2e-" + what + "-" + hex.EncodeToString(id[:]), dir: t.TempDir(), brokers: brokers, http: freeAddr(t)}
	topics := []string{in.name + ".notifications"}
	for _, kind := range streams {
		topics = append(topics, in.topic(kind))
	}
	var err error
	if in.reader, err = oracle.NewReader(strings.Split(brokers, ","), topics...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.reader.Close)
	t.Cleanup(in.end)
	return in
}

// configure writes the configuration; source are the lines of the source after its name and interval.
func (in *runner) configure(source string, options ...string) {
	in.t.Helper()
	config := fmt.Sprintf(`name: %[1]s
kafka:
  brokers: [%[2]s]
  topic_prefix: %[1]s
  topics: {partitions: 3}
offsets: {partitions: 2}
http: {listen: %[3]s}
log: {level: debug}
sources:
  - name: work
    poll_interval: %[4]s
`, in.name, in.brokers, in.http, pollInterval)
	config += source + strings.Join(options, "")
	if err := os.WriteFile(in.config(), []byte(config), 0o600); err != nil {
		in.t.Fatal(err)
	}
}

func (in *runner) config() string { return filepath.Join(in.dir, "calcdc.yaml") }

func (in *runner) log() string { return filepath.Join(in.dir, "calcdc.log") }

// topic is the data topic of a kind.
func (in *runner) topic(kind string) string { return in.name + ".work." + kind }

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs `calcdc run`.
func (in *runner) start() {
	in.t.Helper()
	out, err := os.OpenFile(in.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		in.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(binary, "run", "--config", in.config())
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		in.t.Fatal(err)
	}
	in.process, in.ended = cmd, make(chan error, 1)
	go func() { in.ended <- cmd.Wait() }()
}

// stop asks the process to end (SIGTERM); it must, with exit code 0.
func (in *runner) stop() {
	in.t.Helper()
	in.signal(syscall.SIGTERM)
	select {
	case err := <-in.ended:
		in.process = nil
		if err != nil {
			in.t.Errorf("calcdc ended with %v after SIGTERM\n%s", err, in.tail())
		}
	case <-time.After(30 * time.Second):
		in.t.Errorf("calcdc runs 30 s after SIGTERM\n%s", in.tail())
		in.kill()
	}
}

// kill ends the process at once (SIGKILL).
func (in *runner) kill() {
	in.signal(syscall.SIGKILL)
	<-in.ended
	in.process = nil
}

func (in *runner) signal(s syscall.Signal) {
	if in.process == nil {
		in.t.Fatal("calcdc does not run")
	}
	_ = in.process.Process.Signal(s)
}

// end is the cleanup: nothing is left running, and a failed test shows the log's end.
func (in *runner) end() {
	if in.process != nil {
		in.signal(syscall.SIGCONT)
		in.kill()
	}
	if in.t.Failed() {
		in.t.Logf("%s: end of the log\n%s", in.name, in.tail())
	}
}

func (in *runner) tail() string {
	b, err := os.ReadFile(in.log())
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-60):], []byte("\n")))
}

// alive fails the test where the process has ended by itself.
func (in *runner) alive() {
	in.t.Helper()
	select {
	case err := <-in.ended:
		in.process = nil
		in.t.Fatalf("calcdc ended by itself: %v\n%s", err, in.tail())
	default:
	}
}

// settle waits until the fold equals what the server holds and every snapshot has ended.
func (in *runner) settle(within time.Duration) {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(in.t.Context(), within)
	defer cancel()
	for {
		in.alive()
		differences := in.catchUp(ctx)
		if len(differences) == 0 {
			in.sound()
			return
		}
		select {
		case <-ctx.Done():
			in.sound()
			in.t.Fatalf("after %v the topics still differ from the server:\n%s", within, strings.Join(head(differences), "\n"))
		case <-time.After(pollInterval / 3):
		}
	}
}

// catchUp reads on and compares.
func (in *runner) catchUp(ctx context.Context) []string {
	in.t.Helper()
	if _, err := in.reader.CatchUp(ctx); err != nil {
		return []string{err.Error()}
	}
	return in.differences(ctx)
}

func head(all []string) []string { return all[:min(len(all), 12)] }

// sound fails the test where a record broke a rule.
func (in *runner) sound() {
	in.t.Helper()
	faults := slices.Concat(in.reader.Fold.Faults, in.reader.Fold.Notified())
	if len(faults) > 0 {
		in.t.Fatalf("%d rules broken:\n%s", len(faults), strings.Join(head(faults), "\n"))
	}
}

// quiet waits for polls that find nothing and demands that nothing was published.
func (in *runner) quiet() {
	in.t.Helper()
	in.polls(3)
	n, err := in.reader.CatchUp(in.t.Context())
	if err != nil {
		in.t.Fatal(err)
	}
	if n > 0 {
		in.t.Fatalf("%d records were published though nothing changed", n)
	}
}

// polls waits until the home has been asked for n times more.
func (in *runner) polls(n int) {
	in.t.Helper()
	until := in.polled() + n
	for begin := time.Now(); in.polled() < until; {
		in.alive()
		if time.Since(begin) > 60*time.Second {
			in.t.Fatalf("no poll for a minute\n%s", in.tail())
		}
		time.Sleep(pollInterval / 10)
	}
}

// state is what the oracle knows of a stream.
func (in *runner) state(k oracle.Stream) *oracle.State {
	in.t.Helper()
	s := in.reader.Fold.Streams[k]
	if s == nil {
		in.t.Fatalf("nothing was published of %v", k)
	}
	return s
}

// edit replaces a part of the configuration.
func (in *runner) edit(old, now string) {
	in.t.Helper()
	b, err := os.ReadFile(in.config())
	if err == nil && !strings.Contains(string(b), old) {
		err = fmt.Errorf("the configuration has no %q", old)
	}
	if err == nil {
		err = os.WriteFile(in.config(), []byte(strings.Replace(string(b), old, now, 1)), 0o600)
	}
	if err != nil {
		in.t.Fatal(err)
	}
}

// command runs another subcommand of calcdc to its end.
func (in *runner) command(ctx context.Context, args ...string) (stdout string, code int) {
	in.t.Helper()
	cmd := exec.CommandContext(ctx, binary, append(args, "--config", in.config())...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		in.t.Fatal(err)
	}
	if err != nil {
		in.t.Logf("calcdc %s: %s", strings.Join(args, " "), errs.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}
