package davserver

import (
	"encoding/xml"
	"net/http"
	"slices"
)

// collectionView is a home or a calendar as a PROPFIND sees it.
type collectionView struct {
	s    *Server
	user string
	path string    // escaped
	cal  *calendar // nil: the home
	name string    // of the calendar
}

type collectionProp func(b []byte, v collectionView) []byte // b unchanged: it has no such property

// collectionProps are the properties of homes and calendars, in the order in which allprop gives them.
var collectionProps = []struct {
	name   xml.Name
	append collectionProp
}{
	{xml.Name{Space: nsDAV, Local: "resourcetype"}, appendResourceType},
	{xml.Name{Space: nsDAV, Local: "current-user-principal"}, func(b []byte, v collectionView) []byte {
		return v.href(b, "current-user-principal")
	}},
	{xml.Name{Space: nsDAV, Local: "owner"}, func(b []byte, v collectionView) []byte { return v.href(b, "owner") }},
	{xml.Name{Space: nsDAV, Local: "displayname"}, func(b []byte, v collectionView) []byte {
		return v.text(b, "displayname", func(p Properties) string { return p.DisplayName })
	}},
	{xml.Name{Space: nsCalDAV, Local: "calendar-description"}, func(b []byte, v collectionView) []byte {
		return v.text(b, "C:calendar-description", func(p Properties) string { return p.Description })
	}},
	{xml.Name{Space: nsApple, Local: "calendar-color"}, func(b []byte, v collectionView) []byte {
		return v.text(b, "I:calendar-color", func(p Properties) string { return p.Color })
	}},
	{xml.Name{Space: nsCalDAV, Local: "calendar-timezone"}, func(b []byte, v collectionView) []byte {
		return v.text(b, "C:calendar-timezone", func(p Properties) string { return p.Timezone })
	}},
	{xml.Name{Space: nsCalDAV, Local: "supported-calendar-component-set"}, appendComponents},
	{xml.Name{Space: nsDAV, Local: "supported-report-set"}, appendReports},
	{xml.Name{Space: nsDAV, Local: "current-user-privilege-set"}, appendPrivileges},
	{xml.Name{Space: nsDAV, Local: "sync-token"}, func(b []byte, v collectionView) []byte {
		if v.cal == nil || v.s.opts.NoSync {
			return b
		}
		return append(append(append(b, "<sync-token>"...), v.s.token(v.cal, v.cal.seq)...), "</sync-token>"...)
	}},
	{xml.Name{Space: nsServer, Local: "getctag"}, func(b []byte, v collectionView) []byte {
		if v.cal == nil || v.s.opts.NoCTag {
			return b
		}
		return append(append(append(b, "<CS:getctag>"...), v.s.token(v.cal, v.cal.seq)...), "</CS:getctag>"...)
	}},
}

// serveListing answers the PROPFIND of a home or a calendar, Depth 0 or 1 (infinity is taken for 1).
func (s *Server) serveListing(w http.ResponseWriter, r *http.Request, rq request) {
	s.mu.RLock()
	views, members, status := s.listing(rq, r.Header.Get("Depth") != "0")
	var answer []byte
	for _, v := range views {
		answer = v.append(answer, rq.props)
	}
	s.mu.RUnlock()
	if status != 0 {
		http.Error(w, http.StatusText(status), status)
		return
	}
	m := newMultistatus(w)
	m.buf = append(m.buf, answer...)
	t := newTemplate(rq.props, false)
	for _, e := range members {
		if !slices.Contains(rq.faults.Drop, e.name) {
			m.object(e, t)
		}
	}
	m.end()
}

