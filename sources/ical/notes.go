package ical

import (
	"strconv"
	"strings"
)

// notes collects what could not be read, for parse_error.
type notes struct {
	list []note
	more int // notes beyond MaxNotes
}

type note struct {
	line int // 0: of no line
	what string
}

func (n *notes) empty() bool { return len(n.list) == 0 }

// add notes a fault of a line, counted from 1; 0 is none in particular.
func (n *notes) add(line int, what string) {
	if len(n.list) >= MaxNotes {
		n.more++
		return
	}
	n.list = append(n.list, note{line, what})
}

// replace sets the one note that begins with topic.
func (n *notes) replace(topic, what string) {
	for i := range n.list {
		if strings.HasPrefix(n.list[i].what, topic) {
			n.list[i].what = topic + ": " + what
			return
		}
	}
	n.add(0, topic+": "+what)
}

// join adds the notes to others.
func (n *notes) join(to *notes) {
	for _, x := range n.list {
		to.add(x.line, x.what)
	}
	to.more += n.more
}

// String is the text of a parse_error.
func (n *notes) String() string {
	var b strings.Builder
	for i, x := range n.list {
		if i > 0 {
			b.WriteString("; ")
		}
		if x.line > 0 {
			b.WriteString("line " + strconv.Itoa(x.line) + ": ")
		}
		b.WriteString(x.what)
	}
	if n.more > 0 {
		b.WriteString("; and " + strconv.Itoa(n.more) + " more")
	}
	return b.String()
}

// shown is s, cut, for a note.
func shown(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}
