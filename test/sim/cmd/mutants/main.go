// Command mutants takes each rule of the connector out of the code in turn and sees that it is missed: by the simulation, or by the
// test that the table names. It is run from the top of the repository.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	replay := flag.String("replay", "", "the overlay of the replay command")
	only := flag.String("only", "", "only mutants whose name holds this")
	budget := flag.Duration("budget", time.Minute, "for how long the simulation may look for one of them")
	flag.Parse()
	if err := run(context.Background(), *replay, *only, *budget); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, replay, only string, budget time.Duration) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	missed, played := 0, 0
	var survivors []string
	for _, m := range mutants {
		if !strings.Contains(m.name, only) {
			continue
		}
		began := time.Now()
		played++
		how, err := m.hunt(ctx, dir, replay, budget)
		if err != nil {
			how = "SURVIVES: " + err.Error()
			survivors = append(survivors, m.name)
		} else {
			missed++
		}
		fmt.Printf("%-75s %5.0f s  %s\n", m.name, time.Since(began).Seconds(), how)
	}
	fmt.Printf("%d of %d are missed\n", missed, played)
	if len(survivors) > 0 {
		return errors.New("nobody misses: " + strings.Join(survivors, "; "))
	}
	return nil
}

// hunt returns what has missed the rule.
func (m mutant) hunt(ctx context.Context, dir, replay string, budget time.Duration) (string, error) {
	args := []string{"test", "-count=1", "-vet=off", "-timeout", "10m"}
	base := ""
	if m.test == "" {
		base = replay
	}
	overlay, err := m.overlay(dir, base)
	if err != nil {
		return "", err
	}
	args = append(args, "-overlay", overlay)
	if pkg, pattern, ok := strings.Cut(m.test, " "); ok {
		args = append(args, "-run", "^("+pattern+")$", pkg)
	} else {
		args = append(args, "-tags", "replay", "-run", "^TestSimulation$", "./test/sim", "-args", "-budget", budget.String(), "-silence", "90s")
	}
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	switch text := string(out); {
	case err == nil:
		return "", errors.New("the tests pass")
	case strings.Contains(text, "[build failed]"), strings.Contains(text, "[setup failed]"), strings.Contains(text, "no tests to run"):
		return "", fmt.Errorf("it does not compile, or there is no such test:\n%s", text)
	default:
		return reason(text, m.test), nil
	}
}

// reason is the first line of a failed test that says something.
func reason(out, test string) string {
	if test != "" {
		return test
	}
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "sim_test.go") {
			_, line, _ = strings.Cut(line, ": ")
			return line[:min(len(line), 150)]
		}
	}
	return "it failed"
}

// overlay writes the mutated files, on top of the replay command's.
func (m mutant) overlay(dir, replay string) (string, error) {
	o := struct{ Replace map[string]string }{map[string]string{}}
	if replay != "" {
		b, err := os.ReadFile(replay)
		if err == nil {
			err = json.Unmarshal(b, &o)
		}
		if err != nil {
			return "", err
		}
	}
	top, err := os.Getwd()
	if err != nil {
		return "", err
	}
	texts := map[string]string{}
	for _, e := range m.edits {
		if _, ok := texts[e.file]; !ok {
			b, err := os.ReadFile(e.file)
			if err != nil {
				return "", err
			}
			texts[e.file] = string(b)
		}
		if n := strings.Count(texts[e.file], e.old); n != 1 {
			return "", fmt.Errorf("%s has %q %d times, not once: the table needs to be looked at", e.file, e.old, n)
		}
		texts[e.file] = strings.Replace(texts[e.file], e.old, e.now, 1)
	}
	for file, text := range texts {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		o.Replace[filepath.Join(top, file)] = to
	}
	b, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}
