package caldav

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"
)

// FuzzMultistatus: whatever comes, reading it ends, with io.EOF only after a complete multistatus, and what was read
// stays within its bounds.
func FuzzMultistatus(f *testing.F) {
	f.Add(sample(2))
	f.Add([]byte(`<multistatus xmlns="DAV:"><response><href>/a</href><status>HTTP/1.1 404</status></response><sync-token>x</sync-token></multistatus>`))
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY y "z">]><d:multistatus xmlns:d="DAV:"><d:response><d:href>&y;</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype></d:prop></d:propstat></d:response></d:multistatus>`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		const maxBody = 64
		m, err := newMultistatus(bytes.NewReader(doc), "text/xml", maxBody)
		for n := 0; err == nil; n++ {
			var r *response
			if r, err = m.next(); err != nil {
				break
			}
			if len(r.data) > maxBody || len(r.href) > maxShort || r.status < 0 || r.status > 999 || n > len(doc) {
				t.Fatalf("%+v", r)
			}
		}
		if errors.Is(err, io.EOF) && !bytes.Contains(doc, []byte("multistatus")) && !bytes.Contains(doc, []byte("\x00")) && !bytes.Contains(doc, []byte("encoding")) {
			t.Fatal("an end without a multistatus")
		}
		all, err := readProps(bytes.NewReader(doc), "text/xml", 1000)
		if err != nil && all != nil {
			t.Fatal("resources beside an error")
		}
		_ = precondition(doc, "")
	})
}

// FuzzHref: a normal form is its own normal form, stands for the same name as what it was made from, and no member
// lies outside its collection.
func FuzzHref(f *testing.F) {
	base := &url.URL{Scheme: "http", Host: "host:80", Path: "/a/b/"}
	for _, s := range []string{"/a/b/c.ics", "c%20d.ics", "http://host/a/b/%zz", "../x", "/a/b/%2e%2e/x", "%2e", "//x/y", "?", "a%2Fb", "http://other/a/b/c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, href string) {
		raw, ok := resolve(base, href)
		if !ok {
			return
		}
		id := normalise(raw)
		if normalise(id) != id || !strings.HasPrefix(id, "/") || !plain(strings.ReplaceAll(id, "%", "")) {
			t.Fatalf("%q: normal form %q", href, id)
		}
		if p, _ := placeAt(base, "/a/b"); true {
			if name, in := p.member(id); in && (name == "" || name == ".." || name == "." || strings.Contains(name, "/")) {
				t.Fatalf("%q: member %q", href, name)
			}
		}
		if u := address(base, raw); u.Host != base.Host || u.Scheme != base.Scheme {
			t.Fatalf("%q: address %s", href, u)
		}
	})
}
