package rig

import (
	"bytes"
	"context"
	"errors"
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

// program is the calcdc under test, built by Main.
var program string

// Main builds calcdc, runs a package's tests and returns their exit code. Checks follow tests that pass.
func Main(m *testing.M, checks ...func() error) int {
	dir, err := os.MkdirTemp("", "calcdc-rig-")
	if err == nil {
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "calcdc")
		err = errors.Join(build(program), os.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache")))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "building calcdc:", err)
		return 1
	}
	code := m.Run()
	for _, check := range checks {
		if code != 0 {
			break
		}
		if err := check(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
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

// Process is one `calcdc run`.
type Process struct {
	Ended <-chan struct{} // closed when it has
	t     testing.TB
	cmd   *exec.Cmd
	log   string // path
	err   error  // of Wait, once Ended is closed
}

// Start runs calcdc with a configuration; its log is appended to the file. Nothing is left running after the test.
func Start(t testing.TB, config, log string) *Process {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ended := make(chan struct{})
	p := &Process{Ended: ended, t: t, cmd: exec.Command(program, "run", "--config", config), log: log}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(ended)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Signal sends it a signal; it may have ended.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Pid is its id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Kill ends the process at once (SIGKILL); one that has ended is left alone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.Ended
}

// Stop asks the process to end (SIGTERM); it must, with exit code 0.
func (p *Process) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Ended:
		if p.err != nil {
			p.t.Errorf("calcdc ended with %v after SIGTERM\n%s", p.err, Tail(p.log))
		}
	case <-time.After(30 * time.Second):
		p.t.Errorf("calcdc runs 30 s after SIGTERM\n%s", Tail(p.log))
		p.Kill()
	}
}

// Alive fails the test where the process has ended by itself.
func (p *Process) Alive() {
	p.t.Helper()
	select {
	case <-p.Ended:
		p.t.Fatalf("calcdc ended by itself: %v\n%s", p.err, Tail(p.log))
	default:
	}
}

// Code is its exit code, once it has ended.
func (p *Process) Code() int {
	<-p.Ended
	return p.cmd.ProcessState.ExitCode()
}

// Peak is the most memory that the process has had resident, in MiB (proc(5), VmHWM).
func (p *Process) Peak() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); name == "VmHWM" {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				p.t.Fatal(err)
			}
			return kb >> 10
		}
	}
	p.t.Fatalf("no VmHWM in %s", status)
	return 0
}

// Tail is the end of a log.
func Tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-60):], []byte("\n")))
}

// Command runs another subcommand of calcdc to its end.
func Command(ctx context.Context, t testing.TB, config string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(ctx, program, append(args, "--config", config)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("calcdc %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
