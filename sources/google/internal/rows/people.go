package rows

import "github.com/calcdc/calcdc/connector"

// Words for what Google says with flags: those that it writes itself when it exports an event as iCalendar, in lower
// case, as sources/ical has them.
var (
	required = "req-participant"
	optional = "opt-participant"
	resource = "resource"
)

func (b *builder) readOrganizer() bool {
	var email, name string
	f := b.readObject("", func(member string) {
		switch member {
		case "email":
			b.into(member, &email)
		case "displayName":
			b.into(member, &name)
		default:
			b.value()
		}
	})
	b.row.OrganizerEmail, b.row.OrganizerName = b.opt(email), b.opt(name)
	return f == null || email != "" || name != ""
}

func (b *builder) readAttendees() bool {
	return b.readArray("", b.readAttendee) != wrong
}

func (b *builder) readAttendee() {
	var email, name, response string
	a := connector.Attendee{Role: &required}
	f := b.readObject("", func(member string) {
		isOptional, isResource := false, false
		switch member {
		case "email":
			b.into(member, &email)
		case "displayName":
			b.into(member, &name)
		case "responseStatus":
			b.into(member, &response)
		case "optional":
			b.flag(member, &isOptional)
		case "resource":
			b.flag(member, &isResource)
		default:
			b.value()
		}
		if isOptional {
			a.Role = &optional
		}
		if isResource {
			a.Type = &resource
		}
	})
	if f != given {
		return
	}
	a.Email, a.Name, a.Response = b.opt(email), b.opt(name), b.opt(response)
	b.row.Attendees = append(b.row.Attendees, a)
}
