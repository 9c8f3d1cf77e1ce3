package ical

import "strings"

// property is one content line, split.
type property struct {
	name   string // in upper case
	params []param
	value  string // as written
	line   string // the whole line, unfolded
	number int
}

// param is a parameter; several values are joined with commas, quotes and RFC 6868 escapes are gone.
type param struct {
	name  string // in upper case
	value string
}

// param returns the value of a parameter, "" where there is none.
func (p *property) param(name string) string {
	for i := range p.params {
		if p.params[i].name == name {
			return p.params[i].value
		}
	}
	return ""
}

// maxParams is how many parameters a property may have.
const maxParams = 128

// fault says why a line is no property; "" is none.
type fault string

// split reads a content line (RFC 5545 3.1), with parameters appended to arena. Quotes within an unquoted
// parameter value are taken as they stand; an unterminated quoted one is a fault.
func split(line string, arena []param) (property, []param, fault) {
	i := strings.IndexAny(line, ":;")
	if i < 0 {
		return property{}, arena, "no colon"
	}
	name, ok := upperName(line[:i])
	if !ok {
		return property{}, arena, fault("not a property name: " + shown(line[:i]))
	}
	p := property{name: name, line: line}
	start := len(arena)
	for n := 0; i < len(line) && line[i] == ';'; n++ {
		if n == maxParams {
			return property{}, arena[:start], fault(name + ": too many parameters")
		}
		var one param
		var why fault
		if one, i, why = splitParam(line, i+1); why != "" {
			return property{}, arena[:start], fault(name+": ") + why
		}
		arena = addParam(arena, start, one)
	}
	if i >= len(line) {
		return property{}, arena[:start], fault(name + ": no colon after the parameters")
	}
	p.params = arena[start:len(arena):len(arena)]
	p.value = line[i+1:]
	return p, arena, ""
}

// addParam appends a parameter; of one that is repeated the values are joined.
func addParam(arena []param, start int, one param) []param {
	for i := start; i < len(arena); i++ {
		if arena[i].name == one.name {
			arena[i].value += "," + one.value
			return arena
		}
	}
	return append(arena, one)
}

// splitParam reads one parameter that begins at i and returns where it ends.
func splitParam(line string, i int) (param, int, fault) {
	eq := strings.IndexByte(line[i:], '=')
	if eq < 0 {
		return param{}, i, "a parameter without ="
	}
	name, ok := upperName(line[i : i+eq])
	if !ok {
		return param{}, i, fault("not a parameter name: " + shown(line[i:i+eq]))
	}
	value, end, why := splitParamValue(line, i+eq+1)
	return param{name, unescapeParam(value)}, end, why
}

// splitParamValue reads the values of a parameter, joined with commas.
func splitParamValue(line string, i int) (string, int, fault) {
	var joined strings.Builder
	plain := i
	for {
		if i < len(line) && line[i] == '"' {
			joined.WriteString(line[plain:i])
			n := strings.IndexByte(line[i+1:], '"')
			if n < 0 {
				return "", i, "a quoted parameter value without its end"
			}
			joined.WriteString(line[i+1 : i+1+n])
			i += n + 2
			plain = i
		}
		n := strings.IndexAny(line[i:], ",;:")
		if n < 0 {
			return "", i, "no colon after the parameters"
		}
		i += n
		if line[i] != ',' {
			break
		}
		i++
	}
	if joined.Len() == 0 {
		return line[plain:i], i, ""
	}
	joined.WriteString(line[plain:i])
	return joined.String(), i, ""
}

// unescapeParam undoes RFC 6868.
func unescapeParam(s string) string {
	if strings.IndexByte(s, '^') < 0 {
		return s
	}
	return unescapeCircumflex.Replace(s)
}

var unescapeCircumflex = strings.NewReplacer("^^", "^", "^n", "\n", "^'", `"`)

// upperName returns a property's or parameter's name in upper case; ok says that it is one. Beyond the RFC's letters,
// digits and - it may hold what is seen in X- names: _ . /
func upperName(s string) (string, bool) {
	lower := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
			lower = true
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '/':
		default:
			return "", false
		}
	}
	if lower {
		s = strings.ToUpper(s)
	}
	return s, s != ""
}
