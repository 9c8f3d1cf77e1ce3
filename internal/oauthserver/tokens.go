package oauthserver

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"time"
)

// anybody stands for every user of the domain.
const anybody = "*"

// signIn is a user's consent to an OAuth client.
type signIn struct {
	user   string
	scopes []string
	dead   bool
}

// token is one that was given out.
type token struct {
	subject string // user or service account
	scopes  []string
	expires time.Time
	from    string // the refresh token that it came of
}

// Delegate gives the service account the scopes for a subject, or for every user ("*"), as the Admin console's domain-wide
// delegation does.
func (s *Server) Delegate(subject string, scopes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delegated[subject] == nil {
		s.delegated[subject] = map[string]bool{}
	}
	for _, scope := range scopes {
		s.delegated[subject][scope] = true
	}
}

// Withdraw takes back scopes that were delegated; none: all of them. Tokens that are out stay good.
func (s *Server) Withdraw(subject string, scopes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(scopes) == 0 {
		scopes = slices.Collect(maps.Keys(s.delegated[subject]))
	}
	for _, scope := range scopes {
		delete(s.delegated[subject], scope)
	}
}

// isDelegated says whether every one of scopes is. The caller holds mu.
func (s *Server) isDelegated(subject string, scopes []string) bool {
	for _, scope := range scopes {
		if !s.delegated[subject][scope] && !s.delegated[anybody][scope] {
			return false
		}
	}
	return true
}

// AllowImpersonation lets a principal (an e-mail address) act as the service account: roles/iam.serviceAccountTokenCreator.
func (s *Server) AllowImpersonation(principal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.may[principal] = true
}

// SignIn lets a user consent to scopes and returns the refresh token.
func (s *Server) SignIn(user string, scopes ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	refresh := "1//0" + rand.Text() + rand.Text()
	s.signIns[refresh] = &signIn{user: user, scopes: slices.Clone(scopes)}
	return refresh
}

// RevokeSignIn ends what SignIn began: the refresh token and every access token that came of it.
func (s *Server) RevokeSignIn(refresh string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in := s.signIns[refresh]; in != nil {
		in.dead = true
	}
	maps.DeleteFunc(s.tokens, func(_ string, t *token) bool { return t.from == refresh })
}

// DeleteKey deletes the service account's key: assertions signed with it are refused.
func (s *Server) DeleteKey() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keyDeleted = true
}

// SetTokenLife sets how long tokens live from now on.
func (s *Server) SetTokenLife(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life = d
}

// SetUsers replaces the domain's users.
func (s *Server) SetUsers(users []User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = slices.Clone(users)
}

// Revoke ends an access token.
func (s *Server) Revoke(accessToken string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, accessToken)
}

// RevokeAll ends every access token of a subject ("": of everybody).
func (s *Server) RevokeAll(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.tokens, func(_ string, t *token) bool { return subject == "" || t.subject == subject })
}

// Issue gives out a token without anybody asking.
func (s *Server) Issue(subject string, scopes ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issue(subject, scopes, "", s.life)
}

// issue gives out a token. The caller holds mu.
func (s *Server) issue(subject string, scopes []string, from string, life time.Duration) string {
	now := time.Now()
	maps.DeleteFunc(s.tokens, func(_ string, t *token) bool { return now.After(t.expires.Add(time.Minute)) })
	text := "ya29.test-" + rand.Text() + rand.Text()
	s.tokens[text] = &token{subject: subject, scopes: slices.Clone(scopes), expires: now.Add(life), from: from}
	return text
}

// Valid says whose an access token is, and whether it is alive and has one of scopes (an API's method names the scopes of
// which each suffices; none: any token does). One that is good without scopes and not with them lacks a scope: 403,
// not 401.
func (s *Server) Valid(accessToken string, scopes ...string) (subject string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[accessToken]
	if t == nil || !time.Now().Before(t.expires) {
		return "", false
	}
	if len(scopes) == 0 {
		return t.subject, true
	}
	has := slices.ContainsFunc(scopes, func(scope string) bool { return slices.Contains(t.scopes, scope) })
	return t.subject, has
}

// bearer is the token that a request brings.
func bearer(c *call) string {
	scheme, text, _ := strings.Cut(c.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(text)
}
