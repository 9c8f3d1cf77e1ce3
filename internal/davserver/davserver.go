// Package davserver is a CalDAV server that lives in the process: calendars in memory, served to any CalDAV client.
// The demo shows it, unit tests inject faults into it, and benchmarks read from it, so it is fast and answers as a
// server on the wire does, with its freedoms (RFC 4791, RFC 6578) as options.
//
// Paths: / leads to the principal /alice/, that to the home /alice/calendars/, whose calendars hold their objects:
// /alice/calendars/work/x.ics. Bodies are kept and served byte for byte; a carriage return is sent as &#13; unless
// Options.BareCR says otherwise.
package davserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-webdav/caldav"

	"github.com/calcdc/calcdc/internal/serve"
)

// maxRequest bounds a request's body.
const maxRequest = 32 << 20

// Options says how the server behaves. The zero value is a server with every capability.
type Options struct {
	// Users are the accounts: user to password, for Basic authentication.
	Users map[string]string
	// Tokens are accepted as Bearer tokens: token to user.
	Tokens map[string]string

	NoSync bool // no sync-collection (RFC 6578): ctag and ETags only
	NoCTag bool // no getctag

	InlineData  bool // a sync REPORT that asks for calendar-data gets it
	PageLimit   int  // members in one sync answer, 0: all; the rest is announced with 507
	ShortPages  bool // pages end without the 507
	RefuseLimit bool // a sync REPORT with <limit> is answered 507 as a whole

	SilentForget bool // a dead token gets 207 with the full list, without deletions, as DAViCal does
	OmitMissing  bool // a multiget leaves out what is not there, instead of 404
	MissingFails bool // a multiget with one missing href is 404 as a whole, as sabre 1.8 does

	BareCR bool // carriage returns go out as they are: XML parsers then read CRLF as LF
	// ETag makes an object's ETag from its body; n rises with each change of the calendar. Nil: a quoted hash of
	// the body. An empty one is not sent.
	ETag func(body []byte, n uint64) string
	// Seen is told of every request once it is answered. It must not block.
	Seen func(k Kind, r *http.Request, status int)
	// Segment encodes one segment of a path for hrefs. Nil: url.PathEscape.
	Segment func(string) string
}

// Server is the server. All its methods may be called at any time from any goroutine.
type Server struct {
	opts Options
	dav  caldav.Handler

	mu       sync.RWMutex
	instance string // part of every token, so that another server's tokens are not taken for ours
	homes    map[string]*home
	births   uint64 // calendars ever made

	faults   sync.RWMutex
	fault    func(Kind, *http.Request) Fault
	counting sync.Mutex
	traffic  map[Kind]Traffic
}

// New makes a server without calendars.
func New(o Options) *Server {
	s := &Server{
		opts: o, instance: fmt.Sprintf("%x", time.Now().UnixNano()),
		homes: map[string]*home{}, traffic: map[Kind]Traffic{},
	}
	s.dav = caldav.Handler{Backend: backend{s}}
	for user := range o.Users {
		s.homes[user] = &home{calendars: map[string]*calendar{}}
	}
	for _, user := range o.Tokens {
		if s.homes[user] == nil {
			s.homes[user] = &home{calendars: map[string]*calendar{}}
		}
	}
	return s
}

// Serve answers on ln until ctx ends, then closes ln and every connection and returns nil.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return serve.Until(ctx, ln, s, "CalDAV")
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "reading the request: "+err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	rq := newRequest(r, body)
	out := &counter{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		s.count(rq.kind, len(body), out.n)
		if s.opts.Seen != nil {
			s.opts.Seen(rq.kind, r, out.status)
		}
	}()
	r.Body = io.NopCloser(bytes.NewReader(body))
	f := s.faultFor(rq.kind, r)
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.serve(out, r, func(w http.ResponseWriter) { s.answer(w, r, rq, f) })
}

// answer serves a request, faults aside.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, rq request, f Fault) {
	if rq.kind == WellKnown {
		w.Header().Set("Location", "/")
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	user, ok := s.authenticate(r)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Basic realm="calendars", charset="UTF-8"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	if rq.at.user != "" && rq.at.user != user {
		http.Error(w, "not your calendars", http.StatusForbidden)
		return
	}
	if rq.err != nil {
		http.Error(w, rq.err.Error(), http.StatusBadRequest)
		return
	}
	rq.user, rq.faults = user, f
	if h := s.handler(rq); h != nil {
		h(w, r, rq)
		return
	}
	s.dav.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
}

// handler picks what we serve ourselves; nil leaves the request to go-webdav, which is good at calendar-query,
// OPTIONS and the PROPFINDs of root, principal and objects.
func (s *Server) handler(rq request) func(http.ResponseWriter, *http.Request, request) {
	switch rq.kind {
	case Home, Collection:
		return s.serveListing
	case Sync:
		return s.serveSync
	case Multiget:
		return s.serveMultiget
	case Get:
		return s.serveGet
	case Put:
		return s.servePut
	case Delete:
		return s.serveDelete
	case Make:
		return s.serveMake
	case Patch:
		return s.servePatch
	default:
		return nil
	}
}

func (s *Server) authenticate(r *http.Request) (user string, ok bool) {
	if user, password, ok := r.BasicAuth(); ok {
		want, known := s.opts.Users[user]
		return user, known && want == password
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "", false
	}
	user, ok = s.opts.Tokens[token]
	return user, ok
}
