package sim

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// Result is what a seed came to.
type Result struct {
	Hash    uint64 // of its history: equal for two runs that were the same
	Records int
	Met     string        // what happened, and how often: a tally's
	Took    time.Duration // of its own time
	Err     error
}

// run plays one seed in the bubble that it is called in. The trace, where given, is told everything that happens.
func run(seed uint64, trace io.Writer) Result {
	began := time.Now()
	w, err := newWorld(seed, trace)
	if err != nil {
		return Result{Err: err}
	}
	err = w.play()
	for _, k := range append(w.running, w.fading...) {
		k.crash()
		<-k.done
	}
	w.overseer.kill()
	w.cluster.Close()
	time.Sleep(2 * time.Minute) // what still waits for something ends
	return Result{Hash: w.sum.Sum64(), Records: w.judge.records, Met: w.met.String(), Took: time.Since(began), Err: err}
}

// play is the seed's story: some minutes of trouble, with a look at what was committed now and then, then fair days, at the end of which the
// topics hold what the service holds. Some seeds see the whole of these days, and that nothing is published after them.
func (w *world) play() error {
	r := w.dice.roll("story")
	if err := w.start(); err != nil {
		return err
	}
	for range 1 + r.IntN(2) {
		if err := w.troubled(r); err != nil {
			return err
		}
		if r.IntN(2) == 0 {
			w.bustling(r)
		}
		if r.IntN(3) == 0 {
			if err := w.settled(false); err != nil {
				return err
			}
		}
	}
	whole := r.IntN(3) == 0
	if err := w.settled(whole); err != nil {
		return err
	}
	if !whole {
		return w.inspect(w.dice.roll("last"))
	}
	return w.idle()
}

// start has a worker run.
func (w *world) start() error {
	k, err := w.launch()
	w.running = append(w.running, k)
	return err
}

// troubled is a spell of bad weather, in which the service's calendars go on changing.
func (w *world) troubled(r *rand.Rand) error {
	until := time.Now().Add(time.Duration(20+r.IntN(70)) * time.Second)
	w.gather(r)
	quiet := r.IntN(4) == 0 // of crashes and second workers
	for time.Now().Before(until) {
		time.Sleep(time.Duration(r.Int64N(int64(8 * time.Second))))
		for range r.IntN(4) {
			w.service.unsettle(r)
		}
		if err := w.attend(r); err != nil {
			return err
		}
		if quiet {
			continue
		}
		if err := errors.Join(w.strike(r), w.mishap()); err != nil {
			return err
		}
	}
	return nil
}

// bustling is a spell of fair weather in which one collection changes all the time. Nothing that begins anew makes good what is missed.
func (w *world) bustling(r *rand.Rand) {
	w.clear()
	if r.IntN(2) == 0 {
		w.service.mu.Lock()
		w.service.weather.flicker = 0.5
		w.service.mu.Unlock()
	}
	w.note("bustle")
	a, name := w.service.accounts[r.IntN(2)], names[r.IntN(len(names))]
	for range 5 + r.IntN(15) {
		time.Sleep(time.Duration(r.Int64N(int64(4 * time.Second))))
		w.service.mu.Lock()
		if a.visible(name) {
			a.write(name, a.collections[name], r)
		}
		if r.IntN(20) == 0 {
			a.config += "'"
			w.met.add("config")
		}
		w.service.mu.Unlock()
	}
}

// clear ends all bad weather.
func (w *world) clear() {
	w.service.mu.Lock()
	w.service.weather = weather{}
	w.service.mu.Unlock()
	w.mu.Lock()
	w.storm = storm{}
	w.mu.Unlock()
}

// gather chooses the weather.
func (w *world) gather(r *rand.Rand) {
	choose := func(p float64) float64 {
		if r.IntN(3) != 0 {
			return 0
		}
		return p * r.Float64()
	}
	w.service.mu.Lock()
	w.service.weather = weather{fail: choose(0.3), dead: choose(0.5), omit: choose(0.5), lose: choose(0.4), deny: choose(0.3), vague: choose(0.8), flicker: choose(0.5)}
	if r.IntN(6) == 0 { // a home that does not know its own
		w.service.weather.omit, w.service.weather.vague = 0.5, 0.8
	}
	w.note("weather %+v", w.service.weather)
	w.service.mu.Unlock()
	w.mu.Lock()
	w.storm = storm{lost: choose(0.15), mute: choose(0.15), silent: choose(0.05), code: choose(0.15)}
	w.mu.Unlock()
	w.note("storm %+v", w.storm)
}

