package offsets

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/calcdc/calcdc/connector"
)

// maxBad bounds the records that are remembered as undecodable.
const maxBad = 1000

// RecordError says that a record of an internal topic cannot be decoded. It stands until a later record has the same key.
type RecordError struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Err       error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("topic %s, partition %d, offset %d, key %s cannot be decoded: %v: start the calcdc that wrote it, "+
		"or write a record with the same key and a null value to that partition (for kcat: -Z -p %d -K) and then run calcdc offsets reset for its stream",
		e.Topic, e.Partition, e.Offset, show(e.Key), e.Err, e.Partition)
}

func (e *RecordError) Unwrap() error { return e.Err }

// stream is what the fold holds of one stream.
type stream struct {
	index   index
	state   *connector.StreamState
	offset  *connector.Offset
	dataEnd int64    // the stream's data partition is known to be at least this long
	strays  [][]byte // keys of its offset in other bytes than offsetKey's, to be emptied with the next offset
	refused error    // as found by the last Load
	caveat  string   // of the last Mend
}

// fold is what the committed records of one partition come to. Records of the two topics may be added at the same time.
type fold struct {
	name  string // of the connector
	keep  bool   // the rows' bodies
	heads bool   // streams' records only, not resources and rows
	shelf *shelf // where resources and rows are kept; nil: in memory

	mu      sync.RWMutex // guards streams and what they point to, indexes aside
	streams map[connector.Stream]*stream
}

func newFold(name string, keep bool) *fold {
	return &fold{name: name, keep: keep, streams: map[connector.Stream]*stream{}}
}

// stream returns what is held of s, at first nothing. The caller holds mu.
func (f *fold) stream(s connector.Stream) *stream {
	st, ok := f.streams[s]
	if !ok {
		st = &stream{}
		if st.index = newMemory(); f.shelf != nil {
			st.index = f.shelf.begin()
		}
		f.streams[s] = st
	}
	return st
}

// settle ends what is noted for a load alone.
func (f *fold) settle() {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, st := range f.streams {
		st.settle()
	}
}

// addOffset adds a record of <name>-offsets.
func (f *fold) addOffset(w *writing, key, value []byte) error {
	s, canonical, err := parseOffsetKey(f.name, key)
	if err != nil {
		return fmt.Errorf("the key: %w", err)
	}
	var o *connector.Offset
	if value != nil {
		if o, err = parseOffset(value); err != nil {
			return fmt.Errorf("the value: %w", err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.stream(s)
	st.offset = o
	if !canonical {
		st.setStray(key, value != nil)
	}
	w.touchOffset(s, st)
	return nil
}

// setStray remembers that key is a stray one with a value, or forgets it.
func (st *stream) setStray(key []byte, there bool) {
	for i, k := range st.strays {
		if bytes.Equal(k, key) {
			st.strays = append(st.strays[:i:i], st.strays[i+1:]...)
			break
		}
	}
	if there {
		st.strays = append(st.strays, bytes.Clone(key))
	}
}

// addState adds a record of <name>-state.
func (f *fold) addState(w *writing, keys *stateKeys, key, value []byte) error {
	e, s, id, err := keys.parse(key)
	if err != nil {
		return fmt.Errorf("the key: %w", err)
	}
	if f.heads && e != streamEntity {
		return nil
	}
	f.mu.Lock()
	st := f.stream(s)
	f.mu.Unlock()
	switch e {
	case resourceEntity:
		err = addResource(st.index, w, keys, id, value)
	case rowEntity:
		err = addRow(st.index, w, keys, id, value, f.keep)
	case streamEntity:
		err = f.setState(st, value)
	}
	if err != nil {
		return fmt.Errorf("the value: %w", err)
	}
	w.touchState(s, st)
	return nil
}

// addResource adds a resource's record; without a value it removes the resource.
func addResource(x index, w *writing, keys *stateKeys, id string, value []byte) error {
	held := string(value)
	var r connector.ResourceState
	if value != nil {
		var err error
		if r, err = parseResource(id, held); err != nil {
			return err
		}
	}
	added, err := x.setResource(w, id, held, &r)
	if added {
		keys.share(r.Rows)
	}
	return err
}

// addRow adds a row's record; without a value it removes the row.
func addRow(x index, w *writing, keys *stateKeys, id string, value []byte, keep bool) error {
	if value != nil {
		if err := checkRow(value); err != nil {
			return err
		}
		if !keep {
			value = append(bytes.Clone(value[:rowHead-1]), formNone)
		}
	}
	return x.setRow(w, keys.sharedID(id), string(value))
}

func (f *fold) setState(st *stream, value []byte) error {
	if value == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		st.state, st.dataEnd = nil, 0
		return nil
	}
	state, err := parseState(value)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	st.state, st.dataEnd = &state, state.DataEnd
	return nil
}

// dataEnd is how long the data partition of s is known to be at least.
func (f *fold) dataEnd(s connector.Stream) int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if st, ok := f.streams[s]; ok {
		return st.dataEnd
	}
	return 0
}

// strayKeys are the keys besides offsetKey that hold an offset of s.
func (f *fold) strayKeys(s connector.Stream) [][]byte {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if st, ok := f.streams[s]; ok {
		return st.strays
	}
	return nil
}
