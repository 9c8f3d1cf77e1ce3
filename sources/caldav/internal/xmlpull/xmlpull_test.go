package xmlpull

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// trace writes a document as one line: what is read of it.
func trace(r io.Reader) (string, error) {
	x := NewReader(r)
	var b strings.Builder
	for {
		kind, err := x.Next()
		if errors.Is(err, io.EOF) {
			return b.String(), nil
		}
		if err != nil {
			return b.String(), err
		}
		if kind == End {
			b.WriteByte(')')
			continue
		}
		if err := walk(x, &b); err != nil {
			return b.String(), err
		}
	}
}

func walk(x *Reader, b *strings.Builder) error {
	fmt.Fprintf(b, "(%s|%s", x.Name().Space, x.Name().Local)
	if v := x.Attr("name"); v != "" {
		fmt.Fprintf(b, " name=%q", v)
	}
	err := x.Content(1<<20, func() error { return walk(x, b) }, func(text []byte) {
		fmt.Fprintf(b, " %q", text)
	})
	b.WriteByte(')')
	return err
}

func TestReads(t *testing.T) {
	tests := map[string]struct{ doc, want string }{
		"prefix":            {`<d:a xmlns:d="DAV:"><d:b/></d:a>`, `(DAV:|a(DAV:|b))`},
		"default namespace": {`<a xmlns="DAV:"><b xmlns="x:"><c/></b><d/></a>`, `(DAV:|a(x:|b(x:|c))(DAV:|d))`},
		"a prefix rebound":  {`<p:a xmlns:p="1:"><p:b xmlns:p="2:"/><p:c/></p:a>`, `(1:|a(2:|b)(1:|c))`},
		"undeclared prefix": {`<q:a/>`, `(q|a)`},
		"CDATA":             {`<a><![CDATA[x<y>&amp;]]>]]&gt;</a>`, `(|a "x<y>&amp;]]>")`},
		"references":        {`<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x42;&#13;&#10;</a>`, `(|a "<>&\"'AB\r\n")`},
		"unknown reference": {`<a>&nbsp;&;& &toolongtobeareference;</a>`, `(|a "&nbsp;&;& &toolongtobeareference;")`},
		"line ends":         {"<a>1\r\n2\r3\n4&#13;\n5\r</a>", `(|a "1\n2\n3\n4\r\n5\n")`},
		"control character": {"<a>\x01\x0b</a>", `(|a "\x01\v")`},
		"not UTF-8":         {"<a>\xe9</a>", `(|a "\xe9")`},
		"comments":          {`<!-- <a> --><a><!-- - > --><b/>x<!----></a><!-- z -->`, `(|a(|b) "x")`},
		"instructions":      {`<?xml version="1.0"?><a><?php <b> ?></a>`, `(|a)`},
		"document type":     {`<!DOCTYPE a [<!ENTITY x "<b>"><!ELEMENT a (b)>]><a>&x;</a>`, `(|a "&x;")`},
		"attributes":        {`<a name = 'x&gt;y' other="a>b" ><b name="&#233;"/></a>`, `(|a name="x>y"(|b name="é"))`},
		"spaces in tags":    {"<a\n><b\t/></a >", `(|a(|b))`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{"whole": strings.NewReader(tt.doc), "by byte": iotest.OneByteReader(strings.NewReader(tt.doc))} {
				if got, err := trace(r); got != tt.want || err != nil {
					t.Errorf("%s: %s, %v, want %s", how, got, err, tt.want)
				}
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	tests := map[string]string{
		"crossed tags":    `<a><b></a></b>`,
		"another end tag": `<a></b>`,
		"stray end tag":   `</a>`,
		"no name":         `<a>< b/></a>`,
		"no quotes":       `<a b=c/>`,
		"half attribute":  `<a b/>`,
		"too deep":        strings.Repeat("<a>", 33),
		"too long a tag":  "<a b='" + strings.Repeat("x", 70<<10) + "'/>",
	}
	for name, doc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := trace(strings.NewReader(doc))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCutAnywhereIsAnError(t *testing.T) {
	doc := `<?xml version="1.0"?><a x="y"><!-- c --><b>text &amp; <![CDATA[more]]></b><c/></a>`
	for n := range len(doc) {
		if _, err := trace(strings.NewReader(doc[:n])); err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("cut to %q: %v", doc[:n], err)
		}
	}
}

func TestAReadersErrorComesThrough(t *testing.T) {
	broken := errors.New("broken")
	_, err := trace(io.MultiReader(strings.NewReader("<a>text"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// endless gives a prefix, then one byte for ever.
type endless struct {
	prefix io.Reader
	left   int64
}

func (e *endless) Read(p []byte) (int, error) {
	if n, _ := e.prefix.Read(p); n > 0 {
		return n, nil
	}
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), e.left)
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.left -= n
	return int(n), nil
}

func TestALongTextIsNotKept(t *testing.T) {
	for _, prefix := range []string{"<a>", "<a><![CDATA[", "<a><!--", "<!DOCTYPE a [", "<a><?x "} {
		x := NewReader(&endless{prefix: strings.NewReader(prefix), left: 32 << 20})
		allocated := testing.AllocsPerRun(1, func() {
			if _, err := x.Next(); err != nil {
				return
			}
			if _, _, err := x.Text(1000); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: %v", prefix, err)
			}
		})
		if len(x.text) > 1000 || cap(x.text) > 1<<20 || allocated > 100 {
			t.Errorf("%s: kept %d of %d, %v allocations", prefix, len(x.text), cap(x.text), allocated)
		}
	}
}

func TestTextSaysWhenItIsCut(t *testing.T) {
	x := NewReader(strings.NewReader("<r><a>12345</a><b>123<c>no</c>45</b></r>"))
	mustNext(t, x)
	for _, want := range []struct {
		max  int
		text string
		over bool
	}{{4, "1234", true}, {5, "12345", false}} {
		mustNext(t, x)
		text, over, err := x.Text(want.max)
		if string(text) != want.text || over != want.over || err != nil {
			t.Errorf("%q, %v, %v", text, over, err)
		}
	}
}

func mustNext(t *testing.T, x *Reader) {
	t.Helper()
	if _, err := x.Next(); err != nil {
		t.Fatal(err)
	}
}

func TestDecoded(t *testing.T) {
	tests := map[string]struct{ doc, contentType, want string }{
		"nothing said":      {"<a>é</a>", "", "é"},
		"declared":          {"<?xml version='1.0' encoding='iso-8859-1'?><a>\xe9</a>", "text/xml; charset=utf-8", "é"},
		"by header":         {"<a>\xe9</a>", "text/xml; charset=ISO-8859-1", "é"},
		"utf-8 mark":        {"\xef\xbb\xbf<?xml version='1.0' encoding='latin1'?><a>é</a>", "", "é"},
		"utf-16":            {"\xff\xfe<\x00a\x00>\x00\xe9\x00<\x00/\x00a\x00>\x00", "", "é"},
		"utf-16 big":        {"\xfe\xff\x00<\x00a\x00>\x00\xe9\x00<\x00/\x00a\x00>", "", "é"},
		"far down":          {"<?xml version='1.0'" + strings.Repeat(" ", 300) + " encoding='latin1'?><a>\xe9</a>", "", "é"},
		"malformed header":  {"<a>é</a>", ";;;", "é"},
		"declaration alone": {"<?xml version='1.0'?><a>é</a>", "text/xml", "é"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := Decoded(strings.NewReader(tt.doc), tt.contentType)
			if err != nil {
				t.Fatal(err)
			}
			x := NewReader(r)
			mustNext(t, x)
			if text, _, err := x.Text(100); string(text) != tt.want || err != nil {
				t.Errorf("%q, %v, want %q", text, err, tt.want)
			}
		})
	}
	if _, err := Decoded(strings.NewReader("<?xml version='1.0' encoding='klingon'?><a/>"), ""); err == nil {
		t.Error("an unknown charset is no error")
	}
}

// FuzzReader: what encoding/xml reads, this reader reads alike; nothing makes it fail otherwise than by an error.
func FuzzReader(f *testing.F) {
	for _, s := range []string{`<d:a xmlns:d="DAV:"><d:b c="1">x&amp;y</d:b></d:a>`, "<a>1\r\n2\r</a>", `<a><![CDATA[x]]></a>`, `<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, err := trace(bytes.NewReader(doc))
		small, smallErr := trace(iotest.OneByteReader(bytes.NewReader(doc)))
		if got != small || (err == nil) != (smallErr == nil) {
			t.Fatalf("by byte: %s, %v; whole: %s, %v", small, smallErr, got, err)
		}
		if want, ok := reference(doc); ok && (err != nil || texts(got) != texts(want)) {
			t.Fatalf("encoding/xml reads %s, we %s, %v", want, got, err)
		}
	})
}

// texts leaves out what the two readers may cut differently: where one text ends and the next begins.
func texts(s string) string { return strings.ReplaceAll(s, `" "`, "") }

// reference is the trace by encoding/xml. Not ok: that one refuses the document, or reads what we do not claim to.
func reference(doc []byte) (string, bool) {
	d := xml.NewDecoder(bytes.NewReader(doc))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("not here") }
	var b strings.Builder
	depth, roots := 0, 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String(), depth == 0 && roots == 1
		}
		if err != nil || depth > maxDepth {
			return "", false
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if depth == 0 {
				roots++
			}
			depth++
			if strings.ContainsAny(tok.Name.Local+tok.Name.Space, ":") && !strings.HasSuffix(tok.Name.Space, ":") {
				return "", false
			}
			fmt.Fprintf(&b, "(%s|%s", tok.Name.Space, tok.Name.Local)
			for _, a := range tok.Attr {
				if a.Name.Space == "xml" || a.Name.Space == "xmlns" && a.Value == "" {
					return "", false
				}
				if a.Name.Local == "name" && a.Name.Space != "xmlns" && a.Value != "" {
					fmt.Fprintf(&b, " name=%q", a.Value)
					break
				}
			}
		case xml.EndElement:
			depth--
			b.WriteByte(')')
		case xml.CharData:
			if depth > 0 && len(tok) > 0 {
				fmt.Fprintf(&b, " %q", []byte(tok))
			}
		}
	}
}
