package offsets

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/offsets/internal/kv"
)

// disk is an index in a cache. What cannot be read counts as not known: no matter, since a store that has failed a read is damaged,
// and nothing is committed any more on what it said (Ledger.inDoubt).
type disk struct {
	shelf           *shelf
	number          uint32                 // of the stream on the shelf
	fresh           atomic.Pointer[filter] // all that was ever put in; nil: not known
	resources, rows atomic.Int64
}

// scanned is how many resources are read at once, before the caller has them.
const scanned = 256

// key is that of a resource, a row, or what begins so.
func (x *disk) key(e byte, id string) []byte {
	b := x.shelf.key(e, 4+len(id))
	return append(binary.BigEndian.AppendUint32(b, x.number), id...)
}

// childKey is the key under which a child is found by its parent.
func (x *disk) childKey(parent, id string) []byte {
	return append(x.key(childEntry, packed(parent)), id...)
}

func packed(s string) string { return string(appendBytes(nil, s)) }

// never tells that a key was certainly never put in.
func (x *disk) never(key []byte) bool {
	f := x.fresh.Load()
	return f != nil && !f.may(key)
}

// settle ends the noting of what is put in: the stream's first rows are in, and what is asked for from now on is mostly there.
func (st *stream) settle() {
	if x, ok := st.index.(*disk); ok && st.state != nil && st.state.Phase != connector.Snapshot {
		x.fresh.Store(nil)
	}
}

func (x *disk) get(key []byte) (value string, ok bool) {
	if x.never(key) {
		return "", false
	}
	ok, err := x.shelf.db.Get(key, func(v []byte) { value = string(v) })
	return value, ok && err == nil
}

// Resource implements connector.Index.
func (x *disk) Resource(id string) (connector.ResourceState, bool) {
	value, ok := x.get(x.key(resourceEntry, id))
	if !ok {
		return connector.ResourceState{}, false
	}
	r, err := parseResource(id, value)
	return r, err == nil // nothing enters that does not parse
}

// Row implements connector.Index.
func (x *disk) Row(id string) (hash connector.Hash, ok bool) {
	key := x.key(rowEntry, id)
	if x.never(key) {
		return hash, false
	}
	ok, _ = x.shelf.db.Get(key, func(v []byte) { copy(hash[:], v[1:]) })
	return hash, ok
}

