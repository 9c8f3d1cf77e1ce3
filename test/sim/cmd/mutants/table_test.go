package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each mutant's texts are in the code, once, what it makes of them is Go, it changes something, and the tests that it names are there.
func TestTable(t *testing.T) {
	top := filepath.Join("..", "..", "..", "..")
	names := map[string]bool{}
	for _, m := range mutants {
		if names[m.name] {
			t.Errorf("%s: there are two", m.name)
		}
		names[m.name] = true
		texts, err := m.apply(top)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		for file, text := range texts {
			if _, err := parser.ParseFile(token.NewFileSet(), file, text, 0); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		}
		for _, e := range m.edits {
			if e.old == e.now {
				t.Errorf("%s: %s stays what it is", m.name, e.file)
			}
		}
		if len(m.edits) == 0 {
			t.Errorf("%s: it takes out nothing", m.name)
		}
		pkg, pattern, _ := strings.Cut(m.by(), " ")
		for name := range strings.SplitSeq(pattern, "|") {
			if !hasTest(t, filepath.Join(top, pkg), name) {
				t.Errorf("%s: %s has no test %s", m.name, pkg, name)
			}
		}
	}
}

func hasTest(t *testing.T, dir, name string) bool {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	test := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(t \*testing\.T\)`)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if test.Match(b) {
			return true
		}
	}
	return false
}

// What the simulation says of seeds that have failed is understood.
func TestFailures(t *testing.T) {
	out := "=== RUN   TestSimulation\n    sim_test.go:66: seed 17: a row that never was: x\n        and more\n        play it alone: make sim SEED=17\n" +
		"    sim_test.go:66: seed 18 hangs: it has taken longer than 1m0s\n"
	got := failures(out)
	if len(got) != 2 || got[0] != "seed 17: a row that never was: x" || !strings.HasPrefix(got[1], "seed 18 hangs: ") {
		t.Errorf("%q", got)
	}
}
