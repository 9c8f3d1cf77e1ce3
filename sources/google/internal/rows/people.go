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
	f := b.enter("", object)
	for f == given && b.more() {
		switch member := b.name(); member {
		case "email":
			b.into(member, &email)
		case "displayName":
			b.into(member, &name)
		default:
			b.value()
		}
	}
	b.row.OrganizerEmail, b.row.OrganizerName = b.opt(email), b.opt(name)
	return f == null || email != "" || name != ""
}

func (b *builder) readAttendees() bool {
	f := b.enter("", list)
	for f == given && b.element() {
		b.readAttendee()
	}
	return f != wrong
}

func (b *builder) readAttendee() {
	if b.enter("", object) != given {
		return
	}
	var email, name, response string
	var isOptional, isResource bool
	for b.more() {
		switch member := b.name(); member {
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
	}
	a := connector.Attendee{Email: b.opt(email), Name: b.opt(name), Role: &required, Response: b.opt(response)}
	if isOptional {
		a.Role = &optional
	}
	if isResource {
		a.Type = &resource
	}
	if b.row.Attendees == nil {
		b.row.Attendees = make([]connector.Attendee, 0, 4)
	}
	b.row.Attendees = append(b.row.Attendees, a)
}
