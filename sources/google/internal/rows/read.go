package rows

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// reader goes through the JSON of one item, once. After a fault of syntax it reads nothing more.
type reader struct {
	notes
	dec    *jsontext.Decoder
	text   string // the item; strings without escapes are parts of it
	field  string // the item's field that is being read, for notes
	budget int    // what is left of MaxRow
	broken bool
}

// lenient takes what Google does not send: names that stand twice, and bytes that are not UTF-8 (they become U+FFFD).
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// begin enters the item; false where it is no object.
func (r *reader) begin(item []byte) bool {
	r.text, r.budget = string(item), MaxRow
	if len(item) > MaxItem {
		r.add("not parsed: longer than " + strconv.Itoa(MaxItem) + " bytes")
		return false
	}
	r.dec = decoders.Get().(*jsontext.Decoder)
	r.dec.Reset(bytes.NewBuffer(item), lenient...)
	if r.dec.PeekKind() != '{' {
		r.add("not a JSON object: " + cut(r.text))
		return false
	}
	return r.enter("", object) == given
}

// end checks that nothing follows the item, and that it says which it is; the answer says what could not be read.
func (r *reader) end(id string) string {
	r.field = ""
	if r.dec != nil {
		if _, err := r.dec.ReadToken(); !r.broken && len(r.list) == 0 && !errors.Is(err, io.EOF) {
			r.add("more than one JSON value")
		}
		r.dec.Reset(nothing{})
		decoders.Put(r.dec)
	}
	if id == "" {
		r.add("no id")
	}
	return r.notes.String()
}

// nothing is what a decoder reads that is not in use.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

// charge takes n bytes from the budget; false where it does not last.
func (r *reader) charge(n int) bool {
	if n > r.budget {
		return false
	}
	r.budget -= n
	return true
}

// more tells whether the object or list that has been entered goes on; it leaves one that does not.
func (r *reader) more() bool {
	if r.broken {
		return false
	}
	if kind := r.dec.PeekKind(); kind == '}' || kind == ']' || kind == jsontext.KindInvalid {
		if _, err := r.dec.ReadToken(); err != nil {
			r.fail(err)
		}
		return false
	}
	return true
}

// element is more for lists, as long as the budget lasts.
func (r *reader) element() bool {
	if !r.more() {
		return false
	}
	if r.charge(64) {
		return true
	}
	r.note("", "too long, only its beginning is here")
	for r.more() {
		r.value()
	}
	return false
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

// since is the value that has been read from an offset on, which stood before its colon.
func (r *reader) since(offset int64) string {
	v := r.text[offset:r.dec.InputOffset()]
	for i := range len(v) {
		if c := v[i]; c != ':' && c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return v[i:]
		}
	}
	return v
}

// name reads the name of the next member.
func (r *reader) name() string { return unquote(r.value()) }

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
	r.note("", "not JSON: "+clean(strings.ToValidUTF8(what, "\uFFFD")))
}

// note notes a fault of the field that is being read, or of a member of it.
func (r *reader) note(member, what string) {
	name := cut(r.field)
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
	wrong found = iota // another type, or more than the budget; noted
	null
	given
)

// The types that a value may be wanted as.
const (
	object = "an object"
	list   = "a list"
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
	r.note(member, "not "+want+": "+cut(v))
	return wrong
}

// enter goes into the object or list that comes next.
func (r *reader) enter(member, want string) found {
	kind := jsontext.Kind('{')
	if want == list {
		kind = '['
	}
	if r.dec.PeekKind() != kind {
		return r.mismatch(member, want)
	}
	if _, err := r.dec.ReadToken(); err != nil {
		r.fail(err)
		return wrong
	}
	return given
}

func (r *reader) readString(member string) (string, found) {
	if r.dec.PeekKind() != '"' {
		return "", r.mismatch(member, "a string")
	}
	v := r.value()
	switch {
	case r.broken:
		return "", wrong
	case !r.charge(len(v)):
		r.note(member, "left out, too long")
		return "", null
	}
	return unquote(v), given
}

func (r *reader) readBool(member string) (bool, found) {
	if kind := r.dec.PeekKind(); kind == 't' || kind == 'f' {
		return r.value() == "true", given
	}
	return false, r.mismatch(member, "true or false")
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

// flag reads a boolean, which stays true where it stands twice.
func (r *reader) flag(member string, to *bool) {
	if v, f := r.readBool(member); f == given {
		*to = *to || v
	}
}
