package googleserver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// page is one answer of a list request on its way.
type page struct {
	head  object // what stands before the items, tokens included
	etag  string
	items [][]byte
}

// serveList answers the list requests.
func (s *Server) serveList(w http.ResponseWriter, r *http.Request, rq Request, q *query, f Fault) *Error {
	s.expire(rq)
	s.mu.RLock()
	p, e := s.list(rq, q, f)
	s.mu.RUnlock()
	if e != nil {
		return e
	}
	for i, item := range p.items {
		if f.Mangle != nil {
			p.items[i] = f.Mangle(item)
		}
	}
	if f.Endless {
		p.endless(w, r)
		return nil
	}
	body, ends := p.encode()
	if f.CutItem > 0 && f.CutItem <= len(ends) {
		cut(w, body, ends[f.CutItem-1]-len(p.items[f.CutItem-1])/2)
		return nil
	}
	s.send(w, r, q, p.etag, body)
	return nil
}

// expire forgets tombstones by their age.
func (s *Server) expire(rq Request) {
	if s.opts.TombstoneLife == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.listOf(rq.Kind, rq.User, rq.Calendar); l != nil {
		l.age(s.now(), s.opts.TombstoneLife)
	}
}

// list makes the page that a request asks for. s.mu is held for reading.
func (s *Server) list(rq Request, q *query, f Fault) (*page, *Error) {
	c, role, e := s.admit(rq)
	if e != nil {
		return nil, e
	}
	l := s.listOf(rq.Kind, rq.User, rq.Calendar)
	if rq.Kind == EventsInstances && l.living(rq.ID) == nil {
		return nil, NotFound
	}
	q.series = rq.ID
	m, e := s.resume(l, q)
	if e != nil {
		return nil, e
	}
	p := &page{head: s.head(rq, q, l, c, role)}
	p.etag = p.head.text("etag")
	if s.opts.EmptyPages > 0 && m.Blank < s.opts.EmptyPages {
		m.Blank++
		p.head = p.head.with("nextPageToken", s.seal(m))
		return p, nil
	}
	vs, next, more := s.pick(l, q, m, f.Shift)
	for _, v := range vs {
		if !slices.Contains(f.Drop, v.id) {
			p.items = append(p.items, view(v, role, q, m.Delta))
		}
	}
	switch {
	case f.Tokenless:
	case f.Loop:
		p.head = p.head.with("nextPageToken", s.seal(m))
	case more:
		m.At, m.Blank = next, 0
		p.head = p.head.with("nextPageToken", s.seal(m))
	case q.tokenable():
		p.head = p.head.with("nextSyncToken", s.seal(s.syncMark(l, q, m)))
	}
	return p, nil
}

// resume checks a request's tokens and says where its page begins.
func (s *Server) resume(l *list, q *query) (mark, *Error) {
	now := s.now()
	m := mark{
		Page: true, Kind: q.kind, User: q.user, List: l.uid, Query: q.identity, Seq: l.seq, Issued: now.UnixMilli(),
		Gen: len(l.deaths), Mine: len(l.mine[q.user]), Pages: l.pageDeath,
	}
	if q.has("syncToken") {
		t, ok := s.unseal(q.values.Get("syncToken"))
		if !ok {
			return m, InvalidSyncToken
		}
		if e := s.checkSync(t, l, q, now); e != nil {
			return m, e
		}
		m.Delta, m.At = true, t.Seq
	}
	if q.updatedMin != nil && now.Sub(*q.updatedMin) > s.opts.UpdatedMinAge {
		return m, UpdatedMinTooLongAgo
	}
	if !q.has("pageToken") {
		return m, nil
	}
	t, ok := s.unseal(q.values.Get("pageToken"))
	if !ok {
		return m, InvalidPageToken
	}
	if e := s.checkPage(t, l, q, now); e != nil {
		return m, e
	}
	t.Issued = now.UnixMilli()
	return t, nil
}

// syncMark is the sync token of a listing that m is the last page of. A full list's shows again what changed since the
// listing began; a delta has shown everything up to now.
func (s *Server) syncMark(l *list, q *query, m mark) mark {
	t := mark{
		Kind: q.kind, User: q.user, List: l.uid, Query: q.binding, Seq: m.Seq, Issued: s.now().UnixMilli(),
		Gen: m.Gen, Mine: m.Mine,
	}
	if m.Delta {
		t.Seq = l.seq
	}
	return t
}

// tokenable says whether a query gets a sync token: restrictions that tokens refuse leave it without, a range of time
// aside, which the synchronisation guide's own sample begins with. Expanded series get none here.
func (q *query) tokenable() bool {
	return q.kind != EventsInstances && !q.on("singleEvents") &&
		!slices.ContainsFunc(refused[q.kind], func(name string) bool {
			return q.has(name) && name != "timeMin" && name != "timeMax"
		})
}

// pick chooses a page's versions.
func (s *Server) pick(l *list, q *query, m mark, shift int) (vs []*version, next uint64, more bool) {
	size := q.size
	if s.opts.PageLimit > 0 {
		size = min(size, s.opts.PageLimit)
	}
	if m.Delta {
		return l.since(m.At, size, func(v *version) bool { return !v.silent && q.wantsType(v) })
	}
	if shift != 0 {
		m.At = l.back(m.At, shift)
	}
	if !q.on("singleEvents") && !q.has("orderBy") && q.kind != EventsInstances {
		return l.after(m.At, size, q.wants)
	}
	all := q.sort(q.gather(l))
	from := min(m.At, uint64(len(all)))
	to := min(from+uint64(size), uint64(len(all)))
	return all[from:to], to, to < uint64(len(all))
}

