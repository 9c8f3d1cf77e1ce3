package google

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/calcdc/calcdc/sources/google/internal/auth"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/option"
)

// The scopes that are asked for: acl by itself, so that where it is not granted only the acl streams fail.
const (
	readScope  = calendar.CalendarReadonlyScope
	rulesScope = calendar.CalendarAclsReadonlyScope
)

// Service is one Google set-up: it finds the accounts and bounds what they ask for together.
type Service struct {
	cfg     Config
	log     hclog.Logger
	cred    *auth.Credentials
	base    http.RoundTripper
	project *meter

	mu       sync.Mutex
	accounts map[string]*Account // by name: an account that is found again is the same
	self     *Account            // the credentials' own, until its name is known
}

// New sets up a service. It reads the credentials and sends nothing yet.
func New(c Config, log hclog.Logger) (*Service, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if log == nil {
		log = hclog.NewNullLogger()
	}
	cred, err := auth.New(auth.Config{File: c.Credentials.File, AccessToken: c.Credentials.AccessToken, Impersonate: c.Credentials.Impersonate,
		Transport: c.Transport})
	if err != nil {
		return nil, fmt.Errorf("reading the credentials: %w", err)
	}
	if len(c.Subjects) > 0 || c.Domain != nil {
		if err := cred.Delegation(); err != nil {
			return nil, err
		}
	}
	s := &Service{cfg: c, log: log, cred: cred, base: c.Transport, accounts: map[string]*Account{},
		project: newMeter("the project's quota", c.Quota.ProjectPerMinute)}
	if s.base == nil {
		s.base = newTransport(c.Timeout)
	}
	return s, nil
}

// Accounts finds the accounts: the subjects, the domain's users, or the credentials' own account. An account that was
// found before is the same object. A user whose address cannot be an account's name is left out, and logged.
func (s *Service) Accounts(ctx context.Context) ([]*Account, error) {
	switch {
	case len(s.cfg.Subjects) > 0:
		return s.named(s.cfg.Subjects)
	case s.cfg.Domain != nil:
		users, err := s.users(ctx)
		if err != nil {
			return nil, err
		}
		return s.named(users)
	}
	own, err := s.own(ctx)
	if err != nil {
		return nil, err
	}
	return []*Account{own}, nil
}

// named are the accounts of subjects.
func (s *Service) named(subjects []string) ([]*Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Account, 0, len(subjects))
	for _, name := range subjects {
		if err := checkName(name); err != nil {
			s.log.Error("leaving an account out", "error", err)
			continue
		}
		a := s.accounts[name]
		if a == nil {
			var err error
			if a, err = s.account(name, name); err != nil {
				return nil, err
			}
			s.accounts[name] = a
		}
		all = append(all, a)
	}
	return all, nil
}

// users lists the domain's users.
func (s *Service) users(ctx context.Context) ([]string, error) {
	d := s.cfg.Domain
	tokens := s.cred.Tokens(d.Admin, auth.DirectoryScope)
	hc := &http.Client{Transport: tokens.RoundTripper(s.base), CheckRedirect: stay}
	users, err := auth.Users(ctx, hc, d.Endpoint, d.Customer, d.Query)
	if err != nil {
		return nil, fmt.Errorf("finding the accounts of %s: %w", s.cfg.Source, err)
	}
	return users, nil
}

// own is the credentials' own account, named after its primary calendar.
func (s *Service) own(ctx context.Context) (*Account, error) {
	s.mu.Lock()
	a := s.self
	if a == nil {
		var err error
		if a, err = s.account("", ""); err != nil {
			s.mu.Unlock()
			return nil, err
		}
		s.self = a
	}
	s.mu.Unlock()
	name, err := a.primary(ctx)
	if err == nil {
		err = checkName(name)
	}
	if err != nil {
		return nil, fmt.Errorf("finding the account of %s: %w", s.cfg.Source, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.accounts[name]; known != nil {
		return known, nil
	}
	s.accounts[name] = a.called(name)
	return s.accounts[name], nil
}

// account makes an account that asks as subject.
func (s *Service) account(name, subject string) (*Account, error) {
	a := &Account{service: s, cfg: s.cfg, name: name, own: subject == "", log: s.log.With("account", name),
		user: newMeter("the user's quota", s.cfg.Quota.UserPerMinute), first: 250 * time.Millisecond}
	for _, c := range []struct {
		scope string
		to    **calendar.Service
	}{{readScope, &a.read}, {rulesScope, &a.rules}} {
		client, err := s.client(a, subject, c.scope)
		if err != nil {
			return nil, err
		}
		*c.to = client
	}
	return a, nil
}

// client is Google's client for one subject and scope. From the outside in: answers are read, a token is set, and the
// quotas kept, so that a request that is sent again with another token counts as another.
func (s *Service) client(a *Account, subject, scope string) (*calendar.Service, error) {
	tokens := s.cred.Tokens(subject, scope)
	metered := &metering{base: s.base, user: a.user, project: s.project}
	hc := &http.Client{Transport: &reading{base: tokens.RoundTripper(metered), silence: s.cfg.Timeout}, CheckRedirect: stay}
	client, err := calendar.NewService(context.Background(), option.WithHTTPClient(hc), option.WithEndpoint(s.cfg.Endpoint))
	if err != nil {
		return nil, fmt.Errorf("making Google's client: %w", err)
	}
	client.UserAgent = s.cfg.UserAgent + " (gzip)"
	return client, nil
}

// stay follows no redirect: an API has none, and the token would go with it.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// CloseIdleConnections closes what is kept open for later requests.
func (s *Service) CloseIdleConnections() {
	(&http.Client{Transport: s.base}).CloseIdleConnections()
}
