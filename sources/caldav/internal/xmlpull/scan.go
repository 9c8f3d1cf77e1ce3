package xmlpull

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// fill reads more behind what is unread, making room for it. An end of input is io.ErrUnexpectedEOF: it is
// called only where more is due.
func (r *Reader) fill() error {
	if r.pos > 0 {
		copy(r.buf, r.buf[r.pos:r.end])
		r.offset += int64(r.pos)
		r.end -= r.pos
		r.pos = 0
	}
	if r.end == len(r.buf) {
		return r.syntax("a tag of more than %d bytes", bufSize)
	}
	for tries := 0; r.srcErr == nil && tries < 100; tries++ {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		r.srcErr = err
		if n > 0 {
			return nil
		}
	}
	switch {
	case r.srcErr == nil:
		return io.ErrNoProgress
	case errors.Is(r.srcErr, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return r.srcErr
}

// has tells whether s comes next. At the end of the input it is false.
func (r *Reader) has(s string) bool {
	for r.end-r.pos < len(s) {
		if !bytes.HasPrefix([]byte(s), r.buf[r.pos:r.end]) || r.fill() != nil {
			return false
		}
	}
	return string(r.buf[r.pos:r.pos+len(s)]) == s
}

// skipTo goes to the next c, which it leaves.
func (r *Reader) skipTo(c byte) error {
	for {
		if i := bytes.IndexByte(r.buf[r.pos:r.end], c); i >= 0 {
			r.pos += i
			return nil
		}
		r.pos = r.end
		if err := r.fill(); err != nil {
			return err
		}
	}
}

// skipPast goes behind the next end that follows begin, which is at hand.
func (r *Reader) skipPast(begin, end string) error {
	r.pos += len(begin)
	for {
		if i := bytes.Index(r.buf[r.pos:r.end], []byte(end)); i >= 0 {
			r.pos += i + len(end)
			return nil
		}
		r.pos = max(r.pos, r.end-len(end)+1)
		if err := r.fill(); err != nil {
			return err
		}
	}
}

// skipDoctype passes over a declaration, its internal subset included, defining nothing.
func (r *Reader) skipDoctype() error {
	depth, quote := 0, byte(0)
	for {
		for r.pos < r.end {
			c := r.buf[r.pos]
			r.pos++
			switch {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '"' || c == '\'':
				quote = c
			case c == '<':
				depth++
			case c == '>':
				if depth--; depth == 0 {
					return nil
				}
			}
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
}

// tagBytes returns the tag at hand from '<' to '>' and goes behind it. The bytes are good until the next fill.
func (r *Reader) tagBytes() ([]byte, error) {
	for {
		if n := tagEnd(r.buf[r.pos:r.end]); n > 0 {
			tag := r.buf[r.pos : r.pos+n]
			r.pos += n
			return tag, nil
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// tagEnd is the length of the tag that b begins with, 0 while b does not hold it all. A '>' within quotes does not
// end it.
func tagEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '>':
			return i + 1
		case '"', '\'':
			n := bytes.IndexByte(b[i+1:], b[i])
			if n < 0 {
				return 0
			}
			i += n + 1
		}
	}
	return 0
}

const maxReference = 12 // "&#x0010FFFF;" and every name that is known

// reference takes the reference that begins with the '&' at hand and returns what it stands for; what is no
// known reference stands for itself.
func (r *Reader) reference() ([]byte, error) {
	for r.end-r.pos < maxReference && bytes.IndexByte(r.buf[r.pos:r.end], ';') < 0 {
		if err := r.fill(); err != nil {
			break // what is at hand decides; the end of the input is met again
		}
	}
	at := r.buf[r.pos:min(r.end, r.pos+maxReference)]
	semi := bytes.IndexByte(at, ';')
	if semi < 0 {
		r.pos++
		return ascii['&' : '&'+1], nil
	}
	b, ok := expand(at[1:semi])
	if !ok {
		r.pos++
		return ascii['&' : '&'+1], nil
	}
	r.pos += semi + 1
	return b, nil
}

// ascii has a slice for every byte, so that the common references cost no allocation.
var ascii = func() (t [utf8.RuneSelf]byte) {
	for i := range t {
		t[i] = byte(i)
	}
	return t
}()

// expand returns what the reference &name; stands for, not to be written to.
func expand(name []byte) ([]byte, bool) {
	switch string(name) {
	case "lt":
		return ascii['<' : '<'+1], true
	case "gt":
		return ascii['>' : '>'+1], true
	case "amp":
		return ascii['&' : '&'+1], true
	case "quot":
		return ascii['"' : '"'+1], true
	case "apos":
		return ascii['\'' : '\''+1], true
	case "#13", "#xD", "#xd":
		return ascii['\r' : '\r'+1], true
	}
	if len(name) < 2 || name[0] != '#' {
		return nil, false
	}
	digits, base := name[1:], 10
	if digits[0] == 'x' || digits[0] == 'X' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(string(digits), base, 32)
	if err != nil {
		return nil, false
	}
	if n > utf8.MaxRune {
		n = utf8.RuneError
	}
	return utf8.AppendRune(nil, rune(n)), true
}

// unescape resolves the references in an attribute's value.
func unescape(b []byte) []byte {
	if bytes.IndexByte(b, '&') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		if b[0] == '&' {
			if semi := bytes.IndexByte(b, ';'); semi > 0 {
				if v, ok := expand(b[1:semi]); ok {
					out, b = append(out, v...), b[semi+1:]
					continue
				}
			}
		}
		out, b = append(out, b[0]), b[1:]
	}
	return out
}
