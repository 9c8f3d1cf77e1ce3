package oauthserver

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	jwtGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer" // RFC 7523 2.1
	// Google still takes the form of the drafts, which its own libraries send.
	draftGrant, draftType = "assertion", "http://oauth.net/grant_type/jwt/1.0/bearer"
)

// OAuth client of the users that sign in.
const (
	UserClientID     = "764086051850-test.apps.googleusercontent.com"
	UserClientSecret = "GOCSPX-test-secret-of-client" // not one of Google's
)

// routeGrant says what answers a request to the token endpoint.
func (s *Server) routeGrant(c *call) func(*call) reply {
	c.kind = OtherGrant
	media, _, _ := mime.ParseMediaType(c.Header.Get("Content-Type"))
	form, err := url.ParseQuery(string(c.body))
	switch {
	case c.Method != http.MethodPost:
		return func(*call) reply {
			return oauthError(http.StatusMethodNotAllowed, "invalid_request", "Method not allowed: use POST")
		}
	case media != "application/x-www-form-urlencoded" || err != nil || repeated(form):
		return func(*call) reply { return oauthError(http.StatusBadRequest, "invalid_request", "Malformed request") }
	}
	switch grant := form.Get("grant_type"); {
	case grant == jwtGrant, grant == draftGrant && form.Get("assertion_type") == draftType:
		c.kind = JWTBearer
		return func(c *call) reply { return s.grantJWT(c, form) }
	case grant == "refresh_token":
		c.kind = Refresh
		return func(c *call) reply { return s.grantRefresh(c, form) }
	case grant == "":
		return func(*call) reply {
			return oauthError(http.StatusBadRequest, "invalid_request", "Missing required parameter: grant_type")
		}
	default:
		return func(*call) reply {
			return oauthError(http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: "+grant)
		}
	}
}

// repeated says whether a parameter comes twice (RFC 6749 3.2).
func repeated(form url.Values) bool {
	for _, values := range form {
		if len(values) > 1 {
			return true
		}
	}
	return false
}

// grantJWT is the JWT bearer grant: the service account's own token, or one for a subject.
func (s *Server) grantJWT(c *call, form url.Values) reply {
	assertion := form.Get("assertion")
	if assertion == "" {
		return oauthError(http.StatusBadRequest, "invalid_request", "Missing required parameter: assertion")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	claims, refused := s.verify(assertion, c.Request, time.Now())
	if claims != nil {
		c.note.Subject, c.note.Scopes = claims.Subject, strings.Fields(claims.Scope)
	}
	if refused != nil {
		return *refused
	}
	scopes := strings.Fields(claims.Scope)
	if bad := checkScopes(scopes); bad != nil {
		return *bad
	}
	subject := claims.Issuer
	if claims.Subject != "" && claims.Subject != claims.Issuer {
		subject = claims.Subject
		if !s.isUser(subject) {
			return oauthError(http.StatusBadRequest, "invalid_grant", "Invalid email or User ID")
		}
		if !s.isDelegated(subject, scopes) {
			return oauthError(http.StatusUnauthorized, "unauthorized_client", "Client is unauthorized to retrieve access tokens "+
				"using this method, or client not authorized for any of the scopes requested.")
		}
	}
	return ok(map[string]any{
		"access_token": s.issue(subject, scopes, "", s.life), "expires_in": int(s.life.Seconds()), "token_type": "Bearer",
	})
}

// checkScopes refuses what is no scope.
func checkScopes(scopes []string) *reply {
	if len(scopes) == 0 {
		re := oauthError(http.StatusBadRequest, "invalid_scope", "Empty or missing scope not allowed.")
		return &re
	}
	for _, scope := range scopes {
		if !strings.HasPrefix(scope, "https://www.googleapis.com/auth/") && !slices.Contains([]string{"openid", "email", "profile"}, scope) {
			re := oauthError(http.StatusBadRequest, "invalid_scope", "Invalid OAuth scope or ID token audience provided.")
			return &re
		}
	}
	return nil
}

// isUser says whether a subject is an active user. The caller holds mu.
func (s *Server) isUser(email string) bool {
	return slices.ContainsFunc(s.users, func(u User) bool { return strings.EqualFold(u.Email, email) && !u.Suspended && !u.Archived })
}

// grantRefresh is the refresh token grant (RFC 6749 6).
func (s *Server) grantRefresh(c *call, form url.Values) reply {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if user, password, is := c.BasicAuth(); is {
		id, _ = url.QueryUnescape(user) // RFC 6749 2.3.1
		secret, _ = url.QueryUnescape(password)
	}
	switch {
	case id == "":
		return oauthError(http.StatusBadRequest, "invalid_request", "Could not determine client ID from request.")
	case id != UserClientID:
		return oauthError(http.StatusUnauthorized, "invalid_client", "The OAuth client was not found.")
	case secret != UserClientSecret:
		return oauthError(http.StatusUnauthorized, "invalid_client", "The provided client secret is invalid.")
	case form.Get("refresh_token") == "":
		return oauthError(http.StatusBadRequest, "invalid_request", "Missing required parameter: refresh_token")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.signIns[form.Get("refresh_token")]
	if in == nil {
		return oauthError(http.StatusBadRequest, "invalid_grant", "Bad Request")
	}
	c.note.Subject, c.note.Scopes = in.user, in.scopes
	if in.dead {
		return oauthError(http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
	}
	scopes := in.scopes
	if asked := strings.Fields(form.Get("scope")); len(asked) > 0 {
		for _, scope := range asked {
			if !slices.Contains(in.scopes, scope) {
				return oauthError(http.StatusBadRequest, "invalid_scope", "Some requested scopes were invalid.")
			}
		}
		scopes = asked
	}
	return ok(map[string]any{
		"access_token": s.issue(in.user, scopes, form.Get("refresh_token"), s.life), "expires_in": int(s.life.Seconds()),
		"scope": strings.Join(scopes, " "), "token_type": "Bearer",
	})
}
