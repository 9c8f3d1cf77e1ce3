//go:build integration

package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// envTask makes this binary a child that does one task instead of running benchmarks; its argument is JSON on stdin.
const envTask = "CALCDC_BENCH_TASK"

// envProfile names a directory for calcdc's CPU and heap profiles: none are taken without it.
const envProfile = "CALCDC_BENCH_PROFILE"

// binary is the calcdc under measurement.
var binary string

// tasks are what children do. An answer, where there is one, goes to stdout as a line of JSON.
var tasks = map[string]func() error{
	"server": serverTask,
	"google": googleTask,
	"raw":    func() error { return floorTask(rawFloor) },
	"pace":   paceTask,
	"write":  func() error { return floorTask(writeFloor) },
	"txn":    func() error { return floorTask(transactionalFloor) },
}

func TestMain(m *testing.M) {
	if task := os.Getenv(envTask); task != "" {
		if err := tasks[task](); err != nil {
			fmt.Fprintln(os.Stderr, task+":", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(measure(m))
}

func measure(m *testing.M) int {
	dir, err := os.MkdirTemp("", "calcdc-bench-")
	if err == nil {
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "calcdc")
		err = errors.Join(build(dir), os.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache")))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "building calcdc:", err)
		return 1
	}
	return m.Run()
}

// build builds calcdc. To be profiled it gets a file more, which the product does not have.
func build(dir string) error {
	args := []string{"build", "-o", binary}
	if os.Getenv(envProfile) != "" {
		overlay, err := profiled(dir)
		if err != nil {
			return err
		}
		args = append(args, "-overlay", overlay)
	}
	out, err := exec.Command("go", append(args, "github.com/calcdc/calcdc/cmd/calcdc")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// profiled writes an overlay that adds testdata/profile.go.txt to cmd/calcdc.
func profiled(dir string) (string, error) {
	source, err := filepath.Abs("testdata/profile.go.txt")
	if err != nil {
		return "", err
	}
	target, err := filepath.Abs("../../cmd/calcdc/profile_for_benchmarks.go")
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{target: source}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}

// child is a process that does a task.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Reader
	stdin interface{ Close() error }
}

// spawn starts a task. It ends with its stdin, or by itself.
func spawn(b *testing.B, task string, argument any) *child {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envTask+"="+task)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	if err := json.NewEncoder(in).Encode(argument); err != nil {
		b.Fatal(err)
	}
	return &child{cmd: cmd, lines: bufio.NewReader(out), stdin: in}
}

// answer reads the child's next line into to.
func (c *child) answer(b *testing.B, to any) {
	b.Helper()
	line, err := c.lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, to)
	}
	if err != nil {
		b.Fatalf("reading a child's answer: %v", err)
	}
}

// end lets the child end and waits for it.
func (c *child) end(b *testing.B) {
	b.Helper()
	_ = c.stdin.Close()
	if err := c.cmd.Wait(); err != nil {
		b.Error(err)
	}
}
