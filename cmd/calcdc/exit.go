package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/calcdc/calcdc/internal/config"
)

// Exit codes.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2 // the command line or the configuration is wrong
)

// usageError says that the command line is wrong.
type usageError string

func (e usageError) Error() string { return string(e) }

// errReported says that the command has printed what failed: only the exit code is left to say.
var errReported = errors.New("reported")

// report prints err with what to do and returns the exit code. Before a command has started, errors are cobra's, about the command line.
func report(stderr io.Writer, err error, started bool) int {
	var faults config.Faults
	var usage usageError
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, errReported):
		return exitFailed
	case errors.As(err, &faults):
		_, _ = fmt.Fprintln(stderr, faults)
		return exitUsage
	case errors.As(err, &usage), !started:
		_, _ = fmt.Fprintf(stderr, "calcdc: %v\nRun 'calcdc --help', or 'calcdc COMMAND --help', for usage.\n", err)
		return exitUsage
	}
	_, _ = fmt.Fprintf(stderr, "calcdc: %v\n", err)
	return exitFailed
}