// attend starts what has ended by itself.
func (w *world) attend(r *rand.Rand) error {
	alive := w.running[:0]
	for _, k := range w.running {
		if !k.ended() {
			alive = append(alive, k)
			continue
		}
		if k.err != nil {
			return fmt.Errorf("%s ended: %w", k.name, k.err)
		}
	}
	w.running = alive
	if len(w.running) == 0 && r.IntN(2) == 0 {
		return w.start()
	}
	return nil
}

// strike does what may happen at any moment.
func (w *world) strike(r *rand.Rand) error {
	if n := w.met.count("held"); n > w.holds && r.IntN(2) == 0 {
		w.holds = n
		return w.decide(r)
	}
	switch r.IntN(26) {
	case 0, 1, 2: // a crash, and another worker at once or soon
		if len(w.running) > 0 {
			w.met.add("crash")
			w.running[0].crash()
			w.fading = append(w.fading, w.running[0])
			w.running = w.running[1:]
		}
		if r.IntN(2) == 0 {
			return w.start()
		}
	case 3, 4: // another worker
		if len(w.running) < 3 {
			w.met.add("second worker")
			return w.start()
		}
	case 11: // a tool becomes the owner, and looks
		return w.inspect(r)
	case 5:
		w.depose()
	case 6, 7:
		return w.shuffle()
	case 8: // another configuration, with the next worker
		a := w.service.accounts[r.IntN(2)]
		w.service.mu.Lock()
		a.config += "'"
		w.met.add("config")
		w.service.mu.Unlock()
	case 9: // the process is cut off for a while
		if len(w.running) > 0 {
			d := time.Duration(r.Int64N(int64(50 * time.Second)))
			w.running[0].host.stall(d)
			w.met.add("cut off")
			if d > session {
				w.silent(w.running[0].seat, d)
			}
		}
	case 12, 13:
		return w.signal(connector.ExecuteSnapshot, r)
	case 10: // it is asked to end
		if len(w.running) > 0 {
			w.met.add("stop")
			w.running[0].stop()
			w.fading = append(w.fading, w.running[0])
			w.running = w.running[1:]
		}
	}
	return nil
}

// settled lets the weather clear up and waits until the topics hold what the service holds: the whole time in which that must have come about,
// or no longer than it takes.
func (w *world) settled(whole bool) error {
	w.clear()
	w.service.fair()
	w.note("fair")
	w.regain()
	if err := w.relent(); err != nil {
		return err
	}
	if len(w.running) == 0 {
		if err := w.start(); err != nil {
			return err
		}
	}
	for until := time.Now().Add(w.rest()); ; {
		left := time.Until(until)
		if !whole {
			left = min(left, calm)
		}
		time.Sleep(left)
		if err := errors.Join(w.attend(w.dice.roll("attend")), w.fold()); err != nil {
			return err
		}
		over := !time.Now().Before(until)
		if err := w.compare(); over || err == nil && !whole {
			return err
		}
	}
}

// calm is how often it is looked whether the topics hold what the service holds.
const calm = 20 * time.Second

// rest is how long it may take until everything is as it is at the service.
func (w *world) rest() time.Duration {
	rest := session + 2*time.Minute + w.heals*11/10
	if w.guarded {
		rest += 2 * guard.ConfirmAfter
	}
	for _, a := range w.service.accounts {
		if a.lies { // only every seventh comparison trusts no ETag
			rest = 8 * w.heals * 11 / 10
		}
	}
	return rest
}

func (w *world) hold() error { return errors.Join(w.fold(), w.compare()) }

// fold has the judge read what was committed since.
func (w *world) fold() error {
	if err := w.judge.catchUp(); err != nil {
		return err
	}
	w.service.mu.Lock()
	defer w.service.mu.Unlock()
	return w.judge.verdict()
}

func (w *world) compare() error {
	w.service.mu.Lock()
	defer w.service.mu.Unlock()
	return w.judge.compare()
}

// idle sees that nothing is published while nothing happens, and that a worker begun anew, and a tool, find everything as it is.
func (w *world) idle() error {
	before := w.judge.records
	w.crashAll()
	if err := w.start(); err != nil {
		return err
	}
	time.Sleep(session + 50*time.Second)
	if err := w.hold(); err != nil {
		return err
	}
	if n := w.judge.records - before; n != 0 {
		return fmt.Errorf("%d records for nothing", n)
	}
	return w.inspect(w.dice.roll("last"))
}
