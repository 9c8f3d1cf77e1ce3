package rows

// readHangoutLink keeps the link until it is known whether it is the one to join by.
func (b *builder) readHangoutLink() bool {
	s, f := b.readString("")
	if f == given {
		b.hangoutLink = s
	}
	return f != wrong
}

// readConference notices the entry point for video. The rest has no column.
func (b *builder) readConference() bool {
	b.readObject("", func(member string) {
		if member != "entryPoints" {
			b.value()
			return
		}
		b.readArray(member, b.readEntryPoint)
	})
	return false
}

func (b *builder) readEntryPoint() {
	var kind, uri string
	b.readObject("entryPoints", func(member string) {
		switch member {
		case "entryPointType":
			b.into("entryPoints."+member, &kind)
		case "uri":
			b.into("entryPoints."+member, &uri)
		default:
			b.value()
		}
	})
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
