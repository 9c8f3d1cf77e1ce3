package rows

import (
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// plain marks the bytes that stand in a JSON string for themselves, and need no cleaning: printable ASCII but for quote and backslash.
var plain = func() (t [256]bool) {
	for c := ' '; c < 0x7F; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// unquote is the string that JSON writes as quoted, "" where quoted is none, cleaned. What is not UTF-8 becomes U+FFFD.
func unquote(quoted string) string {
	if len(quoted) < 2 {
		return ""
	}
	inner := quoted[1 : len(quoted)-1]
	i := 0
	for i < len(inner) && plain[inner[i]] {
		i++
	}
	switch {
	case i == len(inner):
		return inner
	case strings.IndexByte(inner[i:], '\\') < 0 && utf8.ValidString(inner[i:]):
		return clean(inner)
	}
	b, _ := jsontext.AppendUnquote(make([]byte, 0, len(quoted)), quoted) // an error tells of bytes that are not UTF-8, beside the string
	return clean(string(b))
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
	if strings.IndexByte(v, ' ') < 0 && strings.IndexByte(v, '\n') < 0 && strings.IndexByte(v, '\t') < 0 && strings.IndexByte(v, '\r') < 0 {
		return v
	}
	var b []byte // of v before start, once something has been left out
	start, quoted := 0, false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && (c == ' ' || c == '\n' || c == '\t' || c == '\r'):
			b = append(b, v[start:i]...)
			start = i + 1
		}
	}
	if start == 0 {
		return v
	}
	return string(append(b, v[start:]...))
}
