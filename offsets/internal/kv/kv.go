// Package kv keeps keys and values, in order, in a directory of its own: a cache that may be thrown away at any time.
//
// It is Pebble without a log of its own: what was written since the last flush is lost in a crash, and what is there afterwards is
// what some first part of the writes had left, each of them whole. Whatever fails, a read or a write, damages the store for good:
// from then on it answers with the damage alone, and its directory is to be emptied.
package kv

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
)

// FS is a file system.
type FS = vfs.FS

// System are the system's files.
var System FS = vfs.Default

// Options size a store.
type Options struct {
	Cache int64 // bytes of blocks kept in memory
	FS    FS    // nil: System
}

const (
	memTable   = 8 << 20 // of writes gathered in memory; there may be memTables of them
	memTables  = 3
	openFiles  = 256
	bloomBits  = 10
	baseBytes  = 256 << 20 // up to which all keys are one level
	fileBytes  = 4 << 20
	fileSync   = 1 << 30 // bytes written before a file is brought to the disk on the way: it is when it is whole
	layers     = 16      // of the first level before they are merged into the next: what a first snapshot of a million rows writes is merged a few times then, not at each step
	heldLayers = 150     // while merges are held; more would be more files than may be open
	neverStall = 1000    // files at the first level: writes are not held up, which nobody could tell from a disk that hangs
)

// DB is an open store. It may be used by many goroutines.
type DB struct {
	db       *pebble.DB
	log      hclog.Logger
	mu       sync.RWMutex // held shared by each use, exclusively where the end begins
	closed   bool
	over     atomic.Bool // Close was called
	panicked atomic.Bool
	damage   atomic.Pointer[error]
	held     atomic.Int32 // by how many the merges are
	closing  sync.WaitGroup

	turn atomic.Int64
	uses [turns]atomic.Int64 // that run, by the turn in which they began
}

// turns is how many calls of Stuck a use may outlive.
const turns = 8

// ErrClosed says that the store was closed.
var ErrClosed = errors.New("the store is closed")

// Open opens the store in a directory, and makes both where there are none. Damaged files make Pebble panic now and then: that is an
// error, here and later.
func Open(dir string, o Options, log hclog.Logger) (d *DB, err error) {
	d = &DB{log: log}
	defer func() {
		if p := recover(); p != nil {
			d, err = nil, d.caught(p)
		}
	}()
	fs := o.FS
	if fs == nil {
		fs = System
	}
	cache := pebble.NewCache(o.Cache)
	defer cache.Unref()
	options := &pebble.Options{
		Cache: cache, FS: guarded{fs, d.hurt, func() bool { return d.damage.Load() != nil }}, Logger: logger{log, d.hurt},
		EventListener:      &pebble.EventListener{BackgroundError: d.hurt, DataCorruption: func(i pebble.DataCorruptionInfo) { d.hurt(i.Details) }},
		DisableWAL:         true,
		FormatMajorVersion: pebble.FormatColumnarBlocks,
		MemTableSize:       memTable, MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold: layers, L0StopWritesThreshold: neverStall, BytesPerSync: fileSync, LBaseMaxBytes: baseBytes, MaxOpenFiles: openFiles,
	}
	held := &d.held
	options.CompactionConcurrencyRange = func() (lower, upper int) { // that the lower one may be 0 is not documented, but tested (TestHold)
		if held.Load() > 0 {
			return 0, 1
		}
		return 1, 1
	}
	options.Experimental.L0CompactionConcurrency = heldLayers // from which on there is one merge more than the lower one, as there is
	options.Experimental.CompactionDebtConcurrency = math.MaxInt64
	options.Experimental.CompactionGarbageFractionForMaxConcurrency = func() float64 { return 0 }
	for i := range options.Levels {
		options.TargetFileSizes[i] = fileBytes
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
		options.Levels[i].Compression = func() *block.CompressionProfile { return block.NoCompression } // what is long is compressed already
	}
	db, err := pebble.Open(dir, options)
	if err != nil {
		return nil, err
	}
	if err := visible(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.db = db
	return d, nil
}

// visible tells whether what the store's tables hold can be seen. A manifest that was cut behind its first record, which Pebble takes for whole,
// has it begin again with the lowest sequence numbers: what the tables hold would come to light as these rise, over all that is written from then on,
// deletions too.
func visible(db *pebble.DB) (err error) {
	if m := db.Metrics().Total(); m.TablesCount == 0 {
		return nil
	}
	it, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if it.First() || it.Error() != nil {
		return it.Error()
	}
	return errors.New("its tables hold what cannot be seen: the manifest was cut")
}

// hurt notes the first failure and has the store closed: nobody may be left to do it. It is called from within Pebble, too.
func (d *DB) hurt(err error) {
	if err == nil || !d.damage.CompareAndSwap(nil, &err) {
		return
	}
	d.closing.Go(func() { _ = d.end() }) // the damage says it all
}

// Fail damages the store.
func (d *DB) Fail(err error) { d.hurt(err) }

// Damage is why the store is of no use: the first failure, or that it was closed. nil: it is open and whole.
func (d *DB) Damage() error {
	if err := d.damage.Load(); err != nil {
		return *err
	}
	if d.over.Load() {
		return ErrClosed
	}
	return nil
}

// caught makes an error of a panic.
func (d *DB) caught(p any) error {
	d.log.Debug("the local store panicked", "panic", p, "stack", string(debug.Stack()))
	return fmt.Errorf("it panicked: %v", p)
}

// Stuck tells whether a use has outlived turns-1 calls of Stuck: called now and then, that the disk hangs.
func (d *DB) Stuck() bool {
	next := d.turn.Load() + 1
	if d.uses[next%turns].Load() > 0 {
		return true
	}
	d.turn.Store(next)
	return false
}

// use runs f on the open store. An error of it is damage, and so is a panic.
func (d *DB) use(f func(*pebble.DB) error) (err error) {
	running := &d.uses[d.turn.Load()%turns]
	running.Add(1)
	defer running.Add(-1)
	d.mu.RLock()
	defer d.mu.RUnlock()
	defer func() {
		if p := recover(); p != nil {
			d.panicked.Store(true)
			err = d.caught(p)
			d.hurt(err)
		}
	}()
	if err := d.Damage(); err != nil {
		return err
	}
	if d.closed {
		return ErrClosed
	}
	if err := f(d.db); err != nil {
		d.hurt(err)
		return err
	}
	return nil
}

// Get hands over the value of a key, which is the caller's only until with returns, and tells whether there is one.
func (d *DB) Get(key []byte, with func(value []byte)) (there bool, err error) {
	err = d.use(func(db *pebble.DB) error {
		value, closer, err := db.Get(key)
		if errors.Is(err, pebble.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		there = true
		with(value)
		return closer.Close()
	})
	return there && err == nil, err
}

// Scan hands over the keys from ≤ key < to in order, each with a way to its value, until each returns false. Both are the caller's only
// until each returns.
func (d *DB) Scan(from, to []byte, each func(key []byte, value func() ([]byte, error)) (bool, error)) error {
	return d.use(func(db *pebble.DB) (err error) {
		it, err := db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, it.Close()) }()
		for ok := it.First(); ok; ok = it.Next() {
			more, err := each(it.Key(), it.ValueAndErr)
			if err != nil {
				return err
			}
			if !more {
				break
			}
		}
		return it.Error()
	})
}

