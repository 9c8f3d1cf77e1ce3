package google

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of one answer. Values nest to a depth of 10,000 at most, which is jsontext's.
const (
	maxItem  = 2 << 20  // bytes of an item, of which Google's own bounds leave a fraction; of a longer one only the beginning is kept
	maxLong  = 16 << 20 // bytes of an item that is passed over: a text in it is read as a whole
	cutItem  = 64 << 10 // bytes kept of an item that is too long
	maxItems = 100_000  // of a page; 2,500 are asked for
	maxRest  = 1 << 20  // bytes of what stands beside the items
	maxBytes = 4 << 30  // of an answer
)

var (
	errLongItem = fmt.Errorf("an item of more than %d bytes", maxItem)
	errLongRest = fmt.Errorf("the answer holds more than %d bytes beside its items", maxRest)
	errTooLong  = fmt.Errorf("the answer has more than %d bytes", int64(maxBytes))
	errTooMany  = fmt.Errorf("a page of more than %d items", maxItems)
	errNoObject = errors.New("the answer is not a JSON object")
)

// item is one element of the array "items".
type item struct {
	raw  []byte // as sent; valid until the callback returns
	long bool   // raw is but the beginning of an item that is too long
}

// rest is what an answer says beside its items.
type rest struct {
	object []byte // a JSON object of every member but items
	listed bool   // there was an array items
	items  int    // in it
}

// splitter reads a JSON object in a stream: it hands over the elements of the member "items" and keeps the others.
type splitter struct {
	dec  *jsontext.Decoder
	in   *metered
	each func(item) error
	rest rest
}

func newSplitter(r io.Reader, each func(item) error) *splitter {
	in := &metered{r: r}
	return &splitter{dec: jsontext.NewDecoder(in, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)), in: in, each: each}
}

// split reads the object in r and what follows it, which must be nothing. It ends at the first error of each.
func split(r io.Reader, each func(item) error) (rest, error) {
	s := newSplitter(r, each)
	if err := s.object(); err != nil {
		return rest{}, cut(err)
	}
	return s.rest, nil
}

// splitOne reads the object in r as an item, and what follows it, which must be nothing.
func splitOne(r io.Reader) (one item, err error) {
	s := newSplitter(r, func(it item) error {
		if !bytes.HasPrefix(it.raw, []byte("{")) {
			return errNoObject
		}
		one = item{raw: bytes.Clone(it.raw), long: it.long}
		return nil
	})
	s.in.allow(s.dec, maxItem, errLongItem)
	if err := s.item(); err != nil {
		return item{}, cut(err)
	}
	return one, s.end()
}

func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (s *splitter) object() error {
	s.in.allow(s.dec, maxRest, errLongRest)
	if s.dec.PeekKind() != '{' {
		if _, err := s.dec.ReadValue(); err != nil {
			return err
		}
		return errNoObject
	}
	if _, err := s.dec.ReadToken(); err != nil {
		return err
	}
	s.rest.object = append(s.rest.object, '{')
	for s.dec.PeekKind() == '"' {
		if err := s.member(); err != nil {
			return err
		}
	}
	if _, err := s.dec.ReadToken(); err != nil { // of '}', or the error that PeekKind has met
		return err
	}
	s.rest.object = append(s.rest.object, '}')
	return s.end()
}

// end reads to the answer's end.
func (s *splitter) end() error {
	s.in.allow(s.dec, maxRest, errLongRest)
	if _, err := s.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("something follows the answer's end"), err)
	}
	return nil
}

// member reads one member of the object.
func (s *splitter) member() error {
	s.in.allow(s.dec, maxRest, errLongRest)
	name, err := s.dec.ReadToken()
	if err != nil {
		return err
	}
	key := name.String()
	if key == "items" && s.dec.PeekKind() == '[' {
		return s.items()
	}
	value, err := s.dec.ReadValue()
	if err != nil {
		return err
	}
	if key == "items" {
		if value.Kind() == 'n' {
			return nil
		}
		return errors.New("the answer's items are not an array")
	}
	o := s.rest.object
	if len(o) > 1 {
		o = append(o, ',')
	}
	if o, err = jsontext.AppendQuote(o, key); err != nil {
		return fmt.Errorf("reading the name of a member: %w", err)
	}
	o = append(append(o, ':'), value...)
	if s.rest.object = o; len(o) > maxRest {
		return errLongRest
	}
	return nil
}

// items hands over the elements of the array that follows.
func (s *splitter) items() error {
	if s.rest.listed {
		return errors.New("the answer has items twice")
	}
	s.rest.listed = true
	if _, err := s.dec.ReadToken(); err != nil {
		return err
	}
	for {
		s.in.allow(s.dec, maxItem, errLongItem)
		switch s.dec.PeekKind() {
		case ']':
			_, err := s.dec.ReadToken()
			return err
		default:
			if err := s.item(); err != nil {
				return err
			}
		}
	}
}

func (s *splitter) item() error {
	raw, err := s.dec.ReadValue()
	if errors.Is(err, errLongItem) {
		return s.longItem()
	}
	if err != nil {
		return err
	}
	if s.rest.items++; s.rest.items > maxItems {
		return errTooMany
	}
	return s.each(item{raw: raw})
}

// longItem passes over an item that is too long and hands over its beginning.
func (s *splitter) longItem() error {
	begin := s.dec.UnreadBuffer()
	begin = bytes.Clone(bytes.TrimLeft(begin[:min(len(begin), cutItem)], ", \t\r\n")) // the comma and white space before it
	s.in.allow(s.dec, maxLong, fmt.Errorf("an item of more than %d bytes", maxLong))
	if err := s.dec.SkipValue(); err != nil {
		return err
	}
	s.rest.items++
	return s.each(item{raw: begin, long: true})
}

// metered bounds what is read.
type metered struct {
	r     io.Reader
	read  int64
	limit int64
	full  error // at the limit
}

// allow permits n more bytes than dec has used.
func (m *metered) allow(dec *jsontext.Decoder, n int64, full error) {
	m.limit, m.full = dec.InputOffset()+n, full
	if m.limit > maxBytes {
		m.limit, m.full = maxBytes, errTooLong
	}
}

func (m *metered) Read(p []byte) (int, error) {
	if m.read >= m.limit {
		return 0, m.full
	}
	n, err := m.r.Read(p[:min(int64(len(p)), m.limit-m.read)])
	m.read += int64(n)
	return n, err
}
