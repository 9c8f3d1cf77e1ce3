package caldav

import (
	"context"
	"encoding/hex"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/calcdc/calcdc/connector"
	"github.com/hashicorp/go-hclog"
)

// Account is one principal on a CalDAV service. It is a connector.Account; its methods may be called at the same
// time. What it remembers of a server are shortcuts: it forgets nothing that matters when the process ends.
type Account struct {
	cfg    Config
	name   string
	client *client
	log    hclog.Logger

	mu       sync.Mutex
	found    *found                // by discovery; nil: not yet, or the home has moved
	hash     string                // of the configuration, as of the last discovery
	places   map[string]place      // collections as the server writes their hrefs, by id
	inline   answerable            // does a listing give calendar-data?
	noSync   map[string]bool       // collections without sync-collection, by id
	getOnly  bool                  // no calendar-multiget: bodies come by GET
	failures map[string]tokenFault // 500s in a row, by collection
}

// answerable is what is known of a server's ability.
type answerable int

const (
	unknown answerable = iota
	yes
	no
)

// tokenFault counts the answers 500 in a row to one token.
type tokenFault struct {
	token string
	count int
}

var _ connector.Account = (*Account)(nil)

// Service is one CalDAV service. Its accounts share its connections.
type Service struct {
	cfg   Config
	base  *url.URL
	plain *http.Client
	ahead *ahead
	long  *long
}

// Open returns the service of cfg. It sends nothing yet.
func Open(cfg Config) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	base, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("parsing url: %w", err)
	}
	if base.Path == "" {
		base.Path = "/"
	}
	plain, err := newHTTP(cfg)
	if err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, base: base, plain: plain, ahead: newAhead(cfg.Ahead),
		long: newLong(cfg.Ahead, int64(cfg.MaxBody), cfg.Timeout)}, nil
}

// New returns the account of cred on the service of cfg alone. It sends nothing yet.
func New(cfg Config, cred Credentials, log hclog.Logger) (*Account, error) {
	s, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	return s.Account(cred, log)
}

// Account returns the account of cred. It sends nothing yet.
func (s *Service) Account(cred Credentials, log hclog.Logger) (*Account, error) {
	if err := cred.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	name := cred.Name
	if name == "" {
		name = cred.Username
	}
	return &Account{cfg: s.cfg, name: name, client: newClient(s, cred), log: log.With("source", s.cfg.Source, "account", name),
		places: map[string]place{}, noSync: map[string]bool{}, failures: map[string]tokenFault{}}, nil
}

// Name is the account as it stands in keys and rows.
func (a *Account) Name() string { return a.name }

// Connect discovers the account's principal and homes, unless they are known.
func (a *Account) Connect(ctx context.Context) error {
	_, err := a.discovered(ctx)
	return err
}

// ConfigHash is of the server's host, the principal and the component set as last discovered: tokens mean nothing for
// others.
func (a *Account) ConfigHash(connector.Kind) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hash
}

func (a *Account) hashOf(f *found) string {
	h := connector.HashOf([]byte(strings.Join([]string{
		strings.ToLower(a.client.base.Host), normalise(f.principal), strings.Join(a.cfg.Components, ","),
	}, "\n")))
	return hex.EncodeToString(h[:])
}

// discovered is what discovery found, now or earlier.
func (a *Account) discovered(ctx context.Context) (*found, error) {
	a.mu.Lock()
	f := a.found
	a.mu.Unlock()
	if f != nil {
		return f, nil
	}
	f, err := a.discover(ctx)
	if err != nil {
		return nil, fmt.Errorf("discovering %s/%s: %w", a.cfg.Source, a.name, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found, a.hash = f, a.hashOf(f)
	return f, nil
}

// rediscover makes the next Connect look again: the home is not where it was.
func (a *Account) rediscover() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found = nil
}

// Poll reads one stream, as connector.Account says.
func (a *Account) Poll(ctx context.Context, q connector.Query) iter.Seq2[connector.Page, error] {
	switch q.Stream.Kind {
	case connector.Calendars:
		return a.pollHome(ctx)
	case connector.Events:
		return a.pollEvents(ctx, q)
	case connector.ACL, connector.Settings:
	}
	return func(yield func(connector.Page, error) bool) {
		yield(connector.Page{}, fmt.Errorf("polling %s: CalDAV has no such stream", q.Stream))
	}
}

// place is where the collection of that id stands on the server.
func (a *Account) place(id string) place {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p, ok := a.places[id]; ok {
		return p
	}
	return placeOf(a.client.base, id)
}

// properties asks for the properties of what stands at u, and at depth "1" of what it holds.
func (a *Account) properties(ctx context.Context, u *url.URL, depth string, props []string) (*url.URL, []described, error) {
	if err := a.client.selves.Acquire(ctx, 1); err != nil {
		return nil, nil, err
	}
	defer a.client.selves.Release(1)
	ans, err := a.client.do(ctx, request{method: "PROPFIND", url: u, depth: depth, body: propfind(props...), want: http.StatusMultiStatus})
	if err != nil {
		return nil, nil, err
	}
	defer ans.Close()
	all, err := readProps(ans.body, ans.Header.Get("Content-Type"), a.cfg.MaxCollections)
	if err == nil && len(all) == 0 {
		err = errEmpty
	}
	if err != nil {
		return nil, nil, a.unread(ctx, ans, err)
	}
	return ans.url, all, nil
}

// unread is the error of an answer that could not be read to its end.
func (a *Account) unread(ctx context.Context, ans *answer, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return ans.failure(err)
}

// CloseIdleConnections closes what is kept open for later requests to the service.
func (a *Account) CloseIdleConnections() { a.client.plain.CloseIdleConnections() }
