package google

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/googleserver"
	"github.com/calcdc/calcdc/sources/google/internal/auth"
)

// TestErrors is the table of what an answer to a list means for its stream.
func TestErrors(t *testing.T) {
	events, rules, settings, calendars := stream(connector.Events, team), stream(connector.ACL, team), stream(connector.Settings, ""), stream(connector.Calendars, "")
	of := func(reason string, more ...string) func(int) http.HandlerFunc {
		return func(status int) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { refuse(w, status, reason, more...) }
		}
	}
	second := func(h http.HandlerFunc) http.HandlerFunc { // the second page fails
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("pageToken") == "" {
				fmt.Fprint(w, `{"kind":"calendar#events","items":[],"nextPageToken":"p"}`)
				return
			}
			h(w, r)
		}
	}
	withToken := func(h http.HandlerFunc) http.HandlerFunc { // only what has a token fails
		return func(w http.ResponseWriter, r *http.Request) {
			if q := r.URL.Query(); q.Has("syncToken") || q.Has("updatedMin") {
				h(w, r)
				return
			}
			fmt.Fprint(w, `{"kind":"calendar#events","items":[],"nextSyncToken":"x"}`)
		}
	}
	tests := map[string]struct {
		stream connector.Stream
		token  string
		mode   bool // updated-min
		answer http.HandlerFunc
		want   error  // nil: a plain one
		says   string // a part of the error
		tries  int
	}{
		"410 fullSyncRequired":              {stream: events, token: "x", answer: of("fullSyncRequired")(410), want: connector.ErrTokenInvalid, says: "fullSyncRequired"},
		"410 updatedMinTooLongAgo":          {stream: events, token: "x", answer: of("updatedMinTooLongAgo")(410), want: connector.ErrTokenInvalid},
		"410 deleted":                       {stream: events, token: "x", answer: of("deleted")(410), want: connector.ErrTokenInvalid},
		"410 without a body":                {stream: events, token: "x", answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }, want: connector.ErrTokenInvalid},
		"410 on the second page of a delta": {stream: events, token: "x", answer: second(of("deleted")(410)), want: connector.ErrTokenInvalid},
		"400 on the second page of a delta": {stream: events, token: "x", answer: withToken(second(of("invalid")(400)))},
		"410 of an updated-min token":       {stream: events, mode: true, token: "updated-min:2026-01-01T00:00:00Z", answer: of("updatedMinTooLongAgo")(410), want: connector.ErrTokenInvalid},
		"410 of rules":                      {stream: rules, token: "x", answer: of("fullSyncRequired")(410), want: connector.ErrTokenInvalid},
		"410 of settings":                   {stream: settings, token: "x", answer: of("fullSyncRequired")(410), want: connector.ErrTokenInvalid},
		"410 of calendars":                  {stream: calendars, token: "x", answer: of("fullSyncRequired")(410), want: connector.ErrTokenInvalid},
		"410 in a listing":                  {stream: events, answer: of("deleted")(410), want: connector.ErrGone},
		"410 of a listing's page token":     {stream: events, answer: second(of("deleted")(410))},
		"400 of a listing's page token":     {stream: events, answer: second(of("invalid", "pageToken", "Invalid page token value.")(400))},
		"400 of a delta's page token":       {stream: events, token: "x", answer: second(of("invalid", "pageToken", "Invalid page token value.")(400))},
		"400 of a page token, among words":  {stream: events, token: "x", answer: second(of("invalid", "pageToken", "The page token is not of this sync token.")(400))},
		"400 about the token, by place":     {stream: events, token: "x", answer: of("invalid", "syncToken")(400), want: connector.ErrTokenInvalid, tries: 1},
		"400 about the token, by words":     {stream: events, token: "x", answer: of("invalid", "", "Invalid sync token value.")(400), want: connector.ErrTokenInvalid, tries: 1},
		"400 about restrictions":            {stream: events, token: "x", answer: of("syncTokenWithRequestRestrictions", "timeMin")(400), want: connector.ErrTokenInvalid, tries: 1},
		"400 that only tokens get":          {stream: events, token: "x", answer: withToken(of("badRequest", "", "Bad Request")(400)), want: connector.ErrTokenInvalid, tries: 2},
		"400 that everything gets":          {stream: events, token: "x", answer: of("badRequest", "", "Bad Request")(400), tries: 2},
		"400 of an updated-min token":       {stream: events, mode: true, token: "updated-min:2026-01-01T00:00:00Z", answer: of("invalid", "updatedMin")(400), want: connector.ErrTokenInvalid},
		"400 that only updated-min gets":    {stream: events, mode: true, token: "updated-min:2026-01-01T00:00:00Z", answer: withToken(of("badRequest")(400)), want: connector.ErrTokenInvalid, tries: 2},
		"400 in a listing":                  {stream: events, answer: of("badRequest")(400), tries: 1},
		"404 of a calendar":                 {stream: events, token: "x", answer: of("notFound")(404), want: connector.ErrGone},
		"404 of rules":                      {stream: rules, answer: of("notFound")(404), want: connector.ErrGone},
		"404 of the calendarList":           {stream: calendars, answer: of("notFound")(404), says: "check the endpoint"},
		"401":                               {stream: events, answer: of("authError")(401), says: "check the credentials"},
		"403 of a calendar":                 {stream: events, token: "x", answer: of("forbidden")(403), says: "may not see"},
		"403 of a scope":                    {stream: rules, answer: of("insufficientPermissions")(403), says: "https://www.googleapis.com/auth/calendar.acls.readonly"},
		"403 of a scope, of events":         {stream: events, answer: of("insufficientPermissions")(403), says: "https://www.googleapis.com/auth/calendar.readonly"},
		"403 of an API that is not enabled": {stream: events, answer: of("accessNotConfigured")(403), says: "enable the Google Calendar API"},
		"500 thrice":                        {stream: events, token: "x", answer: of("backendError")(500), tries: 3},
		"502 without JSON": {stream: events, answer: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<html>bad gateway", http.StatusBadGateway)
		}, says: "bad gateway", tries: 3},
		"a redirect":                         {stream: events, answer: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, says: "check the endpoint", tries: 1},
		"204":                                {stream: events, answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, says: "204", tries: 1},
		"200 with HTML":                      {stream: events, answer: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, says: "invalid character", tries: 1},
		"200 with nothing":                   {stream: events, answer: func(http.ResponseWriter, *http.Request) {}, says: "EOF", tries: 3},
		"200 with an empty object":           {stream: events, answer: body(`{}`), says: "no nextSyncToken"},
		"200 that is no list":                {stream: events, mode: true, answer: body(`{"error":"x"}`), says: "not a list"},
		"items under another name":           {stream: events, answer: body(`{"Items":[{"id":"x"}],"nextSyncToken":"x"}`), says: "another name"},
		"an item without an id":              {stream: events, answer: body(`{"items":[{"summary":"x"}],"nextSyncToken":"x"}`), says: "without an id"},
		"an item that is none":               {stream: events, answer: body(`{"items":[null],"nextSyncToken":"x"}`), says: "without an id"},
		"a token of another type":            {stream: events, answer: body(`{"items":[],"nextSyncToken":7}`), says: "nextSyncToken"},
		"a sync token in updated-min mode":   {stream: events, mode: true, token: "x", want: connector.ErrTokenInvalid},
		"no time in updated-min mode":        {stream: events, mode: true, token: "updated-min:x", want: connector.ErrTokenInvalid},
		"an updated-min token in sync mode":  {stream: events, token: "updated-min:2026-01-01T00:00:00Z", want: connector.ErrTokenInvalid},
		"a full token in sync mode":          {stream: events, token: "full", want: connector.ErrTokenInvalid},
		"an echo of the token":               {stream: events, answer: of("invalid", "", "bad token secret-of-alice")(400), says: "bad token ***"},
		"503 that asks for a longer pause":   {stream: events, answer: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "60"); w.WriteHeader(503) }, tries: 1},
		"410 on the items, not on the token": {stream: events, token: "x", answer: body(`{"items":[{"id":"s_20260603T100000Z","status":"cancelled"}],"nextSyncToken":"y"}`)},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			a, s := scripted(t, Config{Filter: Filter{UpdatedMin: c.mode}}, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/events/") {
					refuse(w, 403, "forbidden")
					return
				}
				c.answer(w, r)
			})
			_, last, err := show(t, a, connector.Query{Stream: c.stream, Token: c.token})
			if err == nil || last.Last || last.Token != "" {
				t.Fatalf("%v, %+v", err, last)
			}
			for _, e := range []error{connector.ErrTokenInvalid, connector.ErrGone} {
				if errors.Is(err, e) != errors.Is(c.want, e) {
					t.Errorf("%v, want %v", err, c.want)
				}
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret-of-alice") {
				t.Errorf("%v, want a word about %q", err, c.says)
			}
			if c.tries > 0 && len(s.seen) != c.tries {
				t.Errorf("%d requests, want %d: %v", len(s.seen), c.tries, err)
			}
		})
	}
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

