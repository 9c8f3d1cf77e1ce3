package offsets

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
)

// TestCacheRemovesNothingElse: what stands beside the store in its directory is nobody's business, also where the store is discarded.
func TestCacheRemovesNothingElse(t *testing.T) {
	k, dir := newFakeKafka(), t.TempDir()
	fill(t, k, dir, newHistory(rand.New(rand.NewPCG(1, 1)), alice))
	slot := filepath.Join(dir, "team", "0")
	for _, name := range []string{"notes.txt", "000123.sst"} {
		if err := os.WriteFile(filepath.Join(slot, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damageFiles(t, filepath.Join(slot, "store"), nil)
	c := cacheOf(t, dir)
	l, _ := cachedLedger(k, c, nil)
	if _, err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"notes.txt", "000123.sst"} {
		if b, err := os.ReadFile(filepath.Join(slot, name)); string(b) != "mine" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// TestCacheThatEndsItsProcesses: a store that nobody outlives is made anew; one that was closed, or that has been open for a while, is not
// suspected.
func TestCacheThatEndsItsProcesses(t *testing.T) {
	dir := t.TempDir()
	var out strings.Builder
	open := func() *Cache {
		t.Helper()
		c := OpenCache(CacheConfig{Dir: dir, Name: "team", Memory: 1 << 20}, hclog.New(&hclog.LoggerOptions{Output: &out}))
		if c.db == nil {
			t.Fatal(out.String())
		}
		return c
	}
	kept := func(c *Cache) bool {
		there, err := c.db.Get([]byte("k"), func([]byte) {})
		if err != nil {
			t.Fatal(err)
		}
		return there
	}
	die := func(c *Cache) { // as far as the file of attempts goes
		text, err := os.ReadFile(c.attempting())
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			err = os.WriteFile(c.attempting(), text, 0o600)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	ends := func(n int) { // soon, and so often
		for range n {
			c := open()
			if !kept(c) {
				t.Fatal(out.String())
			}
			die(c)
		}
	}
	c := open()
	b := c.db.NewBatch()
	b.Set([]byte("k"), []byte("v"))
	if err := c.db.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	ends(maxAttempts - 1)
	if err := open().Close(); err != nil {
		t.Fatal(err)
	}
	ends(maxAttempts - 1)
	c = open()
	c.outlived()
	die(c)
	ends(maxAttempts)
	if out.Len() > 0 {
		t.Fatal(out.String())
	}
	c = open()
	if kept(c) || !strings.Contains(out.String(), "have ended soon") {
		t.Errorf("the log says %q", out.String())
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestClosedCache: a ledger that is used after its cache was closed commits nothing on what can no longer be read.
func TestClosedCache(t *testing.T) {
	k, h := newFakeKafka(), newHistory(rand.New(rand.NewPCG(1, 1)), alice)
	c := cacheOf(t, t.TempDir())
	l, _ := cachedLedger(k, c, nil)
	load(t, l, k, rand.New(rand.NewPCG(3, 3)), nil)
	for range 5 {
		if err := l.Commit(t.Context(), []connector.Transaction{h.next()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	before := k.stateEnd()
	if err := l.Commit(t.Context(), []connector.Transaction{h.next()}); err == nil || k.stateEnd() != before {
		t.Errorf("committed: %v", err)
	}
}

// TestCacheHangs: a store that does not answer is noticed, one that does is not, and whoever looks does not wait for it.
func TestCacheHangs(t *testing.T) {
	c := cacheOf(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.hung(ctx, time.Millisecond); err != nil {
		t.Errorf("of a store that is well: %v", err)
	}
	b := c.db.NewBatch()
	b.Set([]byte("k"), nil)
	if err := c.db.Write(b); err != nil {
		t.Fatal(err)
	}
	reading, answer, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = c.db.Get([]byte("k"), func([]byte) {
			close(reading)
			<-answer
		})
	}()
	<-reading
	c.mu.Lock() // as one has it who waits for the store to end
	err := c.hung(t.Context(), time.Millisecond)
	c.mu.Unlock()
	if err == nil || !strings.Contains(err.Error(), "hangs") {
		t.Errorf("got %v", err)
	}
	close(answer)
	<-ended
	c.mu.Lock() // as one has it who waits for the store to close
	err = c.hung(t.Context(), time.Millisecond)
	c.mu.Unlock()
	if err == nil {
		t.Error("one that does not come to its end is well")
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.hung(ctx, time.Millisecond); err != nil {
		t.Errorf("of one that has answered: %v", err)
	}
}

// TestCacheAfterAPanic has a new store in the place of each that has panicked.
func TestCacheAfterAPanic(t *testing.T) {
	for range 10 {
		c := cacheOf(t, t.TempDir())
		b := c.db.NewBatch()
		b.Set([]byte("k"), nil)
		if err := c.db.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := c.db.Get([]byte("k"), func([]byte) { panic("nonsense") }); err == nil {
			t.Fatal("no error")
		}
		if db := c.store(); db == nil || db.Damage() != nil {
			t.Fatal("there is no new store")
		}
	}
}
