package offsets

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
)

// cacheOf opens the cache in dir, as a process does; it is closed with the test, or before.
func cacheOf(t *testing.T, dir string) *Cache {
	t.Helper()
	c := OpenCache(CacheConfig{Dir: dir, Name: "team", Memory: 1 << 20}, hclog.NewNullLogger())
	if c.db == nil {
		t.Fatal("there is no cache")
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// cachedLedger is a ledger on k with a cache.
func cachedLedger(k *fakeKafka, c *Cache, change func(*Config)) (*Ledger, *fakeProducer) {
	p, cfg := &fakeProducer{k: k}, testConfig()
	cfg.Cache, cfg.Identify = c, identify
	if change != nil {
		change(&cfg)
	}
	return NewLedger(cfg, p, k, hclog.NewNullLogger()), p
}

// stateEnd is where the state ends.
func (k *fakeKafka) stateEnd() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.part(StateTopic("team"), 0).next
}

// readFrom is the offset from which the state was last read.
func (k *fakeKafka) readFrom(t *testing.T) int64 {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range slices.Backward(k.reads) {
		var from, to int64
		if n, _ := fmt.Sscanf(r, "team-state/0 %d-%d", &from, &to); n == 2 {
			return from
		}
	}
	t.Fatalf("the state was not read: %q", k.reads)
	return 0
}

// crash is a copy of a cache's directory as a process leaves it that is killed now.
func crash(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return to
}

// TestCacheFollows holds what a ledger loads from a cache, and from Kafka what the cache lacks, against the model: after any history of
// commits, restarts, crashes, and other owners between them.
func TestCacheFollows(t *testing.T) {
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testCacheFollows(t, rand.New(rand.NewPCG(seed, 2))) })
	}
}

