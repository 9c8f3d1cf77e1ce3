package kv

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, dir string, fs vfs.FS) (*DB, *Lock) {
	t.Helper()
	lock, err := LockDirectory(dir, System)
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(filepath.Join(dir, "store"), Options{Cache: 1 << 20, FS: fs}, hclog.NewNullLogger())
	if err != nil {
		_ = lock.Release()
		t.Fatal(err)
	}
	return db, lock
}

func put(db *DB, from, n int) error {
	b := db.NewBatch()
	for i := range n {
		b.Set(key(from+i), value(from+i))
	}
	return db.Write(b)
}

func key(i int) []byte   { return fmt.Appendf(nil, "key-%08d", i) }
func value(i int) []byte { return fmt.Appendf(nil, "%0*d", 100+i%900, i) }

// read returns how many keys are there, from the first on without a gap, each with its value.
func read(db *DB) (int, error) {
	n := 0
	err := db.Scan([]byte("key-"), After([]byte("key-")), func(k []byte, v func() ([]byte, error)) (bool, error) {
		is, err := v()
		if err == nil && (string(k) != string(key(n)) || string(is) != string(value(n))) {
			err = fmt.Errorf("%q is %q", k, is)
		}
		n++
		return err == nil, err
	})
	return n, err
}

func TestStore(t *testing.T) {
	dir := t.TempDir()
	db, lock := open(t, dir, nil)
	if err := put(db, 0, 5000); err != nil {
		t.Fatal(err)
	}
	if _, err := LockDirectory(dir, System); err == nil {
		t.Error("the directory is locked twice")
	}
	if err := errors.Join(db.Flush(), db.Close(), lock.Release()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Get(key(1), func([]byte) {}); !errors.Is(err, ErrClosed) || !errors.Is(db.Damage(), ErrClosed) {
		t.Errorf("reading what is closed: %v, %v", err, db.Damage())
	}
	db, lock = open(t, dir, nil)
	if n, err := read(db); n != 5000 || err != nil {
		t.Errorf("%d keys, %v", n, err)
	}
	b := db.NewBatch()
	b.DeleteRange(key(10), key(5000))
	b.Delete(key(9))
	if err := db.Write(b); err != nil {
		t.Fatal(err)
	}
	if n, err := read(db); n != 9 || err != nil {
		t.Errorf("%d keys, %v", n, err)
	}
	if there, err := db.Get(key(9), func([]byte) {}); there || err != nil {
		t.Errorf("what was deleted: %v, %v", there, err)
	}
	if err := errors.Join(db.Close(), lock.Release()); err != nil {
		t.Fatal(err)
	}
}

// TestHold: while merges are held there are none, and then they are made up for, whichever hold is the last.
func TestHold(t *testing.T) {
	db, lock := open(t, t.TempDir(), nil)
	first := db.Hold()
	layer(t, db, layers+4)
	last := db.Hold()
	first()
	if m := db.db.Metrics(); m.Compact.Count != 0 || m.Levels[0].Sublevels != layers+4 {
		t.Errorf("%d merges, %d layers", m.Compact.Count, m.Levels[0].Sublevels)
	}
	last()
	merged(t, db)
	if n, err := read(db); n != 100 || err != nil {
		t.Errorf("%d keys, %v", n, err)
	}
	if err := errors.Join(db.Close(), lock.Release()); err != nil {
		t.Fatal(err)
	}
}

// TestLongHold: a load of any length ends, though nothing is merged until it does.
func TestLongHold(t *testing.T) {
	db, lock := open(t, t.TempDir(), nil)
	release := db.Hold()
	layer(t, db, heldLayers+20)
	merged(t, db)
	release()
	if err := errors.Join(db.Close(), lock.Release()); err != nil {
		t.Fatal(err)
	}
}

// layer writes so many layers.
func layer(t *testing.T, db *DB, n int) {
	t.Helper()
	for range n {
		if err := errors.Join(put(db, 0, 100), db.Flush()); err != nil {
			t.Fatal(err)
		}
	}
}

// merged waits for a merge.
func merged(t *testing.T, db *DB) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); db.db.Metrics().Compact.Count == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("no merge follows")
		}
	}
}