// TestLimited is the table of answers that ask for fewer requests.
func TestLimited(t *testing.T) {
	with := func(e *googleserver.Error, after time.Duration) *googleserver.Error {
		answer := *e
		answer.RetryAfter = after
		return &answer
	}
	perProject := with(googleserver.TooManyRequests, 0)
	perProject.Details = []any{map[string]any{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED",
		"metadata": map[string]string{"quota_limit": "defaultPerMinutePerProject"}}}
	perProject.RetryAfter = 90 * time.Second
	tests := map[string]struct {
		answer  *googleserver.Error
		least   time.Duration
		project bool
	}{
		"403 of the user":       {answer: with(googleserver.UserRateLimitExceeded, 30*time.Second), least: 30 * time.Second},
		"403 of the rate":       {answer: with(googleserver.RateLimitExceeded, 30*time.Second), least: 30 * time.Second},
		"403 of the usage":      {answer: with(googleserver.QuotaExceeded, 30*time.Second), least: 30 * time.Second},
		"429":                   {answer: with(googleserver.TooManyRequests, 30*time.Second), least: 30 * time.Second},
		"429 of the project":    {answer: perProject, least: 90 * time.Second, project: true},
		"403 of the project":    {answer: &googleserver.Error{Code: 403, Reason: "dailyLimitExceeded", RetryAfter: time.Hour}, least: time.Hour, project: true},
		"429 without a body":    {answer: &googleserver.Error{Code: 429, RetryAfter: 7 * time.Second}, least: 7 * time.Second},
		"403 by another casing": {answer: &googleserver.Error{Code: 403, Reason: "UserRateLimitExceeded", RetryAfter: 7 * time.Second}, least: 7 * time.Second},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			srv, url := serve(t, googleserver.Options{})
			a := account(t, srv, url, Config{})
			other, err := a.service.account("bob", "")
			must(t, err)
			srv.Fault(func(googleserver.Request) googleserver.Fault { return googleserver.Fault{Error: c.answer} })
			for range 2 { // the second fails at once
				_, _, err := show(t, a, connector.Query{Stream: stream(connector.Events, team)})
				var after connector.RetryAfter
				if !errors.As(err, &after) || after.RetryAfter() > c.least || after.RetryAfter() < c.least-5*time.Second {
					t.Fatalf("%v, want to be left alone for %v", err, c.least)
				}
			}
			if n := srv.Requests()[googleserver.EventsList]; n != 1 {
				t.Errorf("%d requests", n)
			}
			srv.Fault(nil)
			_, _, err = show(t, other, connector.Query{Stream: stream(connector.Events, team)})
			if (err != nil) != c.project {
				t.Errorf("another user: %v", err)
			}
		})
	}
}

