package xmlpull

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// A text of references alone, as long as anyone likes, takes no longer than so much else: each byte is looked at a
// few times, not once for each reference before it.
func TestReferencesTakeLinearTime(t *testing.T) {
	const most = 8 << 20
	for _, again := range []string{"&amp;", "&b;", "&", "&#13;\n", "]]>&", "\r"} {
		r := NewReader(io.MultiReader(strings.NewReader(`<a>`), strings.NewReader(strings.Repeat(again, most/len(again)))))
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, _, err := r.Text(8 << 10); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", again, err)
		}
		if took := time.Since(began); took > 1200*time.Millisecond { // it takes some 80 ms
			t.Errorf("%q: %v for %d MiB", again, took, most>>20)
		}
		r.Release()
	}
}
