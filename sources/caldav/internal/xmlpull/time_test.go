package xmlpull

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// A text of references alone, as long as anyone likes, takes no longer than one with tags in between: each byte is
// looked at a few times, not once for each reference before it.
func TestReferencesTakeLinearTime(t *testing.T) {
	const most = 4 << 20
	read := func(again string) time.Duration {
		r := NewReader(io.MultiReader(strings.NewReader(`<a>`), strings.NewReader(strings.Repeat(again, most/len(again)))))
		defer r.Release()
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, _, err := r.Text(8 << 10); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", again, err)
		}
		return time.Since(began)
	}
	for _, reference := range []string{"&amp;", "&b;", "&", "&#13;\n"} {
		plain, tagged := read(reference), read(strings.Repeat(reference, 20)+"<b/>")
		if plain > 8*tagged {
			t.Errorf("%q: %v for %d MiB, with tags %v", reference, plain, most>>20, tagged)
		}
	}
}
