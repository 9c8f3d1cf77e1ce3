// Command mutants takes each rule of the connector out of the code in turn and sees that it is missed: by the simulation, or by the
// test that the table names. It is run from the top of the repository.
//
// First what is played is played with nothing taken out: it passes, or what it says of a mutant means nothing. Then each mutant is built;
// one that does not build is a mistake in the table, not one that was caught. The simulation plays so many seeds of it, always the same
// ones, so that what it finds does not hang on the machine. The verdicts:
//
//	caught    something has failed
//	SURVIVED  everything has passed: a rule that nobody would miss
//	UNBUILT   it does not compile, its text is no longer in the code, or there is no such test
//	HUNG      nothing has failed, and a seed or the test did not end; counted as caught only where the table says so
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.replay, "replay", "", "the overlay of the replay command")
	flag.StringVar(&o.only, "only", "", "only mutants whose name holds this")
	flag.StringVar(&o.shard, "shard", "1/1", "i/n: each n-th mutant, from the i-th on")
	flag.IntVar(&o.seeds, "seeds", 1000, "how many seeds the simulation may play to find one of them")
	flag.BoolVar(&o.rehearse, "rehearse", true, "first play all with nothing taken out")
	flag.BoolVar(&o.list, "list", false, "only name them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

type options struct {
	replay, only, shard string
	seeds               int
	rehearse, list      bool
}

// chosen are the mutants that are to be played.
func (o options) chosen() ([]mutant, error) {
	var i, n int
	if _, err := fmt.Sscanf(o.shard, "%d/%d", &i, &n); err != nil || i < 1 || i > n {
		return nil, fmt.Errorf("the shard %q is not i/n", o.shard)
	}
	var out []mutant
	for _, m := range mutants {
		if strings.Contains(m.name, o.only) {
			out = append(out, m)
		}
	}
	var mine []mutant
	for k := i - 1; k < len(out); k += n {
		mine = append(mine, out[k])
	}
	return mine, nil
}

func run(ctx context.Context, o options) error {
	chosen, err := o.chosen()
	if err != nil {
		return err
	}
	if o.list {
		for _, m := range chosen {
			fmt.Printf("%-80s %s\n", m.name, m.by())
		}
		return nil
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s := stage{dir: dir, options: o}
	if o.rehearse {
		if err := s.rehearse(ctx, chosen); err != nil {
			return err
		}
	}
	var done []played
	for _, m := range chosen {
		began := time.Now()
		v, how := s.play(ctx, m)
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), conclude(done))
		}
		p := played{m, v, how, time.Since(began)}
		fmt.Println(p)
		done = append(done, p)
	}
	return conclude(done)
}

// played is a mutant with what has become of it.
type played struct {
	mutant
	verdict verdict
	how     string
	took    time.Duration
}

func (p played) String() string {
	return fmt.Sprintf("%-8s %-80s %4.0f s  %s", p.verdict, p.name, p.took.Seconds(), p.how)
}

// well tells whether the mutant was caught, or hangs as the table says.
func (p played) well() bool { return p.verdict == caught || p.verdict == hung && p.hangs }

// conclude prints how many of each verdict there are, and all that was not caught.
func conclude(all []played) error {
	counts := map[verdict]int{}
	var wrong []played
	for _, p := range all {
		counts[p.verdict]++
		if !p.well() {
			wrong = append(wrong, p)
		}
	}
	fmt.Printf("\n%d mutants: %d caught, %d hung, %d survived, %d unbuilt\n", len(all), counts[caught], counts[hung], counts[survived], counts[unbuilt])
	for _, p := range wrong {
		fmt.Println(p)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d of %d mutants were not caught", len(wrong), len(all))
	}
	if len(all) == 0 {
		return errors.New("there is no such mutant")
	}
	return nil
}
