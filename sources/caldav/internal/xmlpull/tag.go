package xmlpull

import "bytes"

type binding struct{ prefix, space string }

type attr struct{ raw, value string }

// Attr returns the attribute local of the tag that Next came to last, whatever its namespace.
func (r *Reader) Attr(local string) string {
	for _, a := range r.attrs {
		if _, name := split(a.raw); name == local {
			return a.value
		}
	}
	return ""
}

// tag reads what begins with the '<' at hand. Kind 0: no tag of an element.
func (r *Reader) tag() (Kind, error) {
	switch {
	case r.has("<!--"):
		return 0, r.skipPast("<!--", "-->")
	case r.has("<![CDATA["):
		return 0, r.skipPast("<![CDATA[", "]]>")
	case r.has("<?"):
		return 0, r.skipPast("<?", "?>")
	case r.has("<!"):
		return 0, r.skipDoctype()
	case r.has("</"):
		return r.endTag()
	}
	return r.startTag()
}

func (r *Reader) endTag() (Kind, error) {
	raw, err := r.tagBytes()
	if err != nil {
		return 0, err
	}
	name := bytes.TrimRight(raw[2:len(raw)-1], " \t\r\n")
	if len(r.stack) == 0 || string(name) != r.stack[len(r.stack)-1].raw {
		return 0, r.syntax("end tag </%.40s> does not match", name)
	}
	r.pop()
	return End, nil
}

// pop ends the innermost element.
func (r *Reader) pop() {
	top := r.stack[len(r.stack)-1]
	r.name = top.name
	r.bindings = r.bindings[:top.bindings]
	r.stack = r.stack[:len(r.stack)-1]
	r.attrs = r.attrs[:0]
}

func (r *Reader) startTag() (Kind, error) {
	raw, err := r.tagBytes()
	if err != nil {
		return 0, err
	}
	inner := raw[1 : len(raw)-1]
	empty := len(inner) > 0 && inner[len(inner)-1] == '/'
	if empty {
		inner = inner[:len(inner)-1]
	}
	n := nameLen(inner)
	if n == 0 {
		return 0, r.syntax("no name in a tag")
	}
	if len(r.stack) == maxDepth {
		return 0, r.syntax("more than %d elements deep", maxDepth)
	}
	el := element{raw: r.intern(inner[:n]), bindings: len(r.bindings)}
	if err := r.attributes(inner[n:]); err != nil {
		return 0, err
	}
	prefix, local := split(el.raw)
	el.name = Name{r.space(prefix), local}
	r.stack = append(r.stack, el)
	r.name, r.pendingEnd, r.rooted = el.name, empty, true
	return Start, nil
}

// attributes reads a start tag's attributes and brings its namespaces into force.
func (r *Reader) attributes(b []byte) error {
	r.attrs = r.attrs[:0]
	for {
		b = bytes.TrimLeft(b, " \t\r\n")
		if len(b) == 0 {
			return nil
		}
		n := nameLen(b)
		rest := bytes.TrimLeft(b[n:], " \t\r\n")
		if n == 0 || len(rest) < 2 || rest[0] != '=' {
			return r.syntax("malformed attribute")
		}
		rest = bytes.TrimLeft(rest[1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return r.syntax("attribute value without quotes")
		}
		end := bytes.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return r.syntax("attribute value without end")
		}
		r.attribute(r.intern(b[:n]), rest[1:1+end])
		b = rest[end+2:]
	}
}

func (r *Reader) attribute(name string, value []byte) {
	v := r.intern(unescape(value))
	switch prefix, local := split(name); {
	case name == "xmlns":
		r.bindings = append(r.bindings, binding{"", v})
	case prefix == "xmlns":
		r.bindings = append(r.bindings, binding{local, v})
	default:
		r.attrs = append(r.attrs, attr{name, v})
	}
}

// space is the namespace that prefix stands for; a prefix that is not declared stands for itself.
func (r *Reader) space(prefix string) string {
	for i := len(r.bindings) - 1; i >= 0; i-- {
		if r.bindings[i].prefix == prefix {
			return r.bindings[i].space
		}
	}
	return prefix
}

// intern returns b as a string, the same one for the same bytes while there are not too many.
func (r *Reader) intern(b []byte) string {
	if s, ok := r.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(r.names) < maxNames && len(s) < 256 {
		r.names[s] = s
	}
	return s
}

// split cuts a qualified name at its colon.
func split(raw string) (prefix, local string) {
	for i := 0; i < len(raw); i++ {
		if raw[i] == ':' {
			return raw[:i], raw[i+1:]
		}
	}
	return "", raw
}

// nameLen is how many bytes of b belong to a name.
func nameLen(b []byte) int {
	for i, c := range b {
		switch c {
		case ' ', '\t', '\r', '\n', '=', '/', '>', '<', '"', '\'':
			return i
		}
	}
	return len(b)
}
