package google

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/calcdc/calcdc/sources/google/internal/auth"
	"github.com/calcdc/calcdc/sources/internal/httpwait"
)

// Error says that a request failed: what was being done, what came, and what to do. It holds no secret (Invariant 9).
type Error struct {
	Op      string   // what was being done: "listing the events of work@group.calendar.google.com"
	Status  int      // of the HTTP answer; 0: none came, or it is not the status that is wrong
	Reasons []string // of the answer, the first the most telling, e.g. userRateLimitExceeded
	Message string   // of the answer, at most 300 bytes
	Hint    string   // what to do, where that is known
	After   time.Duration
	Err     error // what went wrong below HTTP or in reading the answer

	said      answer
	scopeless bool // the answer's header says that the scope does not suffice
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %s", strings.TrimSpace(strconv.Itoa(e.Status)+" "+http.StatusText(e.Status)))
	}
	if len(e.Reasons) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(e.Reasons, ", "))
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
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

// RetryAfter is how long the server asked to be left alone, or how long calcdc leaves it alone; 0: it is not about that.
func (e *Error) RetryAfter() time.Duration { return e.After }

// answer is the body of an error, in any of the shapes in which Google's front ends send it.
type answer struct {
	Message string `json:"message"`
	Status  string `json:"status"`
	Errors  []struct {
		Reason       string `json:"reason"`
		Message      string `json:"message"`
		Location     string `json:"location"`
		ExtendedHelp string `json:"extendedHelp"`
	} `json:"errors"`
	Details []struct {
		Reason   string            `json:"reason"`
		Metadata map[string]string `json:"metadata"`
	} `json:"details"`
}

// readAnswer reads what it can of an error's body.
func readAnswer(body []byte) (a answer) {
	var whole struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &whole) != nil || json.Unmarshal(whole.Error, &a) != nil {
		return answer{Message: string(body)}
	}
	return a
}

func (a answer) reasons() []string {
	var all []string
	for _, e := range a.Errors {
		all = append(all, clean(e.Reason, 60))
	}
	for _, d := range a.Details {
		all = append(all, clean(d.Reason, 60))
	}
	if len(all) == 0 && a.Status != "" {
		all = append(all, clean(a.Status, 60))
	}
	var each []string
	for _, r := range all {
		if r != "" && !slices.Contains(each, r) && len(each) < 5 {
			each = append(each, r)
		}
	}
	return each
}

// has tells whether one of the reasons is among these, whatever the case.
func (e *Error) has(reasons ...string) bool {
	return slices.ContainsFunc(e.Reasons, func(r string) bool {
		return slices.ContainsFunc(reasons, func(want string) bool { return strings.EqualFold(r, want) })
	})
}

// about tells whether the answer names a parameter as the trouble.
func (e *Error) about(parameter string) bool {
	for _, one := range e.said.Errors {
		if strings.EqualFold(one.Location, parameter) {
			return true
		}
	}
	return false
}

// names tells whether the answer's words are about a thing: "sync token" is found in "syncToken" and "sync-token" too.
func (e *Error) names(thing string) bool {
	plain := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) {
				return unicode.ToLower(r)
			}
			return -1
		}, s)
	}
	words := append([]string{e.said.Message}, e.Reasons...)
	for _, one := range e.said.Errors {
		words = append(words, one.Message)
	}
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(plain(w), plain(thing)) })
}

// projectReasons speak of the whole project's quota, the others of the user's.
var (
	rateReasons = []string{"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg",
		"userRateLimitExceededUnreg", "concurrentLimitExceeded", "limitExceeded", "variableTermLimitExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
	projectReasons = []string{"dailyLimitExceeded", "dailyLimitExceededUnreg"}
)

// limited tells an answer that asks for fewer requests.
func (e *Error) limited() bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusForbidden && e.has(rateReasons...)
}

// ofProject tells a limit that is the project's, not the user's.
func (e *Error) ofProject() bool {
	for _, d := range e.said.Details {
		if limit := d.Metadata["quota_limit"]; strings.Contains(limit, "PerProject") && !strings.Contains(limit, "PerUser") {
			return true
		}
	}
	return e.has(projectReasons...)
}

