// Command calcdc makes Kafka mirror people's calendars.
//
// Its commands are in root.go; run.go is the one that does the work. What they share, from configuration to clients,
// sources and ledgers, is in wire.go.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	collectGarbage()
	os.Exit(runMain())
}

// echo is how long the same signal counts as the first one heard twice: timeout(1), for one, sends it to the process and
// then to its group.
const echo = time.Second

// runMain runs the command line until it ends or a signal asks it to; a second signal ends the process at once.
func runMain() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ended := make(chan struct{})
	defer close(ended) // signals stay caught: one that comes late must not change the exit code
	go func() {
		var first os.Signal
		var at time.Time
		for {
			select {
			case s := <-signals:
				switch {
				case first == nil:
					first, at = s, time.Now()
					cancel()
				case s != first || time.Since(at) > echo:
					os.Exit(exitFailed)
				}
			case <-ended:
				return
			}
		}
	}()
	return execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// execute runs one command and returns its exit code, having printed the error, once, to stderr.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root, started := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	return report(stderr, err, *started)
}

// exit ends the process at once, where what it would wait for cannot be ended.
func exit(code int) { os.Exit(code) }
