package sim

import (
	"bufio"
	"bytes"
	"cmp"
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
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	budget  = flag.Duration("budget", 8*time.Second, "for how long seeds are played")
	seeds   = flag.Int("seeds", 0, "how many seeds are played, however long that takes; 0: as many as the budget allows")
	floor   = flag.Int("floor", 1, "how many seeds are played at least: the budget is exceeded for them, up to three times")
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
	all := report{hashes: map[uint64]string{}, met: counts{}}
	for _, r := range results {
		all.add(r)
	}
	for _, f := range all.failures {
		t.Errorf("%s\nplay it alone: make sim SEED=%s", f, strings.Fields(f)[1])
	}
	again := 0
	for seed, hash := range all.hashes {
		if again++; exact && again <= 3 && len(all.failures) == 0 {
			if r := player(t.Context(), seed, alone); r.hashes[seed] != hash {
				t.Errorf("seed %d: the history's hash is %s, and was %s", seed, r.hashes[seed], hash)
			}
		}
	}
	took := time.Since(began).Round(time.Second)
	t.Logf("met: %s", all.met)
	if missing := all.met.missing(); len(missing) > 0 && len(all.hashes) >= enough {
		t.Errorf("what %d seeds have never met: %s", len(all.hashes), strings.Join(missing, ", "))
	}
	t.Logf("%d seeds in %v, %d records, exact replay: %v", len(all.hashes), took, all.records, exact)
	if least := max(1, cmp.Or(*seeds, *floor)); len(all.hashes) < least && !t.Failed() {
		t.Errorf("%d seeds were played in %v, of at least %d: the simulation has become too slow, or the machine is too busy", len(all.hashes), took, least)
	}
}

// enough seeds meet all that there is to meet.
const enough = 200

// alone is the stripe of a player that plays one seed.
const alone = 1 << 40

// report is what a player did.
type report struct {
	hashes   map[uint64]string // of the seeds that it has played
	met      counts
	records  int
	failures []string // "seed N: …"
}

func (r *report) add(o report) {
	for seed, hash := range o.hashes {
		r.hashes[seed] = hash
	}
	r.records += o.records
	r.met.add(o.met.String())
	r.failures = append(r.failures, o.failures...)
}

// player plays seeds in a process of its own.
func player(outer context.Context, first, step uint64) report {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	share := func(n int) int { return (n + int(step) - 1) / int(step) }
	n := share(*seeds)
	if step >= alone {
		n = 1
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSimulation$", "-test.timeout=0", "-from", fmt.Sprint(first), "-stripe", fmt.Sprint(step),
		"-seeds", fmt.Sprint(n), "-floor", fmt.Sprint(share(*floor)), "-budget", budget.String(), fmt.Sprintf("-to-the-end=%v", *asMuch))
	cmd.Env = append(os.Environ(), oneThread...)
	r := report{hashes: map[uint64]string{}, met: counts{}}
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = cmd.Start()
	}
	if err != nil {
		r.failures = append(r.failures, fmt.Sprintf("seed %d: %v", first, err))
		return r
	}
	playing, rest, hangs := r.follow(out, cancel)
	err = cmd.Wait()
	switch {
	case hangs:
		r.failures = append(r.failures, fmt.Sprintf("seed %s hangs: nothing was heard of it for %v", playing, *silence))
	case err != nil && len(r.failures) == 0 && outer.Err() == nil:
		r.failures = append(r.failures, fmt.Sprintf("seed %s: the player ended: %v\n%s", playing, err, rest))
	}
	return r
}

// follow reads what a player says. A seed that takes too long hangs: the player is killed.
func (r *report) follow(out io.Reader, kill func()) (playing, rest string, hangs bool) {
	var struck atomic.Bool
	watch := time.AfterFunc(*silence, func() {
		struck.Store(true)
		kill()
	})
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
			_, met, _ := strings.Cut(line, " met ")
			r.met.add(met)
		case strings.HasPrefix(line, "fail "):
			r.failures = append(r.failures, fmt.Sprintf("seed %s: %s", f[1], strings.Join(f[2:], " ")))
			failing = true
		case failing && strings.HasPrefix(line, "\t"):
			r.failures[len(r.failures)-1] += "\n" + line
		case len(rest) < 1<<14:
			rest += line + "\n"
		}
	}
	return playing, rest, struck.Load()
}

// warm is a seed that is played first by each player: what is made once in a process has been made when the first one begins that
// counts.
const warm = 0

func playStripe(t *testing.T) {
	fmt.Println("play", warm)
	play(t, warm, nil)
	began := time.Now()
	goesOn := func(n int) bool {
		took := time.Since(began)
		return n < *seeds || *seeds == 0 && (took < *budget || n < *floor && took < 3**budget)
	}
	for n, seed := 0, *from; goesOn(n); n, seed = n+1, seed+*stripe {
		fmt.Println("play", seed)
		var out io.Writer
		if *stripe >= alone { // again, and with a trace: it changes nothing
			out = io.Discard
		}
		res := play(t, seed, out)
		if res.Err != nil {
			fmt.Println("fail", seed, strings.ReplaceAll(res.Err.Error(), "\n", "\n\t"))
			if !*asMuch {
				return
			}
			continue
		}
		fmt.Printf("well %d %x %d met %s\n", seed, res.Hash, res.Records, res.Met)
	}
}

// oneThread is the environment in which a process plays a seed as any other does.
var oneThread = []string{"GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1"}

// playSingle plays a seed as a player does, in a process of its own if this is none.
func playSingle(t *testing.T) {
	if runtime.GOMAXPROCS(0) != 1 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], os.Args[1:]...)
		cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), oneThread...), os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
		return
	}
	play(t, warm, nil)
	var out bytes.Buffer // what is written to a file meanwhile could change the order of things
	res := play(t, uint64(*single), &out)
	switch *trace {
	case "":
	case "-":
		_, _ = os.Stdout.Write(out.Bytes())
	default:
		if err := os.WriteFile(*trace, out.Bytes(), 0o644); err != nil {
			t.Error(err)
		}
	}
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
