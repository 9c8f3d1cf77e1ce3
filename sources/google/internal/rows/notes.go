package rows

import (
	"strconv"
	"strings"
)

// notes collects what could not be read, for the parse error.
type notes struct {
	list []string
	more int // notes beyond MaxNotes
}

func (n *notes) add(what string) {
	if len(n.list) >= MaxNotes {
		n.more++
		return
	}
	n.list = append(n.list, what)
}

// String is the text of a parse error, "" where there is none.
func (n *notes) String() string {
	s := strings.Join(n.list, "; ")
	if n.more > 0 {
		s += "; and " + strconv.Itoa(n.more) + " more"
	}
	return s
}

// cut is the beginning of s, for a note.
func cut(s string) string {
	const most = 60
	if len(s) <= most {
		return clean(strings.ToValidUTF8(s, "\uFFFD"))
	}
	return clean(strings.ToValidUTF8(s[:most], "")) + "…"
}
