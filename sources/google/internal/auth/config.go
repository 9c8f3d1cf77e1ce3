package auth

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

const (
	// patience is how long getting a token may take.
	patience = 30 * time.Second
	// metadataPatience is how long connecting to the metadata server may take.
	metadataPatience = 3 * time.Second
	// maxToken bounds an access token; Google's are of at most 2 KiB, federated ones of 12 KiB.
	maxToken = 16 << 10
)

// Config says whose tokens to get. The zero value stands for Application Default Credentials (AIP-4110): the file that
// GOOGLE_APPLICATION_CREDENTIALS names, the one that gcloud wrote, or the machine's metadata server.
type Config struct {
	// File is a credentials file: a service account's key, an authorised user, or workload identity federation.
	File string
	// AccessToken is a token that is used as it is.
	AccessToken string
	// Impersonate is the e-mail address of a service account that the credentials above act as, without its key
	// (they need roles/iam.serviceAccountTokenCreator on it). It may be delegated to subjects.
	Impersonate string
	// Transport carries the requests for tokens; nil: one of its own.
	Transport http.RoundTripper
}

// String names what is configured, without secrets.
func (c Config) String() string {
	token := ""
	if c.AccessToken != "" {
		token = "***"
	}
	return fmt.Sprintf("{File:%s AccessToken:%s Impersonate:%s}", c.File, token, c.Impersonate)
}

// GoString is String.
func (c Config) GoString() string { return c.String() }

// Credentials get tokens. Their methods may be called from any goroutine.
type Credentials struct {
	kind kind
	base http.RoundTripper

	mu     sync.Mutex
	tokens map[string]*Tokens
}

// serviceAccountName is an e-mail address of a service account, or its numeric id: it becomes part of a URL.
var serviceAccountName = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]{0,127}(@[a-z0-9][a-z0-9.-]{0,253})?$`)

// New reads and checks the credentials. It sends nothing: that a key has been revoked shows at the first token.
func New(c Config) (*Credentials, error) {
	if c.File != "" && c.AccessToken != "" {
		return nil, errors.New("credentials_file and access_token exclude each other")
	}
	k, err := c.kind()
	if err != nil {
		return nil, err
	}
	cred := newCredentials(k, c.Transport)
	if c.Impersonate == "" {
		return cred, nil
	}
	if !serviceAccountName.MatchString(c.Impersonate) {
		return nil, fmt.Errorf("impersonate: %q is not the e-mail address of a service account", clip(c.Impersonate))
	}
	return newCredentials(&impersonated{target: c.Impersonate, base: cred.Tokens("", cloudPlatform)}, c.Transport), nil
}

func newCredentials(k kind, base http.RoundTripper) *Credentials {
	if base == nil {
		own := newTransport()
		if _, ok := k.(metadataServer); ok { // it is on a link-local address: near, or not there
			own.Proxy = nil
			own.DialContext = (&net.Dialer{Timeout: metadataPatience}).DialContext
		}
		base = own
	}
	return &Credentials{kind: k, base: base, tokens: map[string]*Tokens{}}
}

// newTransport makes the transport for requests for tokens. They are rare, so idle connections are let go soon.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.IdleConnTimeout = 10 * time.Second
	t.MaxIdleConnsPerHost = 4
	t.ResponseHeaderTimeout = patience
	return t
}

// kind reads what the tokens come from, impersonation aside.
func (c Config) kind() (kind, error) {
	switch {
	case c.AccessToken != "":
		if err := checkToken(c.AccessToken); err != nil {
			return nil, fmt.Errorf("access_token: %w", err)
		}
		return static(c.AccessToken), nil
	case c.File != "":
		return readFile(c.File)
	}
	name, env := defaultFile()
	if name == "" {
		return metadataServer{}, nil
	}
	k, err := readFile(name)
	if errors.Is(err, os.ErrNotExist) && !env {
		return metadataServer{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("application default credentials: %w", err)
	}
	return k, nil
}

// environment names the file of Application Default Credentials.
const environment = "GOOGLE_APPLICATION_CREDENTIALS"

// defaultFile is where Application Default Credentials stand, and whether the environment says so; "" where no file can.
func defaultFile() (name string, env bool) {
	if name = os.Getenv(environment); name != "" {
		return name, true
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", false
	}
	return filepath.Join(home, ".config", "gcloud", "application_default_credentials.json"), false
}

// String says whose credentials these are, without secrets.
func (c *Credentials) String() string { return c.kind.identity().name }

// GoString is String.
func (c *Credentials) GoString() string { return c.String() }

// Delegation returns nil where these credentials can get tokens for a subject other than their own, else an error that
// says why they cannot, and what can.
func (c *Credentials) Delegation() error {
	if id := c.kind.identity(); !id.delegates {
		return &Error{Op: "using subjects", Code: "cannot_delegate", Hint: id.name + " cannot act for other users: " +
			"subjects and domain need a service account's key (credentials_file) or impersonate: with the address of a service account, " +
			"either with domain-wide delegation"}
	}
	return nil
}

// checkToken says whether s can be a bearer token (RFC 6750 2.1, generously).
func checkToken(s string) error {
	if s == "" || len(s) > maxToken {
		return fmt.Errorf("a token of %d bytes", len(s))
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return errors.New("a token with characters that no token has")
		}
	}
	return nil
}
