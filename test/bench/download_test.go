//go:build integration

package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"
)

// The floors ask what calcdc asks: one listing by sync-collection, and the bodies by multigets of a hundred, eight
// requests in flight. They read the answers with encoding/xml, as a program does that anybody would write; or, for a bound
// that no reader of XML can reach, cut the answers of the benchmark's own server by searching for its tags.
const (
	concurrency = 8
	perMultiget = 100

	xmlHead    = `<?xml version="1.0" encoding="utf-8"?>` + "\n"
	listing    = xmlHead + `<d:sync-collection xmlns:d="DAV:"><d:sync-token></d:sync-token><d:sync-level>1</d:sync-level><d:prop><d:getetag/><d:resourcetype/></d:prop></d:sync-collection>`
	multiget   = xmlHead + `<c:calendar-multiget xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:prop><d:getetag/><c:calendar-data/></d:prop>`
	multigetOf = "<d:href>%s</d:href>"
	multiEnd   = `</c:calendar-multiget>`
)

// body is one resource as downloaded.
type body struct{ href, data []byte }

// downloader reads the first calendar of a server.
type downloader struct {
	http *http.Client
	url  string
	cut  bool // search for tags instead of reading XML
}

func newDownloader(root string, cut bool) *downloader {
	return &downloader{url: root + davCalendar(0), cut: cut, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * concurrency, DisableCompression: true}}}
}

// run calls take with the bodies of each multiget, from several goroutines at once.
func (d *downloader) run(ctx context.Context, take func([]body) error) error {
	g, ctx := errgroup.WithContext(ctx)
	batches := make(chan []string, concurrency)
	g.Go(func() error {
		defer close(batches)
		return d.list(ctx, batches)
	})
	for range concurrency {
		g.Go(func() error {
			var buf bytes.Buffer
			for hrefs := range batches {
				bodies, err := d.fetch(ctx, hrefs, &buf)
				if err != nil {
					return err
				}
				if err := take(bodies); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (d *downloader) list(ctx context.Context, out chan<- []string) error {
	res, err := d.report(ctx, "0", listing)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var hrefs []string
	put := func() error {
		select {
		case out <- hrefs:
			hrefs = nil
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if !d.cut {
		err := readXML(res.Body, func(name string, text []byte) error {
			if name == "href" {
				hrefs = append(hrefs, string(text))
			}
			if len(hrefs) == perMultiget {
				return put()
			}
			return nil
		})
		return errors.Join(err, put())
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if href, ok := between(lines.Bytes(), "<href>", "</href>"); ok {
			hrefs = append(hrefs, string(href))
		}
		if len(hrefs) == perMultiget {
			if err := put(); err != nil {
				return err
			}
		}
	}
	return errors.Join(lines.Err(), put())
}

// fetch gets the bodies of hrefs. Their memory is their own.
func (d *downloader) fetch(ctx context.Context, hrefs []string, buf *bytes.Buffer) ([]body, error) {
	if len(hrefs) == 0 {
		return nil, nil
	}
	var ask strings.Builder
	ask.WriteString(multiget)
	for _, h := range hrefs {
		fmt.Fprintf(&ask, multigetOf, h)
	}
	ask.WriteString(multiEnd)
	res, err := d.report(ctx, "1", ask.String())
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	bodies := make([]body, 0, len(hrefs))
	if !d.cut {
		err := readXML(res.Body, func(name string, text []byte) error {
			switch name {
			case "href":
				bodies = append(bodies, body{href: text})
			case "calendar-data":
				bodies[len(bodies)-1].data = text
			}
			return nil
		})
		return bodies, err
	}
	buf.Reset()
	if _, err := buf.ReadFrom(res.Body); err != nil {
		return nil, err
	}
	for rest := buf.Bytes(); ; {
		href, ok := between(rest, "<href>", "</href>")
		data, ok2 := between(rest, "<C:calendar-data>", "</C:calendar-data>")
		if !ok || !ok2 {
			break
		}
		bodies = append(bodies, body{bytes.Clone(href), unescape(data)})
		_, rest, _ = bytes.Cut(rest, []byte("</response>"))
	}
	if len(bodies) != len(hrefs) {
		return nil, fmt.Errorf("%d bodies of %d", len(bodies), len(hrefs))
	}
	return bodies, nil
}

// readXML calls take with the text of each element that has some.
func readXML(r io.Reader, take func(name string, text []byte) error) error {
	d := xml.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	var text []byte
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			text = nil
		case xml.CharData:
			text = append(text, t...)
		case xml.EndElement:
			if err := take(t.Name.Local, text); err != nil {
				return err
			}
			text = nil
		}
	}
}

func (d *downloader) report(ctx context.Context, depth, ask string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, "REPORT", d.url, strings.NewReader(ask))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(user, password)
	req.Header.Set("Depth", depth)
	req.Header.Set("Content-Type", "application/xml")
	res, err := d.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusMultiStatus {
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return nil, fmt.Errorf("the calendar server answers %s", res.Status)
	}
	return res, nil
}

func between(b []byte, begin, end string) ([]byte, bool) {
	_, rest, ok := bytes.Cut(b, []byte(begin))
	inner, _, closed := bytes.Cut(rest, []byte(end))
	return inner, ok && closed
}

// entities are those that davserver writes.
var entities = []struct {
	name string
	char byte
}{{"&#13;", '\r'}, {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}}

func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for {
		i := bytes.IndexByte(b, '&')
		if i < 0 {
			return append(out, b...)
		}
		out = append(out, b[:i]...)
		b = b[i:]
		for _, e := range entities {
			if len(b) >= len(e.name) && string(b[:len(e.name)]) == e.name {
				out = append(out, e.char)
				b = b[len(e.name):]
				break
			}
		}
	}
}