// sort orders what has been gathered as orderBy says.
func (q *query) sort(all []*version) []*version {
	switch q.values.Get("orderBy") {
	case "updated":
		slices.SortStableFunc(all, func(a, b *version) int { return a.updated.Compare(b.updated) })
	case "startTime":
		slices.SortStableFunc(all, func(a, b *version) int { return a.facts.Start.time().Compare(b.facts.Start.time()) })
	}
	return all
}

// head is what a list says of itself.
func (s *Server) head(rq Request, q *query, l *list, c *calendar, role Role) object {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %s %s %x", l.uid, l.edition, rq.User, q.identity, s.key)
	kind, _, _ := strings.Cut(string(rq.Kind), ".")
	o := object{}.with("kind", "calendar#"+kind).with("etag", fmt.Sprintf(`"p%d"`, h.Sum64()))
	if c == nil || kind != "events" {
		return o
	}
	e := s.users[rq.User].subs[c.id]
	return o.with("summary", c.Summary).with("description", c.Description).with("updated", timestamp(c.events.updated)).
		with("timeZone", c.zone()).with("accessRole", role).with("defaultReminders", e.reminders())
}

// admit finds the calendar of a request and says what its user may do with it.
func (s *Server) admit(rq Request) (*calendar, Role, *Error) {
	if rq.Calendar == "" {
		return nil, Owner, nil
	}
	c := s.find(rq.User, rq.Calendar)
	if c == nil {
		return nil, None, NotFound
	}
	role := c.roleOf(rq.User)
	switch {
	case role == None && s.opts.UnsharedStatus == http.StatusForbidden:
		return nil, None, Forbidden
	case role == None:
		return nil, None, NotFound
	case (rq.Kind == ACLList || rq.Kind == ACLGet) && role != Owner:
		return nil, None, Forbidden
	}
	return c, role, nil
}

// serveItem answers the get requests.
func (s *Server) serveItem(w http.ResponseWriter, r *http.Request, rq Request, q *query, f Fault) *Error {
	s.mu.RLock()
	etag, body, e := s.item(rq, q)
	s.mu.RUnlock()
	if e != nil {
		return e
	}
	if f.Mangle != nil {
		body = f.Mangle(body)
	}
	s.send(w, r, q, etag, body)
	return nil
}

// item finds what a get request names. s.mu is held for reading.
func (s *Server) item(rq Request, q *query) (etag string, body []byte, e *Error) {
	u := s.users[rq.User]
	var l *list
	id, role := rq.ID, Owner
	switch rq.Kind {
	case CalendarListGet:
		l, id = u.entries, rq.Calendar
		if id == "primary" {
			id = u.email
		}
		if l.living(id) == nil {
			return "", nil, NotFound
		}
	case SettingsGet:
		l = u.settings
	default:
		var c *calendar
		if c, role, e = s.admit(rq); e != nil {
			return "", nil, e
		}
		if rq.Kind == CalendarsGet {
			o, err := c.describe(c.etag)
			if err != nil {
				return "", nil, BackendError
			}
			return c.etag, o.bytes(), nil
		}
		if l = c.events; rq.Kind == ACLGet {
			l = c.acl
		}
	}
	v := l.current(id)
	if v == nil || (v.gone && rq.Kind == ACLGet) || (v.gone && s.opts.TombstoneLife > 0 && s.now().Sub(v.updated) > s.opts.TombstoneLife) {
		return "", nil, NotFound
	}
	return v.etag, view(v, role, q, false), nil
}

// encode is the page as JSON, and where each item ends in it.
func (p *page) encode() (body []byte, ends []int) {
	n := 0
	for _, item := range p.items {
		n += len(item) + 1
	}
	head := p.head.bytes()
	b := append(make([]byte, 0, n+len(head)+16), head[:len(head)-1]...)
	b = append(b, `,"items":[`...)
	for i, item := range p.items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, item...)
		ends = append(ends, len(b))
	}
	return append(b, "]}"...), ends
}

// endless sends the page's items until the client leaves.
func (p *page) endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	head := p.head.bytes()
	_, err := w.Write(append(head[:len(head)-1:len(head)-1], `,"items":[{"id":"first"}`...))
	for err == nil && r.Context().Err() == nil {
		for _, item := range append(p.items, []byte(`{"id":"more"}`)) {
			if _, err = w.Write(append([]byte{','}, item...)); err != nil {
				break
			}
		}
	}
}

// cut breaks the connection off after n bytes of the body.
func cut(w http.ResponseWriter, body []byte, n int) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body[:n])
}

// send answers with JSON in the form that the request asks for.
func (s *Server) send(w http.ResponseWriter, r *http.Request, q *query, etag string, body []byte) {
	h := w.Header()
	h.Set("ETag", etag)
	h.Set("Vary", "Origin, X-Origin, Referer")
	h.Set("Cache-Control", "private, max-age=0, must-revalidate, no-transform")
	h.Set("Expires", s.now().UTC().Format(http.TimeFormat))
	if match := r.Header.Get("If-Match"); match != "" && !matches(match, etag) {
		PreconditionFailed.write(w)
		return
	}
	if matches(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/json; charset=UTF-8")
	if q.fields != nil {
		body = q.fields.apply(body)
	}
	if q.values.Get("prettyPrint") != "false" {
		var b bytes.Buffer
		if json.Indent(&b, body, "", " ") == nil { // what is not JSON goes out as it is
			body = append(b.Bytes(), '\n')
		}
	}
	if !s.opts.NoGzip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = compress(body)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client has gone
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil // the level exists
	}
	_, _ = z.Write(body) // into memory
	_ = z.Close()
	return b.Bytes()
}

// matches says whether an If-None-Match names the ETag.
func matches(header, etag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == "*" || one == etag {
			return true
		}
	}
	return false
}
