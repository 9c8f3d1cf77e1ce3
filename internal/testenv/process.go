package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 90 * time.Second // of any server, on a busy machine
	stopTimeout  = 15 * time.Second
)

// Process is a child that leads a process group, with its output in a file.
type Process struct {
	name string
	log  string
	spec command
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of its end, once done is closed
}

// command says how a process is started, and started again.
type command struct {
	argv []string
	dir  string
	env  []string
	cred *syscall.Credential // nil: as whoever runs the tests
	stop syscall.Signal      // asks it to end; 0: SIGTERM
}

// startProcess starts name with its output appended to dir/log.
func startProcess(name, dir string, spec command) (*Process, error) {
	p := &Process{name: name, log: filepath.Join(dir, "log"), spec: spec}
	if p.spec.stop == 0 {
		p.spec.stop = syscall.SIGTERM
	}
	return p, p.boot()
}

func (p *Process) boot() error {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", p.name, err)
	}
	defer out.Close()
	cmd := exec.Command(p.spec.argv[0], p.spec.argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.spec.dir, out, out
	cmd.Env = append(os.Environ(), p.spec.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: p.spec.cred}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() { // ends with the child; Stop and Kill wait for it
		p.err = cmd.Wait()
		close(done)
	}()
	return nil
}

// Running tells whether it has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Pid is the process's id, and its group's.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Stop asks it to end, insists after a while, and waits until it has. It may have ended already.
func (p *Process) Stop() {
	if !p.Running() {
		p.signalGroup(syscall.SIGKILL)
		return
	}
	p.signalGroup(syscall.SIGCONT)
	_ = p.cmd.Process.Signal(p.spec.stop)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
	}
	p.Kill()
}

// Kill ends the group at once (SIGKILL) and waits until it has ended.
func (p *Process) Kill() {
	p.signalGroup(syscall.SIGKILL)
	<-p.done
}

// Pause stops the group where it stands (SIGSTOP): it hangs, and its connections stay.
func (p *Process) Pause() { p.signalGroup(syscall.SIGSTOP) }

// Resume lets a paused group go on.
func (p *Process) Resume() { p.signalGroup(syscall.SIGCONT) }

// signalGroup signals every process of the group; it may be gone.
func (p *Process) signalGroup(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// await calls ready until it succeeds, the process ends, or ctx does.
func (p *Process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended while starting (%w):\n%s", p.name, errOr(p.err, "exit 0"), p.tail())
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; log:\n%s", p.name, errors.Join(context.Cause(ctx), err), p.tail())
		case <-tick.C:
		}
	}
}

func errOr(err error, text string) error {
	if err != nil {
		return err
	}
	return errors.New(text)
}

// tail is the end of the log.
func (p *Process) tail() string {
	f, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > 2000 {
		_, _ = f.Seek(-2000, io.SeekEnd)
	}
	b, _ := io.ReadAll(f)
	return strings.TrimSpace(string(b))
}

// freePorts returns n ports of the loopback that nothing listens on, outside the range of outgoing connections,
// so that a server that is restarted finds its port free.
func freePorts(n int) ([]int, error) {
	var ports []int
	for try := 0; len(ports) < n && try < 1000; try++ {
		port := 15000 + int(portSeed.Add(1)*7919%17000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		_ = l.Close()
		ports = append(ports, port)
	}
	if len(ports) < n {
		return nil, errors.New("finding a free port: none of 1000 is")
	}
	return ports, nil
}

// run runs a command to its end and returns its output in the error where it fails.
func run(ctx context.Context, spec command) error {
	cmd := exec.CommandContext(ctx, spec.argv[0], spec.argv[1:]...)
	cmd.Dir, cmd.Env = spec.dir, append(os.Environ(), spec.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: spec.cred, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		if len(out) > 2000 {
			out = out[len(out)-2000:]
		}
		return fmt.Errorf("running %s: %w\n%s", strings.Join(spec.argv, " "), err, out)
	}
	return nil
}
