//go:build integration

package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// program is the calcdc under test, built by TestMain.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "calcdc-faults-")
	if err == nil {
		program = filepath.Join(dir, "calcdc")
		err = build(program)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "building calcdc:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
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
