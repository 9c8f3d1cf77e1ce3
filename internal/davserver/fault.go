package davserver

import (
	"bytes"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// Fault is what an answer gets wrong. The zero value is none.
type Fault struct {
	// Status, where not 0, is answered in place of the request, with Header and Body.
	Status int
	Header http.Header
	Body   string

	// Delay passes before the answer begins, or the request's end does.
	Delay time.Duration
	// Cut breaks the connection off after so many bytes of the body, 0: does not; -1: before the first.
	Cut int
	// Empty answers 207 with a multistatus that holds nothing.
	Empty bool
	// Malformed ends the body, XML or not, in mid-element, although HTTP knows nothing of it.
	Malformed bool

	// Drop leaves objects of these names out of a sync answer, a listing or a multiget, and calendars out of their home.
	Drop []string
	// Refuse gives objects of these names this status in a multiget.
	Refuse map[string]int
}

// Fault installs hook: it is asked at every request what shall go wrong. The request's body may be read. Nil takes
// it away.
func (s *Server) Fault(hook func(Kind, *http.Request) Fault) {
	s.faults.Lock()
	defer s.faults.Unlock()
	s.fault = hook
}

func (s *Server) faultFor(k Kind, r *http.Request) Fault {
	s.faults.RLock()
	hook := s.fault
	s.faults.RUnlock()
	if hook == nil {
		return Fault{}
	}
	return hook(k, r)
}

// serve answers with the fault, and with answer where it leaves something of that.
func (f Fault) serve(w http.ResponseWriter, r *http.Request, answer func(http.ResponseWriter)) {
	if f.Delay > 0 {
		wait := time.NewTimer(f.Delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
			return
		}
	}
	if f.Cut == 0 && !f.Malformed {
		f.instead(w, answer)
		return
	}
	whole := &recorder{header: w.Header(), status: http.StatusOK}
	f.instead(whole, answer)
	f.spoil(w, whole)
}

// instead answers with Status or Empty, else with answer.
func (f Fault) instead(w http.ResponseWriter, answer func(http.ResponseWriter)) {
	switch {
	case f.Status != 0:
		maps.Copy(w.Header(), f.Header)
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
	case f.Empty:
		m := newMultistatus(w)
		m.end()
	default:
		answer(w)
	}
}

// spoil sends a part of whole. Announcing more than it sends makes net/http close the connection.
func (f Fault) spoil(w http.ResponseWriter, whole *recorder) {
	body := whole.body.Bytes()
	if f.Malformed {
		body = body[:bytes.LastIndexByte(body, '<')+1]
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if f.Cut != 0 {
		cut := max(0, f.Cut)
		w.Header().Set("Content-Length", strconv.Itoa(max(len(body), cut+1)))
		body = body[:min(cut, len(body))]
	}
	w.WriteHeader(whole.status)
	_, _ = w.Write(body)
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// Traffic counts what went through the server.
type Traffic struct {
	Requests int
	In, Out  int64 // bytes of bodies
}

// Traffic returns the counts by kind of request.
func (s *Server) Traffic() map[Kind]Traffic {
	s.counting.Lock()
	defer s.counting.Unlock()
	return maps.Clone(s.traffic)
}

// Requests returns how many requests of each kind have been answered.
func (s *Server) Requests() map[Kind]int {
	counts := map[Kind]int{}
	for kind, t := range s.Traffic() {
		counts[kind] = t.Requests
	}
	return counts
}

func (s *Server) count(k Kind, in int, out int64) {
	s.counting.Lock()
	defer s.counting.Unlock()
	t := s.traffic[k]
	s.traffic[k] = Traffic{Requests: t.Requests + 1, In: t.In + int64(in), Out: t.Out + out}
}

// counter counts the bytes of an answer's body and notes its status.
type counter struct {
	http.ResponseWriter
	n      int64
	status int
}

func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}
