package sim

import (
	"context"
	"iter"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// machine is where one worker runs after the other. Its disk, on which they keep their caches, outlives them.
type machine struct {
	disk *vfs.MemFS
	old  *vfs.MemFS // the disk as it once was
	in   *worker    // that runs here; nil: none
}

const (
	cacheDir   = "cache"
	flushEvery = 15 * time.Second // how often a worker brings its cache to the disk where there is nothing to commit
)

// newMachines are the machines of a seed in which workers have caches, as many as may run at once.
func newMachines(n int) []*machine {
	all := make([]*machine, n)
	for i := range all {
		all[i] = &machine{disk: vfs.NewCrashableMem()}
	}
	return all
}

// occupy finds a machine for a worker that starts, and lets happen to its disk what may happen to one meanwhile. Where there is none, the worker
// has no cache.
func (w *world) occupy(k *worker) error {
	r := w.dice.roll("machine")
	var free []*machine
	for _, m := range w.machines {
		if m.in == nil || m.in.ended() {
			free = append(free, m)
		}
	}
	if len(free) == 0 || r.IntN(8) == 0 {
		return nil
	}
	m := free[r.IntN(len(free))]
	switch r.IntN(8) {
	case 0, 1:
		if m.old != nil { // somebody has brought back a copy
			m.disk = m.old.CrashClone(all(r))
			w.met.add("old cache")
		}
	case 2:
		damaged, err := damage(m.disk, r)
		if damaged {
			w.met.add("damaged cache")
		}
		if err != nil {
			return err
		}
	case 3, 4, 5:
		m.old = m.disk.CrashClone(all(r))
	}
	m.in = k
	k.machine = m
	return nil
}

// all is what a disk holds when a process is killed on it.
func all(r *rand.Rand) vfs.CrashCloneCfg { return vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: r} }

// leave is the end of a worker that has crashed, or its machine has: what it does from now on reaches its disk no more.
func (m *machine) leave(r *rand.Rand, met *tally) {
	if m == nil {
		return
	}
	left := all(r)
	if r.IntN(3) == 0 {
		left.UnsyncedDataPercent = r.IntN(100)
		met.add("power lost")
	}
	m.disk, m.in = m.disk.CrashClone(left), nil
}

// damage changes a byte of a file of a store, or cuts the file.
func damage(fs *vfs.MemFS, r *rand.Rand) (bool, error) {
	dir := path.Join(cacheDir, name, "0", "store")
	files, err := fs.List(dir)
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasPrefix(f, "LOCK") })
	if err != nil || len(files) == 0 { // there is no store yet
		return false, nil
	}
	slices.Sort(files)
	file := path.Join(dir, files[r.IntN(len(files))])
	f, err := fs.Open(file)
	if err != nil {
		return false, err
	}
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	text := make([]byte, info.Size())
	_, _ = f.ReadAt(text, 0)
	_ = f.Close()
	if len(text) == 0 {
		return false, nil
	}
	if i := r.IntN(len(text)); r.IntN(2) == 0 {
		text = text[:i]
	} else {
		text[i] ^= 1 << r.IntN(8)
	}
	f, err = fs.Create(file, vfs.WriteCategoryUnspecified)
	if err != nil {
		return false, err
	}
	_, _ = f.Write(text)
	return true, f.Close()
}

// openCache opens the cache on a disk; nil: there is no disk.
func (w *world) openCache(m *machine, log hclog.Logger) *offsets.Cache {
	if m == nil {
		return nil
	}
	return offsets.OpenCache(offsets.CacheConfig{Dir: cacheDir, Name: name, Memory: 1 << 20, FlushEvery: flushEvery, Files: m.disk}, log)
}

// identify tells the internal topics from others with these names, as far as brokers do.
func (w *world) identify(c *kafka.Client) func(context.Context) (offsets.Identity, error) {
	return func(ctx context.Context) (offsets.Identity, error) {
		o, err := c.Identify(ctx, offsets.Topic(name))
		if err != nil {
			return offsets.Identity{}, err
		}
		s, err := c.Identify(ctx, offsets.StateTopic(name))
		id := offsets.Identity{Cluster: s.Cluster, Offsets: o.Topic, State: s.Topic, Retention: min(o.Deletes, s.Deletes)}
		if w.nameless {
			id.Offsets, id.State = "", ""
		}
		return id, err
	}
}

// borrow is a copy of some machine's disk, as whoever is killed on it now would leave it; nil: none is at hand.
func (w *world) borrow() *machine {
	r := w.dice.roll("borrow")
	if len(w.machines) == 0 || r.IntN(3) == 0 {
		return nil
	}
	return &machine{disk: w.machines[r.IntN(len(w.machines))].disk.CrashClone(all(r))}
}

// folding is what a ledger with a cache reads by: it counts whether the cache was of use.
type folding struct {
	*kafka.Client
	met  *tally
	from int64 // of the first read of the state; -1: there was none
}

// Read implements offsets.Reader.
func (f *folding) Read(ctx context.Context, topic string, partition int32, from, until int64) iter.Seq2[connector.Committed, error] {
	if topic == offsets.StateTopic(name) {
		switch {
		case f.from < 0 && from > 0:
			f.met.add("cache gone on from")
		case f.from > 0 && from == 0:
			f.met.add("cache given up")
		}
		if f.from < 0 || from == 0 {
			f.from = from
		}
	}
	return f.Client.Read(ctx, topic, partition, from, until)
}
