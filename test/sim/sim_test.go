package sim

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	budget  = flag.Duration("budget", 8*time.Second, "for how long seeds are played")
	seeds   = flag.Int("seeds", 0, "how many seeds are played, however long that takes; 0: as many as the budget allows")
	from    = flag.Uint64("from", 1, "the first seed")
	single  = flag.Int64("seed", -1, "play this seed alone")
	trace   = flag.String("trace", "", "the file for everything that happens in -seed; - is standard output")
	stripe  = flag.Uint64("stripe", 0, "of a player: one seed in so many")
	asMuch  = flag.Bool("to-the-end", false, "play on after a seed has failed")
	silence = flag.Duration("silence", 4*time.Minute, "how long one seed may take before it is taken to hang")
)

// TestSimulation plays seeds, each in a bubble with a cluster, a calendar service and workers of its own, for as long as the budget
// allows: in processes of one thread, one for each core. Of those that have been played some are played again, each in a process of its
// own: their histories are the same.
func TestSimulation(t *testing.T) {
	switch {
	case *stripe > 0:
		playStripe(t)
		return
	case *single >= 0:
		playSingle(t)
		return
	}
	began := time.Now()
	players := runtime.NumCPU()
	results := make([]report, players)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for i := range players {
		wg.Go(func() {
			results[i] = player(ctx, *from+uint64(i), uint64(players))
			if len(results[i].failures) > 0 && !*asMuch {
				cancel()
			}
		})
	}
	wg.Wait()
	all := report{hashes: map[uint64]string{}}
	for _, r := range results {
		all.add(r)
	}
	for _, f := range all.failures {
		t.Errorf("%s\nplay it alone: make sim SEED=%s", f, strings.Fields(f)[1])
	}
	again := 0
	for seed, hash := range all.hashes {
		if again++; exact && again <= 3 {
			if r := player(t.Context(), seed, 1<<40); r.hashes[seed] != hash {
				t.Errorf("seed %d: the history's hash is %s, and was %s", seed, r.hashes[seed], hash)
			}
		}
	}
	t.Logf("%d seeds in %v, %d records, exact replay: %v", len(all.hashes), time.Since(began).Round(time.Second), all.records, exact)
	if len(all.hashes) == 0 {
		t.Error("no seed was played")
	}
}

// report is what a player did.
type report struct {
	hashes   map[uint64]string // of the seeds that it has played
	records  int
	failures []string // "seed N: …"
}

func (r *report) add(o report) {
	for seed, hash := range o.hashes {
		r.hashes[seed] = hash
	}
	r.records += o.records
	r.failures = append(r.failures, o.failures...)
}

// player plays seeds in a process of its own.
func player(outer context.Context, first, step uint64) report {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	n := 0
	if *seeds > 0 {
		n = (*seeds + int(step) - 1) / int(step)
	}
	if step > 1<<32 {
		n = 1
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSimulation$", "-test.timeout=0", "-from", fmt.Sprint(first), "-stripe", fmt.Sprint(step),
		"-seeds", fmt.Sprint(n), "-budget", budget.String(), fmt.Sprintf("-to-the-end=%v", *asMuch))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	r := report{hashes: map[uint64]string{}}
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = cmd.Start()
	}
	if err != nil {
		r.failures = append(r.failures, fmt.Sprintf("seed %d: %v", first, err))
		return r
	}
	playing, rest := r.follow(out, cancel)
	if err := cmd.Wait(); err != nil && len(r.failures) == 0 && outer.Err() == nil {
		r.failures = append(r.failures, fmt.Sprintf("seed %s: the player ended: %v\n%s", playing, err, rest))
	}
	return r
}

// follow reads what a player says. A seed that takes too long hangs: the player is killed.
func (r *report) follow(out io.Reader, kill func()) (playing, rest string) {
	watch := time.AfterFunc(*silence, kill)
	defer watch.Stop()
	failing := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "play "):
			playing, failing = f[1], false
			watch.Reset(*silence)
		case strings.HasPrefix(line, "well "):
			seed, _ := strconv.ParseUint(f[1], 10, 64)
			n, _ := strconv.Atoi(f[3])
			r.hashes[seed], r.records = f[2], r.records+n
		case strings.HasPrefix(line, "fail "):
			r.failures = append(r.failures, fmt.Sprintf("seed %s: %s", f[1], strings.Join(f[2:], " ")))
			failing = true
		case failing && strings.HasPrefix(line, "\t"):
			r.failures[len(r.failures)-1] += "\n" + line
		case len(rest) < 1<<14:
			rest += line + "\n"
		}
	}
	return playing, rest
}

// warm is a seed that is played first by each player: what is made once in a process has been made when the first one begins that
// counts.
const warm = 0

func playStripe(t *testing.T) {
	play(t, warm, nil)
	began := time.Now()
	for n, seed := 0, *from; *seeds > 0 && n < *seeds || *seeds == 0 && time.Since(began) < *budget; n, seed = n+1, seed+*stripe {
		fmt.Println("play", seed)
		res := play(t, seed, nil)
		if res.Err != nil {
			fmt.Println("fail", seed, strings.ReplaceAll(res.Err.Error(), "\n", "\n\t"))
			if !*asMuch {
				return
			}
			continue
		}
		fmt.Printf("well %d %x %d\n", seed, res.Hash, res.Records)
	}
}

func playSingle(t *testing.T) {
	var out io.Writer
	switch *trace {
	case "":
	case "-":
		out = os.Stdout
	default:
		f, err := os.Create(*trace)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		w := bufio.NewWriter(f)
		defer func() { _ = w.Flush() }()
		out = w
	}
	play(t, warm, nil)
	res := play(t, uint64(*single), out)
	t.Logf("seed %d: %d records, hash %x, exact: %v", *single, res.Records, res.Hash, exact)
	if res.Err != nil {
		t.Error(res.Err)
	}
}

// play plays a seed in a bubble.
func play(t *testing.T, seed uint64, out io.Writer) (res Result) {
	defer fixChances(seed)()
	synctest.Test(t, func(*testing.T) { res = run(seed, out) })
	return res
}
