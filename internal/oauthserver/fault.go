package oauthserver

import (
	"net/http"
	"time"
)

// Fault is what an answer gets wrong. The zero value is none.
type Fault struct {
	// Status, where not 0, is answered in place of the request, with Body as JSON, and RetryAfter where not empty.
	Status     int
	Body       string
	RetryAfter string
	// Delay passes before the answer, or the request's end does.
	Delay time.Duration
	// Hang never answers: the request ends when whoever sent it gives up.
	Hang bool
}

// Fault installs hook: it is asked at every request what shall go wrong. Nil takes it away.
func (s *Server) Fault(hook func(Kind, *http.Request) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = hook
}

// Outage answers every request with status; 0 ends it.
func (s *Server) Outage(status int) {
	if status == 0 {
		s.Fault(nil)
		return
	}
	s.Fault(func(Kind, *http.Request) Fault { return Fault{Status: status, Body: `{"error":"internal_failure"}`} })
}

func (s *Server) faultFor(c *call) Fault {
	s.mu.Lock()
	hook := s.fault
	s.mu.Unlock()
	if hook == nil {
		return Fault{}
	}
	return hook(c.kind, c.Request)
}

// serve answers with the fault, and says whether that was the whole answer.
func (f Fault) serve(w http.ResponseWriter, r *http.Request) bool {
	if f.Hang {
		<-r.Context().Done()
		hangUp(w)
		return true
	}
	if f.Delay > 0 {
		wait := time.NewTimer(f.Delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
			hangUp(w)
			return true
		}
	}
	if f.Status == 0 {
		return false
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(f.Body)) // whoever asked has gone
	return true
}

// hangUp ends a request without an answer: net/http would send an empty one.
func hangUp(w http.ResponseWriter) {
	hijacker, is := w.(http.Hijacker)
	if !is {
		return // in the process, where the end of the context is the answer
	}
	if conn, _, err := hijacker.Hijack(); err == nil {
		_ = conn.Close()
	}
}
