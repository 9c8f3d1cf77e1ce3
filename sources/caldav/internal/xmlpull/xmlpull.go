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
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
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

type binding struct{ prefix, space string }

type attr struct{ raw, value string }

// memory is what a Reader works with, and what another may go on with when it is done.
type memory struct {
	buf   [bufSize]byte
	names map[string]string
	text  []byte
}

// keptNames bounds the names that are kept for the next document: a well-meant one has a few dozen.
const keptNames = 128

var memories = sync.Pool{New: func() any { return &memory{names: map[string]string{}} }}

// NewReader returns a Reader of r, which must give UTF-8 (see Decoded).
func NewReader(r io.Reader) *Reader {
	m := memories.Get().(*memory)
	return &Reader{src: r, memory: m, buf: m.buf[:], names: m.names, text: m.text}
}

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

// Name is that of the element whose tag Next came to last.
func (r *Reader) Name() Name { return r.name }

// Depth is how many elements are open, the one just begun included.
func (r *Reader) Depth() int { return len(r.stack) }

// Attr returns the attribute local of the tag that Next came to last, whatever its namespace.
func (r *Reader) Attr(local string) string {
	for _, a := range r.attrs {
		if _, name := split(a.raw); name == local {
			return a.value
		}
	}
	return ""
}

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

// Text reads to the end of the element just begun and returns its text, without that of elements within. At most
// max bytes are kept; over says that there were more. The bytes are good until the next call.
func (r *Reader) Text(max int) (text []byte, over bool, err error) {
	r.text, r.afterCR, r.awaited = r.text[:0], false, false
	depth := len(r.stack)
	if r.pendingEnd {
		_, err := r.Next()
		return r.text, false, err
	}
	for {
		more, err := r.chars(len(r.stack) == depth, max)
		if err != nil {
			return nil, false, err
		}
		over = over || more
		kind, err := r.tagOrCDATA(len(r.stack) == depth, max, &over)
		if err != nil {
			return nil, false, err
		}
		if kind == Start && r.pendingEnd {
			r.pendingEnd = false
			r.pop()
		}
		if len(r.stack) < depth {
			return r.text, over, nil
		}
	}
}

// Take makes the bytes that Text has returned the caller's for good.
func (r *Reader) Take() []byte {
	text := r.text
	r.text = nil
	return text
}

// Await makes Text call f, once, when a text has n bytes and more may follow. Its error ends the Text.
func (r *Reader) Await(n int, f func() error) { r.after, r.await = n, f }

// more reads on in a text.
func (r *Reader) more() error {
	if r.await != nil && !r.awaited && len(r.text) >= r.after {
		r.awaited = true
		if err := r.await(); err != nil {
			return err
		}
	}
	return r.fill()
}