// full is a file system that is full after some bytes.
type full struct {
	vfs.FS
	t    testing.TB
	dir  string // outside of which nothing may be made
	room *atomic.Int64
}

var errFull = errors.New("no space left on device")

func (f full) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if !strings.HasPrefix(name, f.dir) {
		f.t.Errorf("%s is made", name)
	}
	if f.room.Load() <= 0 {
		return nil, errFull
	}
	file, err := f.FS.Create(name, c)
	return fullFile{file, f.room}, err
}

type fullFile struct {
	vfs.File
	room *atomic.Int64
}

func (f fullFile) Write(p []byte) (int, error) {
	if f.room.Add(-int64(len(p))) < 0 {
		return 0, errFull
	}
	return f.File.Write(p)
}

// TestFull: a disk that is full damages the store, which neither hangs nor ends the process, and reads and writes say so.
func TestFull(t *testing.T) {
	for _, room := range []int64{0, 50, 1000, 10_000, 300_000, 5_000_000} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			dir, left := t.TempDir(), &atomic.Int64{}
			left.Store(1 << 40)
			db, lock := open(t, dir, full{vfs.Default, t, dir, left})
			left.Store(room)
			var err error
			for i, deadline := 0, time.Now().Add(time.Minute); err == nil && time.Now().Before(deadline); i++ {
				if err = put(db, 1000*i, 1000); err == nil && i%5 == 0 {
					err = db.Flush()
				}
			}
			if !errors.Is(err, errFull) {
				t.Errorf("writing: %v", err)
			}
			if _, err := read(db); !errors.Is(err, errFull) {
				t.Errorf("reading: %v", err)
			}
			if err := db.Close(); !errors.Is(err, errFull) {
				t.Errorf("closing: %v", err)
			}
			if err := lock.Release(); err != nil {
				t.Error(err)
			}
		})
	}
}

// panics is a file system that panics where tables are read.
type panics struct {
	vfs.FS
	now *atomic.Bool
}

func (p panics) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if p.now.Load() && strings.HasSuffix(name, ".sst") {
		panic("checksum of nonsense")
	}
	return p.FS.Open(name, opts...)
}

func (p panics) List(dir string) ([]string, error) {
	if p.now.Load() {
		panic("a list of nonsense")
	}
	return p.FS.List(dir)
}

