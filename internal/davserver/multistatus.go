package davserver

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"strconv"
	"sync"
)

const multistatusHead = xml.Header +
	`<multistatus xmlns="` + nsDAV + `" xmlns:C="` + nsCalDAV + `" xmlns:CS="` + nsServer + `" xmlns:I="` + nsApple + `">`

// flushAt is the size at which a part of an answer is sent.
const flushAt = 128 << 10

// multistatus streams a 207 answer. A client that has gone is noticed by net/http; what is written then is lost.
type multistatus struct {
	w   http.ResponseWriter
	buf []byte
	lot *[]byte // what buf goes back to
}

// buffers are for answers that are being written.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, flushAt+64<<10); return &b }}

func newMultistatus(w http.ResponseWriter) *multistatus {
	w.Header().Set("Content-Type", `application/xml; charset="utf-8"`)
	w.WriteHeader(http.StatusMultiStatus)
	lot := buffers.Get().(*[]byte)
	return &multistatus{w, append((*lot)[:0], multistatusHead...), lot}
}

// end closes the answer; extra stands before the closing tag.
func (m *multistatus) end(extra ...string) {
	for _, e := range extra {
		m.buf = append(m.buf, e...)
	}
	m.buf = append(m.buf, "</multistatus>\n"...)
	_, _ = m.w.Write(m.buf)
	if cap(m.buf) <= 4*flushAt {
		*m.lot = m.buf
		buffers.Put(m.lot)
	}
}

func (m *multistatus) flush() {
	if len(m.buf) >= flushAt {
		_, _ = m.w.Write(m.buf)
		m.buf = m.buf[:0]
	}
}

// object adds a response that answers t of e.
func (m *multistatus) object(e *entry, t *template) {
	m.buf = append(append(m.buf, "<response><href>"...), e.href...)
	m.buf = append(m.buf, "</href>"...)
	if len(t.parts) > 0 {
		m.buf = append(m.buf, "<propstat><prop>"...)
		for _, part := range t.parts {
			m.buf = part(m.buf, e)
		}
		m.buf = append(m.buf, "</prop><status>HTTP/1.1 200 OK</status></propstat>"...)
	}
	m.buf = append(append(m.buf, t.tail...), "</response>\n"...)
	m.flush()
}

// status adds a response that is only a status. href is escaped for XML.
func (m *multistatus) status(href []byte, status int, extra string) {
	m.buf = append(append(m.buf, "<response><href>"...), href...)
	m.buf = append(m.buf, "</href><status>"...)
	m.buf = append(appendStatus(m.buf, status), "</status>"...)
	m.buf = append(append(m.buf, extra...), "</response>\n"...)
	m.flush()
}

func appendStatus(b []byte, status int) []byte {
	b = strconv.AppendInt(append(b, "HTTP/1.1 "...), int64(status), 10)
	return append(append(b, ' '), http.StatusText(status)...)
}

// template is the answer to a list of properties, worked out once for many objects.
type template struct {
	parts []func([]byte, *entry) []byte // those that objects have
	tail  []byte                        // the 404 propstat of those that they lack
}

// objectProps are the properties of objects, other than calendar-data.
var objectProps = map[xml.Name]func([]byte, *entry) []byte{
	{Space: nsDAV, Local: "getetag"}: func(b []byte, e *entry) []byte {
		if e.etag == "" {
			return b
		}
		b = appendEscaped(append(b, "<getetag>"...), []byte(e.etag), false)
		return append(b, "</getetag>"...)
	},
	{Space: nsDAV, Local: "getcontenttype"}: func(b []byte, _ *entry) []byte {
		return append(b, "<getcontenttype>text/calendar; charset=utf-8</getcontenttype>"...)
	},
	{Space: nsDAV, Local: "getcontentlength"}: func(b []byte, e *entry) []byte {
		b = strconv.AppendInt(append(b, "<getcontentlength>"...), int64(len(e.body)), 10)
		return append(b, "</getcontentlength>"...)
	},
	{Space: nsDAV, Local: "resourcetype"}: func(b []byte, _ *entry) []byte { return append(b, "<resourcetype/>"...) },
}

// newTemplate answers props; calendar-data only where data is set.
func newTemplate(props []xml.Name, data bool) *template {
	t := &template{}
	var missing []byte
	for _, name := range props {
		part := objectProps[name]
		if data && name == (xml.Name{Space: nsCalDAV, Local: "calendar-data"}) {
			part = appendData
		}
		if part != nil {
			t.parts = append(t.parts, part)
		} else {
			missing = appendName(missing, name)
		}
	}
	if missing != nil {
		t.tail = append(append([]byte("<propstat><prop>"), missing...), "</prop><status>HTTP/1.1 404 Not Found</status></propstat>"...)
	}
	return t
}

func appendData(b []byte, e *entry) []byte {
	b = append(append(b, "<C:calendar-data>"...), e.data...)
	return append(b, "</C:calendar-data>"...)
}

// appendName appends name as an empty element.
func appendName(b []byte, name xml.Name) []byte {
	b = append(append(b, '<'), name.Local...)
	b = appendEscaped(append(b, ` xmlns="`...), []byte(name.Space), false)
	return append(b, `"/>`...)
}

func needsEscape(body []byte, bareCR bool) bool {
	return bytes.ContainsAny(body, `&<>"`) || !bareCR && bytes.IndexByte(body, '\r') >= 0
}

// appendEscaped appends text for XML. What XML cannot hold (control characters, bytes that are not UTF-8) goes out
// as it is: servers do that too.
func appendEscaped(b, text []byte, bareCR bool) []byte {
	from := 0
	for i, c := range text {
		var esc string
		switch c {
		case '&':
			esc = "&amp;"
		case '<':
			esc = "&lt;"
		case '>':
			esc = "&gt;"
		case '"':
			esc = "&quot;"
		case '\r':
			if bareCR {
				continue
			}
			esc = "&#13;"
		default:
			continue
		}
		b = append(append(b, text[from:i]...), esc...)
		from = i + 1
	}
	return append(b, text[from:]...)
}
