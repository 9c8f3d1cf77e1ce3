package davserver

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"

	"github.com/emersion/go-ical"
	"github.com/emersion/go-webdav/caldav"
)

// serveGet serves an object's bytes.
func (s *Server) serveGet(w http.ResponseWriter, r *http.Request, rq request) {
	s.mu.RLock()
	e, status := s.objectAt(rq.at)
	s.mu.RUnlock()
	if status != 0 {
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", "text/calendar; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(e.body)))
	setETag(w, e)
	if r.Method == http.MethodGet {
		_, _ = w.Write(e.body)
	}
}

// servePut stores an object, if it is one (RFC 4791 5.3.2).
func (s *Server) servePut(w http.ResponseWriter, r *http.Request, rq request) {
	body, _ := io.ReadAll(r.Body) // from memory
	if cal, err := ical.NewDecoder(bytes.NewReader(body)).Decode(); err != nil {
		serveCalendarError(w, "valid-calendar-data")
		return
	} else if _, _, err := caldav.ValidateCalendarObject(cal); err != nil {
		serveCalendarError(w, "valid-calendar-object-resource")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, status := s.objectAt(rq.at)
	switch {
	case rq.at.depth != 4, status != 0 && s.calendar(rq.at.user, rq.at.calendar) == nil:
		http.Error(w, "no calendar there", http.StatusConflict)
		return
	case !s.conditionsHold(r, old):
		http.Error(w, "changed meanwhile", http.StatusPreconditionFailed)
		return
	}
	if old == nil || !bytes.Equal(old.body, body) {
		setETag(w, s.put(s.calendar(rq.at.user, rq.at.calendar), rq.at.object, body))
	} else {
		setETag(w, old)
	}
	if old == nil {
		w.WriteHeader(http.StatusCreated)
	} else {
		w.WriteHeader(http.StatusNoContent)
	}
}

// serveDelete removes an object or a calendar.
func (s *Server) serveDelete(w http.ResponseWriter, r *http.Request, rq request) {
	if rq.at.depth == 3 {
		if !s.DeleteCalendar(rq.at.user, rq.at.calendar) {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, status := s.objectAt(rq.at)
	switch {
	case status != 0:
		http.Error(w, http.StatusText(status), status)
	case !s.conditionsHold(r, old):
		http.Error(w, "changed meanwhile", http.StatusPreconditionFailed)
	default:
		s.remove(s.calendar(rq.at.user, rq.at.calendar), rq.at.object)
		w.WriteHeader(http.StatusNoContent)
	}
}

// serveMake makes a calendar (RFC 4791 5.3.1, RFC 5689).
func (s *Server) serveMake(w http.ResponseWriter, _ *http.Request, rq request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rq.at.depth != 3 {
		http.Error(w, "calendars live in the home", http.StatusForbidden)
		return
	}
	if s.calendar(rq.at.user, rq.at.calendar) != nil {
		servePrecondition(w, http.StatusForbidden, "resource-must-be-null")
		return
	}
	p := Properties{Components: []string{"VEVENT", "VTODO"}}
	for _, set := range rq.set {
		p.set(set)
	}
	s.makeCalendar(rq.at.user, rq.at.calendar, p)
	w.WriteHeader(http.StatusCreated)
}

// servePatch sets properties of a calendar; those that it does not keep are refused one by one.
func (s *Server) servePatch(w http.ResponseWriter, _ *http.Request, rq request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, status := s.seen(rq.at)
	if status != 0 || rq.at.depth != 3 {
		http.Error(w, "no calendar there", http.StatusNotFound)
		return
	}
	m := newMultistatus(w)
	m.buf = appendEscaped(append(m.buf, "<response><href>"...), []byte(c.path), false)
	m.buf = append(m.buf, "</href>"...)
	for _, set := range rq.set {
		answer := http.StatusForbidden
		if c.set(set) {
			answer = http.StatusOK
		}
		m.buf = appendName(append(m.buf, "<propstat><prop>"...), set.name)
		m.buf = appendStatus(append(m.buf, "</prop><status>"...), answer)
		m.buf = append(m.buf, "</status></propstat>"...)
	}
	m.end("</response>")
}

// set keeps a property, if it is one of those that are kept.
func (p *Properties) set(s setting) bool {
	switch s.name {
	case xml.Name{Space: nsDAV, Local: "displayname"}:
		p.DisplayName = s.text
	case xml.Name{Space: nsCalDAV, Local: "calendar-description"}:
		p.Description = s.text
	case xml.Name{Space: nsApple, Local: "calendar-color"}:
		p.Color = s.text
	case xml.Name{Space: nsCalDAV, Local: "calendar-timezone"}:
		p.Timezone = s.text
	default:
		return false
	}
	return true
}

// objectAt finds an object, or says by a status why not. s.mu is held.
func (s *Server) objectAt(at target) (*entry, int) {
	c, status := s.seen(at)
	if status != 0 {
		return nil, status
	}
	if e := c.object(at.object); e != nil {
		return e, 0
	}
	return nil, http.StatusNotFound
}

// conditionsHold checks If-Match and If-None-Match against what is there (nil: nothing).
func (s *Server) conditionsHold(r *http.Request, old *entry) bool {
	if want := r.Header.Get("If-Match"); want != "" && (old == nil || want != "*" && want != old.etag) {
		return false
	}
	none := r.Header.Get("If-None-Match")
	return none == "" || old == nil || none != "*" && none != old.etag
}

func setETag(w http.ResponseWriter, e *entry) {
	if e.etag != "" {
		w.Header().Set("ETag", e.etag)
	}
}

func serveCalendarError(w http.ResponseWriter, precondition string) {
	w.Header().Set("Content-Type", `application/xml; charset="utf-8"`)
	w.WriteHeader(http.StatusForbidden)
	_, _ = w.Write([]byte(xml.Header + `<error xmlns="DAV:"><` + precondition + ` xmlns="` + nsCalDAV + `"/></error>`))
}
