package ical

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	goical "github.com/emersion/go-ical"
)

// calendar is what a text holds: the wanted components, and where its VTIMEZONEs lie, which are read only when a
// TZID needs them.
type calendar struct {
	components []component
	zones      []string // the text of each VTIMEZONE
	notes      notes    // of no single component
	scratch    *scratch // where most properties stand
}

// scratch is memory that parsing one text after another shares.
type scratch struct {
	props  [48]property
	params [16]param
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// release gives memory back; components may not be used afterwards.
func (c *calendar) release() {
	if c.scratch == nil {
		return
	}
	*c.scratch = scratch{} // or it would hold texts
	scratches.Put(c.scratch)
	c.scratch, c.components = nil, nil
}

// component is a VEVENT or VTODO.
type component struct {
	name  string
	props []property
	notes notes
}

// parse reads a text leniently: bad lines are passed over, missing ENDs implied, and noted.
func parse(text string, wanted []string) calendar {
	p := parser{wanted: wanted}
	p.stack = p.frames[:0]
	switch {
	case len(text) > MaxBody:
		p.cal.notes.add(0, strconv.Itoa(len(text))+" bytes are more than are read ("+strconv.Itoa(MaxBody)+")")
		return p.cal
	case strings.TrimSpace(text) == "":
		p.cal.notes.add(0, "the body is empty")
		return p.cal
	}
	p.lines = newLines(text)
	p.cal.scratch = scratches.Get().(*scratch)
	p.props, p.params = p.cal.scratch.props[:0], p.cal.scratch.params[:0]
	if n := len(text)/48 + 4; n > len(p.cal.scratch.props) {
		p.props = make([]property, 0, min(n, 1<<16))
	}
	for p.lines.next() {
		p.take()
	}
	p.finish()
	return p.cal
}

// role is what a component is to the parser.
type role int

const (
	ignored role = iota
	outside      // of any component
	container
	row  // a wanted component
	zone // a VTIMEZONE
)

// frame is a component whose END has not been seen.
type frame struct {
	name  string
	role  role
	main  bool // stands in a VCALENDAR directly
	start int  // zone: its place in the text
}

type parser struct {
	wanted   []string
	lines    lines
	stack    []frame
	frames   [MaxDepth]frame // the stack's
	overflow int             // BEGINs beyond MaxDepth
	cal      calendar
	seen     bool // a VCALENDAR
	excess   int  // components beyond MaxComponents
	strayed  bool // text lies outside of the calendar
	props    []property
	params   []param
	first    int // of the open component's properties
	size     int // of them, bytes
	excluded int // of them, for want of space
	guessed  bool
}

// take handles the current line.
func (p *parser) take() {
	line := p.lines.line
	if name, ok := cutFold(line, "BEGIN:"); ok {
		p.begin(strings.ToUpper(strings.TrimSpace(name)))
		return
	}
	if name, ok := cutFold(line, "END:"); ok {
		p.end(strings.ToUpper(strings.TrimSpace(name)))
		return
	}
	if p.overflow > 0 {
		return
	}
	switch p.top() {
	case row:
		p.property()
	case outside:
		if !p.strayed {
			p.cal.notes.add(p.lines.number, "text outside of the calendar")
		}
		p.strayed = true
	case container:
		if _, params, why := split(line, p.params); why != "" {
			p.cal.notes.add(p.lines.number, string(why))
		} else {
			p.params = params[:len(p.params)]
		}
	default: // not read
	}
}

func (p *parser) top() role {
	if len(p.stack) == 0 {
		return outside
	}
	return p.stack[len(p.stack)-1].role
}

// property adds a line to the open component.
func (p *parser) property() {
	c := &p.cal.components[len(p.cal.components)-1]
	if p.lines.size > MaxLine {
		c.notes.add(p.lines.number, shown(p.lines.line[:20])+" has "+strconv.Itoa(p.lines.size)+" bytes, left out")
		return
	}
	size := p.lines.size + 64 // about what its names take in the row
	if p.size+size > MaxRow {
		p.excluded++
		return
	}
	p.size += size
	prop, params, why := split(p.lines.line, p.params)
	p.params = params
	if why != "" {
		c.notes.add(p.lines.number, string(why))
		return
	}
	p.guessed = p.guessed || p.lines.guessed
	prop.number = p.lines.number
	p.props = append(p.props, prop)
}

// begin opens a component. One that stands in a calendar directly ends another such whose END is missing.
func (p *parser) begin(name string) {
	if p.overflow > 0 || len(p.stack) == MaxDepth {
		p.overflow++
		return
	}
	f := frame{name: name}
	switch name {
	case goical.CompCalendar:
		p.closeTo(0, "BEGIN:VCALENDAR")
		f.role, p.seen = container, true
	case goical.CompEvent, goical.CompToDo, goical.CompJournal, goical.CompTimezone, goical.CompFreeBusy:
		f.main = true
		if i := slices.IndexFunc(p.stack, func(f frame) bool { return f.main }); i >= 0 {
			p.closeTo(i, "BEGIN:"+name)
		}
		f.role = p.roleOf(name)
	}
	p.open(&f)
	p.stack = append(p.stack, f)
}

// roleOf tells what a component in a calendar is wanted for.
func (p *parser) roleOf(name string) role {
	switch {
	case p.top() != container:
		p.cal.notes.add(p.lines.number, name+" outside of the calendar")
		return ignored
	case name == goical.CompTimezone:
		return zone
	case !slices.Contains(p.wanted, name):
		return ignored
	case len(p.cal.components) == MaxComponents:
		p.excess++
		return ignored
	}
	return row
}

// open readies what a component collects.
func (p *parser) open(f *frame) {
	switch f.role {
	case row:
		p.cal.components = append(p.cal.components, component{name: f.name})
		p.first, p.size, p.excluded, p.guessed = len(p.props), 0, 0, false
	case zone:
		f.start = p.lines.pos
	default:
	}
}

// end closes the component of that name, and those within it whose END is missing.
func (p *parser) end(name string) {
	if p.overflow > 0 {
		p.overflow--
		return
	}
	for i := len(p.stack) - 1; i >= 0; i-- {
		if p.stack[i].name == name {
			p.closeTo(i+1, "END:"+name)
			p.pop()
			return
		}
	}
	p.cal.notes.add(p.lines.number, "END:"+shown(name)+" without its BEGIN")
}

// closeTo closes components until n are open, noting that before is where their END is missing.
func (p *parser) closeTo(n int, before string) {
	for len(p.stack) > n {
		f := &p.stack[len(p.stack)-1]
		to := &p.cal.notes
		if f.role == row {
			to = &p.cal.components[len(p.cal.components)-1].notes
		}
		to.add(p.lines.number, "END:"+cutName(f.name)+" is missing before "+cutName(before))
		p.pop()
	}
}

// pop closes the innermost component.
func (p *parser) pop() {
	f := p.stack[len(p.stack)-1]
	p.stack = p.stack[:len(p.stack)-1]
	switch f.role {
	case row:
		p.closeRow()
	case zone:
		if len(p.cal.zones) < MaxZones {
			p.cal.zones = append(p.cal.zones, p.lines.text[f.start:p.lines.pos])
		}
	default:
	}
}

func (p *parser) closeRow() {
	c := &p.cal.components[len(p.cal.components)-1]
	c.props = p.props[p.first:len(p.props):len(p.props)]
	if p.excluded > 0 {
		c.notes.add(0, strconv.Itoa(p.excluded)+" properties left out: the component has more than "+strconv.Itoa(MaxRow)+" bytes")
	}
	if p.guessed {
		c.notes.add(0, "text that is not UTF-8 was read as windows-1252")
	}
}

// finish closes what is open at the end of the text.
func (p *parser) finish() {
	if !p.seen {
		p.cal.notes = notes{}
		p.cal.notes.add(0, "no BEGIN:VCALENDAR: not a calendar")
		return
	}
	p.closeTo(0, "the end of the body")
	if p.overflow > 0 {
		p.cal.notes.add(0, "components nested more than "+strconv.Itoa(MaxDepth)+" deep")
	}
	if p.excess > 0 {
		p.cal.notes.add(0, strconv.Itoa(p.excess)+" components left out: more than "+strconv.Itoa(MaxComponents))
	}
}

// cutFold is strings.CutPrefix for an ASCII prefix in upper case, whatever the case of s.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || s[0]|0x20 != prefix[0]|0x20 || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// cutName shortens a component's name for a note.
func cutName(s string) string {
	if len(s) > 40 {
		return shown(s)
	}
	return clean(s)
}