// Batch is what is written together.
type Batch struct{ b *pebble.Batch }

// NewBatch begins a batch, which Write ends.
func (d *DB) NewBatch() *Batch { return &Batch{d.db.NewBatch()} }

// Set, Delete and DeleteRange fail for no batch but one of gigabytes, which Write then finds short of what it should be.

// Set puts a value.
func (b *Batch) Set(key, value []byte) { _ = b.b.Set(key, value, nil) }

// Delete removes a value.
func (b *Batch) Delete(key []byte) { _ = b.b.Delete(key, nil) }

// DeleteRange removes the values of from ≤ key < to.
func (b *Batch) DeleteRange(from, to []byte) { _ = b.b.DeleteRange(from, to, nil) }

// Size is about how many bytes the batch has.
func (b *Batch) Size() int { return b.b.Len() }

// Discard ends a batch that is not to be written.
func (b *Batch) Discard() { _ = b.b.Close() }

// Write writes a batch, whole or not at all.
func (d *DB) Write(b *Batch) error {
	defer b.Discard()
	if b.b.Empty() {
		return d.Damage()
	}
	return d.use(func(db *pebble.DB) error { return db.Apply(b.b, pebble.NoSync) })
}

// Flush brings everything written to the disk.
func (d *DB) Flush() error {
	return d.use(func(db *pebble.DB) error { return db.Flush() })
}

// FlushSoon has everything written brought to the disk, and does not wait.
func (d *DB) FlushSoon() {
	_ = d.use(func(db *pebble.DB) error { // an error is damage
		_, err := db.AsyncFlush()
		return err
	})
}

// Hold puts off merges until release is called: a load is merged once it is whole. Holds may overlap. Of more than heldLayers layers some are
// merged all the same.
func (d *DB) Hold() (release func()) {
	d.held.Add(1)
	return func() {
		if d.held.Add(-1) > 0 {
			return
		}
		_ = d.use(func(db *pebble.DB) error { // an error is damage
			if db.Metrics().Levels[0].Sublevels < layers {
				return nil
			}
			_, err := db.AsyncFlush() // merges are thought of after that
			return err
		})
	}
}

// Close closes the store once it is used no more. What was written since the last flush is lost. The end of a store that has panicked is
// waited for a while only: what panicked may have held its locks.
func (d *DB) Close() error {
	d.over.Store(true)
	var err error
	if !d.panicked.Load() {
		err = d.end()
		d.closing.Wait()
	} else {
		d.await(panicPatience)
	}
	if damage := d.damage.Load(); damage != nil {
		return *damage
	}
	return err
}

// panicPatience is how long the end of a store that has panicked may take.
const panicPatience = 5 * time.Second

// await waits until the store has ended, but no longer than that.
func (d *DB) await(patience time.Duration) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.closing.Wait()
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}

func (d *DB) end() (err error) {
	if !d.begin() {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = d.caught(p)
		}
	}()
	return d.db.Close()
}

// begin begins the end: once nobody uses the store, nobody does any more. False where it has begun before, or there is no store.
func (d *DB) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.db == nil {
		return false
	}
	d.closed = true
	return true
}

// Lock holds a directory against every other process, and this one.
type Lock struct{ lock *pebble.Lock }

// LockDirectory takes a directory that exists.
func LockDirectory(dir string, fs FS) (*Lock, error) {
	lock, err := pebble.LockDirectory(dir, fs)
	if err != nil {
		return nil, err
	}
	return &Lock{lock}, nil
}

// Release lets go of the directory.
func (l *Lock) Release() error { return l.lock.Close() }

// After is the least key that follows all that begin with prefix, nil where none does.
func After(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// logger takes down what Pebble says. What it would end the process for is damage.
type logger struct {
	log  hclog.Logger
	hurt func(error)
}

func (l logger) Infof(format string, args ...any)  { l.log.Trace(fmt.Sprintf(format, args...)) }
func (l logger) Errorf(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }
func (l logger) Fatalf(format string, args ...any) { l.hurt(fmt.Errorf(format, args...)) }
