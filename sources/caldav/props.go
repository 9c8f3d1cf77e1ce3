package caldav

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/calcdc/calcdc/sources/caldav/internal/xmlpull"
)

const (
	nodesPerCollection = 64      // elements in an answer about collections, on the average
	maxText            = 1 << 20 // bytes of one text in it
	maxTexts           = 64 << 20
)

// node is an element of an answer about collections, which is small.
type node struct {
	name  xmlpull.Name
	attr  string // its name attribute (comp)
	text  string
	child []*node
}

// find returns the descendants of that name.
func (n *node) find(space, local string) []*node {
	var found []*node
	for _, c := range n.child {
		if c.name.Local == local && c.name.Space == space {
			found = append(found, c)
		}
		found = append(found, c.find(space, local)...)
	}
	return found
}

// first is the first of find, an empty node where there is none.
func (n *node) first(space, local string) *node {
	for _, f := range n.find(space, local) {
		return f
	}
	return &node{}
}

func (n *node) has(space, local string) bool { return len(n.find(space, local)) > 0 }

// described is what an answer says of one resource: its properties with status 200.
type described struct {
	href   string
	status int // of the response as a whole; 0: it has propstats
	props  node
}

// readProps reads a whole multistatus about so many collections at most.
func readProps(r io.Reader, contentType string, collections int) ([]described, error) {
	decoded, err := xmlpull.Decoded(r, contentType)
	if err != nil {
		return nil, err
	}
	t := &tree{multistatus: multistatus{x: xmlpull.NewReader(decoded)}, maxNodes: nodesPerCollection * (collections + 1)}
	defer t.release()
	if _, err := t.x.Next(); err != nil {
		return nil, malformed(err)
	}
	if !t.is("multistatus") {
		return nil, fmt.Errorf("malformed answer: wanted a multistatus, got <%.60s>", t.x.Name().Local)
	}
	var all []described
	err = t.children(func() error {
		if !t.is("response") {
			return t.x.Skip()
		}
		d, err := t.describe()
		all = append(all, d)
		return err
	})
	if err != nil {
		return nil, malformed(err)
	}
	return all, nil
}

// tree reads elements whole, within bounds.
type tree struct {
	multistatus
	nodes, texts int
	maxNodes     int
}

func (t *tree) describe() (described, error) {
	var d described
	err := t.children(func() (err error) {
		switch {
		case t.is("href") && d.href == "":
			d.href, err = t.short()
		case t.is("status"):
			d.status, err = t.statusLine()
		case t.is("propstat"):
			err = t.propstat(&d)
		default:
			err = t.x.Skip()
		}
		return err
	})
	return d, err
}

func (t *tree) propstat(d *described) error {
	var props []*node
	status := 0
	err := t.children(func() (err error) {
		switch {
		case t.is("prop"):
			err = t.children(func() error {
				n, err := t.element()
				props = append(props, n)
				return err
			})
		case t.is("status"):
			status, err = t.statusLine()
		default:
			err = t.x.Skip()
		}
		return err
	})
	if err == nil && status == http.StatusOK {
		d.props.child = append(d.props.child, props...)
	}
	return err
}

// element reads the element at hand with everything in it: its children, or where it has none its text.
func (t *tree) element() (*node, error) {
	n := &node{name: t.x.Name(), attr: t.x.Attr("name")}
	if t.nodes++; t.nodes > t.maxNodes {
		return n, fmt.Errorf("an answer of more than %d elements, too many for %d collections: raise limits.collections", t.maxNodes, t.maxNodes/nodesPerCollection-1)
	}
	err := t.x.Content(maxText, func() error {
		c, err := t.element()
		n.child = append(n.child, c)
		return err
	}, func(text []byte) {
		t.texts += len(text)
		if s := strings.TrimSpace(string(text)); s != "" {
			n.text = s
		}
	})
	if err == nil && t.texts > maxTexts {
		err = fmt.Errorf("an answer with more than %d bytes of text", maxTexts)
	}
	return n, err
}

// precondition is the name of the element in a DAV:error (RFC 4918 16), "" where body is none. The privilege
// errors of RFC 3744 and the first other child are told apart by name.
func precondition(body []byte, contentType string) string {
	decoded, err := xmlpull.Decoded(bytes.NewReader(body), contentType)
	if err != nil {
		return ""
	}
	x := xmlpull.NewReader(decoded)
	defer x.Release()
	if _, err := x.Next(); err != nil || x.Name() != (xmlpull.Name{Space: davNS, Local: "error"}) {
		return ""
	}
	first := ""
	for {
		kind, err := x.Next()
		if err != nil || kind == xmlpull.End {
			return first
		}
		n := x.Name()
		switch {
		case n.Space == davNS && n.Local == validSyncToken:
			return validSyncToken
		case first == "" && (n.Space == davNS || n.Space == caldavNS):
			first = n.Local
		}
		if err := x.Skip(); err != nil {
			return first
		}
	}
}

// The preconditions that mean something to us (RFC 6578 3.2, RFC 3253 3.6).
const (
	validSyncToken  = "valid-sync-token"
	supportedReport = "supported-report"
	needPrivileges  = "need-privileges"
)
