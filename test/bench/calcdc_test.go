//go:build integration

package bench

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// instance is a calcdc process between a calendar server and Kafka, with topics of its own.
type instance struct {
	name string
	path string // of the configuration
	log  string
	http string // address of the admin server; "": there is none
	cmd  *exec.Cmd
}

// upstream is a calendar server as calcdc's configuration has it.
type upstream interface {
	source() string // the source's name
	config() string // its part of the configuration, as YAML
}

// newName names topics and transactional ids that nothing else uses. It begins with the name of their source.
func newName(source, kind string) string {
	var id [4]byte
	_, _ = rand.Read(id[:])
	return source + "-bench-" + kind + "-" + hex.EncodeToString(id[:])
}

// streams are the kinds of stream of each source.
var streams = map[string][]string{"dav": {"events", "calendars"}, "google": {"events", "calendars", "acl", "settings"}}

// topics are all that an instance of that name writes to, the events first.
func topics(name string) []string {
	source, _, _ := strings.Cut(name, "-")
	var all []string
	for _, kind := range streams[source] {
		all = append(all, name+"."+source+"."+kind)
	}
	return append(all, name+".notifications", name+"-state", name+"-offsets")
}

// startCalcdc runs calcdc as its defaults are, but for what the benchmark names.
func startCalcdc(b *testing.B, s upstream, poll time.Duration) *instance {
	b.Helper()
	return start(b, s, poll, "")
}

// startServing does the same with the admin server.
func startServing(b *testing.B, s upstream, poll time.Duration) *instance {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ln.Close()
	return start(b, s, poll, ln.Addr().String())
}

func start(b *testing.B, s upstream, poll time.Duration, admin string) *instance {
	b.Helper()
	in := &instance{name: newName(s.source(), "calcdc"), http: admin}
	dir := b.TempDir()
	in.log = filepath.Join(dir, "calcdc.log")
	config := fmt.Sprintf(`name: %[1]s
kafka: {brokers: [%[2]s]}
http: {listen: %[6]q}
sources:
  - name: %[4]s
    poll_interval: %[3]s
    %[5]s
`, in.name, brokers(b), poll, s.source(), s.config(), admin)
	in.path = filepath.Join(dir, "calcdc.yaml")
	if err := os.WriteFile(in.path, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	in.run(b)
	return in
}

// teammate is one more process with the same file, which must have no admin server.
func (in *instance) teammate(b *testing.B) *instance {
	b.Helper()
	mate := &instance{name: in.name, path: in.path, log: in.log + ".mate"}
	mate.run(b)
	return mate
}

func (in *instance) run(b *testing.B) {
	b.Helper()
	out, err := os.OpenFile(in.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	in.cmd = exec.Command(binary, "run", "--config", in.path)
	in.cmd.Stdout, in.cmd.Stderr = out, out
	in.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := in.cmd.Start(); err != nil {
		b.Fatal(err)
	}
}

// stop ends the process and removes its topics.
func (in *instance) stop(b *testing.B) {
	b.Helper()
	if os.Getenv(envProfile) != "" {
		_ = in.cmd.Process.Signal(syscall.SIGUSR1)
		time.Sleep(2 * time.Second) // the profiles are being written
	}
	_ = in.cmd.Process.Signal(syscall.SIGTERM)
	if err := in.cmd.Wait(); err != nil {
		text, _ := os.ReadFile(in.log)
		b.Errorf("calcdc ended with %v\n%s", err, text)
	}
}

// cpu is the time that the process's threads have spent on a processor.
func (in *instance) cpu(b *testing.B) time.Duration {
	b.Helper()
	all, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", in.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	var total time.Duration
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		total += time.Duration(ns)
	}
	return total
}

// peak is the most memory that the process has had at once, in bytes: VmHWM.
func (in *instance) peak(b *testing.B) int64 {
	b.Helper()
	return in.memory(b, "VmHWM:")
}

// resident is the memory that it has, in bytes: VmRSS.
func (in *instance) resident(b *testing.B) int64 {
	b.Helper()
	return in.memory(b, "VmRSS:")
}

func (in *instance) memory(b *testing.B, name string) int64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", in.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte(name))
	fields := strings.Fields(string(rest))
	kb, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb << 10
}
