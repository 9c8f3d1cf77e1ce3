// Package oauthserver answers, for tests and the demo, as Google does where access tokens come from: the token endpoint
// (JWT bearer grant, RFC 7523, with domain-wide delegation; refresh tokens, RFC 6749 6), the IAM credentials API
// (generateAccessToken, signJwt), the metadata server of a machine, and the directory's users.list, which tells the users
// that may be subjects. Everything is in memory.
//
// Paths are Google's, without the hosts: /token, /v1/projects/-/serviceAccounts/…, /computeMetadata/v1/…,
// /admin/directory/v1/users. [Server.Transport] and [Redirect] send Google's hosts here.
//
// Behaviour is that of developers.google.com/identity/protocols/oauth2 (service accounts, web server apps),
// cloud.google.com/iam/docs/reference/credentials/rest and developers.google.com/workspace/admin/directory.
package oauthserver

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/calcdc/calcdc/internal/serve"
)

// maxRequest bounds a request's body, maxLog the requests that are remembered.
const maxRequest, maxLog = 1 << 20, 100_000

// Kind tells requests apart.
type Kind string

// The kinds of requests.
const (
	JWTBearer     Kind = "jwt-bearer"
	Refresh       Kind = "refresh_token"
	OtherGrant    Kind = "other-grant"
	GenerateToken Kind = "generateAccessToken"
	SignJWT       Kind = "signJwt"
	Metadata      Kind = "metadata"
	Users         Kind = "users"
	Unknown       Kind = "unknown"
)

// User is one of the domain's.
type User struct {
	Email               string
	GivenName, Family   string
	OrgUnit             string // path; "": /
	Admin               bool   // may list the users
	Suspended, Archived bool
}

// Options say how the server behaves.
type Options struct {
	Users     []User        // of the domain, in the directory's order
	Customer  string        // id of the domain's customer; default C00test00
	Account   string        // e-mail address of the service account; default DefaultAccount
	ClientID  string        // of the service account; default DefaultClientID
	Machine   string        // the service account that the metadata server gives tokens for; "": there is none
	TokenLife time.Duration // default an hour
}

// The service account that is there by default.
const (
	DefaultAccount  = "calcdc@calcdc-test.iam.gserviceaccount.com"
	DefaultClientID = "100000000000000000042"
)

// Request is one that was answered. What it lacked is empty.
type Request struct {
	At      time.Time
	Kind    Kind
	Subject string // for whom the token was asked; of Users, who asked
	Scopes  []string
	Status  int // 0: none, since the request was hung up on
	Code    string
}

// Server is the server. All its methods may be called at any time from any goroutine.
type Server struct {
	opts Options
	key  *rsa.PrivateKey

	mu         sync.Mutex
	life       time.Duration
	keyDeleted bool
	users      []User
	delegated  map[string]map[string]bool // subject or *: scopes
	may        map[string]bool            // who may impersonate the service account
	signIns    map[string]*signIn         // by refresh token
	tokens     map[string]*token
	log        []Request
	counts     map[Kind]int
	fault      func(Kind, *http.Request) Fault
}

// keyPair is one for the process: making one takes a while.
var keyPair = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// New makes a server. Nothing has been delegated, nobody has signed in.
func New(o Options) (*Server, error) {
	key, err := keyPair()
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	for option, value := range map[*string]string{&o.Customer: "C00test00", &o.Account: DefaultAccount, &o.ClientID: DefaultClientID} {
		if *option == "" {
			*option = value
		}
	}
	if o.TokenLife == 0 {
		o.TokenLife = time.Hour
	}
	return &Server{
		opts: o, key: key, life: o.TokenLife, users: slices.Clone(o.Users),
		delegated: map[string]map[string]bool{}, may: map[string]bool{}, signIns: map[string]*signIn{},
		tokens: map[string]*token{}, counts: map[Kind]int{},
	}, nil
}

// Serve answers on ln until ctx ends, then closes ln and every connection and returns nil.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return serve.Until(ctx, ln, s, "tokens")
}

// call is one request on its way.
type call struct {
	*http.Request
	kind Kind
	body []byte
	note Request
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "reading the request: "+err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	c := &call{Request: r, body: body}
	answer := s.route(c)
	c.note.At, c.note.Kind = time.Now(), c.kind
	defer func() { s.remember(c.note) }()
	if f := s.faultFor(c); f != (Fault{}) {
		c.note.Status = f.Status
		if f.serve(w, r) {
			return
		}
	}
	re := answer(c)
	c.note.Status, c.note.Code = re.status, re.code
	re.write(w)
}

// route says what answers a request.
func (s *Server) route(c *call) func(*call) reply {
	path := c.URL.Path
	switch {
	case path == "/token" || path == "/o/oauth2/token" || path == "/oauth2/v4/token":
		return s.routeGrant(c)
	case strings.HasPrefix(path, accountsPath) && strings.HasSuffix(path, ":generateAccessToken"):
		c.kind = GenerateToken
		return s.generateAccessToken
	case strings.HasPrefix(path, accountsPath) && strings.HasSuffix(path, ":signJwt"):
		c.kind = SignJWT
		return s.signJWT
	case strings.HasPrefix(path, "/computeMetadata/v1/"):
		c.kind = Metadata
		return s.metadata
	case path == "/admin/directory/v1/users":
		c.kind = Users
		return s.listUsers
	}
	c.kind = Unknown
	return func(*call) reply { return apiError(http.StatusNotFound, "NOT_FOUND", "notFound", "Not Found") }
}

func (s *Server) remember(r Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[r.Kind]++
	if len(s.log) < maxLog {
		s.log = append(s.log, r)
	}
}

// Requests returns the requests that were answered, the first hundred thousand of them.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Counts returns how many requests of each kind were answered.
func (s *Server) Counts() map[Kind]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}