// TestLimitedBriefly: a short pause is waited out in place.
func TestLimitedBriefly(t *testing.T) {
	srv, url := serve(t, googleserver.Options{})
	a := account(t, srv, url, Config{})
	n := 0
	srv.Fault(func(googleserver.Request) googleserver.Fault {
		if n++; n > 1 {
			return googleserver.Fault{}
		}
		return googleserver.Fault{Error: googleserver.UserRateLimitExceeded}
	})
	begun := time.Now()
	_, last, err := show(t, a, connector.Query{Stream: stream(connector.Events, team)})
	if err != nil || !last.Last || n != 2 || time.Since(begun) < firstPause {
		t.Errorf("%d requests in %v, %v", n, time.Since(begun), err)
	}
}

// TestGrantPause: what only a person in the console can change is asked for now and then, not all the time.
func TestGrantPause(t *testing.T) {
	for reason, want := range map[string]time.Duration{"insufficientPermissions": grantPause, "accessNotConfigured": grantPause, "forbidden": 0} {
		a, _ := scripted(t, Config{}, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 403, reason) })
		_, err := a.page(t.Context(), stream(connector.ACL, team), pageQuery{max: 1}, func(item) error { return nil })
		var after connector.RetryAfter
		if !errors.As(err, &after) || after.RetryAfter() != want {
			t.Errorf("%s: %v", reason, err)
		}
	}
	for code, want := range map[string]time.Duration{"unauthorized_client": grantPause, "invalid_grant": 0} {
		if e := unreached("listing", fmt.Errorf("token: %w", &auth.Error{Code: code})); e.RetryAfter() != want {
			t.Errorf("%s: %v", code, e.RetryAfter())
		}
	}
}
