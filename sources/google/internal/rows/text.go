package rows

import (
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// unquote is the string that JSON writes as quoted, "" where quoted is none. What is not UTF-8 becomes U+FFFD.
func unquote(quoted string) string {
	if len(quoted) < 2 {
		return ""
	}
	if strings.IndexByte(quoted, '\\') < 0 && utf8.ValidString(quoted) {
		return quoted[1 : len(quoted)-1]
	}
	b, _ := jsontext.AppendUnquote(nil, quoted) // an error tells of bytes that are not UTF-8, beside the string
	return string(b)
}

// clean leaves out control characters other than tab and newline: they mean nothing, and databases refuse NUL.
func clean(s string) string {
	for i := 0; i < len(s); i++ {
		if control(rune(s[i])) {
			return strings.Map(func(r rune) rune {
				if control(r) {
					return -1
				}
				return r
			}, s)
		}
	}
	return s
}

func control(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r == 0x7F }

// compact is a JSON value without the space between its tokens.
func compact(v string) string {
	quoted, space := false, -1
	for i := 0; i < len(v) && space < 0; i++ {
		switch c := v[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && blank(c):
			space = i
		}
	}
	if space < 0 {
		return v
	}
	b := append(make([]byte, 0, len(v)), v[:space]...)
	for i := space; i < len(v); i++ {
		c := v[i]
		if !quoted && blank(c) {
			continue
		}
		b = append(b, c)
		switch {
		case quoted && c == '\\':
			i++
			b = append(b, v[i])
		case c == '"':
			quoted = !quoted
		}
	}
	return string(b)
}

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }
