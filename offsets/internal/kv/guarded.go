package kv

import (
	"bufio"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guarded is a file system of which Pebble never learns that a write has failed: it would try again for ever, with writers waiting,
// or end the process. The failure is told to hurt, which has the store thrown away; after it nothing is written, so that what is on the
// disk is never made to look whole again.
type guarded struct {
	vfs.FS
	hurt func(error)
	lost func() bool // there has been a failure
}

// Create implements vfs.FS.
func (g guarded) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.Create(name, category)
	if err != nil {
		g.hurt(err)
		if f, err = vfs.NewMem().Create("lost", category); err != nil {
			return nil, err
		}
		f = lostFile{f}
	}
	return &guardedFile{File: f, hurt: g.hurt, lost: g.lost, buffer: bufio.NewWriterSize(f, written)}, nil
}

// lostFile is written to in place of one that could not be made.
type lostFile struct{ vfs.File }

// Write implements vfs.File: nothing is kept.
func (lostFile) Write(p []byte) (int, error) { return len(p), nil }

// OpenDir implements vfs.FS.
func (g guarded) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedFile{File: f, hurt: g.hurt, lost: g.lost}, nil
}

// written is how many bytes are gathered before they are written: Pebble writes a block at a time, which takes a third of a load.
const written = 64 << 10

// guardedFile is a file being written, or a directory. Nobody reads what has not been synchronised.
type guardedFile struct {
	vfs.File
	hurt   func(error)
	lost   func() bool
	buffer *bufio.Writer // nil: a directory
}

// flush writes what was gathered.
func (f *guardedFile) flush() {
	if f.buffer == nil || f.lost() {
		return
	}
	if err := f.buffer.Flush(); err != nil {
		f.hurt(err)
	}
}

// Write implements vfs.File.
func (f *guardedFile) Write(p []byte) (int, error) {
	if f.lost() {
		return len(p), nil
	}
	if _, err := f.buffer.Write(p); err != nil {
		f.hurt(err)
	}
	return len(p), nil
}

// Preallocate implements vfs.File.
func (f *guardedFile) Preallocate(offset, length int64) error {
	if err := f.File.Preallocate(offset, length); err != nil {
		f.hurt(err)
	}
	return nil
}

// Sync implements vfs.File.
func (f *guardedFile) Sync() error {
	f.flush()
	if err := f.File.Sync(); err != nil {
		f.hurt(err)
	}
	return nil
}

// SyncData implements vfs.File.
func (f *guardedFile) SyncData() error {
	f.flush()
	if err := f.File.SyncData(); err != nil {
		f.hurt(err)
	}
	return nil
}

// SyncTo implements vfs.File.
func (f *guardedFile) SyncTo(length int64) (bool, error) {
	f.flush()
	whole, err := f.File.SyncTo(length)
	if err != nil {
		f.hurt(err)
	}
	return whole, nil
}

// Close implements vfs.File.
func (f *guardedFile) Close() error {
	f.flush()
	if err := f.File.Close(); err != nil {
		f.hurt(err)
	}
	return nil
}
