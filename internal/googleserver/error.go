package googleserver

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Error is an answer that is none, in the shape of Google's JSON errors.
type Error struct {
	Code         int
	Domain       string
	Reason       string
	Message      string
	LocationType string
	Location     string
	RetryAfter   time.Duration // sent as whole seconds when at least one
	Header       http.Header   // sent besides
	Status       string        // the canonical name of a google.rpc.Code, where Google sends one
	Details      []any         // likewise
}

// The errors of Google's guide "Handle API errors", to be put into faults.
var (
	InvalidCredentials = &Error{
		Code: http.StatusUnauthorized, Domain: "global", Reason: "authError", Message: "Invalid Credentials",
		LocationType: "header", Location: "Authorization",
	}
	UserRateLimitExceeded = &Error{
		Code: http.StatusForbidden, Domain: "usageLimits", Reason: "userRateLimitExceeded", Message: "User Rate Limit Exceeded",
	}
	RateLimitExceeded = &Error{
		Code: http.StatusForbidden, Domain: "usageLimits", Reason: "rateLimitExceeded", Message: "Rate Limit Exceeded",
	}
	QuotaExceeded = &Error{
		Code: http.StatusForbidden, Domain: "usageLimits", Reason: "quotaExceeded", Message: "Calendar usage limits exceeded.",
	}
	TooManyRequests = &Error{
		Code: http.StatusTooManyRequests, Domain: "usageLimits", Reason: "rateLimitExceeded", Message: "Rate Limit Exceeded",
	}
	Forbidden = &Error{
		Code: http.StatusForbidden, Domain: "global", Reason: "forbidden", Message: "Forbidden",
	}
	NotFound = &Error{
		Code: http.StatusNotFound, Domain: "global", Reason: "notFound", Message: "Not Found",
	}
	Deleted = &Error{
		Code: http.StatusGone, Domain: "global", Reason: "deleted", Message: "Resource has been deleted",
	}
	FullSyncRequired = &Error{
		Code: http.StatusGone, Domain: "calendar", Reason: "fullSyncRequired",
		Message:      "Sync token is no longer valid, a full sync is required.",
		LocationType: "parameter", Location: "syncToken",
	}
	UpdatedMinTooLongAgo = &Error{
		Code: http.StatusGone, Domain: "calendar", Reason: "updatedMinTooLongAgo",
		Message:      "The requested minimum modification time lies too far in the past.",
		LocationType: "parameter", Location: "updatedMin",
	}
	InvalidSyncToken = &Error{
		Code: http.StatusBadRequest, Domain: "calendar", Reason: "invalid", Message: "Invalid sync token value.",
		LocationType: "parameter", Location: "syncToken",
	}
	InvalidPageToken = &Error{
		Code: http.StatusBadRequest, Domain: "calendar", Reason: "invalid", Message: "Invalid page token value.",
		LocationType: "parameter", Location: "pageToken",
	}
	PreconditionFailed = &Error{
		Code: http.StatusPreconditionFailed, Domain: "global", Reason: "conditionNotMet", Message: "Precondition Failed",
		LocationType: "header", Location: "If-Match",
	}
	BackendError = &Error{
		Code: http.StatusInternalServerError, Domain: "global", Reason: "backendError", Message: "Backend Error",
	}
	ServiceUnavailable = &Error{
		Code: http.StatusServiceUnavailable, Domain: "global", Reason: "backendError", Message: "Service unavailable. Please try again later.",
		Status: "UNAVAILABLE",
	}
)

// badParameter is a value that a parameter cannot have.
func badParameter(name, reason, message string) *Error {
	return &Error{
		Code: http.StatusBadRequest, Domain: "global", Reason: reason, Message: message,
		LocationType: "parameter", Location: name,
	}
}

// write sends the error.
func (e *Error) write(w http.ResponseWriter) {
	for name, values := range e.Header {
		w.Header()[name] = values
	}
	if s := int(e.RetryAfter / time.Second); s > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(s))
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(e.Code)
	_, _ = w.Write(e.body()) // the client has gone
}

// body is the error as JSON. "status" and "details" stand only where Google's newer front ends send them.
func (e *Error) body() []byte {
	type cause struct {
		Message      string `json:"message"`
		Domain       string `json:"domain"`
		Reason       string `json:"reason"`
		Location     string `json:"location,omitempty"`
		LocationType string `json:"locationType,omitempty"`
	}
	type whole struct {
		Code    int     `json:"code"`
		Message string  `json:"message"`
		Errors  []cause `json:"errors"`
		Status  string  `json:"status,omitempty"`
		Details []any   `json:"details,omitempty"`
	}
	b, err := json.MarshalIndent(map[string]whole{"error": {
		e.Code, e.Message, []cause{{e.Message, e.Domain, e.Reason, e.Location, e.LocationType}}, e.Status, e.Details,
	}}, "", " ")
	if err != nil {
		return []byte("{}") // details that are not JSON
	}
	return append(b, '\n')
}
