// Command testservers starts a real Apache Kafka and real CalDAV servers, runs a command with their addresses in its
// environment (see package testenv) and stops them:
//
//	go run ./internal/testenv/cmd/testservers [-optional] [-only kafka,radicale] -- COMMAND [ARG...]
//
// It installs what they need: Debian packages where it is root, Maven artifacts, a Python environment. Its exit code
// is that of the command; 3 when the machine lacks something. With -optional, and unless CI=true, it then only says
// what did not run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/internal/testenv"
)

const (
	exitUsage = 2
	exitLacks = 3
)

func main() {
	optional := flag.Bool("optional", false, "where the machine lacks something, say so and succeed, unless CI=true")
	only := flag.String("only", "", "start only these, separated by commas: kafka, radicale, xandikos, davical, sabredav, python")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(exitUsage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, *only, *optional && os.Getenv("CI") != "true", flag.Args()))
}

// run returns the exit code.
func run(ctx context.Context, only string, optional bool, argv []string) int {
	dir, err := os.MkdirTemp("", "calcdc-testservers-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "testservers:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	f := fleet{dir: dir, only: only, env: map[string]string{}}
	defer f.close()
	if err := f.start(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "testservers: this machine lacks what the integration tests need:\n%v\n", err)
		if ctx.Err() == nil && optional {
			fmt.Fprintf(os.Stderr, "\n*** NOT RUN: %s\n*** Everything that needs no server has run.\n", strings.Join(argv, " "))
			return 0
		}
		return exitLacks
	}
	return command(ctx, argv, f.environ())
}

func command(ctx context.Context, argv, env []string) int {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	default:
		fmt.Fprintf(os.Stderr, "testservers: running %s: %v\n", strings.Join(argv, " "), err)
		return 1
	}
}

// fleet is everything that was started.
type fleet struct {
	dir, only string

	mu      sync.Mutex
	env     map[string]string
	closers []func()
}

// start starts all servers at the same time.
func (f *fleet) start(ctx context.Context) error {
	if f.only == "" {
		if err := timed("packages", func() error { return testenv.InstallPackages(ctx) }); err != nil {
			return err
		}
	}
	steps := map[string]func(context.Context, string) error{
		"kafka":    f.kafka,
		"python":   f.python,
		"radicale": f.dav(testenv.EnvRadicale, testenv.StartRadicale),
		"xandikos": f.dav(testenv.EnvXandikos, testenv.StartXandikos),
		"davical":  f.dav(testenv.EnvDAViCal, testenv.StartDAViCal),
		"sabredav": f.dav(testenv.EnvSabreDAV, testenv.StartSabreDAV),
	}
	var g errgroup.Group // all are tried, so that all that is lacking is said
	errs := make(chan error, len(steps))
	for name, step := range steps {
		if f.only != "" && !strings.Contains(","+f.only+",", ","+name+",") {
			continue
		}
		g.Go(func() error {
			errs <- timed(name, func() error { return f.prepare(ctx, name, step) })
			return nil
		})
	}
	_ = g.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

func (f *fleet) prepare(ctx context.Context, name string, step func(context.Context, string) error) error {
	dir := filepath.Join(f.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(f.dir, 0o755); err != nil { // servers that run as users of their own must get through
		return err
	}
	return step(ctx, dir)
}

func (f *fleet) kafka(ctx context.Context, dir string) error {
	jars, err := testenv.KafkaJars(ctx)
	if err != nil {
		return err
	}
	k, err := testenv.StartKafka(ctx, dir, jars, testenv.KafkaOptions{Secure: true})
	if err != nil {
		return err
	}
	f.add(k.Close, map[string]string{
		testenv.EnvKafka: k.Addr(), testenv.EnvKafkaSASLSSL: k.SecureAddr(), testenv.EnvKafkaCA: k.CAFile(),
		testenv.EnvKafkaJars: jars,
	})
	return nil
}

func (f *fleet) python(ctx context.Context, _ string) error {
	python, err := testenv.Python(ctx)
	f.add(func() {}, map[string]string{testenv.EnvPython: python})
	return err
}

func (f *fleet) dav(env string, start func(context.Context, string) (*testenv.DAV, error)) func(context.Context, string) error {
	return func(ctx context.Context, dir string) error {
		d, err := start(ctx, dir)
		if err != nil {
			return err
		}
		f.add(d.Close, map[string]string{env: d.Endpoint(), env + "_STATE": dir})
		return nil
	}
}

func (f *fleet) add(closer func(), env map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closers = append(f.closers, closer)
	for k, v := range env {
		f.env[k] = v
	}
}

func (f *fleet) environ() []string {
	env := os.Environ()
	for k, v := range f.env {
		env = append(env, k+"="+v)
	}
	return env
}

func (f *fleet) close() {
	for _, c := range f.closers {
		c()
	}
}

// timed says how long a step took.
func timed(name string, step func() error) error {
	begin := time.Now()
	err := step()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(os.Stderr, "testservers: %-9s ready after %.1fs\n", name, time.Since(begin).Seconds())
	return nil
}
