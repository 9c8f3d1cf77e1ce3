package offsets

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/offsets/internal/kv"
)

// Cache is a directory in which a process keeps what it has folded, for its ledgers to go on from after a restart, and instead of
// its memory while it runs. It is never needed: what is not there, or not to be trusted, is read from Kafka.
type Cache struct {
	cfg  CacheConfig
	log  hclog.Logger
	lock *kv.Lock
	dir  string

	mu       sync.Mutex
	db       *kv.DB // nil: there is none, everything is in memory
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
	c := &Cache{cfg: cfg, log: log, flushed: time.Now()}
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
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		lock, err := kv.LockDirectory(dir)
		if err == nil {
			c.dir, c.lock = dir, lock
			return nil
		}
		failed = err
	}
	return fmt.Errorf("%d directories could not be taken, the last: %w", processes, failed)
}

// open opens the store; one that does not open is emptied.
func (c *Cache) open() (*kv.DB, error) {
	db, err := kv.Open(c.dir, c.lock, kv.Options{Cache: c.cfg.Memory}, c.log)
	if err == nil {
		return db, nil
	}
	c.log.Warn("the local cache of the state is damaged: it is discarded, and the state read from Kafka", "dir", c.dir, "error", err)
	if err := c.clear(); err != nil {
		return nil, err
	}
	return kv.Open(c.dir, c.lock, kv.Options{Cache: c.cfg.Memory}, c.log)
}

// clear empties the directory, but for the lock.
func (c *Cache) clear() error {
	files, err := os.ReadDir(c.dir)
	for _, f := range files {
		if f.Name() != "LOCK" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(c.dir, f.Name())))
		}
	}
	return err
}

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
		c.db, err = kv.Open(c.dir, c.lock, kv.Options{Cache: c.cfg.Memory}, c.log)
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

// flushEvery is after how long what was folded is brought to the disk, where there was too little of it to go there by itself.
const flushEvery = 10 * time.Minute

// tend brings what was folded to the disk, now and then.
func (c *Cache) tend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.db != nil && time.Since(c.flushed) >= flushEvery {
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
		err = errors.Join(c.db.Flush(), c.db.Close())
		if c.db.Damage() != nil {
			err = errors.Join(err, c.clear()) // the next start must not take it for whole
		}
		c.db = nil
	}
	if c.lock != nil {
		err = errors.Join(err, c.lock.Release())
		c.lock = nil
	}
	if err != nil {
		return fmt.Errorf("closing the local cache of the state: %w", err)
	}
	return nil
}
