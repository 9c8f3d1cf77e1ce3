package ical

import (
	"net/url"
	"strings"

	goical "github.com/emersion/go-ical"

	"github.com/calcdc/calcdc/connector"
)

func (b *builder) organizer(p *property) bool {
	if b.row.OrganizerEmail != nil || b.row.OrganizerName != nil {
		return false
	}
	b.row.OrganizerEmail, b.row.OrganizerName = b.opt(address(p)), b.opt(commonName(p))
	return true
}

func (b *builder) attendee(p *property) connector.Attendee {
	return connector.Attendee{
		Email:    b.opt(address(p)),
		Name:     b.opt(commonName(p)),
		Role:     b.opt(word(p.param(goical.ParamRole))),
		Type:     b.opt(word(p.param(goical.ParamCalendarUserType))),
		Response: b.opt(word(p.param(goical.ParamParticipationStatus))),
	}
}

// address is the e-mail address of a CAL-ADDRESS: that of its mailto: or, where it is another URI, of its EMAIL
// parameter; without one the URI itself, so that who it is is not lost.
func address(p *property) string {
	value := strings.TrimSpace(clean(p.value))
	email, ok := cutFold(value, "MAILTO:")
	switch {
	case ok:
		if decoded, err := url.PathUnescape(email); err == nil && strings.IndexByte(email, '%') >= 0 {
			email = clean(strings.ToValidUTF8(decoded, "\uFFFD"))
		}
		return strings.TrimSpace(email)
	case p.param(goical.ParamEmail) != "":
		return clean(p.param(goical.ParamEmail))
	case strings.EqualFold(value, "invalid:nomail"):
		return ""
	}
	if scheme, rest, ok := strings.Cut(value, ":"); ok {
		return strings.ToLower(scheme) + ":" + rest
	}
	return value
}

// commonName is the CN parameter. Some write a TEXT's escapes in it.
func commonName(p *property) string {
	cn := p.param(goical.ParamCommonName)
	if strings.Contains(cn, `\,`) || strings.Contains(cn, `\;`) {
		return text(cn)
	}
	return clean(cn)
}
