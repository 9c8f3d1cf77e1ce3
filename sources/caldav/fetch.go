package caldav

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"sync"

	"github.com/calcdc/calcdc/connector"
)

// fetcher gets the bodies of one job's members.
type fetcher struct {
	*poll
	ctx     context.Context //nolint:containedctx // of this job, which ends with it
	out     *results
	entries []entry
	want    map[string]int // positions in entries, by id
}

func (f *fetcher) run() error {
	if len(f.want) == 0 {
		return nil
	}
	ms := make([]member, 0, len(f.want))
	for i, e := range f.entries {
		if e.fetch && f.want[e.id] == i { // one that is listed twice is fetched once
			ms = append(ms, e.member)
		}
	}
	return f.fetch(ms)
}

func (f *fetcher) put(m member, res connector.Resource, bytes int) error {
	return f.out.put(f.want[m.id], res, bytes)
}

// fetch gets ms by multiget. Where the server refuses them all for one of them (sabre/dav 1.8 answers 404 for one
// that is missing), it is found by halving.
func (f *fetcher) fetch(ms []member) error {
	if f.account.byGet() {
		return f.each(ms, f.get)
	}
	left, err := f.multiget(ms)
	if err == nil {
		return f.each(left, f.get) // Xandikos says 404 of what has a '?' in its name, and yet it is there
	}
	var e *Error
	if !errors.As(err, &e) || e.Status == 0 {
		return err
	}
	switch {
	case e.Precondition == supportedReport || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented:
		f.account.setByGet()
		return f.each(ms, f.get)
	case !slices.Contains([]int{http.StatusNotFound, http.StatusGone, http.StatusBadRequest, http.StatusInternalServerError}, e.Status):
		return err
	}
	if err := f.probed.once(f.ctx, f.poll); err != nil {
		return err // it is not about one of them
	}
	switch {
	case len(ms) == 1 && e.Status == http.StatusInternalServerError:
		return f.put(ms[0], f.failed(ms[0], err), 0)
	case len(ms) == 1:
		return f.get(ms[0])
	}
	if err := f.fetch(ms[:len(ms)/2]); err != nil {
		return err
	}
	return f.fetch(ms[len(ms)/2:])
}

func (f *fetcher) each(ms []member, do func(member) error) error {
	for _, m := range ms {
		if err := do(m); err != nil {
			return err
		}
	}
	return nil
}

// multiget sends one request and puts what it answers; left are the members that the answer leaves out, as DAViCal
// and Google do with those that are missing.
func (f *fetcher) multiget(ms []member) (left []member, err error) {
	hrefs := make([]string, len(ms))
	byID := make(map[string]member, len(ms))
	for i, m := range ms {
		hrefs[i], byID[m.id] = m.href, m
	}
	ans, err := f.account.client.do(f.ctx, request{method: "REPORT", url: f.place.url, depth: "1", body: multiget(hrefs, true), want: http.StatusMultiStatus})
	if err != nil {
		return nil, err
	}
	defer ans.Close()
	odd, err := f.answers(ans, byID)
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		if _, ok := byID[m.id]; ok {
			left = append(left, m)
		}
	}
	return left, f.each(odd, f.get)
}

// answers puts what an answer says of byID's members and takes them out of it; odd are those of which it says
// nothing clear.
func (f *fetcher) answers(ans *answer, byID map[string]member) (odd []member, err error) {
	ms, err := newMultistatus(ans.body, ans.Header.Get("Content-Type"), f.account.cfg.MaxBody)
	if err != nil {
		return nil, f.account.unread(f.ctx, ans, err)
	}
	defer ms.release()
	ms.take(f.ctx, f.out.turn(f.account.client.long))
	for {
		r, err := ms.next()
		if errors.Is(err, io.EOF) {
			return odd, nil
		}
		if err != nil {
			return nil, f.account.unread(f.ctx, ans, err)
		}
		raw, _ := resolve(ans.url, r.href)
		m, ok := byID[normalise(raw)]
		if !ok {
			continue
		}
		delete(byID, m.id)
		if unclear(r) {
			odd = append(odd, m)
		} else if err := f.one(m, r); err != nil {
			return nil, err
		}
	}
}

