package caldav

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/calcdc/calcdc/sources/caldav/internal/xmlpull"
)

const (
	maxMembers = 4_000_000 // responses in one answer
	maxShort   = 8 << 10   // bytes of a href, status, ETag or token
)

// response is one response of a multistatus about members (RFC 4918 14.24). Only what stands under a propstat of
// 200 counts as a property's value.
type response struct {
	href       string
	status     int    // of the response as a whole; 0: it has propstats
	etag       string // as written
	collection bool   // resourcetype says so
	hasType    bool   // there was a resourcetype
	data       []byte // calendar-data; nil: none
	hasData    bool   //
	dataStatus int    // of the propstat with calendar-data; 0: none
	tooLong    bool   // data was longer than the bound
}

// multistatus reads an answer's responses one by one.
type multistatus struct {
	x       *xmlpull.Reader
	maxBody int
	token   string // sync-token, once the end was reached
	count   int
	turn    *turn           // of whoever reads
	ctx     context.Context //nolint:containedctx // of its waiting
}

// newMultistatus reads up to the first response. What it returns must be released.
func newMultistatus(r io.Reader, contentType string, maxBody int) (*multistatus, error) {
	decoded, err := xmlpull.Decoded(r, contentType)
	if err != nil {
		return nil, err
	}
	m := &multistatus{x: xmlpull.NewReader(decoded), maxBody: maxBody}
	if _, err := m.x.Next(); err != nil {
		m.release()
		return nil, malformed(err)
	}
	if n := m.x.Name(); n.Space != davNS || n.Local != "multistatus" {
		m.release()
		return nil, fmt.Errorf("malformed answer: wanted a multistatus, got <%.60s>", n.Local)
	}
	return m, nil
}

// release gives the reader's memory back; responses that were read stay good.
func (m *multistatus) release() {
	m.turn.end()
	m.x.Release()
}

// take makes long bodies wait for their turn.
func (m *multistatus) take(ctx context.Context, t *turn) {
	m.turn, m.ctx = t, ctx
	m.x.Await(longBytes, func() error { return t.begin(ctx) })
}

// malformed says what is wrong with an answer that could not be read.
func malformed(err error) error {
	var syntax *xmlpull.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the answer was cut: %w", err)
	case errors.As(err, &syntax):
		return fmt.Errorf("malformed answer: %w", err)
	}
	return fmt.Errorf("reading the answer: %w", err)
}

// next returns the next response, or io.EOF after the end of a complete answer. The response and its data are
// the caller's; the turn of a long one ends with the next call.
func (m *multistatus) next() (*response, error) {
	m.turn.end()
	for {
		kind, err := m.x.Next()
		switch {
		case err != nil:
			return nil, malformed(err)
		case kind == xmlpull.End: // of multistatus
			return nil, io.EOF
		case m.is("response"):
			if m.count++; m.count > maxMembers {
				return nil, fmt.Errorf("an answer of more than %d responses", maxMembers)
			}
			r, err := m.response()
			if err != nil {
				return nil, malformed(err)
			}
			return r, m.turn.arrived(m.ctx)
		case m.is("sync-token"):
			m.token, err = m.short()
		default:
			err = m.x.Skip()
		}
		if err != nil {
			return nil, malformed(err)
		}
	}
}

func (m *multistatus) is(local string) bool {
	n := m.x.Name()
	return n.Local == local && n.Space == davNS
}

// short reads the text of the element at hand, which is never long.
func (m *multistatus) short() (string, error) {
	text, over, err := m.x.Text(maxShort)
	if err == nil && over {
		err = fmt.Errorf("<%s> of more than %d bytes", m.x.Name().Local, maxShort)
	}
	return strings.TrimSpace(string(text)), err
}

func (m *multistatus) response() (*response, error) {
	r := &response{}
	err := m.children(func() (err error) {
		switch {
		case m.is("href") && r.href == "":
			r.href, err = m.short()
		case m.is("status"):
			r.status, err = m.statusLine()
		case m.is("propstat"):
			err = m.propstat(r)
		default:
			err = m.x.Skip()
		}
		return err
	})
	return r, err
}

// children calls f at the start of each child of the element at hand; f reads the child to its end.
func (m *multistatus) children(f func() error) error {
	for {
		kind, err := m.x.Next()
		if err == nil && kind == xmlpull.End {
			return nil
		}
		if err == nil {
			err = f()
		}
		if err != nil {
			return err
		}
	}
}

// propstat reads properties into r where their status, which comes after them, is 200.
func (m *multistatus) propstat(r *response) error {
	var p response
	status := 0
	err := m.children(func() (err error) {
		switch {
		case m.is("prop"):
			err = m.children(func() error { return m.property(&p) })
		case m.is("status"):
			status, err = m.statusLine()
		default:
			err = m.x.Skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	if p.hasData {
		r.dataStatus = status
	}
	if status == http.StatusOK {
		r.merge(&p)
	}
	return nil
}

func (r *response) merge(p *response) {
	if p.etag != "" {
		r.etag = p.etag
	}
	if p.hasType {
		r.hasType, r.collection = true, p.collection
	}
	if p.hasData {
		r.hasData, r.data, r.tooLong = true, p.data, p.tooLong
	}
}

func (m *multistatus) property(p *response) (err error) {
	switch n := m.x.Name(); {
	case m.is("getetag"):
		p.etag, err = m.short()
	case m.is("resourcetype"):
		p.hasType = true
		err = m.children(func() error {
			p.collection = p.collection || m.is("collection")
			return m.x.Skip()
		})
	case n.Space == caldavNS && n.Local == "calendar-data":
		var text []byte
		p.hasData = true
		text, p.tooLong, err = m.x.Text(m.maxBody)
		if p.data = text; len(text) > longBytes {
			p.data = m.x.Take()
		} else {
			p.data = append(make([]byte, 0, len(text)), text...)
		}
	default:
		err = m.x.Skip()
	}
	return err
}

// statusLine reads "HTTP/1.1 200 OK"; the reason may be missing.
func (m *multistatus) statusLine() (int, error) {
	raw, _, err := m.x.Text(maxShort)
	if err != nil {
		return 0, err
	}
	if string(raw) == "HTTP/1.1 200 OK" {
		return http.StatusOK, nil
	}
	text := string(raw)
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return 0, fmt.Errorf("malformed status %.40q", text)
	}
	code, err := strconv.Atoi(fields[1])
	if err != nil || code < 100 || code > 999 {
		return 0, fmt.Errorf("malformed status %.40q", text)
	}
	return code, nil
}
