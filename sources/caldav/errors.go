package caldav

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Error says that a request failed: what was asked, what came, and what to do. It holds no secret (Invariant 9).
type Error struct {
	Method       string
	URL          string // without userinfo and query
	Status       int    // of the HTTP answer; 0: none came, or it is not the status that is wrong
	Precondition string // the local name of the element in DAV:error, e.g. valid-sync-token
	Excerpt      string // of the answer's text, at most 160 bytes
	Hint         string // what to do, where that is known
	After        time.Duration
	Err          error // what went wrong below HTTP or in reading the answer
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Method, e.URL)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %s", strings.TrimSpace(strconv.Itoa(e.Status)+" "+http.StatusText(e.Status)))
	}
	if e.Precondition != "" {
		fmt.Fprintf(&b, " (%s)", e.Precondition)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Excerpt != "" {
		fmt.Fprintf(&b, ": %q", e.Excerpt)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, ": %s", e.Hint)
	}
	return b.String()
}

// Unwrap is what went wrong below HTTP.
func (e *Error) Unwrap() error { return e.Err }

// RetryAfter is how long the server asked to be left alone; 0 where it did not.
func (e *Error) RetryAfter() time.Duration { return e.After }

// hintURL is for answers that no CalDAV service would give.
const hintURL = "check the url: it should lead to a CalDAV service"

// hint is what an operator can do about a status.
func hint(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "check the username and password (or token) of the account"
	case http.StatusForbidden:
		return "the account may not do this: check its rights on the server"
	case http.StatusTooManyRequests:
		return "the server asks for fewer requests: raise poll_interval or lower concurrency"
	}
	return ""
}

// redactor takes an account's secrets out of what a server echoes.
type redactor struct{ secrets []string }

func newRedactor(c Credentials) redactor {
	var r redactor
	for _, s := range []string{c.Password, c.Token, url.QueryEscape(c.Password)} {
		if s != "" {
			r.secrets = append(r.secrets, s)
		}
	}
	if c.Password != "" {
		r.secrets = append(r.secrets, base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password)))
	}
	return r
}

// excerpt is a short printable part of an answer, without its tags and without secrets.
func (r redactor) excerpt(body []byte) string {
	text := string(body)
	for _, s := range r.secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	var b strings.Builder
	tag, gap := false, false
	for _, c := range text {
		switch {
		case c == '<':
			tag, gap = true, true
		case c == '>':
			tag = false
		case tag:
		case unicode.IsSpace(c) || !unicode.IsPrint(c):
			gap = true
		default:
			if gap && b.Len() > 0 {
				b.WriteByte(' ')
			}
			gap = false
			b.WriteRune(c)
		}
		if b.Len() >= 160 {
			break
		}
	}
	return b.String()
}
