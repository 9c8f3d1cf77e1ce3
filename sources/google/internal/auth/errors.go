package auth

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Error says that a token could not be had: what was asked, what came, and what to do. It holds no secret (Invariant 9).
type Error struct {
	Op       string   // what was being done: "getting a token for alice@example.org"
	Subject  string   // "": the credentials' own account
	Scopes   []string // that were asked for
	ClientID string   // of the credentials, as the Admin console wants it; "": not known

	Host        string // of the endpoint that was asked last
	Status      int    // of its HTTP answer; 0: none came
	Code        string // of RFC 6749 5.2, or a status of Google's APIs; cannot_delegate: nothing was asked
	Description string // what the endpoint says beside it
	Hint        string // what to do, where that is known
	After       time.Duration
	Err         error // what went wrong below HTTP or in reading the answer
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Host != "" {
		fmt.Fprintf(&b, ": asking %s", e.Host)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %s", strings.TrimSpace(strconv.Itoa(e.Status)+" "+http.StatusText(e.Status)))
	}
	if e.Code != "" {
		fmt.Fprintf(&b, ": %s", e.Code)
	}
	if e.Description != "" {
		fmt.Fprintf(&b, " (%s)", e.Description)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, ": %s", e.Hint)
	}
	return b.String()
}

// Unwrap is what went wrong below HTTP.
func (e *Error) Unwrap() error { return e.Err }

// RetryAfter is how long the endpoint asked to be left alone; 0 where it did not.
func (e *Error) RetryAfter() time.Duration { return e.After }

// signInAgain is for users whose refresh token is dead.
const signInAgain = "sign in again (gcloud auth application-default login --scopes=openid,%s) and use the new file"

// hint is what an operator can do about a failure. The codes are those of RFC 6749 5.2 and of Google's guides to service
// accounts and web server apps.
func hint(id identity, a answer, e *Error) string {
	scopes := strings.Join(e.Scopes, ",")
	switch a.code {
	case "unauthorized_client":
		return unauthorized(id, e, scopes)
	case "access_denied":
		if e.Subject != "" {
			return unauthorized(id, e, scopes)
		}
		return "an administrator's policy refuses it: see the Admin console, Security > API controls > App access control"
	case "admin_policy_enforced", "org_internal":
		return "an administrator's policy refuses it: see the Admin console, Security > API controls > App access control"
	case "invalid_client", "deleted_client", "disabled_client":
		return "the OAuth client of the credentials is unknown, disabled, or has another secret: make new credentials in the Cloud console"
	case "invalid_scope":
		return "Google does not know a scope of " + scopes
	case "invalid_grant":
		return invalidGrant(id, a, e, scopes)
	}
	return statusHint(id, a, e)
}

// unauthorized is for a client that has not been given a scope.
func unauthorized(id identity, e *Error, scopes string) string {
	if id.user || e.Subject == "" {
		return "the refresh token is not this OAuth client's, or the client may not use it: " + fmt.Sprintf(signInAgain, scopes)
	}
	client := "client id " + id.clientID
	if id.clientID == "" {
		client = "the client id (unique id) of service account " + id.account
	}
	return "in the Admin console, Security > API controls > Domain-wide delegation, give " + client + " the scope " + scopes +
		" (a change there can take up to 24 hours)"
}

// invalidGrant tells apart, by what Google says beside it, what the code stands for.
func invalidGrant(id identity, a answer, e *Error, scopes string) string {
	said := strings.ToLower(a.description)
	switch {
	case id.user && a.subtype == "invalid_rapt":
		return "the organisation's policy ended the session (Google Cloud session control): " + fmt.Sprintf(signInAgain, scopes)
	case id.user:
		return "the sign-in was revoked or has expired (after 7 days where the consent screen's publishing status is Testing): " +
			fmt.Sprintf(signInAgain, scopes)
	case strings.Contains(said, "timeframe") || strings.Contains(said, "short-lived"):
		return "check this machine's clock"
	case strings.Contains(said, "signature"):
		return "the key of " + id.name + " was deleted or disabled: make a new one in the Cloud console"
	case e.Subject != "" && (strings.Contains(said, "user id") || strings.Contains(said, "valid email")):
		return e.Subject + " is no active user of the domain: correct the subject"
	case strings.Contains(said, "account not found"):
		return id.name + " no longer exists: make new credentials in the Cloud console"
	}
	return "the key of " + id.name + " was revoked or has expired, the account or the subject does not exist, or this machine's clock is wrong"
}

// statusHint is for answers without a code of OAuth's.
func statusHint(id identity, a answer, e *Error) string {
	if _, ok := strings.CutPrefix(id.name, "the machine's"); ok && a.status/100 != 2 {
		return "set credentials_file, or " + environment + ", or run where there is a metadata server"
	}
	if a.host == iamHost {
		switch a.status {
		case http.StatusUnauthorized:
			return "the credentials that impersonate are not accepted"
		case http.StatusForbidden:
			return "give the credentials roles/iam.serviceAccountTokenCreator on " + id.account +
				" and enable " + iamHost + " in its project"
		case http.StatusNotFound:
			return "there is no service account " + id.account
		}
	}
	switch {
	case e.Err != nil || a.status >= 500 || a.status == http.StatusTooManyRequests || a.status == http.StatusRequestTimeout:
		return "" // it passes
	case a.status/100 == 3:
		return "the token endpoint redirects: check token_uri in the credentials file"
	case a.status == http.StatusNotFound:
		return "there is no token endpoint: check token_uri in the credentials file"
	}
	return ""
}

// redactor takes secrets out of what an endpoint says.
type redactor []string

// clean is text as an error may show it: one line, short, without secrets, without parts of them, and without anything that
// looks like one.
func (r redactor) clean(text string) string {
	for _, s := range r {
		if s != "" {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(text, func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if r.secret(word) {
			word = "***"
		}
		b.WriteString(word)
	}
	return clip(b.String())
}

// secret says whether a word is, or may be, a piece of a secret.
func (r redactor) secret(word string) bool {
	core := strings.Trim(word, `"'.,:;()[]{}<>`)
	for _, s := range r {
		if len(core) >= 8 && strings.Contains(s, core) {
			return true
		}
	}
	const wordy = 48 // longer words are scopes and other URLs, or secrets
	return len(core) > wordy && !strings.HasPrefix(core, "https://www.googleapis.com/auth/")
}

// clip shortens text for a message.
func clip(s string) string {
	const most = 256
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
