package oauthserver

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const (
	accountsPath  = "/v1/projects/-/serviceAccounts/"
	managedKeyID  = "fedcba9876543210fedcba9876543210fedcba98" // of the key that Google keeps for the service account
	cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"
	iamScope      = "https://www.googleapis.com/auth/iam"
)

// mayImpersonate checks who asks the IAM credentials API, and for which service account.
func (s *Server) mayImpersonate(c *call, permission string) *reply {
	refuse := func(code int, status, reason, message string) *reply {
		re := apiError(code, status, reason, message)
		return &re
	}
	if c.Method != http.MethodPost {
		return refuse(http.StatusNotFound, "NOT_FOUND", "notFound", "Method not found.")
	}
	who, alive := s.Valid(bearer(c))
	if !alive {
		return refuse(http.StatusUnauthorized, "UNAUTHENTICATED", "authError", "Request had invalid authentication credentials. "+
			"Expected OAuth 2 access token, login cookie or other valid authentication credential.")
	}
	if _, has := s.Valid(bearer(c), cloudPlatform, iamScope); !has {
		return refuse(http.StatusForbidden, "PERMISSION_DENIED", "forbidden", "Request had insufficient authentication scopes.")
	}
	target, _, _ := strings.Cut(strings.TrimPrefix(c.URL.Path, accountsPath), ":")
	s.mu.Lock()
	defer s.mu.Unlock()
	if target != s.opts.Account {
		return refuse(http.StatusNotFound, "NOT_FOUND", "notFound", "Not found; Gaia id not found for email "+target)
	}
	if !s.may[who] {
		return refuse(http.StatusForbidden, "PERMISSION_DENIED", "forbidden",
			"Permission '"+permission+"' denied on resource (or it may not exist).")
	}
	return nil
}

func badArgument(message string) reply {
	return apiError(http.StatusBadRequest, "INVALID_ARGUMENT", "badRequest", message)
}

// generateAccessToken gives a token of the service account itself.
func (s *Server) generateAccessToken(c *call) reply {
	var asked struct {
		Delegates []string `json:"delegates"`
		Scope     []string `json:"scope"`
		Lifetime  string   `json:"lifetime"`
	}
	if refused := s.mayImpersonate(c, "iam.serviceAccounts.getAccessToken"); refused != nil {
		return *refused
	}
	if json.Unmarshal(c.body, &asked) != nil || len(asked.Scope) == 0 {
		return badArgument("Request contains an invalid argument.")
	}
	c.note.Scopes = asked.Scope
	life := time.Hour
	if asked.Lifetime != "" {
		d, err := time.ParseDuration(asked.Lifetime)
		if err != nil || d <= 0 || d > time.Hour {
			return badArgument("The access token lifetime cannot exceed 3600 seconds.")
		}
		life = d
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	life = min(life, s.life)
	return ok(map[string]any{
		"accessToken": s.issue(s.opts.Account, asked.Scope, "", life),
		"expireTime":  time.Now().Add(life).UTC().Format(time.RFC3339),
	})
}

// signJWT signs an assertion for the service account.
func (s *Server) signJWT(c *call) reply {
	var asked struct {
		Payload string `json:"payload"`
	}
	if refused := s.mayImpersonate(c, "iam.serviceAccounts.signJwt"); refused != nil {
		return *refused
	}
	var said claims
	if json.Unmarshal(c.body, &asked) != nil || json.Unmarshal([]byte(asked.Payload), &said) != nil {
		return badArgument("Request contains an invalid argument.")
	}
	c.note.Subject, c.note.Scopes = said.Subject, strings.Fields(said.Scope)
	if said.Expires != nil && time.Until(time.Unix(int64(*said.Expires), 0)) > 12*time.Hour {
		return badArgument("exp must be at most 12 hours in the future.")
	}
	signed, err := s.sign([]byte(asked.Payload))
	if err != nil {
		return apiError(http.StatusInternalServerError, "INTERNAL", "backendError", "Internal error")
	}
	return ok(map[string]any{"keyId": managedKeyID, "signedJwt": signed})
}

// metadata is the metadata server of a machine, as far as tokens go.
func (s *Server) metadata(c *call) reply {
	flavor := http.Header{"Metadata-Flavor": {"Google"}}
	if c.Header.Get("Metadata-Flavor") != "Google" {
		return reply{status: http.StatusForbidden, code: "forbidden", body: "Missing required header \"Metadata-Flavor\": \"Google\"", header: flavor}
	}
	account, what, _ := strings.Cut(strings.TrimPrefix(c.URL.Path, "/computeMetadata/v1/instance/service-accounts/"), "/")
	if s.opts.Machine == "" || account != "default" && account != s.opts.Machine || what != "token" {
		return reply{status: http.StatusNotFound, code: "notFound", body: "not found", header: flavor}
	}
	scopes := strings.FieldsFunc(c.URL.Query().Get("scopes"), func(r rune) bool { return r == ',' })
	if len(scopes) == 0 {
		scopes = []string{cloudPlatform} // a machine's default access scope
	}
	c.note.Subject, c.note.Scopes = s.opts.Machine, scopes
	s.mu.Lock()
	defer s.mu.Unlock()
	re := ok(map[string]any{
		"access_token": s.issue(s.opts.Machine, scopes, "", s.life), "expires_in": int(s.life.Seconds()), "token_type": "Bearer",
	})
	re.header = flavor
	return re
}
