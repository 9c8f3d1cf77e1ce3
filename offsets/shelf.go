package offsets

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/offsets/internal/kv"
)

// shelf is one partition's part of a cache. Its keys begin with the partition and say what they are:
//
//	about     what the shelf is a copy of (about)
//	position  and 0 or 1: how far the offsets and the state are folded (place)
//	stream    and a streamKey: its number, its counts and the value of its record (head)
//	offset    and a streamKey: its offset and stray keys (offsetHead)
//	resource  and a stream's number and an id: the value of its record
//	row       likewise
//	child     and a stream's number, a parent's id with its length, and an id
//	unread    and a stream's number and an id
//
// What is folded may be written before the position that says so, never after it: folding again what is folded already changes nothing.
type shelf struct {
	db        *kv.DB
	partition int32
	streams   uint32 // how many numbers are given

	mu   sync.Mutex // held while it is written to
	left bool       // another ledger has claimed it
}

var errLeft = errors.New("another ledger of this process has taken the partition")

// leave ends all writing.
func (s *shelf) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = true
}

// failed is why the shelf is of no use any more, nil where it is.
func (s *shelf) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return errLeft
	}
	return s.db.Damage()
}

// write writes a batch.
func (s *shelf) write(b *kv.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		b.Discard()
		return errLeft
	}
	return s.db.Write(b)
}

const (
	aboutEntry    = 'a'
	positionEntry = 'p'
	streamEntry   = 's'
	offsetEntry   = 'o'
	resourceEntry = 'e'
	rowEntry      = 'r'
	childEntry    = 'c'
	unreadEntry   = 'u'
)

// shelfFormat changes with the form of keys and values here, and with those of the state's records.
const shelfFormat = 1

// about is what a shelf is a copy of.
type about struct {
	Format    int    `json:"format"`
	Connector string `json:"connector"`
	Cluster   string `json:"cluster"`
	Offsets   string `json:"offsets"`
	State     string `json:"state"`
}

func aboutOf(name string, id Identity) about {
	return about{Format: shelfFormat, Connector: name, Cluster: id.Cluster, Offsets: id.Offsets, State: id.State}
}

// place is how far a topic is folded.
type place struct {
	Next int64 `json:"next"`
	Ms   int64 `json:"ms"` // until when nothing else was in the topic, ms since 1970
	Last print `json:"last"`
}

// provenAt is until when nothing else was in the topics.
func provenAt(places [2]place) time.Time { return time.UnixMilli(max(places[0].Ms, places[1].Ms)) }

// head is what a shelf keeps of a stream besides its resources and rows.
type head struct {
	Number    uint32          `json:"number"`
	Resources int64           `json:"resources"`
	Rows      int64           `json:"rows"`
	State     json.RawMessage `json:"state,omitempty"`
	DataEnd   int64           `json:"data_end"`
}

// offsetHead is a stream's offset.
type offsetHead struct {
	Offset json.RawMessage `json:"offset,omitempty"`
	Strays [][]byte        `json:"strays,omitempty"`
}

// key begins a key, with room for n bytes more.
func (s *shelf) key(e byte, n int) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 5+n), uint32(s.partition)), e)
}

func (s *shelf) streamKey(e byte, of connector.Stream) []byte {
	return append(s.key(e, 100), streamKey(of)...)
}

// begin is the index of a stream of which the shelf holds nothing.
func (s *shelf) begin() *disk {
	s.streams++
	x := &disk{shelf: s, number: s.streams}
	x.fresh.Store(&filter{})
	return x
}

// empty forgets everything.
func (s *shelf) empty(a about) error {
	b := s.db.NewBatch()
	all := binary.BigEndian.AppendUint32(nil, uint32(s.partition))
	b.DeleteRange(all, binary.BigEndian.AppendUint32(nil, uint32(s.partition)+1))
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	b.Set(s.key(aboutEntry, 0), text)
	return s.write(b)
}

// hold puts off the store's merges until release is called.
func (s *shelf) hold() (release func()) {
	if s == nil {
		return func() {}
	}
	return s.db.Hold()
}

// writing begins a batch.
func (s *shelf) writing() *writing {
	if s == nil {
		return nil
	}
	return &writing{shelf: s, batch: s.db.NewBatch(), held: map[string]string{},
		states: map[connector.Stream]*stream{}, offsets: map[connector.Stream]*stream{}}
}

// write ends a batch: with the heads of the streams that it touches and, where they are given, the places that it leads to.
func (w *writing) write(f *fold, places [2]*place) error {
	if w == nil {
		return nil
	}
	f.mu.RLock()
	err := w.heads()
	if places[1] != nil { // not in the middle of a load
		for _, st := range w.states {
			st.settle()
		}
	}
	f.mu.RUnlock()
	for i, p := range places {
		if p == nil || err != nil {
			continue
		}
		var text []byte
		if text, err = json.Marshal(p); err == nil {
			w.batch.Set(append(w.shelf.key(positionEntry, 1), byte(i)), text)
		}
	}
	if err != nil {
		w.batch.Discard()
		return err
	}
	return w.shelf.write(w.batch)
}

