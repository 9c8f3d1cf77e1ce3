package xmlpull

import (
	"bytes"
	"slices"
)

// longText is from where a text's room is doubled: what append adds is so little that much is copied often.
const longText = 1 << 20

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
