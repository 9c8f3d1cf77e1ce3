package davserver

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Kind is the kind of a request, for faults and counts.
type Kind string

// The kinds of request.
const (
	WellKnown  Kind = "well-known"
	Principal  Kind = "principal"  // PROPFIND of the root or the principal
	Home       Kind = "home"       // PROPFIND of the home
	Collection Kind = "collection" // PROPFIND of a calendar
	Object     Kind = "object"     // PROPFIND of an object
	Sync       Kind = "sync"       // sync-collection REPORT
	Multiget   Kind = "multiget"   // calendar-multiget REPORT
	Query      Kind = "query"      // every other REPORT
	Get        Kind = "get"        // GET and HEAD
	Put        Kind = "put"
	Delete     Kind = "delete"
	Make       Kind = "make"  // MKCALENDAR and MKCOL
	Patch      Kind = "patch" // PROPPATCH
	Other      Kind = "other"
)

// The namespaces of what is asked for.
const (
	nsDAV    = "DAV:"
	nsCalDAV = "urn:ietf:params:xml:ns:caldav"
	nsServer = "http://calendarserver.org/ns/"
	nsApple  = "http://apple.com/ns/ical/"
)

// request is what a request asks.
type request struct {
	kind   Kind
	at     target
	user   string // who asks
	faults Fault  // what its answer shall get wrong
	err    error  // of its body

	root  xml.Name
	props []xml.Name // asked for; nil: all
	token string     // sync-collection
	limit int        // sync-collection; 0: none
	hrefs []string   // calendar-multiget
	set   []setting  // PROPPATCH, MKCALENDAR
}

// setting is a property and its text.
type setting struct {
	name xml.Name
	text string
}

// target is what a path means: "" for what it does not reach.
type target struct {
	user, calendar, object string
	depth                  int // segments: 0 root, 1 principal, 2 home, 3 calendar, 4 object
}

// newRequest reads a request. A body that does not parse is told by err.
func newRequest(r *http.Request, body []byte) request {
	if strings.TrimSuffix(r.URL.Path, "/") == "/.well-known/caldav" {
		return request{kind: WellKnown}
	}
	rq := request{}
	rq.at, rq.err = parsePath(r.URL.EscapedPath())
	switch r.Method {
	case "PROPFIND", "REPORT", "PROPPATCH", "MKCALENDAR", "MKCOL":
		if err := rq.parse(body); err != nil {
			rq.err = fmt.Errorf("reading the request: %w", err)
		}
	}
	rq.kind = rq.classify(r.Method)
	return rq
}

func (rq *request) classify(method string) Kind {
	switch method {
	case "PROPFIND":
		return [...]Kind{Principal, Principal, Home, Collection, Object, Other}[min(rq.at.depth, 5)]
	case "REPORT":
		switch rq.root {
		case xml.Name{Space: nsDAV, Local: "sync-collection"}:
			return Sync
		case xml.Name{Space: nsCalDAV, Local: "calendar-multiget"}:
			return Multiget
		}
		return Query
	}
	kinds := map[string]Kind{
		"GET": Get, "HEAD": Get, "PUT": Put, "DELETE": Delete, "MKCALENDAR": Make, "MKCOL": Make, "PROPPATCH": Patch,
	}
	if kind, ok := kinds[method]; ok {
		return kind
	}
	return Other
}

// parsePath reads an escaped path, or a URL.
func parsePath(href string) (target, error) {
	if !strings.HasPrefix(href, "/") {
		if u, err := url.Parse(href); err == nil {
			href = u.EscapedPath()
		}
	}
	segments := strings.FieldsFunc(href, func(r rune) bool { return r == '/' })
	at := target{depth: len(segments)}
	for i, segment := range segments {
		name, err := url.PathUnescape(segment)
		if err != nil {
			return target{}, fmt.Errorf("reading the path %q: %w", href, err)
		}
		switch i {
		case 0:
			at.user = name
		case 1:
			if name != "calendars" {
				return target{depth: 5}, nil
			}
		case 2:
			at.calendar = name
		case 3:
			at.object = name
		}
	}
	return at, nil
}

// parse reads the XML body of a request; an empty one asks for all properties.
func (rq *request) parse(body []byte) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	var stack []xml.Name
	var text []byte
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if len(stack) > 64 {
				return errors.New("too deep")
			}
			stack, text = append(stack, t.Name), text[:0]
			rq.start(stack)
		case xml.CharData:
			text = append(text, t...)
		case xml.EndElement:
			rq.end(stack, string(text))
			stack, text = stack[:len(stack)-1], text[:0]
		}
	}
}

// start notes the root, and the properties asked for: the children of its child prop.
func (rq *request) start(stack []xml.Name) {
	switch {
	case len(stack) == 1:
		rq.root = stack[0]
	case len(stack) == 3 && stack[1] == xml.Name{Space: nsDAV, Local: "prop"}:
		rq.props = append(rq.props, stack[2])
	}
}

// end notes what an element's text says.
func (rq *request) end(stack []xml.Name, text string) {
	name := stack[len(stack)-1]
	switch {
	case len(stack) == 2 && name == xml.Name{Space: nsDAV, Local: "href"}:
		rq.hrefs = append(rq.hrefs, strings.TrimSpace(text))
	case len(stack) == 2 && name == xml.Name{Space: nsDAV, Local: "sync-token"}:
		rq.token = strings.TrimSpace(text)
	case len(stack) == 3 && name == xml.Name{Space: nsDAV, Local: "nresults"}:
		rq.limit, _ = strconv.Atoi(strings.TrimSpace(text)) // 0, no limit, is right for what is no number
	case len(stack) == 4 && stack[1].Local == "set" && stack[2].Local == "prop":
		rq.set = append(rq.set, setting{name, text})
	}
}
