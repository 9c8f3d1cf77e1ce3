package offsets

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
)

// envKilled makes the test binary a process that commits, with a cache in that directory, until it is killed.
const envKilled = "CALCDC_OFFSETS_KILLED"

// commitUntilKilled says after each commit how many there were.
func commitUntilKilled(dir string) error {
	c := OpenCache(CacheConfig{Dir: dir, Name: "team", Memory: 1 << 20}, hclog.NewNullLogger())
	l, _ := cachedLedger(newFakeKafka(), c, nil)
	if _, err := l.Load(context.Background()); err != nil {
		return err
	}
	h := killedHistory()
	for i := 1; ; i++ {
		if err := l.Commit(context.Background(), []connector.Transaction{h.next()}); err != nil {
			return err
		}
		switch {
		case i%100 == 0:
			if err := c.db.Flush(); err != nil {
				return err
			}
		case i%50 == 0:
			c.db.FlushSoon()
		}
		if _, err := fmt.Println(i); err != nil {
			return err
		}
	}
}

func killedHistory() *history { return newHistory(rand.New(rand.NewPCG(9, 9)), alice) }

// TestCacheOfAKilledProcess: whatever a process was doing when it was killed, its cache is a true beginning, or found not to be.
func TestCacheOfAKilledProcess(t *testing.T) {
	for _, commits := range []int{1, 60, 130, 333, 700} {
		t.Run(strconv.Itoa(commits), func(t *testing.T) {
			dir := t.TempDir()
			reached := killAfter(t, dir, commits)
			k, h := newFakeKafka(), killedHistory()
			first, _ := cachedLedger(k, nil, nil)
			load(t, first, k, rand.New(rand.NewPCG(3, 3)), nil)
			for range reached + 20 { // it may have gone on before it died
				if err := first.Commit(t.Context(), []connector.Transaction{h.next()}); err != nil {
					t.Fatal(err)
				}
			}
			var out strings.Builder
			c := cacheOf(t, dir)
			l, _ := cachedLedger(k, c, nil)
			l.log = hclog.New(&hclog.LoggerOptions{Output: &out})
			all, err := l.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "loaded", imageOf(t, all[alice]), h.image)
			if all[alice].Refused != nil || all[alice].Lost != nil {
				t.Errorf("refused: %v, lost: %v", all[alice].Refused, all[alice].Lost)
			}
			if from := k.readFrom(t); commits > 300 && from == 0 || out.Len() > 0 {
				t.Errorf("read from %d; the log says %q", from, out.String())
			}
		})
	}
}

// killAfter runs commitUntilKilled and kills it after some commits; it returns how many it has heard of.
func killAfter(t *testing.T, dir string, commits int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envKilled+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	reached := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if reached, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(lines.Text())
		}
		if reached == commits {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // it was killed
	if reached < commits {
		t.Fatalf("it ended after %d commits", reached)
	}
	return reached
}
