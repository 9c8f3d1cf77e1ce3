package rows

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// reader goes through the JSON of one item, once. After a fault of syntax it reads nothing more.
type reader struct {
	notes
	dec    *jsontext.Decoder
	text   string // the item; strings without escapes are parts of it
	field  string // the item's field that is being read, for notes
	budget int    // of MaxRow
	broken bool
}

// lenient takes what Google does not send: names that stand twice, and bytes that are not UTF-8 (they become U+FFFD).
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// item calls take for each member of the item; take is to read its value.
func (r *reader) item(item []byte, take func(name string)) {
	if len(item) > MaxItem {
		r.add("not parsed: longer than " + strconv.Itoa(MaxItem) + " bytes")
		return
	}
	r.text, r.budget = string(item), MaxRow
	r.dec = jsontext.NewDecoder(bytes.NewBuffer(item), lenient...)
	if r.dec.PeekKind() != '{' {
		r.add("not a JSON object: " + shown(r.text))
		return
	}
	r.members(take)
	if r.broken {
		return
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		r.add("more than one JSON value")
	}
}

// members calls take for each member of the object that comes next; take is to read its value.
func (r *reader) members(take func(name string)) {
	r.token()
	for !r.broken && r.dec.PeekKind() == '"' {
		take(r.string())
	}
	r.token()
}

// elements calls take for each element of the array that comes next, as long as the budget lasts; take is to read it.
func (r *reader) elements(take func()) {
	r.token()
	for n := 0; !r.broken && r.dec.PeekKind() != ']'; n++ {
		if !r.charge(64) {
			r.note("", "too long: only the first "+strconv.Itoa(n)+" elements")
			for !r.broken && r.dec.PeekKind() != ']' {
				r.value()
			}
			break
		}
		take()
	}
	r.token()
}

// charge takes n bytes from the budget; false where it does not last.
func (r *reader) charge(n int) bool {
	if n > r.budget {
		return false
	}
	r.budget -= n
	return true
}

// token reads a brace or bracket.
func (r *reader) token() {
	if _, err := r.dec.ReadToken(); err != nil {
		r.fail(err)
	}
}

// value reads the value that comes next, of any type, as it is written; "" after a fault of syntax.
func (r *reader) value() string {
	v, err := r.dec.ReadValue()
	if err != nil {
		r.fail(err)
		return ""
	}
	end := int(r.dec.InputOffset())
	return r.text[end-len(v) : end]
}

// string reads a string, which must come next.
func (r *reader) string() string { return unquote(r.value()) }

// fail notes a fault of syntax; nothing that follows it can be read.
func (r *reader) fail(err error) {
	if r.broken {
		return
	}
	r.broken = true
	what := err.Error()
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		what = syntax.Err.Error() + " after byte " + strconv.FormatInt(syntax.ByteOffset, 10)
	}
	r.note("", "not JSON: "+strings.ToValidUTF8(what, "\uFFFD"))
}

// note notes a fault of the field that is being read, or of a member of it.
func (r *reader) note(member, what string) {
	name := r.field
	if member != "" {
		name += "." + member
	}
	if name != "" {
		what = name + ": " + what
	}
	r.add(what)
}

// found says what came of reading a value as a type.
type found int

const (
	wrong found = iota // another type, noted
	null
	given
)

// mismatch reads a value that is not of the type wanted: null means none, anything else is a fault of member.
func (r *reader) mismatch(member, want string) found {
	kind := r.dec.PeekKind()
	v := r.value()
	switch {
	case r.broken:
		return wrong
	case kind == 'n':
		return null
	}
	r.note(member, "not "+want+": "+shown(v))
	return wrong
}

func (r *reader) readString(member string) (string, found) {
	if r.dec.PeekKind() != '"' {
		return "", r.mismatch(member, "a string")
	}
	s := r.string()
	if r.broken {
		return "", wrong
	}
	if !r.charge(len(s)) {
		r.note(member, "too long")
		return "", null
	}
	return clean(s), given
}

func (r *reader) readBool(member string) (bool, found) {
	switch r.dec.PeekKind() {
	case 't', 'f':
		v := r.value()
		return v == "true", given
	}
	return false, r.mismatch(member, "true or false")
}

func (r *reader) readObject(member string, take func(name string)) found {
	if r.dec.PeekKind() != '{' {
		return r.mismatch(member, "an object")
	}
	r.members(take)
	return given
}

func (r *reader) readArray(member string, take func()) found {
	if r.dec.PeekKind() != '[' {
		return r.mismatch(member, "a list")
	}
	r.elements(take)
	return given
}

// into reads a string into a place that is empty.
func (r *reader) into(member string, to *string) {
	s, f := r.readString(member)
	switch {
	case f != given:
	case *to != "":
		r.note(member, "stands twice")
	default:
		*to = s
	}
}

// flag reads a boolean.
func (r *reader) flag(member string, to *bool) {
	if v, f := r.readBool(member); f == given {
		*to = v
	}
}
