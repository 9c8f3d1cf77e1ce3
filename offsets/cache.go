package offsets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/offsets/internal/kv"
)

// Cache is a directory in which a process keeps what it has folded, for its ledgers to go on from after a restart, and instead of
// its memory while it runs. It is never needed: what is not there, or not to be trusted, is read from Kafka.
type Cache struct {
	cfg  CacheConfig
	log  hclog.Logger
	fs   kv.FS
	lock *kv.Lock
	dir  string

	watched atomic.Pointer[kv.DB] // the store, for who may not wait

	mu       sync.Mutex
	db       *kv.DB      // nil: there is none, everything is in memory
	settling *time.Timer // until the store has been open for a while
	replaced bool
	claimed  map[int32]*shelf
	first    int32 // the shelf of partition 0
	flushed  time.Time
}

// CacheConfig says where a cache is, and how much of it is kept in memory.
type CacheConfig struct {
	Dir    string // holds a directory for each connector, with one for each of its processes on this machine
	Name   string // of the connector
	Memory int64  // bytes of what is read from it

	// FlushEvery is after how long what was folded is brought to the disk, where there was too little of it to go there by itself; 0: ten minutes.
	FlushEvery time.Duration
	Files      kv.FS // nil: the system's
}

// Identity tells a pair of topics from any other of the same names.
type Identity struct {
	Cluster        string
	Offsets, State string        // the topics' ids; "": the cluster gives none
	Retention      time.Duration // how long both topics keep deletes for those who have not read them
}

// processes bounds those of one connector that have a cache on one machine.
const processes = 64

// OpenCache takes the first of the connector's directories that no other process has. Where it cannot, the cache that it returns
// keeps nothing, and the log says so.
func OpenCache(cfg CacheConfig, log hclog.Logger) *Cache {
	c := &Cache{cfg: cfg, log: log, fs: cfg.Files, flushed: time.Now()}
	if c.fs == nil {
		c.fs = kv.System
	}
	err := c.take()
	if err == nil {
		c.db, err = c.open()
	}
	if err != nil {
		c.log.Warn("there is no local cache of the state: it is kept in memory, and read from Kafka at each start", "dir", cfg.Dir, "error", err)
	}
	return c
}

// take finds a directory of our own.
func (c *Cache) take() error {
	var failed error
	for n := range processes {
		dir := filepath.Join(c.cfg.Dir, c.cfg.Name, strconv.Itoa(n))
		if err := c.fs.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		lock, err := kv.LockDirectory(dir, c.fs)
		if err == nil {
			c.dir, c.lock = dir, lock
			return nil
		}
		failed = err
	}
	return fmt.Errorf("%d directories could not be taken, the last: %w", processes, failed)
}

// open opens the store; one that does not open is made anew, and so is one that several processes in a row have not outlived: it may be its
// files that end them.
func (c *Cache) open() (*kv.DB, error) {
	attempts := c.attempts()
	if attempts >= maxAttempts {
		c.log.Warn("the last processes have ended soon after they had opened the local cache of the state: it is discarded, and the state read from Kafka",
			"dir", c.dir, "processes", attempts)
		if err := c.clear(); err != nil {
			return nil, err
		}
		attempts = 0
	}
	if err := c.attempt(attempts + 1); err != nil {
		return nil, err
	}
	c.settling = time.AfterFunc(soon, c.outlived)
	db, err := c.openStore()
	if err == nil {
		return db, nil
	}
	c.log.Warn("the local cache of the state is damaged: it is discarded, and the state read from Kafka", "dir", c.dir, "error", err)
	if err := c.clear(); err != nil {
		return nil, err
	}
	return c.openStore()
}

// openStore opens what is there, or a new one.
func (c *Cache) openStore() (*kv.DB, error) {
	db, err := kv.Open(c.storeDir(), kv.Options{Cache: c.cfg.Memory, FS: c.fs}, c.log)
	if err == nil {
		c.watched.Store(db)
	}
	return db, err
}

// hangAfter is about a seventh of how long the store may take for what it is asked.
const hangAfter = 10 * time.Second

// hungTurns is how many looks in a row may find the cache at one thing.
const hungTurns = 7

