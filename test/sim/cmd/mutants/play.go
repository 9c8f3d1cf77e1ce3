package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// verdict is what has become of a mutant.
type verdict string

const (
	caught   verdict = "caught"
	survived verdict = "SURVIVED"
	unbuilt  verdict = "UNBUILT"
	hung     verdict = "HUNG"
)

const (
	simulation = "./test/sim TestSimulation"
	silence    = 2 * time.Minute  // for one seed
	patience   = 3 * time.Minute  // for a named test
	most       = 30 * time.Minute // for anything
)

// stage is where mutants are played.
type stage struct {
	options
	dir string
}

// by is what must catch the mutant: a package and the pattern of its tests.
func (m mutant) by() string {
	if m.test == "" {
		return simulation
	}
	return m.test
}

// rehearse plays everything with nothing taken out.
func (s stage) rehearse(ctx context.Context, all []mutant) error {
	seen := map[string]bool{}
	patterns := map[string][]string{} // by package
	for _, m := range all {
		if pkg, pattern, _ := strings.Cut(m.by(), " "); !seen[m.by()] {
			seen[m.by()] = true
			patterns[pkg] = append(patterns[pkg], pattern)
		}
	}
	s.seeds = min(s.seeds, 20)
	for pkg, of := range patterns {
		m := mutant{name: "nothing", test: pkg + " " + strings.Join(of, "|")}
		if m.test == simulation {
			m.test = ""
		}
		if v, how := s.play(ctx, m); v != survived && ctx.Err() == nil {
			return fmt.Errorf("with nothing taken out, %s: %s: %s", m.by(), v, how)
		}
	}
	return ctx.Err()
}

// play builds a mutant and lets what must catch it run.
func (s stage) play(ctx context.Context, m mutant) (verdict, string) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	pkg, pattern, _ := strings.Cut(m.by(), " ")
	bin, err := s.build(ctx, m, pkg)
	if err != nil {
		return unbuilt, err.Error()
	}
	args := []string{"-test.run=^(" + pattern + ")$", "-test.v", "-test.count=1"}
	if m.test == "" {
		args = append(args, "-test.timeout=0", "-seeds", strconv.Itoa(s.seeds), "-silence", silence.String())
	} else {
		args = append(args, "-test.timeout="+patience.String())
	}
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir, cmd.WaitDelay = pkg, 10*time.Second
	out, err := cmd.CombinedOutput()
	text := string(out)
	for name := range strings.SplitSeq(pattern, "|") {
		if !strings.Contains(text, "=== RUN   "+name+"\n") && err == nil {
			return unbuilt, pkg + " has no test " + name
		}
	}
	lines := failures(text)
	switch over := errors.Is(ctx.Err(), context.DeadlineExceeded) || strings.Contains(text, "panic: test timed out"); {
	case err == nil:
		return survived, m.by()
	case over, m.test == "" && len(lines) > 0 && !slices.ContainsFunc(lines, func(l string) bool { return !strings.Contains(l, " hangs: ") }):
		return hung, m.by()
	case m.test != "":
		return caught, m.test
	case len(lines) == 0:
		return caught, tail(text)
	}
	return caught, lines[0][:min(len(lines[0]), 150)]
}

// failures are the seeds that have failed: "seed N: …", the first line of each.
func failures(out string) []string {
	var all []string
	for line := range strings.Lines(out) {
		if _, line, ok := strings.Cut(strings.TrimSpace(line), ": seed "); ok {
			all = append(all, "seed "+line)
		}
	}
	return all
}

func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " / ")
}

// build makes the package's test binary, with the mutant's files in place of the tree's.
func (s stage) build(ctx context.Context, m mutant, pkg string) (string, error) {
	base := ""
	if m.test == "" {
		base = s.replay
	}
	overlay, err := m.overlay(s.dir, base)
	if err != nil {
		return "", err
	}
	bin := filepath.Join(s.dir, "mutant.test")
	if err := os.RemoveAll(bin); err != nil {
		return "", err
	}
	args := []string{"test", "-c", "-o", bin, "-overlay", overlay, "-ldflags=-s -w"}
	if m.test == "" {
		args = append(args, "-tags", "replay")
	}
	out, err := exec.CommandContext(ctx, "go", append(args, pkg)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	if _, err := os.Stat(bin); err != nil { // a package without tests makes none
		return "", err
	}
	return bin, nil
}
