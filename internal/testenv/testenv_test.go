package testenv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCacheIsCompleteOnlyWhenFilled(t *testing.T) {
	t.Setenv("CALCDC_TEST_CACHE", t.TempDir())
	fills := 0
	fill := func(err error) func(string) error {
		return func(string) error { fills++; return err }
	}
	cut := errors.New("cut")
	if _, err := cached("x", []byte("1"), fill(cut)); !errors.Is(err, cut) {
		t.Errorf("a failed download: error %v", err)
	}
	for range 2 {
		if _, err := cached("x", []byte("1"), fill(nil)); err != nil {
			t.Error(err)
		}
	}
	if _, err := cached("x", []byte("2"), fill(nil)); err != nil || fills != 3 {
		t.Errorf("filled %d times (%v); want once failing, once for each recipe", fills, err)
	}
}

func TestStopEndsTheWholeGroup(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "child")
	p, err := startProcess("sh", dir, command{argv: []string{"sh", "-c", "sleep 60 & echo $! >" + file + ".tmp; mv " + file + ".tmp " + file + "; wait"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	var child int
	err = p.await(t.Context(), func(context.Context) error {
		b, err := os.ReadFile(file)
		child, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Pause()
	p.Stop()
	if p.Running() {
		t.Error("it runs")
	}
	for begin := time.Now(); runs(child); {
		if time.Since(begin) > 5*time.Second {
			t.Fatal("its child runs")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// runs tells whether a process is there and no zombie.
func runs(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
