package caldav

import (
	"encoding/xml"
	"fmt"
	"strings"
)

const (
	davNS    = "DAV:"
	caldavNS = "urn:ietf:params:xml:ns:caldav"
	csNS     = "http://calendarserver.org/ns/"
	appleNS  = "http://apple.com/ns/ical/"

	prolog     = `<?xml version="1.0" encoding="utf-8"?>` + "\n"
	namespaces = ` xmlns:d="DAV:" xmlns:c="` + caldavNS + `" xmlns:cs="` + csNS + `" xmlns:a="` + appleNS + `"`
)

// propfind asks for the named properties, written with the prefixes of namespaces.
func propfind(props ...string) []byte {
	return []byte(prolog + `<d:propfind` + namespaces + `>` + prop(props) + `</d:propfind>`)
}

func prop(names []string) string {
	return `<d:prop><` + strings.Join(names, `/><`) + `/></d:prop>`
}

// syncCollection is RFC 6578 3.2: what has changed since token, or everything when it is empty.
func syncCollection(token string, limit int, inline bool) []byte {
	var b strings.Builder
	b.WriteString(prolog + `<d:sync-collection` + namespaces + `><d:sync-token>`)
	escape(&b, token)
	b.WriteString(`</d:sync-token><d:sync-level>1</d:sync-level>`)
	if limit > 0 {
		fmt.Fprintf(&b, `<d:limit><d:nresults>%d</d:nresults></d:limit>`, limit)
	}
	b.WriteString(prop(memberProps(inline)) + `</d:sync-collection>`)
	return []byte(b.String())
}

// memberProps are the properties of members that a listing asks for.
func memberProps(inline bool) []string {
	if inline {
		return []string{"d:getetag", "d:resourcetype", "c:calendar-data"}
	}
	return []string{"d:getetag", "d:resourcetype"}
}

// multiget is RFC 4791 7.9: the named members, with their bodies or without. The properties stand before the hrefs
// (DAViCal); there must be a href (DAViCal answers 500 to none).
func multiget(hrefs []string, bodies bool) []byte {
	var b strings.Builder
	b.Grow(512 + 96*len(hrefs))
	props := []string{"d:getetag"}
	if bodies {
		props = append(props, "c:calendar-data")
	}
	b.WriteString(prolog + `<c:calendar-multiget` + namespaces + `>` + prop(props))
	for _, h := range hrefs {
		b.WriteString(`<d:href>`)
		escape(&b, h)
		b.WriteString(`</d:href>`)
	}
	b.WriteString(`</c:calendar-multiget>`)
	return []byte(b.String())
}

func escape(b *strings.Builder, s string) {
	_ = xml.EscapeText(b, []byte(s)) // a strings.Builder takes everything
}