func testCacheFollows(t *testing.T, r *rand.Rand) {
	k, dir := newFakeKafka(), t.TempDir()
	model := map[connector.Stream]*history{}
	for _, account := range []string{"alice", "bob"} {
		s := connector.Stream{Source: "work", Account: account, Collection: "/" + account + "/", Kind: connector.Events}
		model[s] = newHistory(r, s)
	}
	commits := func(l *Ledger, n int) {
		for range n {
			for s, h := range model {
				if err := l.Commit(t.Context(), []connector.Transaction{h.next()}); err != nil {
					t.Fatal(err)
				}
				equal(t, "in memory", imageOf(t, l.Open(s)), h.image)
			}
		}
	}
	crashed := false
	for round := range 6 {
		c := cacheOf(t, dir)
		l, _ := cachedLedger(k, c, nil)
		load(t, l, k, r, model)
		if from := k.readFrom(t); round > 0 && from == 0 && !crashed {
			t.Errorf("round %d: the state was read from its beginning", round)
		}
		commits(l, r.IntN(10))
		if r.IntN(2) == 0 {
			_ = c.db.Flush()
			commits(l, r.IntN(5))
		}
		if crashed = r.IntN(2) == 0; crashed {
			dir = crash(t, dir)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if r.IntN(3) == 0 { // another process has the next word
			other, _ := cachedLedger(k, nil, nil)
			load(t, other, k, r, model)
			commits(other, r.IntN(5))
		}
	}
	_, all := loaded(t, k)
	for s, h := range model {
		if h.image.State != nil {
			equal(t, "loaded anew", imageOf(t, all[s]), h.image)
		}
	}
}

// TestCacheIsDiscarded: what is not to be trusted is not, and the log says why.
func TestCacheIsDiscarded(t *testing.T) {
	tests := map[string]struct {
		config func(*Config)                    // of the ledger that finds the cache
		kafka  func(t *testing.T, k *fakeKafka) // what happens meanwhile
		files  func(t *testing.T, dir string)
		want   string // in the log; "": it is trusted
	}{
		"nothing": {},
		"another cluster": {config: func(c *Config) {
			c.Identify = func(context.Context) (Identity, error) {
				return Identity{Cluster: "d", Offsets: "o", State: "s", Retention: time.Hour}, nil
			}
		}, want: "of the cluster"},
		"another state topic": {config: func(c *Config) {
			c.Identify = func(context.Context) (Identity, error) {
				return Identity{Cluster: "c", Offsets: "o", State: "t", Retention: time.Hour}, nil
			}
		}, want: "of other topics"},
		"another offsets topic": {config: func(c *Config) {
			c.Identify = func(context.Context) (Identity, error) {
				return Identity{Cluster: "c", Offsets: "x", State: "s", Retention: time.Hour}, nil
			}
		}, want: "of other topics"},
		"topics that nobody can tell": {config: func(c *Config) {
			c.Identify = func(context.Context) (Identity, error) { return Identity{}, errors.New("not authorised") }
		}, want: "not authorised"},
		"too old": {config: func(c *Config) {
			c.Identify = func(context.Context) (Identity, error) {
				return Identity{Cluster: "c", Offsets: "o", State: "s", Retention: time.Nanosecond}, nil
			}
		}, want: "old"},
		"ahead of the log": {kafka: func(_ *testing.T, k *fakeKafka) {
			p := k.part(StateTopic("team"), 0)
			p.records, p.next = p.records[:3], 4
		}, want: "ahead of the topics"},
		"another record at that offset": {kafka: func(_ *testing.T, k *fakeKafka) {
			p := k.part(StateTopic("team"), 0)
			last := &p.records[len(p.records)-1]
			last.Key, last.Value = idKey(statePrefix(rowEntity, alice), "other"), nil
		}, want: "another record stands"},
		"compacted": {kafka: func(_ *testing.T, k *fakeKafka) {
			p := k.part(StateTopic("team"), 0)
			last := p.records[len(p.records)-1]
			p.records = p.records[:len(p.records)-1]
			k.append([]connector.Record{last.Record})
		}},
		"a file is cut":   {files: func(t *testing.T, dir string) { damageFiles(t, dir, func(b []byte) []byte { return b[:len(b)/2] }) }, want: "damaged"},
		"files are empty": {files: func(t *testing.T, dir string) { damageFiles(t, dir, func([]byte) []byte { return nil }) }, want: "damaged"},
		"files are gone":  {files: func(t *testing.T, dir string) { damageFiles(t, dir, nil) }, want: "damaged"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k, dir, h := newFakeKafka(), t.TempDir(), newHistory(rand.New(rand.NewPCG(1, 1)), alice)
			fill(t, k, dir, h)
			if tt.kafka != nil {
				tt.kafka(t, k)
			}
			if tt.files != nil {
				tt.files(t, filepath.Join(dir, "team", "0", "store"))
			}
			var out strings.Builder
			log := hclog.New(&hclog.LoggerOptions{Output: &out})
			c := OpenCache(CacheConfig{Dir: dir, Name: "team", Memory: 1 << 20}, log)
			defer c.Close()
			l, _ := cachedLedger(k, c, tt.config)
			l.log = log
			all, err := l.Load(t.Context())
			for range distrustAfter - 1 { // what may pass is asked again
				if tt.want == "not authorised" && err != nil {
					all, err = l.Load(t.Context())
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			_, without := loaded(t, k)
			equal(t, "loaded", imageOf(t, all[alice]), imageOf(t, without[alice]))
			if trusted := tt.want == ""; trusted != (out.Len() == 0) || !strings.Contains(out.String(), tt.want) {
				t.Errorf("the log says %q, want %q", out.String(), tt.want)
			}
		})
	}
}

// fill leaves a cache in dir of some commits of h.
func fill(t *testing.T, k *fakeKafka, dir string, h *history) {
	t.Helper()
	c := cacheOf(t, dir)
	l, _ := cachedLedger(k, c, nil)
	if _, err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if err := l.Commit(t.Context(), []connector.Transaction{h.next()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// damageFiles changes every file that holds data; nil removes them.
func damageFiles(t *testing.T, dir string, change func([]byte) []byte) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if ext := filepath.Ext(path); ext != ".sst" && ext != ".blob" {
			continue
		}
		if change == nil {
			os.Remove(path)
			continue
		}
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, change(b), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestCacheFormats: a cache of another form, or of another connector, is not read.
func TestCacheFormats(t *testing.T) {
	is := aboutOf("team", Identity{Cluster: "c", Offsets: "o", State: "s"})
	for name, was := range map[string]about{
		"format":    {Format: shelfFormat + 1, Connector: is.Connector, Cluster: is.Cluster, Offsets: is.Offsets, State: is.State},
		"connector": {Format: shelfFormat, Connector: "other", Cluster: is.Cluster, Offsets: is.Offsets, State: is.State},
	} {
		t.Run(name, func(t *testing.T) {
			s := &shelf{db: cacheOf(t, t.TempDir()).db}
			if err := s.empty(was); err != nil {
				t.Fatal(err)
			}
			var why stale
			if _, _, err := s.open("team", is, time.Hour, time.Now()); !errors.As(err, &why) || !strings.Contains(string(why), name) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestCacheOfDamagedValues: a value that is not of its form is found with its stream, and an age that cannot be told is too old.
func TestCacheOfDamagedValues(t *testing.T) {
	is := aboutOf("team", Identity{Cluster: "c", Offsets: "o", State: "s"})
	place := []byte(fmt.Sprintf(`{"next":5,"ms":%d}`, time.Now().UnixMilli()))
	for name, put := range map[string]func(s *shelf) (key, value []byte){
		"about":       func(s *shelf) (key, value []byte) { return s.key(aboutEntry, 0), []byte("{") },
		"position":    func(s *shelf) (key, value []byte) { return append(s.key(positionEntry, 1), 1), []byte("x") },
		"no position": func(s *shelf) (key, value []byte) { return append(s.key(positionEntry, 1), 1), []byte(`{"next":-1}`) },
		"age":         func(s *shelf) (key, value []byte) { return append(s.key(positionEntry, 1), 0), []byte(`{"next":1}`) },
		"print": func(s *shelf) (key, value []byte) {
			return append(s.key(positionEntry, 1), 0), []byte(`{"next":1,"last":{"offset":4,"sum":1}}`)
		},
		"time to come": func(s *shelf) (key, value []byte) {
			return append(s.key(positionEntry, 1), 0), []byte(fmt.Sprintf(`{"next":5,"ms":%d}`, time.Now().Add(time.Hour).UnixMilli()))
		},
		"stream's key": func(s *shelf) (key, value []byte) { return append(s.key(streamEntry, 1), "x"...), []byte("{}") },
		"stream":       func(s *shelf) (key, value []byte) { return s.streamKey(streamEntry, alice), []byte("[") },
		"stream's state": func(s *shelf) (key, value []byte) {
			return s.streamKey(streamEntry, alice), []byte(`{"state":{"phase":"x"}}`)
		},
		"offset": func(s *shelf) (key, value []byte) {
			return s.streamKey(offsetEntry, alice), []byte(`{"offset":{"epoch":-1}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &shelf{db: cacheOf(t, t.TempDir()).db}
			if err := s.empty(is); err != nil {
				t.Fatal(err)
			}
			b := s.db.NewBatch()
			for i := range 2 {
				if name != "age" {
					b.Set(append(s.key(positionEntry, 1), byte(i)), place)
				} else {
					b.Set(append(s.key(positionEntry, 1), byte(i)), []byte(`{"next":1}`))
				}
			}
			b.Set(put(s))
			if err := s.write(b); err != nil {
				t.Fatal(err)
			}
			var why stale
			if _, _, err := s.open("team", is, time.Hour, time.Now()); !errors.As(err, &why) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestCacheFails: a store that fails while it is used lets nothing be committed on what it says; the next load does without.
func TestCacheFails(t *testing.T) {
	k, dir, h := newFakeKafka(), t.TempDir(), newHistory(rand.New(rand.NewPCG(1, 1)), alice)
	c := cacheOf(t, dir)
	l, _ := cachedLedger(k, c, nil)
	for round := range 3 {
		all, err := l.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if round > 0 {
			equal(t, "loaded", imageOf(t, all[alice]), h.image)
		}
		before := h.clone()
		for range 5 {
			*before = *h.clone()
			if err := l.Commit(t.Context(), []connector.Transaction{h.next()}); err != nil {
				t.Fatal(err)
			}
		}
		if inMemory := c.db == nil; inMemory != (round == 2) {
			t.Fatalf("round %d: in memory: %v", round, inMemory)
		}
		if round == 2 {
			return
		}
		x := l.Open(alice).Index
		c.db.Fail(errors.New("disk on fire"))
		if _, err := x.Body("x"); err != nil && !errors.Is(err, connector.ErrDoubt) {
			t.Errorf("reading: %v", err)
		}
		if err := l.Commit(t.Context(), []connector.Transaction{{Stream: alice, Forget: true}}); err == nil || !strings.Contains(err.Error(), "disk on fire") {
			t.Fatalf("committed: %v", err)
		}
	}
}

// TestCacheMovesOn: a partition that was in other hands goes on from its shelf; a ledger whose shelf another has taken commits no more.
func TestCacheMovesOn(t *testing.T) {
	k, h := newFakeKafka(), newHistory(rand.New(rand.NewPCG(1, 1)), alice)
	c := cacheOf(t, t.TempDir())
	first, _ := cachedLedger(k, c, nil)
	load(t, first, k, rand.New(rand.NewPCG(3, 3)), nil)
	commit := func(l *Ledger) error { return l.Commit(t.Context(), []connector.Transaction{h.next()}) }
	if err := commit(first); err != nil {
		t.Fatal(err)
	}
	at := k.stateEnd()
	away, _ := cachedLedger(k, nil, nil)
	load(t, away, k, rand.New(rand.NewPCG(3, 3)), map[connector.Stream]*history{alice: h})
	if err := commit(away); err != nil {
		t.Fatal(err)
	}
	second, _ := cachedLedger(k, c, nil)
	load(t, second, k, rand.New(rand.NewPCG(3, 3)), map[connector.Stream]*history{alice: h})
	if from := k.readFrom(t); from == 0 || from > at {
		t.Errorf("read from %d, want a bit before %d", from, at)
	}
	if err := first.Commit(t.Context(), []connector.Transaction{{Stream: alice, Forget: true}}); err == nil {
		t.Error("the first ledger goes on")
	}
	if err := commit(second); err != nil {
		t.Fatal(err)
	}
	equal(t, "in the end", imageOf(t, second.Open(alice)), h.image)
}

// TestCacheStaysYoung: an owner with nothing to commit proves now and then that nobody else has.
func TestCacheStaysYoung(t *testing.T) {
	k := newFakeKafka()
	l, _ := cachedLedger(k, cacheOf(t, t.TempDir()), nil)
	load(t, l, k, rand.New(rand.NewPCG(3, 3)), nil)
	look := func() int64 {
		t.Helper()
		if over, err := l.Overtaken(t.Context()); over || err != nil {
			t.Fatal(over, err)
		}
		return k.stateEnd()
	}
	before := k.stateEnd()
	if look() != before {
		t.Error("a young cache is renewed")
	}
	l.proven = time.Now().Add(-time.Hour)
	if look() != before+2 { // a barrier and its marker
		t.Error("an old cache is not renewed")
	}
	if look() != before+2 {
		t.Error("it is renewed again at once")
	}
	l.retention = time.Millisecond
	time.Sleep(2 * l.retention)
	if look() != before+2 {
		t.Error("it is renewed all the time where deletes are kept for no time")
	}
}

// TestCacheWithoutDirectory: everything works without.
func TestCacheWithoutDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	c := OpenCache(CacheConfig{Dir: file, Name: "team"}, hclog.New(&hclog.LoggerOptions{Output: &out}))
	if !strings.Contains(out.String(), "there is no local cache") {
		t.Errorf("the log says %q", out.String())
	}
	k, h := newFakeKafka(), newHistory(rand.New(rand.NewPCG(1, 1)), alice)
	l, _ := cachedLedger(k, c, nil)
	load(t, l, k, rand.New(rand.NewPCG(3, 3)), nil)
	if err := l.Commit(t.Context(), []connector.Transaction{h.next()}); err != nil {
		t.Fatal(err)
	}
	equal(t, "in memory", imageOf(t, l.Open(alice)), h.image)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestCacheOfTwoProcesses: each has its own directory.
func TestCacheOfTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	a, b := cacheOf(t, dir), cacheOf(t, dir)
	if filepath.Base(a.dir) != "0" || filepath.Base(b.dir) != "1" {
		t.Errorf("%s and %s", a.dir, b.dir)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if again := cacheOf(t, dir); again.dir != a.dir {
		t.Errorf("%s, want %s again", again.dir, a.dir)
	}
}

// TestSettled shows that what was put in is noted during a first snapshot and a load, and not afterwards.
func TestSettled(t *testing.T) {
	k := newFakeKafka()
	c := OpenCache(CacheConfig{Dir: t.TempDir(), Name: "team", Memory: 1 << 20}, hclog.NewNullLogger())
	defer c.Close()
	cfg := testConfig()
	cfg.Cache, cfg.Identify = c, identify
	l := NewLedger(cfg, &fakeProducer{k: k}, k, hclog.NewNullLogger())
	if _, err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	notes := func(l *Ledger) bool { return l.fold.streams[alice].index.(*disk).fresh.Load() != nil }
	tx := snapshotPage(0, 500)
	if err := l.Commit(t.Context(), []connector.Transaction{tx}); err != nil || !notes(l) {
		t.Fatal("a snapshot has begun:", err, notes(l))
	}
	tx = snapshotPage(500, 1)
	tx.State.Phase = connector.Streaming
	if err := l.Commit(t.Context(), []connector.Transaction{tx}); err != nil || notes(l) {
		t.Fatal("a snapshot has ended:", err, notes(l))
	}
	cfg.Cache = OpenCache(CacheConfig{Dir: t.TempDir(), Name: "team", Memory: 1 << 20}, hclog.NewNullLogger())
	defer cfg.Cache.Close()
	l = NewLedger(cfg, &fakeProducer{k: k}, k, hclog.NewNullLogger())
	if _, err := l.Load(t.Context()); err != nil || notes(l) {
		t.Fatal("a load has ended:", err, notes(l))
	}
	if _, ok := l.fold.streams[alice].index.Resource("/alice/work/" + snapshotPage(500, 1).Rows[0].ID + ".ics"); !ok {
		t.Error("a resource is not there")
	}
}
