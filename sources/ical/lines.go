package ical

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// lines splits a text into unfolded content lines (RFC 5545 3.1). Lines end in CRLF or LF, or in CR where the text
// has no LF at all. Folds may lie in the middle of a UTF-8 sequence. Blank lines are passed over.
type lines struct {
	text  string
	pos   int
	end   byte // of a line
	utf8  bool // the whole text is
	count int  // physical lines begun so far

	line    string // the unfolded line
	number  int    // where it begins, from 1
	size    int    // its length in bytes, also where it is cut
	guessed bool   // it was not UTF-8 and has been read as windows-1252
	fold    []byte
}

func newLines(text string) lines {
	l := lines{text: text, end: '\n', utf8: utf8.ValidString(text)}
	l.pos = len(text) - len(strings.TrimPrefix(text, "\uFEFF"))
	if strings.IndexByte(text, '\n') < 0 {
		l.end = '\r'
	}
	return l
}

// next reads the next line; of a line longer than MaxLine only the beginning is kept, and size says more.
func (l *lines) next() bool {
	l.line = ""
	for l.line == "" {
		if l.pos >= len(l.text) {
			return false
		}
		l.line = l.physical()
		l.number = l.count
	}
	l.unfold()
	l.guessed = false
	if !l.utf8 && !utf8.ValidString(l.line) {
		l.line, l.guessed = fromWindows1252(l.line), true
	}
	return true
}

// unfold joins the lines that follow and begin with a blank.
func (l *lines) unfold() {
	l.size = len(l.line)
	if l.pos >= len(l.text) || !blank(l.text[l.pos]) {
		l.line = l.line[:min(len(l.line), MaxLine)]
		return
	}
	l.fold = append(l.fold[:0], l.line[:min(len(l.line), MaxLine)]...)
	for l.pos < len(l.text) && blank(l.text[l.pos]) {
		l.pos++
		part := l.physical()
		l.size += len(part)
		l.fold = append(l.fold, part[:min(len(part), MaxLine-len(l.fold))]...)
	}
	l.line = string(l.fold)
}

// physical takes one line of the text, without its end.
func (l *lines) physical() string {
	l.count++
	rest := l.text[l.pos:]
	i := strings.IndexByte(rest, l.end)
	if i < 0 {
		i = len(rest)
	}
	l.pos += min(i+1, len(rest))
	for i > 0 && rest[i-1] == '\r' {
		i--
	}
	return rest[:i]
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// fromWindows1252 reads bytes as windows-1252, of which latin1's printable characters are a part.
func fromWindows1252(s string) string {
	out, err := charmap.Windows1252.NewDecoder().String(s)
	if err != nil {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return out
}
