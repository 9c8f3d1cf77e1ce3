package caldav

import (
	"fmt"
	"strings"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/ical"
)

// member is a resource of a collection as a listing shows it.
type member struct {
	id   string // normal form of the href
	href string // as written, for requests
	etag string
}

// object says how a member's body becomes rows.
func (p *poll) object(m member) ical.Object {
	name, _ := p.place.member(m.id)
	return ical.Object{
		Source: p.account.cfg.Source, Account: p.account.name, Collection: p.place.id, Name: decode(name),
		Href: strings.ToValidUTF8(m.href, "\uFFFD"), ETag: strings.ToValidUTF8(m.etag, "\uFFFD"),
		Components: p.account.cfg.Components, Raw: p.account.cfg.Raw, MaxRaw: p.account.cfg.MaxRaw,
	}
}

// read is a member with its body.
func (p *poll) read(m member, body []byte) connector.Resource {
	return connector.Resource{ID: m.id, Presence: connector.Read, ETag: m.etag, Hash: connector.HashOf(body),
		Rows: ical.Rows(p.object(m), body)}
}

// failed is a member whose body was refused.
func (p *poll) failed(m member, err error) connector.Resource {
	return connector.Resource{ID: m.id, Presence: connector.Failed, ETag: m.etag, Err: err,
		Rows: []connector.Row{ical.Unreadable(p.object(m), "the body could not be read: "+err.Error())}}
}

// bodied is a member with the body that an answer holds of it.
func (p *poll) bodied(m member, r *response) connector.Resource {
	if r.tooLong {
		return p.failed(m, fmt.Errorf("it is longer than %d bytes", p.account.cfg.MaxBody))
	}
	p.bodies.Add(1)
	p.bodyBytes.Add(int64(len(r.data)))
	return p.read(m, r.data)
}

func missing(m member) connector.Resource {
	return connector.Resource{ID: m.id, Presence: connector.Missing, ETag: m.etag}
}
