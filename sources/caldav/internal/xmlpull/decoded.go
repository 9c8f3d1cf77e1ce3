package xmlpull

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"regexp"
	"strings"

	"golang.org/x/net/html/charset"
)

var declaration = regexp.MustCompile(`^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']`)

// longestDeclaration is how far into a document its XML declaration is looked for, in bytes.
const longestDeclaration = 1024

// Decoded returns r as UTF-8. What it is in is told by its byte order mark, else by its XML declaration, else by
// contentType; none of them means UTF-8. The declaration goes before the header because servers add a charset to
// text/xml by default.
func Decoded(r io.Reader, contentType string) (io.Reader, error) {
	b := bufio.NewReaderSize(r, longestDeclaration) // longer reads pass it by
	head, err := b.Peek(4)
	if len(head) == 0 && err != nil {
		return b, nil // the reader meets the same end
	}
	label := ""
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, err := b.Discard(3)
		return b, err
	case bytes.HasPrefix(head, []byte("\xfe\xff")), bytes.HasPrefix(head, []byte("\x00<")):
		label = "utf-16be"
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("<\x00")):
		label = "utf-16le"
	default:
		label = declared(b, contentType)
	}
	switch strings.ToLower(label) {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return b, nil
	}
	enc, _ := charset.Lookup(label)
	if enc == nil {
		return nil, fmt.Errorf("xml: unknown charset %q", label)
	}
	return enc.NewDecoder().Reader(b), nil
}

// declared is the charset named by the XML declaration, else by the header.
func declared(b *bufio.Reader, contentType string) string {
	head, _ := b.Peek(5)
	if string(head) == "<?xml" {
		for n := 64; n <= longestDeclaration; n *= 2 {
			head, err := b.Peek(n)
			if m := declaration.FindSubmatch(head); m != nil {
				return string(m[1])
			}
			if err != nil || bytes.Contains(head, []byte("?>")) {
				break
			}
		}
	}
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	return params["charset"]
}
