package caldav

import (
	"net/url"
	"strings"
)

// place is a collection's address and the normal form of its path, which begins those of its members.
type place struct {
	id     string   // the decoded path with its last slash, as it stands in keys
	url    *url.URL // for requests, as the server wrote it
	normal string   // normal form of the path, with its last slash
}

// placeAt is the collection that href, found in an answer from base, speaks of.
func placeAt(base *url.URL, href string) (place, bool) {
	raw, ok := resolve(base, href)
	if !ok {
		return place{}, false
	}
	if !strings.HasSuffix(raw, "/") {
		raw += "/"
	}
	normal := normalise(raw)
	return place{id: decode(normal), url: address(base, raw), normal: normal}, true
}

// placeOf is the collection of that id on the server of base.
func placeOf(base *url.URL, id string) place {
	normal := encode(id)
	return place{id: id, url: address(base, normal), normal: normal}
}

// member returns the name of the collection's member that the normal form id stands for: its last segment,
// encoded. Not ok: the collection itself, something deeper, or something elsewhere.
func (p place) member(id string) (name string, ok bool) {
	name, ok = strings.CutPrefix(id, p.normal)
	return name, ok && name != "" && name != "." && name != ".." && !strings.Contains(name, "/")
}

// is tells whether id is the collection's own.
func (p place) is(id string) bool { return id == p.normal || id+"/" == p.normal }

// address is the URL of an escaped path on the server of base. A path that cannot be parsed goes out in its normal
// form.
func address(base *url.URL, raw string) *url.URL {
	u := &url.URL{Scheme: base.Scheme, Host: base.Host}
	if path, err := url.PathUnescape(raw); err == nil && !strings.ContainsAny(raw, "?#") {
		u.Path, u.RawPath = path, raw
		return u
	}
	u.Path, u.RawPath = decode(normalise(raw)), normalise(raw)
	return u
}

// resolve returns the path, escaped as written, that href means in an answer from base. Not ok: another host. The
// scheme and port are not compared: proxies get them wrong. A bare '?' or '#' is part of the name (Cyrus).
func resolve(base *url.URL, href string) (string, bool) {
	href = strings.TrimSpace(href)
	if i := strings.Index(href, "://"); i > 0 && !strings.Contains(href[:i], "/") {
		rest := href[i+3:]
		slash := strings.IndexByte(rest, '/')
		if slash < 0 {
			rest, slash = rest+"/", len(rest)
		}
		if !sameHost(rest[:slash], base.Hostname()) {
			return "", false
		}
		href = rest[slash:]
	}
	if !strings.HasPrefix(href, "/") {
		dir := base.EscapedPath()
		href = dir[:strings.LastIndexByte(dir, '/')+1] + href
	}
	return cleanDots(href), true
}

// sameHost compares the host of an authority, less userinfo and port.
func sameHost(authority, host string) bool {
	u := url.URL{Host: authority[strings.LastIndexByte(authority, '@')+1:]}
	return strings.EqualFold(u.Hostname(), host)
}

// cleanDots resolves the segments "." and "..".
func cleanDots(path string) string {
	if !strings.Contains(path, "/.") {
		return path
	}
	var out []string
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		last := i == len(segments)-1
		switch {
		case s != "." && s != "..":
			out = append(out, s)
			continue
		case s == ".." && len(out) > 0:
			out = out[:len(out)-1]
		}
		if last {
			out = append(out, "")
		}
	}
	return "/" + strings.Join(out, "/")
}

// normalise decodes the escapes of path and encodes it again, so that one resource has one form: everything but
// letters, digits and -._~!$&'()*+,;=:@/ is written as %XX. A '%' that begins no escape stands for itself; an
// encoded slash stays encoded.
func normalise(path string) string {
	if plain(path) {
		return path
	}
	var b strings.Builder
	b.Grow(len(path) + 16)
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' && i+2 < len(path) && ishex(path[i+1]) && ishex(path[i+2]) {
			c = unhex(path[i+1])<<4 | unhex(path[i+2])
			i += 2
			if c == '/' {
				b.WriteString("%2F")
				continue
			}
		}
		write(&b, c)
	}
	return b.String()
}

// encode is the normal form of a decoded path.
func encode(path string) string {
	if plain(path) {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		write(&b, path[i])
	}
	return b.String()
}

// decode undoes normalise. Bytes that are not UTF-8 stay encoded, so that ids are always text.
func decode(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if d, err := url.PathUnescape(s); err == nil && strings.ToValidUTF8(d, "") == d {
			segments[i] = d
		}
	}
	return strings.Join(segments, "/")
}

func write(b *strings.Builder, c byte) {
	if unreserved[c] {
		b.WriteByte(c)
		return
	}
	const digits = "0123456789ABCDEF"
	b.WriteByte('%')
	b.WriteByte(digits[c>>4])
	b.WriteByte(digits[c&15])
}

var unreserved = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-._~!$&'()*+,;=:@/", byte(c)) >= 0
	}
	return t
}()

func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if !unreserved[s[i]] {
			return false
		}
	}
	return true
}

func ishex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}