// isCut tells a connection that ended before its answer did.
func isCut(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// passing tells trouble that a moment later may be over.
func (e *Error) passing() bool {
	switch e.Status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return true
	case 0:
		var t net.Error
		return errors.As(e.Err, &t) && t.Timeout() || isCut(e.Err) || errors.Is(e.Err, httpwait.ErrSilent)
	}
	return e.limited()
}

// refused makes the error of an answer that is not 200.
func refused(op string, x *exchange, body string) *Error {
	if x.secret != "" {
		body = strings.ReplaceAll(body, x.secret, "***")
	}
	e := &Error{Op: op, Status: x.status, said: readAnswer([]byte(body)), After: httpwait.RetryAfter(x.header, time.Now())}
	e.scopeless = strings.Contains(x.header.Get("WWW-Authenticate"), "insufficient_scope")
	e.Message, e.Reasons = clean(e.said.Message, 300), e.said.reasons()
	if len(e.Reasons) == 1 && strings.EqualFold(e.Reasons[0], e.Message) {
		e.Message = ""
	}
	return e
}

// lacksGrant tells an answer that no request will change, but a person in the console will: it is looked at again now and then.
func (e *Error) lacksGrant() bool { return e.lacksAPI() || e.lacksScope() }

// lacksAPI tells that the API is not enabled in the credentials' project.
func (e *Error) lacksAPI() bool { return e.has("accessNotConfigured", "SERVICE_DISABLED") }

// lacksScope tells that the token was not granted what the request needs.
func (e *Error) lacksScope() bool {
	return e.scopeless || e.has("insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
}

// hint is what an operator can do about an answer.
func (e *Error) hint(scope string) string {
	switch {
	case e.Status == http.StatusUnauthorized:
		return "the token is not accepted: check the credentials"
	case e.limited():
		return "too many requests: raise poll_interval, lower quota, or ask for more in the Cloud console"
	case e.lacksAPI():
		return "enable the Google Calendar API for the credentials' project: " + e.activation()
	case e.lacksScope():
		return "the token was not granted the scope " + scope + ": sign in again with it or, for domain-wide delegation, " +
			"give it to the client in the Admin console (Security > API controls > Domain-wide delegation)"
	case e.Status == http.StatusForbidden:
		return "the account may not see this: check how the calendar is shared with it"
	case e.Status/100 == 3:
		return "the server redirects: check the endpoint"
	}
	return ""
}

// activation is where the API is enabled, as Google says.
func (e *Error) activation() string {
	for _, d := range e.said.Details {
		if u := d.Metadata["activationUrl"]; strings.HasPrefix(u, "https://console.") {
			return clean(u, 300)
		}
	}
	for _, one := range e.said.Errors {
		if strings.HasPrefix(one.ExtendedHelp, "https://console.") {
			return clean(one.ExtendedHelp, 300)
		}
	}
	return "https://console.cloud.google.com/apis/library/calendar-json.googleapis.com"
}

// unreached explains an error below HTTP, or in reading the answer. The *url.Error is taken off: it repeats the request.
func unreached(op string, err error) *Error {
	var own *Error
	if errors.As(err, &own) { // of a meter
		return &Error{Op: op, Err: own, After: own.After}
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	e := &Error{Op: op, Err: err}
	var after interface{ RetryAfter() time.Duration }
	if errors.As(err, &after) { // of auth
		e.After = after.RetryAfter()
	}
	var refusal *auth.Error
	if errors.As(err, &refusal) && refusal.Code == "unauthorized_client" {
		e.After = max(e.After, grantPause)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		e.Hint = "check the host name in endpoint"
	}
	return e
}

// clean is a short printable part of what a server says, without anything that looks like a token.
func clean(text string, most int) string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(text[:min(len(text), 4<<10)], func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if strings.HasPrefix(word, "ya29.") || len(word) > 64 && !strings.HasPrefix(word, "https://") {
			word = "***"
		}
		b.WriteString(word)
		if b.Len() > most {
			return strings.ToValidUTF8(b.String()[:most], "") + "…"
		}
	}
	return strings.ToValidUTF8(b.String(), "?")
}
