package oauthserver

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// keyID names the service account's key.
const keyID = "0123456789abcdef0123456789abcdef01234567"

// claims are those of an assertion (RFC 7523 3, and Google's scope).
type claims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Scope    string          `json:"scope"`
	Audience json.RawMessage `json:"aud"`
	Issued   *float64        `json:"iat"`
	Expires  *float64        `json:"exp"`
}

// skew is how far clocks may differ.
const skew = 5 * time.Minute

// verify reads an assertion and says why it is refused, in Google's words. Claims that could be read come with a refusal.
// The caller holds mu.
func (s *Server) verify(assertion string, r *http.Request, now time.Time) (*claims, *reply) {
	refuse := func(why string) *reply {
		re := oauthError(http.StatusBadRequest, "invalid_grant", why)
		return &re
	}
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return nil, refuse("Bad Request")
	}
	var head struct{ Alg, Kid string }
	var c claims
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !decodePart(parts[0], &head) || !decodePart(parts[1], &c) || head.Alg != "RS256" {
		return nil, refuse("Bad Request")
	}
	if c.Issuer != s.opts.Account {
		return &c, refuse("Invalid grant: account not found")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	kidOK := head.Kid == "" || head.Kid == keyID && !s.keyDeleted || head.Kid == managedKeyID
	if !kidOK || head.Kid == "" && s.keyDeleted || rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return &c, refuse("Invalid JWT Signature.")
	}
	if !audience(c.Audience, r) {
		return &c, refuse("Invalid JWT: Failed audience check. The right audience is https://oauth2.googleapis.com/token")
	}
	if !timely(c, now) {
		return &c, refuse("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. " +
			"Check your iat and exp values in the JWT claim.")
	}
	return &c, nil
}

func decodePart(text string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	return err == nil && json.NewDecoder(bytes.NewReader(raw)).Decode(into) == nil
}

// audience says whether aud (a string, or a list: RFC 7519 4.1.3) names this token endpoint.
func audience(aud json.RawMessage, r *http.Request) bool {
	var list []string
	var one string
	if json.Unmarshal(aud, &one) == nil {
		list = []string{one}
	} else if json.Unmarshal(aud, &list) != nil {
		return false
	}
	ours := []string{
		"https://oauth2.googleapis.com/token", "https://accounts.google.com/o/oauth2/token", "https://www.googleapis.com/oauth2/v4/token",
		"http://" + r.Host + r.URL.Path, "https://" + r.Host + r.URL.Path,
	}
	return slices.ContainsFunc(list, func(a string) bool { return slices.Contains(ours, a) })
}

// timely says whether iat and exp are there, at most an hour apart, and around now.
func timely(c claims, now time.Time) bool {
	if c.Issued == nil || c.Expires == nil {
		return false
	}
	issued, expires := time.Unix(int64(*c.Issued), 0), time.Unix(int64(*c.Expires), 0)
	return !issued.After(now.Add(skew)) && expires.After(now.Add(-skew)) && expires.Sub(issued) <= time.Hour+skew && expires.After(issued)
}

// sign signs a payload as the IAM credentials API does, with a key that Google keeps.
func (s *Server) sign(payload []byte) (string, error) {
	head, err := json.Marshal(map[string]string{"alg": "RS256", "kid": managedKeyID, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