// listing picks what a PROPFIND shows. s.mu is held.
func (s *Server) listing(rq request, deep bool) (views []collectionView, members []*entry, status int) {
	if rq.at.depth == 3 {
		c, status := s.seen(rq.at)
		if status != 0 {
			return nil, nil, status
		}
		if deep {
			members, _ = c.since(0, false, 0)
		}
		return []collectionView{{s, rq.user, c.path, c, rq.at.calendar}}, members, 0
	}
	views = append(views, collectionView{s: s, user: rq.user, path: s.path(rq.user, "calendars")})
	h := s.homes[rq.user]
	for _, name := range h.order {
		c := h.calendars[name]
		if deep && c.hidden == 0 && !slices.Contains(rq.faults.Drop, name) {
			views = append(views, collectionView{s, rq.user, c.path, c, name})
		}
	}
	return views, nil, 0
}

// append adds the view's response: what it has of props, and a 404 propstat of what it lacks.
func (v collectionView) append(b []byte, props []xml.Name) []byte {
	b = appendEscaped(append(b, "<response><href>"...), []byte(v.path), false)
	b = append(b, "</href><propstat><prop>"...)
	var missing []byte
	for _, p := range collectionProps {
		if props == nil || slices.Contains(props, p.name) {
			before := len(b)
			if b = p.append(b, v); len(b) == before && props != nil {
				missing = appendName(missing, p.name)
			}
		}
	}
	for _, name := range props {
		if !slices.ContainsFunc(collectionProps, func(p struct {
			name   xml.Name
			append collectionProp
		}) bool {
			return p.name == name
		}) {
			missing = appendName(missing, name)
		}
	}
	b = append(b, "</prop><status>HTTP/1.1 200 OK</status></propstat>"...)
	if missing != nil {
		b = append(append(b, "<propstat><prop>"...), missing...)
		b = append(b, "</prop><status>HTTP/1.1 404 Not Found</status></propstat>"...)
	}
	return append(b, "</response>\n"...)
}

// href appends the element that leads to the user's principal.
func (v collectionView) href(b []byte, element string) []byte {
	b = append(b, "<"+element+"><href>"...)
	b = appendEscaped(b, []byte(v.s.path(v.user)), false)
	return append(b, "</href></"+element+">"...)
}

// text appends a calendar's property, where it has a value.
func (v collectionView) text(b []byte, element string, of func(Properties) string) []byte {
	if v.cal == nil || of(v.cal.Properties) == "" {
		return b
	}
	b = append(b, "<"+element+">"...)
	b = appendEscaped(b, []byte(of(v.cal.Properties)), false)
	return append(b, "</"+element+">"...)
}

func appendResourceType(b []byte, v collectionView) []byte {
	if v.cal == nil {
		return append(b, "<resourcetype><collection/></resourcetype>"...)
	}
	return append(b, "<resourcetype><collection/><C:calendar/></resourcetype>"...)
}

func appendComponents(b []byte, v collectionView) []byte {
	if v.cal == nil {
		return b
	}
	b = append(b, "<C:supported-calendar-component-set>"...)
	for _, name := range v.cal.Components {
		b = appendEscaped(append(b, `<C:comp name="`...), []byte(name), false)
		b = append(b, `"/>`...)
	}
	return append(b, "</C:supported-calendar-component-set>"...)
}

func appendReports(b []byte, v collectionView) []byte {
	if v.cal == nil {
		return b
	}
	reports := []string{"C:calendar-query", "C:calendar-multiget"}
	if !v.s.opts.NoSync {
		reports = append(reports, "sync-collection")
	}
	b = append(b, "<supported-report-set>"...)
	for _, r := range reports {
		b = append(b, "<supported-report><report><"+r+"/></report></supported-report>"...)
	}
	return append(b, "</supported-report-set>"...)
}

func appendPrivileges(b []byte, v collectionView) []byte {
	b = append(b, "<current-user-privilege-set><privilege><read/></privilege>"...)
	if v.cal == nil || !v.cal.ReadOnly {
		for _, p := range []string{"all", "write", "write-properties", "write-content", "bind", "unbind"} {
			b = append(b, "<privilege><"+p+"/></privilege>"...)
		}
	}
	return append(b, "</current-user-privilege-set>"...)
}
