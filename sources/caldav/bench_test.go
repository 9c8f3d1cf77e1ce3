package caldav

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"testing"
)

// sample is a multistatus of n members of about 1 KiB each.
func sample(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:cal="urn:ietf:params:xml:ns:caldav">`)
	body := bytes.Repeat([]byte("DESCRIPTION:a line of an event &amp; its text, not very long&#13;\n"), 15)
	for i := range n {
		fmt.Fprintf(&b, `<d:response><d:href>/alice/work/event-%06d.ics</d:href><d:propstat><d:prop><d:getetag>"%032d"</d:getetag>`+
			`<d:resourcetype/><cal:calendar-data>%s</cal:calendar-data></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>`, i, i, body)
	}
	b.WriteString(`<d:sync-token>urn:1</d:sync-token></d:multistatus>`)
	return b.Bytes()
}

// BenchmarkMultistatus reads members; the floor is encoding/xml's tokens of the same bytes.
func BenchmarkMultistatus(b *testing.B) {
	const n = 2000
	doc := sample(n)
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			if got := drain(b, doc); got != n {
				b.Fatalf("%d members", got)
			}
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "members/s")
	})
	b.Run("encoding-xml", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			d := xml.NewDecoder(bytes.NewReader(doc))
			for {
				if _, err := d.RawToken(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "members/s")
	})
}

func drain(t testing.TB, doc []byte) int {
	t.Helper()
	m, err := newMultistatus(bytes.NewReader(doc), "", 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		_, err := m.next()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
