package googleserver

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Fault is what an answer gets wrong. The zero value is none.
type Fault struct {
	// Error is answered in place of the request.
	Error *Error
	// Status, where not 0, is answered in place of the request, with Header and Body: 200 and what is not JSON, or not
	// the right JSON.
	Status int
	Header http.Header
	Body   string

	// Delay passes before the answer begins, or the request's end does.
	Delay time.Duration
	// Hang gives no answer until the request ends.
	Hang bool
	// Pause passes after each Pace bytes (0: 1) of the body.
	Pause time.Duration
	Pace  int
	// Cut breaks the connection off after so many bytes of the body as sent; 0: does not; -1: before the first.
	Cut int
	// CutItem breaks it off inside the n-th item of a page, from 1.
	CutItem int
	// Malformed ends the body in its middle, although HTTP knows nothing of it.
	Malformed bool
	// Endless sends a page's items over and over until the client has had enough.
	Endless bool

	// Shift lets a page begin so many items later than it should, or earlier for less than 0: items in two pages.
	Shift int
	// Drop leaves items of these ids out of a page.
	Drop []string
	// Mangle replaces an item's bytes.
	Mangle func(item []byte) []byte
	// Loop lets nextPageToken lead to this page again.
	Loop bool
	// Tokenless leaves nextPageToken and nextSyncToken out.
	Tokenless bool
}

// Fault installs hook: it is asked at every request what shall go wrong. Nil takes it away.
func (s *Server) Fault(hook func(Request) Fault) {
	s.faults.Lock()
	defer s.faults.Unlock()
	s.fault = hook
}

func (s *Server) faultFor(rq Request) Fault {
	s.faults.RLock()
	hook := s.fault
	s.faults.RUnlock()
	if hook == nil {
		return Fault{}
	}
	return hook(rq)
}

// serve answers with the fault, and with answer where it leaves something of that.
func (f Fault) serve(w http.ResponseWriter, r *http.Request, answer func(http.ResponseWriter)) {
	if f.Hang {
		<-r.Context().Done()
		return
	}
	if f.Delay > 0 && !pause(r, f.Delay) {
		return
	}
	if f.Cut == 0 && !f.Malformed && f.Pause == 0 {
		f.instead(w, answer)
		return
	}
	whole := &recorder{header: w.Header(), status: http.StatusOK}
	f.instead(whole, answer)
	f.spoil(w, r, whole)
}

// pause waits, and says whether the request is still there.
func pause(r *http.Request, d time.Duration) bool {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// instead answers with Error or Status, else with answer.
func (f Fault) instead(w http.ResponseWriter, answer func(http.ResponseWriter)) {
	switch {
	case f.Error != nil:
		f.Error.write(w)
	case f.Status != 0:
		maps.Copy(w.Header(), f.Header)
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
	default:
		answer(w)
	}
}

// spoil sends a part of whole, or all of it slowly. Announcing more than it sends makes net/http close the connection.
func (f Fault) spoil(w http.ResponseWriter, r *http.Request, whole *recorder) {
	body := whole.body
	if f.Malformed {
		body = body[:len(body)/2]
	}
	length := len(body)
	if f.Cut != 0 {
		cut := max(0, f.Cut)
		length = max(length, cut+1)
		body = body[:min(cut, len(body))]
	}
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(whole.status)
	if f.Pause == 0 {
		_, _ = w.Write(body)
		return
	}
	for part := range slices.Chunk(body, max(1, f.Pace)) {
		if _, err := w.Write(part); err != nil || http.NewResponseController(w).Flush() != nil || !pause(r, f.Pause) {
			return
		}
	}
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorder) Header() http.Header    { return r.header }
func (r *recorder) WriteHeader(status int) { r.status = status }
func (r *recorder) Write(p []byte) (int, error) {
	r.body = append(r.body, p...)
	return len(p), nil
}

// counter counts the bytes of an answer's body and notes its status.
type counter struct {
	http.ResponseWriter
	n      int64
	status int
}

func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

// Request is a request as hooks and the log see it; what comes of it is known only once it is answered.
type Request struct {
	Kind     Kind
	User     string // "": not authenticated
	Calendar string // as the client wrote it, decoded
	ID       string
	Time     time.Time // by the server's clock
	URL      *url.URL
	Header   http.Header
	HTTP     *http.Request // nil in the log

	Status int
	Reason string // of the error, unless a fault made it
	Bytes  int64  // of the body, as sent
	Took   time.Duration
}

// Traffic counts what went through the server.
type Traffic struct {
	Requests int
	Errors   int   // statuses of 400 and up
	Bytes    int64 // of bodies, as sent
}

// By is what traffic is counted by.
type By struct {
	User string
	Kind Kind
}

// maxLog bounds the log of requests: older ones fall out.
const maxLog = 10000

type traffic struct {
	mu     sync.Mutex
	counts map[By]Traffic
	log    []Request
}

func (t *traffic) add(rq Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[By]Traffic{}
	}
	c := t.counts[By{rq.User, rq.Kind}]
	c.Requests++
	c.Bytes += rq.Bytes
	if rq.Status >= http.StatusBadRequest {
		c.Errors++
	}
	t.counts[By{rq.User, rq.Kind}] = c
	if len(t.log) >= 2*maxLog {
		t.log = append(t.log[:0:0], t.log[maxLog:]...)
	}
	rq.HTTP = nil // its context and connection need not live on
	t.log = append(t.log, rq)
}

// Traffic returns the counts by user and kind of request.
func (s *Server) Traffic() map[By]Traffic {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	return maps.Clone(s.traffic.counts)
}

// Requests returns how many requests of each kind have been answered.
func (s *Server) Requests() map[Kind]int {
	counts := map[Kind]int{}
	for by, t := range s.Traffic() {
		counts[by.Kind] += t.Requests
	}
	return counts
}

// Log returns the last requests, at least 10,000 of them if there have been so many, in the order of their answers.
func (s *Server) Log() []Request {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	return slices.Clone(s.traffic.log)
}