// Hung returns an error once the store has not answered for more than a minute: its disk hangs, and whoever waits for it does so for good. It returns nil
// when ctx ends.
func (c *Cache) Hung(ctx context.Context) error { return c.hung(ctx, hangAfter) }

func (c *Cache) hung(ctx context.Context, every time.Duration) error {
	if c == nil {
		<-ctx.Done()
		return nil
	}
	for busy := 0; sleep(ctx, every); {
		if busy++; c.mu.TryLock() { // else it is being closed, removed or opened
			c.mu.Unlock()
			busy = 0
		}
		if db := c.watched.Load(); busy > hungTurns || db != nil && db.Stuck() {
			return fmt.Errorf("the disk of the local cache of the state in %s hangs", c.dir)
		}
	}
	return nil
}

const (
	maxAttempts = 3           // processes in a row that end soon
	soon        = time.Minute // after they have opened the store
)

// attempting is a file that says how many processes have opened the store and have not outlived it by much yet.
func (c *Cache) attempting() string { return filepath.Join(c.dir, "attempts") }

func (c *Cache) attempts() int {
	f, err := c.fs.Open(c.attempting())
	if err != nil { // none is 0
		return 0
	}
	defer func() { _ = f.Close() }()
	text, _ := io.ReadAll(f)
	n, _ := strconv.Atoi(string(text))
	return n
}

// attempt notes that this is the n-th process.
func (c *Cache) attempt(n int) error {
	f, err := c.fs.Create(c.attempting(), "")
	if err != nil {
		return err
	}
	_, err = f.Write(strconv.AppendInt(nil, int64(n), 10))
	return errors.Join(err, f.Close())
}

// outlived notes that the store has let this process live.
func (c *Cache) outlived() { _ = c.fs.Remove(c.attempting()) } // where it stays, that costs a cache at worst

// storeDir is the store's own directory: nothing else in c.dir is ever removed.
func (c *Cache) storeDir() string { return filepath.Join(c.dir, "store") }

// clear removes the store.
func (c *Cache) clear() error { return c.fs.RemoveAll(c.storeDir()) }

// store is the store as it is to be used now: one that was damaged is replaced by a new one, once; after that there is none.
func (c *Cache) store() *kv.DB {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.db == nil || c.db.Damage() == nil {
		return c.db
	}
	c.log.Warn("the local cache of the state is damaged: it is discarded, and the state read from Kafka", "dir", c.dir, "error", c.db.Close())
	c.db = nil
	err := c.clear()
	if err == nil && !c.replaced {
		c.replaced = true
		c.db, err = c.openStore()
	}
	if c.db == nil {
		c.log.Warn("the state is kept in memory from now on", "error", err)
	}
	return c.db
}

// claim is the partition's shelf, nil where there is none. Whoever had it before has it no longer.
func (c *Cache) claim(partition int32) *shelf {
	db := c.store()
	if db == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.claimed[partition]; before != nil {
		before.leave()
	}
	s := &shelf{db: db, partition: c.first + partition}
	if c.claimed == nil {
		c.claimed = map[int32]*shelf{}
	}
	c.claimed[partition] = s
	return s
}

// flushEvery is how often what was folded is brought to the disk where nothing else is said.
const flushEvery = 10 * time.Minute

// tend brings what was folded to the disk, now and then.
func (c *Cache) tend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.db != nil && time.Since(c.flushed) >= cmp.Or(c.cfg.FlushEvery, flushEvery) {
		c.flushed = time.Now()
		c.db.FlushSoon()
	}
}

// Close brings what was folded to the disk and lets go of the directory. No ledger may be in use.
func (c *Cache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if c.db != nil {
		if err = errors.Join(c.db.Flush(), c.db.Close()); err != nil {
			err = errors.Join(err, c.clear()) // the next start must not take it for whole
		}
		c.db = nil
	}
	if c.lock != nil {
		if c.settling != nil {
			c.settling.Stop()
			c.outlived()
		}
		err = errors.Join(err, c.lock.Release())
		c.lock = nil
	}
	if err != nil {
		return fmt.Errorf("closing the local cache of the state: %w", err)
	}
	return nil
}