// Body implements connector.Index. A store that is damaged has to be loaded again.
func (x *disk) Body(id string) ([]byte, error) {
	key := x.key(rowEntry, id)
	if x.never(key) {
		return nil, nil
	}
	var body []byte
	var parsing error
	_, err := x.shelf.db.Get(key, func(v []byte) {
		if body, parsing = parseBody(v[rowHead-1:]); parsing == nil && v[rowHead-1] == formPlain {
			body = bytes.Clone(body)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: reading row %s from the local store: %w", connector.ErrDoubt, id, err)
	}
	if parsing != nil {
		return nil, fmt.Errorf("decompressing row %s: %w", id, parsing)
	}
	return body, nil
}

// Resources implements connector.Index. The store is free while the caller has a resource.
func (x *disk) Resources() iter.Seq2[string, connector.ResourceState] {
	return func(yield func(string, connector.ResourceState) bool) {
		for part := range x.parts(resourceEntry, true) {
			for _, e := range part {
				if r, err := parseResource(e.id, e.value); err == nil && !yield(e.id, r) {
					return
				}
			}
		}
	}
}

func (x *disk) rowIDs() iter.Seq[string] {
	return func(yield func(string) bool) {
		for part := range x.parts(rowEntry, false) {
			for _, e := range part {
				if !yield(e.id) {
					return
				}
			}
		}
	}
}

type entry struct{ id, value string }

// parts runs over the entries of one kind, some at a time.
func (x *disk) parts(e byte, values bool) iter.Seq[[]entry] {
	return func(yield func([]entry) bool) {
		from := x.key(e, "")
		head := len(from)
		to := kv.After(from)
		for {
			part := make([]entry, 0, scanned)
			err := x.shelf.db.Scan(from, to, func(key []byte, value func() ([]byte, error)) (bool, error) {
				next := entry{id: string(key[head:])}
				if values {
					v, err := value()
					if err != nil {
						return false, err
					}
					next.value = string(v)
				}
				part = append(part, next)
				return len(part) < scanned, nil
			})
			if err != nil || len(part) == 0 || !yield(part) || len(part) < scanned {
				return
			}
			from = append(x.key(e, part[len(part)-1].id), 0)
		}
	}
}

// Unread implements connector.Index.
func (x *disk) Unread() []string { return x.ids(x.key(unreadEntry, "")) }

// Children implements connector.Index.
func (x *disk) Children(parent string) []string { return x.ids(x.childKey(parent, "")) }

// ids are what follows prefix in the keys that begin with it.
func (x *disk) ids(prefix []byte) []string {
	var ids []string
	_ = x.shelf.db.Scan(prefix, kv.After(prefix), func(key []byte, _ func() ([]byte, error)) (bool, error) { // an error is damage
		ids = append(ids, string(key[len(prefix):]))
		return true, nil
	})
	return ids
}

func (x *disk) counts() (resources, rows int64) { return x.resources.Load(), x.rows.Load() }

func (x *disk) setResource(w *writing, id, value string, r *connector.ResourceState) (added bool, err error) {
	key := x.key(resourceEntry, id)
	was, err := w.value(x, key)
	if err != nil {
		return false, err
	}
	var old connector.ResourceState
	if was != "" {
		if old, err = parseResource(id, was); err != nil {
			return false, err
		}
	}
	w.replace(old.Parent != r.Parent, old.Parent != "", r.Parent != "", x.childKey(old.Parent, id), x.childKey(r.Parent, id))
	unread := x.key(unreadEntry, id)
	w.replace(old.Unknown != r.Unknown, old.Unknown, r.Unknown, unread, unread)
	w.set(x, key, value)
	x.resources.Add(difference(was != "", value != ""))
	return was == "" && value != "", nil
}

func (x *disk) setRow(w *writing, id, value string) error {
	key := x.key(rowEntry, id)
	was, err := w.has(x, key)
	if err != nil {
		return err
	}
	w.set(x, key, value)
	x.rows.Add(difference(was, value != ""))
	return nil
}

// difference is by how much a count changes.
func difference(was, is bool) int64 {
	switch {
	case is && !was:
		return 1
	case was && !is:
		return -1
	}
	return 0
}

// damageError is a store that has failed.
type damageError struct{ err error }

func (e *damageError) Error() string { return "the local store: " + e.err.Error() }
func (e *damageError) Unwrap() error { return e.err }

func damaged(err error) error {
	if err == nil {
		return nil
	}
	return &damageError{err}
}

// writing is what a fold changes on a shelf, to be written whole, with how far the fold has come. nil: the fold is in memory.
type writing struct {
	shelf   *shelf
	batch   *kv.Batch
	held    map[string]string // what the batch holds of resources and rows; "": it removes them
	states  map[connector.Stream]*stream
	offsets map[connector.Stream]*stream
}

// value is what is held of a key, "" for nothing.
func (w *writing) value(x *disk, key []byte) (string, error) {
	if v, ok := w.held[string(key)]; ok {
		return v, nil
	}
	if x.never(key) {
		return "", nil
	}
	var value string
	_, err := x.shelf.db.Get(key, func(v []byte) { value = string(v) })
	return value, damaged(err)
}

// has tells whether something is held of a key.
func (w *writing) has(x *disk, key []byte) (bool, error) {
	if v, ok := w.held[string(key)]; ok {
		return v != "", nil
	}
	if x.never(key) {
		return false, nil
	}
	there, err := x.shelf.db.Get(key, func([]byte) {})
	return there, damaged(err)
}

func (w *writing) set(x *disk, key []byte, value string) {
	if value == "" {
		w.batch.Delete(key)
	} else {
		w.batch.Set(key, []byte(value))
		if f := x.fresh.Load(); f != nil {
			f.add(key)
		}
	}
	w.held[string(key)] = value
}

// replace changes an entry without a value.
func (w *writing) replace(changed, was, is bool, old, next []byte) {
	switch {
	case !changed:
		return
	case was:
		w.batch.Delete(old)
	}
	if is {
		w.batch.Set(next, nil)
	}
}

// full tells that a batch is large enough to be written.
func (w *writing) full() bool { return w != nil && w.batch.Size() >= fullBatch }

// fullBatch is how many bytes of a load are written at once.
const fullBatch = 1 << 20

func (w *writing) touchState(s connector.Stream, st *stream) {
	if w != nil {
		w.states[s] = st
	}
}

func (w *writing) touchOffset(s connector.Stream, st *stream) {
	if w != nil {
		w.offsets[s] = st
	}
}

// streamsOf are streams in one order.
func streamsOf(m map[connector.Stream]*stream) []connector.Stream {
	all := make([]connector.Stream, 0, len(m))
	for s := range m {
		all = append(all, s)
	}
	slices.SortFunc(all, compareStreams)
	return all
}
