package caldav

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Config is one CalDAV service. Source and URL are required; zero values stand for the defaults.
type Config struct {
	Source      string   // the source's name, as it stands in rows
	URL         string   // http or https: a root, a principal, a home, or one calendar
	Components  []string // followed: VEVENT (default), VTODO
	Concurrency int      // so many bodies' requests and so many listings in flight for each account; 8
	Raw         bool     // rows carry what the server sent …
	MaxRaw      int      // … up to so many bytes; 1 MiB, < 0: any
	// Follow says whether the collection is wanted; nil wants all.
	Follow func(id, name string) bool

	CAFile             string // PEM, trusted beside the system's
	InsecureSkipVerify bool
	UserAgent          string        // "calcdc"
	Timeout            time.Duration // the longest that a server may be silent, and that connecting may take; 2m
	// Limit asks for at most so many members in an answer of sync-collection; 0 does not ask: servers that page do so
	// of themselves, and some fail when asked.
	Limit int
	// MaxBody bounds one object's text in bytes; a longer one is Failed. 16 MiB.
	MaxBody int
	// Ahead bounds the bytes of bodies that all accounts together read before their turn to be published. 64 MiB.
	Ahead int64
	// MaxCollections bounds the answer to a question about an account's collections. 10,000.
	MaxCollections int
}

// Credentials are those of one account: username and password (Basic), or a token (Bearer).
type Credentials struct {
	Name     string // the account, as it stands in keys; default: Username
	Username string
	Password string
	Token    string
}

func (c Config) withDefaults() Config {
	if len(c.Components) == 0 {
		c.Components = []string{"VEVENT"}
	}
	c.Components = slices.Clone(c.Components)
	slices.Sort(c.Components)
	if c.Concurrency <= 0 {
		c.Concurrency = 8
	}
	if c.MaxRaw == 0 {
		c.MaxRaw = 1 << 20
	}
	if c.UserAgent == "" {
		c.UserAgent = "calcdc"
	}
	if c.Timeout <= 0 {
		c.Timeout = 2 * time.Minute
	}
	if c.MaxBody <= 0 {
		c.MaxBody = 16 << 20
	}
	if c.Ahead <= 0 {
		c.Ahead = 64 << 20
	}
	if c.MaxCollections <= 0 {
		c.MaxCollections = 10_000
	}
	if c.Follow == nil {
		c.Follow = func(string, string) bool { return true }
	}
	return c
}

// Validate returns every fault of the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.Source == "" {
		errs = append(errs, errors.New("the source has no name"))
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		errs = append(errs, errors.New("url must be one of http:// or https://, e.g. https://dav.example.org/"))
	case u.User != nil:
		errs = append(errs, errors.New("url must not hold credentials: put them under accounts"))
	}
	for _, comp := range c.Components {
		if comp != strings.ToUpper(comp) || comp == "" {
			errs = append(errs, fmt.Errorf("component %q must be in capitals, e.g. VEVENT", comp))
		}
	}
	if _, err := c.tls(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Validate returns every fault of the credentials.
func (c Credentials) Validate() error {
	switch {
	case c.Name == "" && c.Username == "":
		return errors.New("an account needs a username, or a token with a name")
	case c.Token != "" && c.Password != "":
		return errors.New("an account has a password or a token, not both")
	case c.Token != "" && strings.ContainsAny(c.Token, "\r\n"):
		return errors.New("the account's token holds a line end")
	}
	return nil
}

// tls is the client's TLS configuration.
func (c Config) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.InsecureSkipVerify} //nolint:gosec // the user's explicit wish
	if c.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading ca_file: %w", err)
	}
	if t.RootCAs, err = x509.SystemCertPool(); err != nil {
		t.RootCAs = x509.NewCertPool()
	}
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s holds no certificate in PEM form", c.CAFile)
	}
	return t, nil
}
