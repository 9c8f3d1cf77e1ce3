// Package docs holds the documentation to what it speaks of.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	named  = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)(?:/([\\w.-]+))?`")
	linked = regexp.MustCompile("\\[`((?:Test|Fuzz)[A-Z]\\w*)(?:/([\\w.-]+))?`\\]\\(\\.\\./([\\w./-]+)\\)")
)

// Every test that docs/guarantees.md names is in the directory that it says, and every sentence of what is promised names one.
func TestGuaranteesNameTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	promised, rest, ok := strings.Cut(string(text), "\n## What is not promised\n")
	if !ok {
		t.Error("what is not promised is not told")
	}
	if n, l := len(named.FindAllString(string(text), -1)), len(linked.FindAllString(string(text), -1)); n != l || l < 50 {
		t.Errorf("%d tests are named, %d with their directory", n, l)
	}
	if linked.MatchString(rest) {
		t.Error("a test holds what is not promised")
	}
	for _, s := range sentences(promised) {
		if !linked.MatchString(s) {
			t.Errorf("no test is named for: %s", s)
		}
	}
	for _, m := range linked.FindAllStringSubmatch(string(text), -1) {
		if !exists(t, m[3], m[1], m[2]) {
			t.Errorf("%s has no test %s %s", m[3], m[1], m[2])
		}
	}
}

// sentences are the items of lists and the rows of tables.
func sentences(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| fault |"):
			all = append(all, line)
		case strings.HasPrefix(line, "  ") && len(all) > 0:
			all[len(all)-1] += line
		}
	}
	return all
}

// exists tells whether a directory has a test. One of TestStories is a script.
func exists(t *testing.T, dir, test, sub string) bool {
	if test == "TestStories" {
		_, err := os.Stat(filepath.Join("..", dir, "testdata", "script", sub+".txt"))
		return err == nil
	}
	files, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		code, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(code), "\nfunc "+test+"(") && (sub == "" || strings.Contains(string(code), `"`+sub+`"`)) {
			return true
		}
	}
	return false
}
