// Package xmlpull reads XML of any length in constant memory, for answers that may hold hundreds of thousands of
// elements and come from anyone.
//
// It exists beside encoding/xml for two reasons. Size: encoding/xml collects a text of any length before it returns
// it; here the caller says how much of a text to keep and the rest is passed over. Speed: calendar data is mostly
// long text, which this reader takes by the block (see the benchmark: about six times as fast).
//
// It checks that tags nest and that the root element ends, resolves namespaces and the five named and the
// numeric character references, and passes over comments, instructions and document types, whose entities are
// never defined, so never expanded. As XML 1.0 2.11 wants, a CR or CRLF that is not written as a reference is read as
// LF. It is lenient where servers are sloppy: control characters, unknown references and bytes that are not UTF-8
// stand as they come.
package xmlpull

import (
	"fmt"
	"io"
)

// Name is an element's or attribute's name with its namespace resolved.
type Name struct{ Space, Local string }

// Kind is what Next came to.
type Kind int

// The kinds of event.
const (
	Start Kind = iota + 1
	End
)

const (
	maxDepth = 32
	bufSize  = 64 << 10 // and the longest tag
	maxNames = 1024     // names kept for reuse
)

// SyntaxError says that the document is not XML, or more deeply nested than is read.
type SyntaxError struct {
	What   string
	Offset int64 // in bytes of UTF-8
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("xml: %s (at byte %d)", e.What, e.Offset) }

// Reader is a pull parser over one document.
type Reader struct {
	src        io.Reader
	memory     *memory
	buf        []byte
	pos, end   int
	srcErr     error
	offset     int64 // of buf[0] in the document
	stack      []element
	bindings   []binding
	names      map[string]string
	attrs      []attr
	name       Name
	pendingEnd bool // the last start tag was an empty-element tag
	rooted     bool // the root element has begun
	text       []byte
	afterCR    bool         // the literal text so far ends in a CR
	await      func() error // nil: nobody wants to know
	after      int          // bytes of a text, then await is called
	awaited    bool         // it has been, of this text
}

type element struct {
	raw      string // as written, prefix and all
	name     Name
	bindings int // how many were in force outside
}

// NewReader returns a Reader of r, which must give UTF-8 (see Decoded).
func NewReader(r io.Reader) *Reader {
	m := memories.Get().(*memory)
	return &Reader{src: r, memory: m, buf: m.buf[:], names: m.names, text: m.text}
}

// Name is that of the element whose tag Next came to last.
func (r *Reader) Name() Name { return r.name }

// Depth is how many elements are open, the one just begun included.
func (r *Reader) Depth() int { return len(r.stack) }

// Next goes to the next tag, passing over text. After the root's end it returns io.EOF; an input that ends
// earlier is io.ErrUnexpectedEOF.
func (r *Reader) Next() (Kind, error) {
	if r.pendingEnd {
		r.pendingEnd = false
		r.pop()
		return End, nil
	}
	if r.rooted && len(r.stack) == 0 {
		return 0, io.EOF
	}
	for {
		if err := r.skipTo('<'); err != nil {
			return 0, err
		}
		kind, err := r.tag()
		if err != nil || kind != 0 {
			return kind, err
		}
	}
}

// Skip passes over the element just begun.
func (r *Reader) Skip() error {
	for depth := len(r.stack); len(r.stack) >= depth; {
		if _, err := r.Next(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) syntax(format string, args ...any) error {
	return &SyntaxError{fmt.Sprintf(format, args...), r.offset + int64(r.pos)}
}