func (w *writing) heads() error {
	for _, s := range streamsOf(w.states) {
		st := w.states[s]
		x, ok := st.index.(*disk)
		if !ok {
			return fmt.Errorf("the index of %s is not on the shelf", s)
		}
		h := head{Number: x.number, DataEnd: st.dataEnd}
		h.Resources, h.Rows = x.counts()
		if st.state != nil {
			state, err := encodeState(*st.state)
			if err != nil {
				return err
			}
			h.State = state
		}
		if err := w.setJSON(w.shelf.streamKey(streamEntry, s), h); err != nil {
			return err
		}
	}
	for _, s := range streamsOf(w.offsets) {
		h := offsetHead{Strays: w.offsets[s].strays}
		if o := w.offsets[s].offset; o != nil {
			h.Offset = encodeOffset(*o)
		}
		if err := w.setJSON(w.shelf.streamKey(offsetEntry, s), h); err != nil {
			return err
		}
	}
	return nil
}

func (w *writing) setJSON(key []byte, v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		w.batch.Set(key, text)
	}
	return err
}

// stale says why a shelf cannot be trusted.
type stale string

func (e stale) Error() string { return string(e) }

// open takes up what the shelf holds, in a fold with its places. A stale error says why it is not to be trusted.
func (s *shelf) open(name string, want about, retention time.Duration, now time.Time) (*fold, [2]place, error) {
	var places [2]place
	var is about
	switch there, err := s.readJSON(s.key(aboutEntry, 0), &is); {
	case err != nil:
		return nil, places, err
	case !there:
		return nil, places, stale("")
	case is.Format != want.Format:
		return nil, places, stale(fmt.Sprintf("it is of format %d, not %d", is.Format, want.Format))
	case is.Connector != want.Connector:
		return nil, places, stale(fmt.Sprintf("it is of the connector %q", is.Connector))
	case is.Cluster != want.Cluster:
		return nil, places, stale(fmt.Sprintf("it is of the cluster %q, not of %q", is.Cluster, want.Cluster))
	case is != want:
		return nil, places, stale("it is of other topics with these names")
	}
	for i := range places {
		there, err := s.readJSON(append(s.key(positionEntry, 1), byte(i)), &places[i])
		if err != nil {
			return nil, places, err
		}
		if !there || places[i].Next < 0 || places[i].Last.Offset >= places[i].Next && places[i].Last != (print{}) {
			return nil, places, stale("it does not say how far it goes")
		}
	}
	if why := tooOld(now.Sub(provenAt(places)), retention); why != "" {
		return nil, places, why
	}
	f, err := s.read(name)
	return f, places, err
}

func (s *shelf) readJSON(key []byte, to any) (there bool, err error) {
	var parsing error
	there, err = s.db.Get(key, func(v []byte) { parsing = json.Unmarshal(v, to) })
	if parsing != nil {
		return false, stale("it cannot be read: " + parsing.Error())
	}
	return there, err
}

// read makes a fold of the shelf's streams.
func (s *shelf) read(name string) (*fold, error) {
	f := newFold(name, true)
	f.shelf = s
	keys := &stateKeys{}
	for _, e := range []byte{streamEntry, offsetEntry} {
		prefix := s.key(e, 0)
		var bad error
		err := s.db.Scan(prefix, kv.After(prefix), func(key []byte, value func() ([]byte, error)) (bool, error) {
			text, err := value()
			if err != nil {
				return false, err
			}
			entity, of, _, err := keys.parse(key[len(prefix):])
			if err == nil && entity != streamEntity {
				err = errors.New("not a stream's key")
			}
			if err == nil {
				err = f.take(of, e, text)
			}
			if err != nil {
				bad = stale("it cannot be read: " + err.Error())
			}
			return bad == nil, nil
		})
		if err := errors.Join(err, bad); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// take takes up a stream's head, or its offset's.
func (f *fold) take(of connector.Stream, e byte, text []byte) error {
	if e == streamEntry {
		var h head
		if err := json.Unmarshal(text, &h); err != nil {
			return err
		}
		x := &disk{shelf: f.shelf, number: h.Number}
		x.resources.Store(h.Resources)
		x.rows.Store(h.Rows)
		st := &stream{index: x}
		if h.State != nil {
			state, err := parseState(h.State)
			if err != nil {
				return err
			}
			st.state, st.dataEnd = &state, max(h.DataEnd, state.DataEnd)
		}
		f.shelf.streams = max(f.shelf.streams, h.Number)
		f.streams[of] = st
		return nil
	}
	var h offsetHead
	if err := json.Unmarshal(text, &h); err != nil {
		return err
	}
	st := f.stream(of)
	st.strays = h.Strays
	if h.Offset == nil {
		return nil
	}
	o, err := parseOffset(h.Offset)
	st.offset = o
	return err
}
