package sim

import (
	"context"
	"fmt"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// worker is one process of calcdc.
type worker struct {
	w       *world
	name    string
	host    *host
	machine *machine // nil: it keeps no cache
	seat    *seat
	client  *kafka.Client
	stop    context.CancelFunc
	done    chan struct{}
	err     error // of Run, once done
	crashed bool  // nothing of what it does reaches anybody
}

// launch starts a worker with nothing in its memory.
func (w *world) launch() (*worker, error) {
	w.workers++
	k := &worker{w: w, name: fmt.Sprintf("worker%d", w.workers), done: make(chan struct{})}
	w.note("%s starts", k.name)
	k.host = w.net.host(w.travel(k.name))
	log := w.logger(k.name)
	var err error
	if k.client, err = w.client(k.host, log); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	k.seat = w.newSeat(k.name)
	if err := w.occupy(k); err != nil {
		return nil, err
	}
	cache := w.openCache(k.machine, log)
	conn := connector.New(w.config(), w.sources(), w, quiet{}, log)
	conn.Heed(&seldom{SignalReader: k.client})
	go func() {
		defer close(k.done)
		k.err = conn.Run(ctx, k.seat, func(p int32) connector.Ledger { return counted{w.ledger(k.client, cache, p, log), &w.met} })
		w.note("%s ends: %v", k.name, k.err)
		if cache != nil {
			w.note("%s closes its cache: %v", k.name, cache.Close())
		}
		k.client.Close()
		k.host.kill()
	}()
	return k, nil
}

// crash ends a worker at once: nothing that it sends arrives any more.
func (k *worker) crash() {
	k.w.note("%s crashes", k.name)
	k.crashed = true
	k.host.kill()
	k.machine.leave(k.w.dice.roll("left"), &k.w.met)
	k.stop()
	k.w.silent(k.seat, 0)
}

// ended tells whether the worker has ended by itself.
func (k *worker) ended() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}
