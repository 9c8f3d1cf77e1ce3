//go:build integration

package bench

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
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
	log  string
	cmd  *exec.Cmd
}

// newName names topics and transactional ids that nothing else uses.
func newName(kind string) string {
	var id [4]byte
	_, _ = rand.Read(id[:])
	return "bench-" + kind + "-" + hex.EncodeToString(id[:])
}

// topics are all that an instance of that name writes to, the data first.
func topics(name string) []string {
	return []string{name + ".dav.events", name + ".dav.calendars", name + ".notifications", name + "-state", name + "-offsets"}
}

// startCalcdc runs calcdc as its defaults are, but for what the benchmark names.
func startCalcdc(b *testing.B, s *server, poll time.Duration) *instance {
	b.Helper()
	in := &instance{name: newName("calcdc")}
	dir := b.TempDir()
	in.log = filepath.Join(dir, "calcdc.log")
	config := fmt.Sprintf(`name: %[1]s
kafka: {brokers: [%[2]s]}
http: {listen: ""}
sources:
  - name: dav
    poll_interval: %[3]s
    caldav:
      url: %[4]s
      accounts: [{username: %[5]s, password: %[6]s}]
`, in.name, brokers(b), poll, s.URL, user, password)
	path := filepath.Join(dir, "calcdc.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	out, err := os.Create(in.log)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	in.cmd = exec.Command(binary, "run", "--config", path)
	in.cmd.Stdout, in.cmd.Stderr = out, out
	in.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := in.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return in
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
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", in.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte("VmHWM:"))
	fields := strings.Fields(string(rest))
	kb, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb << 10
}
