//go:build integration

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/calcdc/calcdc/test/oracle"
	"github.com/calcdc/calcdc/test/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

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
	process *rig.Process // nil: none is to run

	differences func(context.Context) []string // between the fold and the source
	polled      func() int                     // how often the source's home has been asked for
}

// newRunner names everything after what it is for; streams are the kinds of the source.
func newRunner(t testing.TB, what, brokers string, streams ...string) *runner {
	t.Helper()
	var id [4]byte
	_, _ = rand.Read(id[:])
	in := &runner{t: t, name: "e2e-" + what + "-" + hex.EncodeToString(id[:]), dir: t.TempDir(), brokers: brokers, http: rig.FreeAddr(t)}
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
  group: {session_timeout: 1s}
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

// start runs `calcdc run`.
func (in *runner) start() {
	in.t.Helper()
	in.process = rig.Start(in.t, in.config(), in.log())
}

// stop asks the process to end (SIGTERM); it must, with exit code 0.
func (in *runner) stop() {
	in.t.Helper()
	in.running().Stop()
	in.process = nil
}

// kill ends the process at once (SIGKILL).
func (in *runner) kill() {
	in.running().Kill()
	in.process = nil
}

func (in *runner) signal(s syscall.Signal) { in.running().Signal(s) }

func (in *runner) running() *rig.Process {
	in.t.Helper()
	if in.process == nil {
		in.t.Fatal("calcdc does not run")
	}
	return in.process
}

// end is the cleanup: a failed test shows the log's end.
func (in *runner) end() {
	if in.t.Failed() {
		in.t.Logf("%s: end of the log\n%s", in.name, in.tail())
	}
}

func (in *runner) tail() string { return rig.Tail(in.log()) }

// alive fails the test where the process has ended by itself.
func (in *runner) alive() {
	in.t.Helper()
	in.running().Alive()
}

// settle waits until the fold equals what the server holds and every snapshot has ended.
func (in *runner) settle(within time.Duration) {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(in.t.Context(), within)
	defer cancel()
	var differences []string
	for {
		in.alive()
		found := in.catchUp(ctx)
		if len(found) == 0 {
			in.sound()
			return
		}
		if ctx.Err() == nil || differences == nil { // a look that was cut short says nothing of them
			differences = found
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
	if faults := in.reader.Broken(in.t.Context()); len(faults) > 0 {
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
	out, errs, code := rig.Command(ctx, in.t, in.config(), args...)
	if code != 0 {
		in.t.Logf("calcdc %s: %s", strings.Join(args, " "), errs)
	}
	return out, code
}
