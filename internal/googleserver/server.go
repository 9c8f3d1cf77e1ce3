package googleserver

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/calcdc/calcdc/internal/serve"
)

// Options says how the server behaves. The zero value is a server as Google's guides describe it, without quota and
// with tokens that do not age.
type Options struct {
	// Authenticate tells the user of a request. Nil: by the bearer token, which is Token(user).
	Authenticate func(*http.Request) (user string, ok bool)
	// Scopes are those that the request's token was granted. Nil: whatever is needed.
	Scopes func(*http.Request) []string
	// Now is the server's clock, of Date headers, `updated` and the ages of tokens. Nil: time.Now.
	Now func() time.Time

	TokenLife     time.Duration // sync tokens older than that are 410 fullSyncRequired; 0: they do not age
	PageTokenLife time.Duration // page tokens older than that are 400; 0: they do not age
	UpdatedMinAge time.Duration // an updatedMin longer ago is 410 updatedMinTooLongAgo; 0: 28 days
	TombstoneLife time.Duration // what is deleted is remembered that long; 0: until ForgetTombstones

	PageLimit  int // items in a page at most, whatever maxResults says; 0: no such limit
	EmptyPages int // so many empty pages with a nextPageToken come before each page with items

	// SparseInstances: a delta shows a deleted instance as {id,status}, without recurringEventId and originalStartTime.
	SparseInstances bool
	// RichCancelled: cancelled exceptions keep all they had, beyond the three fields that are guaranteed.
	RichCancelled bool
	// RichTombstones: deleted events keep all they had, beyond their id.
	RichTombstones bool
	// DeltaExceptions: the delta of a deleted series lists the tombstones of its exceptions as well.
	DeltaExceptions bool
	// QuietRenames: not even the owner's calendarList delta shows that a calendar's properties have changed.
	QuietRenames bool
	// QuietUnshare: an entry whose calendar is shared no more leaves the calendarList without a tombstone in its delta.
	QuietUnshare bool
	// UnsharedStatus answers for calendars that the user may not see: 404 (0) or 403.
	UnsharedStatus int

	Quota  Quota
	NoGzip bool // answer without compression whatever the client accepts
	// Seen is told of every request once it is answered. It must not block.
	Seen func(Request)
}

// Server is the server. All its methods may be called at any time from any goroutine.
type Server struct {
	opts Options
	now  func() time.Time
	key  []byte // seals tokens, so that another server's are not taken for ours

	mu        sync.RWMutex
	users     map[string]*user
	calendars map[string]*calendar // those of all; generated ones are a user's own
	lists     uint64               // ever made
	stamps    uint64               // ETags ever given
	began     uint64               // the first of them

	quota   meter
	faults  sync.RWMutex
	fault   func(Request) Fault
	traffic traffic
}

// New makes a server without users.
func New(o Options) *Server {
	s := &Server{opts: o, now: o.Now, key: make([]byte, 32), users: map[string]*user{}, calendars: map[string]*calendar{}}
	if s.now == nil {
		s.now = time.Now
	}
	if s.opts.UpdatedMinAge == 0 {
		s.opts.UpdatedMinAge = 28 * 24 * time.Hour
	}
	_, _ = rand.Read(s.key) // never fails
	s.began = uint64(s.now().UnixMicro())
	s.quota.Quota = o.Quota
	return s
}

// Serve answers on ln until ctx ends, then closes ln and every connection and returns nil.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return serve.Until(ctx, ln, s, "the calendar API")
}

// Token is the bearer token of a user, for servers without Options.Authenticate.
func (s *Server) Token(user string) string { return "token-of-" + user }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	t := route(r)
	user, known := s.authenticate(r)
	rq := Request{Kind: t.kind, User: user, Calendar: t.calendar, ID: t.id, Time: s.now(), URL: r.URL, Header: r.Header, HTTP: r}
	out := &counter{ResponseWriter: w, status: http.StatusOK}
	w.Header().Set("Date", rq.Time.UTC().Format(http.TimeFormat))
	f := s.faultFor(rq)
	f.serve(out, r, func(w http.ResponseWriter) {
		if e := s.answer(w, r, rq, known, f); e != nil {
			rq.Reason = e.Reason
			e.write(w)
		}
	})
	rq.Status, rq.Bytes, rq.Took = out.status, out.n, time.Since(began)
	s.traffic.add(rq)
	if s.opts.Seen != nil {
		s.opts.Seen(rq)
	}
}

// answer serves a request, faults of the whole answer aside.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, rq Request, known bool, f Fault) *Error {
	if !known {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
		return InvalidCredentials
	}
	if rq.Kind == Unknown {
		return NotFound
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return &Error{Code: http.StatusMethodNotAllowed, Domain: "global", Reason: "httpMethodNotAllowed", Message: "Method Not Allowed"}
	}
	if e := s.checkScopes(w, r, rq.Kind); e != nil {
		return e
	}
	if e := s.spend(rq); e != nil {
		return e
	}
	q, e := parseQuery(rq.Kind, rq.User, r.URL.RawQuery)
	if e != nil {
		return e
	}
	if _, paged := pageSizes[rq.Kind]; paged {
		return s.serveList(w, r, rq, q, f)
	}
	return s.serveItem(w, r, rq, q, f)
}

func (s *Server) authenticate(r *http.Request) (name string, ok bool) {
	if s.opts.Authenticate != nil {
		name, ok = s.opts.Authenticate(r)
	} else if token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); bearer {
		name, ok = strings.CutPrefix(token, "token-of-")
	}
	if !ok {
		return "", false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return name, s.users[name] != nil
}

// checkScopes refuses a token that was granted none of the scopes that the method takes.
func (s *Server) checkScopes(w http.ResponseWriter, r *http.Request, kind Kind) *Error {
	if s.opts.Scopes == nil {
		return nil
	}
	granted := s.opts.Scopes(r)
	if slices.ContainsFunc(scopes[kind], func(scope string) bool { return slices.Contains(granted, scope) }) {
		return nil
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="insufficient_scope", scope="`+
		strings.Join(scopes[kind], " ")+`"`)
	return &Error{
		Code: http.StatusForbidden, Domain: "global", Reason: "insufficientPermissions",
		Message: "Request had insufficient authentication scopes.", Status: "PERMISSION_DENIED",
		Details: []any{map[string]any{
			"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
			"domain": "googleapis.com", "metadata": map[string]string{"service": "calendar-json.googleapis.com", "method": "calendar." + string(kind)},
		}},
	}
}