// Content reads to the end of the element just begun: child is called at the start of each element in it, which it
// reads to its end; text is called with each piece of its own text of at most max bytes, the rest being dropped.
func (r *Reader) Content(max int, child func() error, text func([]byte)) error {
	depth := len(r.stack)
	if r.pendingEnd {
		_, err := r.Next()
		return err
	}
	r.text, r.afterCR = r.text[:0], false
	for over := false; ; {
		if _, err := r.chars(true, max); err != nil {
			return err
		}
		kind, err := r.tagOrCDATA(true, max, &over)
		if err != nil {
			return err
		}
		if kind != 0 && len(r.text) > 0 {
			text(r.text)
			r.text = r.text[:0]
		}
		if kind == Start {
			if err := child(); err != nil {
				return err
			}
			r.text = r.text[:0]
		}
		if len(r.stack) < depth {
			return nil
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

// chars takes text up to the next '<', which it leaves; keep says whether it counts.
func (r *Reader) chars(keep bool, max int) (over bool, err error) {
	next := int64(-1)                   // the offset of the next '<', once it is in the buffer
	searched := r.offset + int64(r.pos) // up to here there is none
	for {
		chunk := r.buf[r.pos:r.end]
		if from := int(searched - r.offset); next < 0 && from < r.end {
			searched = r.offset + int64(r.end)
			if i := bytes.IndexByte(r.buf[from:r.end], '<'); i >= 0 {
				next = r.offset + int64(from+i)
			}
		}
		lt := -1
		if next >= 0 {
			lt = int(next - r.offset - int64(r.pos))
			chunk = chunk[:lt]
		}
		amp := bytes.IndexByte(chunk, '&')
		if amp >= 0 {
			chunk = chunk[:amp]
		}
		if keep {
			over = r.literal(chunk, max) || over
		}
		r.pos += len(chunk)
		switch {
		case amp >= 0:
			ref, err := r.reference()
			if err != nil {
				return over, err
			}
			if keep {
				r.afterCR = false
				over = r.keep(ref, max) || over
			}
		case lt >= 0:
			return over, nil
		default:
			if err := r.more(); err != nil {
				return over, err
			}
		}
	}
}

// literal appends to the text what is written as it is, its line ends folded to LF.
func (r *Reader) literal(b []byte, max int) (over bool) {
	if len(b) == 0 {
		return false
	}
	if r.afterCR && b[0] == '\n' { // its CR has been read as LF
		b = b[1:]
	}
	r.afterCR = false
	for {
		cr := bytes.IndexByte(b, '\r')
		if cr < 0 {
			return r.keep(b, max) || over
		}
		over = r.keep(b[:cr], max) || over
		over = r.keep([]byte{'\n'}, max) || over
		b = b[cr+1:]
		if len(b) == 0 {
			r.afterCR = true
			return over
		}
		if b[0] == '\n' {
			b = b[1:]
		}
	}
}

// longText is from where a text's room is doubled: what append adds is so little that much is copied often.
const longText = 1 << 20

// keep appends to the text what fits.
func (r *Reader) keep(b []byte, max int) (over bool) {
	if n := len(r.text); n >= longText && n+len(b) > cap(r.text) {
		r.text = slices.Grow(r.text, min(n, max-n))
	}
	if room := max - len(r.text); len(b) > room {
		r.text = append(r.text, b[:room]...)
		return true
	}
	r.text = append(r.text, b...)
	return false
}

// tagOrCDATA reads what begins with the '<' at hand: a tag, or character data, which is text.
func (r *Reader) tagOrCDATA(keep bool, max int, over *bool) (Kind, error) {
	if !r.has("<![CDATA[") {
		return r.tag()
	}
	r.pos += len("<![CDATA[")
	for {
		chunk := r.buf[r.pos:r.end]
		i := bytes.Index(chunk, []byte("]]>"))
		done := i >= 0
		if !done {
			i = len(chunk) - 2 // the end may be cut in two
		}
		if i > 0 || done {
			if keep && r.literal(chunk[:i], max) {
				*over = true
			}
			r.pos += i
		}
		if done {
			r.pos += len("]]>")
			return 0, nil
		}
		if err := r.more(); err != nil {
			return 0, err
		}
	}
}

// tag reads what begins with the '<' at hand. Kind 0: no tag of an element.
func (r *Reader) tag() (Kind, error) {
	switch {
	case r.has("<!--"):
		return 0, r.skipPast("<!--", "-->")
	case r.has("<![CDATA["):
		return 0, r.skipPast("<![CDATA[", "]]>")
	case r.has("<?"):
		return 0, r.skipPast("<?", "?>")
	case r.has("<!"):
		return 0, r.skipDoctype()
	case r.has("</"):
		return r.endTag()
	}
	return r.startTag()
}

func (r *Reader) endTag() (Kind, error) {
	raw, err := r.tagBytes()
	if err != nil {
		return 0, err
	}
	name := bytes.TrimRight(raw[2:len(raw)-1], " \t\r\n")
	if len(r.stack) == 0 || string(name) != r.stack[len(r.stack)-1].raw {
		return 0, r.syntax("end tag </%.40s> does not match", name)
	}
	r.pop()
	return End, nil
}

// pop ends the innermost element.
func (r *Reader) pop() {
	top := r.stack[len(r.stack)-1]
	r.name = top.name
	r.bindings = r.bindings[:top.bindings]
	r.stack = r.stack[:len(r.stack)-1]
	r.attrs = r.attrs[:0]
}

func (r *Reader) startTag() (Kind, error) {
	raw, err := r.tagBytes()
	if err != nil {
		return 0, err
	}
	inner := raw[1 : len(raw)-1]
	empty := len(inner) > 0 && inner[len(inner)-1] == '/'
	if empty {
		inner = inner[:len(inner)-1]
	}
	n := nameLen(inner)
	if n == 0 {
		return 0, r.syntax("no name in a tag")
	}
	if len(r.stack) == maxDepth {
		return 0, r.syntax("more than %d elements deep", maxDepth)
	}
	el := element{raw: r.intern(inner[:n]), bindings: len(r.bindings)}
	if err := r.attributes(inner[n:]); err != nil {
		return 0, err
	}
	prefix, local := split(el.raw)
	el.name = Name{r.space(prefix), local}
	r.stack = append(r.stack, el)
	r.name, r.pendingEnd, r.rooted = el.name, empty, true
	return Start, nil
}

// attributes reads a start tag's attributes and brings its namespaces into force.
func (r *Reader) attributes(b []byte) error {
	r.attrs = r.attrs[:0]
	for {
		b = bytes.TrimLeft(b, " \t\r\n")
		if len(b) == 0 {
			return nil
		}
		n := nameLen(b)
		rest := bytes.TrimLeft(b[n:], " \t\r\n")
		if n == 0 || len(rest) < 2 || rest[0] != '=' {
			return r.syntax("malformed attribute")
		}
		rest = bytes.TrimLeft(rest[1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return r.syntax("attribute value without quotes")
		}
		end := bytes.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return r.syntax("attribute value without end")
		}
		r.attribute(r.intern(b[:n]), rest[1:1+end])
		b = rest[end+2:]
	}
}

func (r *Reader) attribute(name string, value []byte) {
	v := r.intern(unescape(value))
	switch prefix, local := split(name); {
	case name == "xmlns":
		r.bindings = append(r.bindings, binding{"", v})
	case prefix == "xmlns":
		r.bindings = append(r.bindings, binding{local, v})
	default:
		r.attrs = append(r.attrs, attr{name, v})
	}
}

// space is the namespace that prefix stands for; a prefix that is not declared stands for itself.
func (r *Reader) space(prefix string) string {
	for i := len(r.bindings) - 1; i >= 0; i-- {
		if r.bindings[i].prefix == prefix {
			return r.bindings[i].space
		}
	}
	return prefix
}

// intern returns b as a string, the same one for the same bytes while there are not too many.
func (r *Reader) intern(b []byte) string {
	if s, ok := r.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(r.names) < maxNames && len(s) < 256 {
		r.names[s] = s
	}
	return s
}

func (r *Reader) syntax(format string, args ...any) error {
	return &SyntaxError{fmt.Sprintf(format, args...), r.offset + int64(r.pos)}
}

// split cuts a qualified name at its colon.
func split(raw string) (prefix, local string) {
	for i := 0; i < len(raw); i++ {
		if raw[i] == ':' {
			return raw[:i], raw[i+1:]
		}
	}
	return "", raw
}

// nameLen is how many bytes of b belong to a name.
func nameLen(b []byte) int {
	for i, c := range b {
		switch c {
		case ' ', '\t', '\r', '\n', '=', '/', '>', '<', '"', '\'':
			return i
		}
	}
	return len(b)
}
