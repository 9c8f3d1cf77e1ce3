package xmlpull

import "sync"

// memory is what a Reader works with, and what another may go on with when it is done.
type memory struct {
	buf   [bufSize]byte
	names map[string]string
	text  []byte
}

// keptNames bounds the names that are kept for the next document: a well-meant one has a few dozen.
const keptNames = 128

var memories = sync.Pool{New: func() any { return &memory{names: map[string]string{}} }}

// Release gives the Reader's memory back. Neither the Reader nor bytes that it returned may be used afterwards.
func (r *Reader) Release() {
	if m := r.memory; m != nil {
		if len(m.names) > keptNames {
			m.names = map[string]string{}
		}
		if m.text = r.text[:0]; cap(m.text) > bufSize {
			m.text = nil
		}
		memories.Put(m)
	}
	*r = Reader{}
}
