package caldav

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/calcdc/calcdc/sources/ical"
)

// TestResourceOf: from what was published of a resource its id comes out again, however its name is written.
func TestResourceOf(t *testing.T) {
	base, err := url.Parse("https://dav.example.org/dav/alice/work/")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ collection, href string }{
		{"/dav/alice/work/", "/dav/alice/work/a.ics"},
		{"/dav/alice/work/", "https://dav.example.org:8443/dav/alice/work/a.ics"},
		{"/dav/alice/work/", "a.ics"},
		{"/dav/alice/work/", "/dav/alice/work/a%20b%23%25c.ics"},
		{"/dav/alice/work/", "/dav/alice/work/a%2520b.ics"},
		{"/dav/alice/work/", "/dav/alice/work/a b?c#d.ics"},
		{"/dav/alice/work/", "/dav/alice/work/%C3%BC\xc3\xbc.ics"},
		{"/dav/alice/work/", "/dav/alice/work/%FF.ics"},
		{"/dav/alice/work/", "/dav/alice/work/\xff.ics"},
		{"/dav/alice/work/", "/dav/alice/work/a%2Fb.ics"},
		{"/dav/alice/work/", "/dav/./alice/x/../work/a.ics"},
		{"/dav/älice/wörk #1/", "/dav/%C3%A4lice/w%C3%B6rk%20%231/ö.ics"},
	} {
		raw, ok := resolve(base, tt.href)
		if !ok {
			t.Fatal(tt.href)
		}
		m := member{id: normalise(raw), href: tt.href}
		p := &poll{account: &Account{name: "alice"}, place: placeOf(base, tt.collection)}
		if _, ok := p.place.member(m.id); !ok {
			t.Fatalf("%s is no member", m.id)
		}
		row := ical.Unreadable(p.object(m), "for the test")
		if got := ResourceOf(tt.collection, row.ID, row.JSON); got != m.id {
			t.Errorf("%s: got %s, want %s", tt.href, got, m.id)
		}
		if !json.Valid(row.JSON) {
			t.Error("no JSON")
		}
		if got := ResourceOf(tt.collection, row.ID+"#20260602T080000Z", nil); got != m.id && tt.href != "/dav/alice/work/a%2Fb.ics" {
			t.Errorf("%s, from the id alone: got %s, want %s", tt.href, got, m.id)
		}
	}
}
