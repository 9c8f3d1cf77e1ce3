package oauthserver

import (
	"encoding/json"
	"net/http"
)

// reply is an answer in JSON.
type reply struct {
	status int
	code   string // of the error, for the log
	body   any
	header http.Header
}

func (re reply) write(w http.ResponseWriter) {
	for k, v := range re.header {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 5.1
	w.WriteHeader(re.status)
	_ = json.NewEncoder(w).Encode(re.body) // whoever asked has gone
}

func ok(body any) reply { return reply{status: http.StatusOK, body: body} }

// oauthError is an error of a token endpoint (RFC 6749 5.2).
func oauthError(status int, code, description string) reply {
	return reply{status: status, code: code, body: map[string]string{"error": code, "error_description": description}}
}

// apiError is an error of Google's APIs.
func apiError(code int, status, reason, message string) reply {
	item := map[string]string{"message": message, "domain": "global", "reason": reason}
	return reply{status: code, code: reason, body: map[string]any{"error": map[string]any{
		"code": code, "message": message, "status": status, "errors": []any{item},
	}}}
}
