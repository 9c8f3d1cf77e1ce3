package ical

import (
	"strings"

	goical "github.com/emersion/go-ical"

	"github.com/calcdc/calcdc/connector"
)

// conference finds the link to join a meeting by.
type conference struct {
	given  string // CONFERENCE (RFC 7986)
	vendor string // a vendor's own property
}

// take reads CONFERENCE, which has a column; a vendor's property is noticed but stays among the others.
func (c *conference) take(p *property) bool {
	value := strings.TrimSpace(clean(p.value))
	switch p.name {
	case goical.PropConference:
		if c.given != "" || value == "" {
			return false
		}
		c.given = value
		return true
	case "X-GOOGLE-CONFERENCE", "X-MICROSOFT-SKYPETEAMSMEETINGURL", "X-MICROSOFT-ONLINEMEETINGEXTERNALLINK",
		"X-MICROSOFT-ONLINEMEETINGCONFLINK":
		if c.vendor == "" && isWeb(value) {
			c.vendor = value
		}
	}
	return false
}

// find returns the link: the one given, a vendor's, or the first in place, URL or description that leads to a
// service for meetings.
func (c *conference) find(e *connector.Event) string {
	switch {
	case c.given != "":
		return c.given
	case c.vendor != "":
		return c.vendor
	}
	for _, s := range []*string{e.Location, e.URL, e.Description} {
		if s == nil {
			continue
		}
		if link := meetingLink(*s); link != "" {
			return link
		}
	}
	return ""
}

// maxLink is how much of a link is looked at, bytes.
const maxLink = 2048

func isWeb(s string) bool { return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") }

// meetingLink returns the first link in s that leads to a service for meetings.
func meetingLink(s string) string {
	for {
		i := strings.Index(s, "://")
		if i < 0 {
			return ""
		}
		start := i - len("http")
		if start > 0 && s[i-1] == 's' {
			start--
		}
		if start < 0 || !isWeb(s[start:i+3]) {
			s = s[i+3:]
			continue
		}
		end := min(len(s), i+maxLink)
		if n := strings.IndexAny(s[i:end], " \t\n\r<>\"'()[]{}|\\^`"); n >= 0 {
			end = i + n
		}
		if isMeeting(s[i+3 : end]) {
			return strings.TrimRight(s[start:end], ".,;:!?*_")
		}
		s = s[end:]
	}
}

// isMeeting tells whether a URL without its scheme is one to join a meeting by.
func isMeeting(u string) bool {
	host, path, _ := strings.Cut(u, "/")
	host = strings.ToLower(host)
	in := func(domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) }
	under := func(paths ...string) bool {
		for _, p := range paths {
			if strings.HasPrefix(path, p) && len(path) > len(p) {
				return true
			}
		}
		return false
	}
	switch {
	case in("teams.microsoft.com"), in("teams.microsoft.us"), in("teams.live.com"):
		return under("l/meetup-join/", "meet/", "l/meeting/")
	case in("zoom.us"), in("zoomgov.com"), in("zoom.com"):
		return under("j/", "my/", "w/", "s/", "wc/join/")
	case host == "meet.google.com":
		return path != ""
	case host == "meet.jit.si", strings.HasPrefix(host, "jitsi."), strings.Contains(host, ".jitsi."), in("8x8.vc"):
		return path != ""
	case in("webex.com"):
		return under("meet/", "join/") || strings.Contains(path, "/j.php")
	}
	return false
}
