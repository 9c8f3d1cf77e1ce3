package davserver

import (
	"encoding/xml"
	"net/http"
	"slices"
)

// serveSync answers a sync-collection REPORT (RFC 6578 3.2).
func (s *Server) serveSync(w http.ResponseWriter, _ *http.Request, rq request) {
	if s.opts.NoSync {
		servePrecondition(w, http.StatusForbidden, "supported-report")
		return
	}
	if rq.limit > 0 && s.opts.RefuseLimit {
		servePrecondition(w, http.StatusInsufficientStorage, "number-of-matches-within-limits")
		return
	}
	d, status := s.delta(rq)
	switch {
	case status != 0:
		http.Error(w, http.StatusText(status), status)
	case !d.known:
		servePrecondition(w, http.StatusForbidden, "valid-sync-token")
	default:
		d.serve(w, rq, newTemplate(rq.props, s.opts.InlineData), s.opts.ShortPages)
	}
}

// delta is the answer to a sync-collection REPORT.
type delta struct {
	known   bool // the token is
	changes []*entry
	more    bool
	token   string
	path    string
}

// delta reads what changed since rq.token. An HTTP status says why it cannot.
func (s *Server) delta(rq request) (delta, int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, status := s.seen(rq.at)
	if status != 0 {
		return delta{}, status
	}
	limit := s.opts.PageLimit
	if rq.limit > 0 && (limit == 0 || rq.limit < limit) {
		limit = rq.limit
	}
	d := delta{known: true, path: c.path}
	var since uint64
	if rq.token != "" {
		since, d.known = s.sequence(c, rq.token)
	}
	full := rq.token == "" || !d.known && s.opts.SilentForget
	d.changes, d.more = c.since(since, !full, limit)
	d.known = d.known || full
	d.token = s.token(c, c.seq)
	if d.more {
		d.token = s.token(c, d.changes[len(d.changes)-1].seq)
	}
	return d, 0
}

func (d delta) serve(w http.ResponseWriter, rq request, t *template, short bool) {
	m := newMultistatus(w)
	for _, e := range d.changes {
		switch {
		case slices.Contains(rq.faults.Drop, e.name):
		case e.body == nil:
			m.status(e.href, http.StatusNotFound, "")
		default:
			m.object(e, t)
		}
	}
	if d.more && !short {
		m.status(appendEscaped(nil, []byte(d.path), false), http.StatusInsufficientStorage,
			"<error><number-of-matches-within-limits/></error>")
	}
	m.end("<sync-token>", d.token, "</sync-token>")
}

// serveMultiget answers a calendar-multiget REPORT (RFC 4791 7.9).
func (s *Server) serveMultiget(w http.ResponseWriter, _ *http.Request, rq request) {
	found, status := s.lookup(rq)
	if status == 0 && s.opts.MissingFails && slices.Contains(found, nil) {
		status = http.StatusNotFound
	}
	if status != 0 {
		http.Error(w, http.StatusText(status), status)
		return
	}
	m, t := newMultistatus(w), newTemplate(rq.props, true)
	for i, e := range found {
		switch {
		case e == nil && s.opts.OmitMissing:
		case e == nil:
			m.status(appendEscaped(nil, []byte(rq.hrefs[i]), false), http.StatusNotFound, "")
		case rq.faults.Refuse[e.name] != 0:
			m.status(e.href, rq.faults.Refuse[e.name], "")
		case !slices.Contains(rq.faults.Drop, e.name):
			m.object(e, t)
		}
	}
	m.end()
}

// lookup finds the objects of rq.hrefs, nil for what is not there.
func (s *Server) lookup(rq request) ([]*entry, int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, status := s.seen(rq.at)
	if status != 0 {
		return nil, status
	}
	found := make([]*entry, len(rq.hrefs))
	for i, href := range rq.hrefs {
		at, err := parsePath(href)
		if err == nil && at.depth == 4 && at.user == rq.at.user && at.calendar == rq.at.calendar {
			found[i] = c.object(at.object)
		}
	}
	return found, 0
}

// servePrecondition answers with a DAV:error that names the precondition (RFC 4918 16).
func servePrecondition(w http.ResponseWriter, status int, precondition string) {
	w.Header().Set("Content-Type", `application/xml; charset="utf-8"`)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(xml.Header + `<error xmlns="DAV:"><` + precondition + `/></error>`))
}
