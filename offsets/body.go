package offsets

import (
	_ "embed"
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"
)

// A kept row is compressed with a dictionary made from a typical row: most of a row's bytes are field names and what
// its iCalendar text repeats. S2 takes a fifth of the time of zstd's fastest level, and its result is a third
// larger (BenchmarkBody); the row's way from poll to commit has no more time to spend.

// The forms of a body: the byte before it says what it is. A new dictionary is a new form.
const (
	formNone  = 0 // not kept
	formPlain = 1 // as it is
	formS2    = 2 // S2 with the first dictionary
)

// maxBody bounds a body before compression. A longer one is not kept, and the row's next before holds its key alone.
const maxBody = 16 << 20

// rowDict must never change: kept rows are read with it.
//
//go:embed row-1.dict
var rowDict []byte

var s2Dict = s2.MakeDict(rowDict, []byte(`{"source":"`))

// appendBody appends form and body.
func appendBody(b, body []byte) []byte {
	if len(body) == 0 || len(body) > maxBody {
		return append(b, formNone)
	}
	b = append(b, formS2)
	head, most := len(b), s2.MaxEncodedLen(len(body))
	if cap(b)-head < most {
		b = append(make([]byte, 0, head+most), b...)
	}
	packed := s2Dict.Encode(b[head:head+most], body)
	if len(packed) >= len(body) {
		b[head-1] = formPlain
		return append(b, body...)
	}
	return b[:head+len(packed)]
}

// checkBody says whether b begins with a form that is known and a body that is not too long.
func checkBody(b []byte) error {
	switch b[0] {
	case formNone:
		if len(b) > 1 {
			return errors.New("a body where there is none")
		}
	case formPlain:
		if len(b)-1 > maxBody {
			return fmt.Errorf("a body of %d bytes, more than %d", len(b)-1, maxBody)
		}
	case formS2:
		n, err := s2.DecodedLen(b[1:])
		if err != nil {
			return err
		}
		if n > maxBody {
			return fmt.Errorf("a body of %d bytes, more than %d", n, maxBody)
		}
	default:
		return fmt.Errorf("form %d of a row's body is not known: it is of a newer calcdc", b[0])
	}
	return nil
}

// parseBody returns the body behind form, nil where none was kept.
func parseBody(b []byte) ([]byte, error) {
	if err := checkBody(b); err != nil {
		return nil, err
	}
	switch b[0] {
	case formPlain:
		return b[1:], nil
	case formS2:
		return s2Dict.Decode(nil, b[1:])
	default:
		return nil, nil
	}
}
