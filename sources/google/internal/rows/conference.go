package rows

// readHangoutLink keeps the link until it is known whether it is the one to join by.
func (b *builder) readHangoutLink() bool {
	s, f := b.readString("")
	if f == given {
		b.hangoutLink = s
	}
	return f != wrong
}

// readConference notices the entry point for video. The conference as a whole has no column.
func (b *builder) readConference() bool {
	f := b.enter("", object)
	for f == given && b.more() {
		switch member := b.name(); member {
		case "entryPoints":
			b.readEntryPoints(member)
		default:
			b.value()
		}
	}
	return f == null
}

func (b *builder) readEntryPoints(member string) {
	if b.enter(member, list) != given {
		return
	}
	for b.element() {
		b.readEntryPoint(member)
	}
}

func (b *builder) readEntryPoint(member string) {
	if b.enter(member, object) != given {
		return
	}
	var kind, uri string
	for b.more() {
		switch name := b.name(); name {
		case "entryPointType":
			b.into(name, &kind)
		case "uri":
			b.into(name, &uri)
		default:
			b.value()
		}
	}
	if kind == "video" && b.video == "" {
		b.video = uri
	}
}

// conference chooses the link to join by: that of the conference or, where it has none, of the older Hangout.
func (b *builder) conference() {
	link := b.video
	if link == "" {
		link = b.hangoutLink
	}
	b.row.ConferenceURL = b.opt(link)
	if b.hangoutLink != link {
		b.keep("hangoutLink", b.hangoutLink)
	}
}