// TestPanics: where damaged files make the store panic, at its opening or later, that is damage, and ends neither the process nor its Close.
func TestPanics(t *testing.T) {
	dir, fs := t.TempDir(), panics{vfs.Default, &atomic.Bool{}}
	db, lock := open(t, dir, fs)
	defer lock.Release()
	if err := errors.Join(put(db, 0, 100), db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	fs.now.Store(true)
	if db, err := Open(filepath.Join(dir, "store"), Options{Cache: 1 << 20, FS: fs}, hclog.NewNullLogger()); err == nil || db != nil || !strings.Contains(err.Error(), "nonsense") {
		t.Fatalf("opened: %v", err)
	}
	fs.now.Store(false)
	for name, use := range map[string]func(db *DB) error{
		"get": func(db *DB) error { _, err := db.Get(key(1), func([]byte) { panic("nonsense") }); return err },
		"scan": func(db *DB) error {
			return db.Scan(key(0), nil, func([]byte, func() ([]byte, error)) (bool, error) { panic("nonsense") })
		},
		"write": func(db *DB) error { return db.use(func(*pebble.DB) error { panic("nonsense") }) },
	} {
		dir := t.TempDir()
		db, lock := open(t, dir, nil)
		if err := put(db, 0, 10); err != nil {
			t.Fatal(err)
		}
		if err := use(db); err == nil || !strings.Contains(err.Error(), "nonsense") {
			t.Errorf("%s: %v", name, err)
		}
		if err := db.Damage(); err == nil {
			t.Errorf("%s: whole", name)
		}
		if _, err := db.Get(key(1), func([]byte) {}); err == nil {
			t.Errorf("%s: goes on", name)
		}
		if err := errors.Join(db.Close(), lock.Release()); err == nil {
			t.Errorf("%s: closed without a word", name)
		}
		db.closing.Wait() // here it comes to an end
	}
}

// FuzzDamage: files that were changed or cut are found, or hold what they should. What is left of a store that is not found damaged is a
// first part of what was written.
func FuzzDamage(f *testing.F) {
	dir := f.TempDir()
	db, lock := open(f, dir, nil)
	for i := range 4 {
		if err := errors.Join(put(db, 2000*i, 2000), db.Flush()); err != nil {
			f.Fatal(err)
		}
	}
	if err := errors.Join(db.Close(), lock.Release()); err != nil {
		f.Fatal(err)
	}
	for i := range uint16(12) {
		f.Add(i, uint32(i)*7919, byte(1+i), false)
		f.Add(i, uint32(i)*104729, byte(0), true)
	}
	f.Fuzz(func(t *testing.T, file uint16, at uint32, flip byte, cut bool) {
		to := t.TempDir()
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		damage(t, filepath.Join(to, "store"), int(file), int(at), flip, cut)
		lock, err := LockDirectory(to, System)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Release()
		db, err := Open(filepath.Join(to, "store"), Options{Cache: 1 << 20}, hclog.NewNullLogger())
		if err != nil {
			return
		}
		defer db.Close()
		if n, err := read(db); err == nil && n%2000 != 0 {
			t.Errorf("%d keys", n)
		}
	})
}

// damage changes a byte of one of the files, or cuts it.
func damage(t *testing.T, dir string, file, at int, flip byte, cut bool) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, files[file%len(files)].Name())
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		return
	}
	at %= len(b)
	if b[at] ^= flip; cut {
		b = b[:at]
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCutManifest: wherever the manifest is cut, the store is not opened, or nothing comes back in it that has been deleted since.
func TestCutManifest(t *testing.T) {
	const dir = "store"
	fs := vfs.NewCrashableMem()
	for from := range 3 { // each opening begins another manifest
		db, err := Open(dir, Options{Cache: 1 << 20, FS: fs}, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(put(db, 100*from, 100), db.Flush(), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	files, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	for _, name := range files {
		for size := 0; strings.HasPrefix(name, "MANIFEST"); size++ {
			cut := fs.CrashClone(vfs.CrashCloneCfg{})
			whole, err := truncate(cut, dir+"/"+name, size)
			if err != nil {
				t.Fatal(err)
			}
			if whole {
				break
			}
			db, err := Open(dir, Options{Cache: 1 << 20, FS: cut}, hclog.NewNullLogger())
			if err != nil {
				continue
			}
			opened++
			b := db.NewBatch()
			b.DeleteRange(key(0), key(1000))
			if err := errors.Join(db.Write(b), db.Flush(), put(db, 1000, 1000)); err != nil {
				t.Fatal(err)
			}
			b = db.NewBatch()
			b.DeleteRange(key(1000), key(2000))
			if err := errors.Join(db.Write(b), db.Flush()); err != nil {
				t.Fatal(err)
			}
			if n, err := read(db); n != 0 || err != nil {
				t.Errorf("%s, cut at %d: %d keys have come back, %v", name, size, n, err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d stores were opened", opened)
}

// truncate cuts a file; whole: it is no longer than that.
func truncate(fs vfs.FS, name string, size int) (whole bool, err error) {
	f, err := fs.Open(name)
	if err != nil {
		return false, err
	}
	text, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil || size >= len(text) {
		return true, err
	}
	f, err = fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return false, err
	}
	_, err = f.Write(text[:size])
	return false, errors.Join(err, f.Close())
}