// unclear tells an answer that is neither a body nor a refusal; 404 is taken for a fact only from a GET.
func unclear(r *response) bool {
	switch s := max(r.status, r.dataStatus); {
	case r.hasData:
		return false
	case s == http.StatusNotFound || s == http.StatusGone:
		return true
	default:
		return s/100 != 4 && s/100 != 5
	}
}

// one puts what a response says of m.
func (f *fetcher) one(m member, r *response) error {
	if r.etag != "" {
		m.etag = r.etag
	}
	if r.hasData {
		return f.put(m, f.bodied(m, r), len(r.data))
	}
	return f.put(m, f.failed(m, refusal(max(r.status, r.dataStatus))), 0)
}

func refusal(status int) error {
	return fmt.Errorf("the server answers %d %s", status, http.StatusText(status))
}

// get asks for one body by GET.
func (f *fetcher) get(m member) error {
	ans, err := f.account.client.do(f.ctx, request{method: http.MethodGet, url: address(f.place.url, m.href), want: http.StatusOK})
	if err != nil {
		return f.refused(m, err)
	}
	defer ans.Close()
	turn := f.out.turn(f.account.client.long)
	defer turn.end()
	body, err := readBody(ans.body, f.account.cfg.MaxBody+1, func() error { return turn.begin(f.ctx) })
	if err == nil {
		err = turn.arrived(f.ctx)
	}
	if err != nil {
		return f.account.unread(f.ctx, ans, malformed(err))
	}
	if err := noObject(ans, body); err != nil {
		turn.end() // what comes now waits for the server
		return f.refused(m, err)
	}
	if v := ans.Header.Get("ETag"); v != "" {
		m.etag = v
	}
	r := &response{data: body, tooLong: len(body) > f.account.cfg.MaxBody}
	return f.put(m, f.bodied(m, r), len(body))
}

// readBody reads at most so many bytes; long is called where there are more than a page's.
func readBody(r io.Reader, most int, long func() error) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, int64(min(most, longBytes+1))))
	if err != nil || len(body) <= longBytes {
		return body, err
	}
	if err := long(); err != nil {
		return nil, err
	}
	all := bytes.NewBuffer(body)
	_, err = all.ReadFrom(io.LimitReader(r, int64(most-len(body))))
	return all.Bytes(), err
}

// noObject is the error of an answer that is 200 and yet no calendar object: a page of the server, or of a gateway
// before it, and a body that never came. As a row it would stand until the object's next change.
func noObject(ans *answer, body []byte) error {
	kind, _, err := mime.ParseMediaType(ans.Header.Get("Content-Type"))
	page := err == nil && (kind == "text/html" || kind == "application/xhtml+xml")
	if !page && len(body) > 0 {
		return nil
	}
	return &Error{Method: http.MethodGet, URL: display(ans.url), Status: ans.StatusCode, Hint: hintURL,
		Err: fmt.Errorf("wanted a calendar object, got %d bytes of %q", len(body), kind)}
}

// refused decides what an error of a GET means: that there is nothing, that this one is refused, or that nothing
// works.
func (f *fetcher) refused(m member, err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Status == 0 {
		return err
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return err
	}
	if err := f.probed.once(f.ctx, f.poll); err != nil {
		return err
	}
	if e.Status == http.StatusNotFound || e.Status == http.StatusGone {
		return f.put(m, missing(m), 0)
	}
	return f.put(m, f.failed(m, err), 0)
}

// fetchPending adds jobs for what was pending and has not been listed.
func (p *poll) fetchPending() error {
	b := batch{poll: p}
	for _, id := range p.query.Pending {
		if !p.pending[id] {
			continue
		}
		delete(p.pending, id)
		if _, in := p.place.member(id); !in {
			continue
		}
		if err := b.fetch(member{id: id, href: id}); err != nil {
			return err
		}
	}
	return b.flush()
}

// probe asks at most once in a poll whether the collection itself is well.
type probe struct {
	mu   sync.Mutex
	well bool
}

func (pr *probe) once(ctx context.Context, p *poll) error {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.well {
		return nil
	}
	if _, err := p.account.self(ctx, p.place, "d:resourcetype"); err != nil {
		return err
	}
	pr.well = true
	return nil
}

func (a *Account) byGet() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.getOnly
}

func (a *Account) setByGet() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.getOnly = true
}
