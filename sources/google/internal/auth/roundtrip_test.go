package auth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calcdc/calcdc/internal/oauthserver"
)

// api is an API that wants a token for the calendar. It keeps the tokens that it was shown.
type api struct {
	server *oauthserver.Server
	shown  []string
	open   int // bodies that nobody closed
}

// RoundTrip implements http.RoundTripper.
func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	a.shown = append(a.shown, token)
	status := http.StatusOK
	if _, alive := a.server.Valid(token); !alive {
		status = http.StatusUnauthorized
	} else if _, has := a.server.Valid(token, calendarScope); !has {
		status = http.StatusForbidden
	}
	a.open++
	body := &closing{Reader: strings.NewReader("an answer"), closed: func() { a.open-- }}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: body, Request: r}, nil
}

// closing is a body that tells of its first Close.
type closing struct {
	io.Reader
	closed func()
	done   bool
}

func (c *closing) Close() error {
	if !c.done {
		c.done = true
		c.closed()
	}
	return nil
}

// send sends a request and returns its status.
func send(t testing.TB, rt http.RoundTripper, method, body string) (int, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), method, "https://www.googleapis.com/calendar/v3/x", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body == "" {
		r.Body = nil
	}
	resp, err := rt.RoundTrip(r)
	if r.Header.Get("Authorization") != "" {
		t.Error("the caller's request was changed")
	}
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func TestATokenThatIsRefusedIsReplacedInMidUse(t *testing.T) {
	s := tokenServer(t)
	calendar := &api{server: s}
	tokens := keyOf(t, s).Tokens("", calendarScope)
	rt := tokens.RoundTripper(calendar)
	for page := range 3 {
		if status, err := send(t, rt, http.MethodGet, ""); status != http.StatusOK || err != nil {
			t.Errorf("page %d: %d, %v", page, status, err)
		}
		s.RevokeAll("")
	}
	if len(calendar.shown) != 5 || calendar.shown[0] != calendar.shown[1] || calendar.shown[2] != calendar.shown[3] {
		t.Errorf("3 pages, the token revoked before the 2nd and the 3rd, showed %q", calendar.shown)
	}
	if calendar.open != 0 {
		t.Errorf("%d answers were left open", calendar.open)
	}
	if status, err := send(t, rt, http.MethodPost, "x"); status != http.StatusUnauthorized || err != nil {
		t.Errorf("a POST was sent again: %d, %v", status, err)
	}
	if status, err := send(t, rt, http.MethodPost, "x"); status != http.StatusOK || err != nil {
		t.Errorf("the refused token was kept: %d, %v", status, err)
	}
}

func TestATokenThatExpiresInMidUseIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tokenServer(t)
		calendar := &api{server: s}
		rt := keyOf(t, s).Tokens("", calendarScope).RoundTripper(calendar)
		for range 20 { // pages, each of which takes a while
			if status, err := send(t, rt, http.MethodGet, ""); status != http.StatusOK || err != nil {
				t.Fatalf("%d, %v", status, err)
			}
			time.Sleep(10 * time.Minute)
		}
		if len(calendar.shown) != 20 {
			t.Errorf("%d requests: tokens were used until they were refused", len(calendar.shown))
		}
	})
}

func TestARefusalThatStaysIsTriedOnce(t *testing.T) {
	noDefaults(t)
	s := tokenServer(t)
	refusing := &api{server: tokenServer(t)} // another server's tokens
	status, err := send(t, keyOf(t, s).Tokens("", calendarScope).RoundTripper(refusing), http.MethodGet, "")
	if status != http.StatusUnauthorized || err != nil || len(refusing.shown) != 2 {
		t.Errorf("%d, %v after %d requests", status, err, len(refusing.shown))
	}
	refusing = &api{server: s}
	fixed := mustNew(t, Config{AccessToken: "ya29.of-an-emulator"}).Tokens("", calendarScope)
	if status, err = send(t, fixed.RoundTripper(refusing), http.MethodGet, ""); status != http.StatusUnauthorized || err != nil || len(refusing.shown) != 1 {
		t.Errorf("a fixed token: %d, %v after %d requests", status, err, len(refusing.shown))
	}
	if refusing.open != 0 {
		t.Errorf("%d answers were left open", refusing.open)
	}
}

func TestAScopeThatLacksIsNotARefusalOfTheToken(t *testing.T) {
	s := tokenServer(t)
	calendar := &api{server: s}
	status, err := send(t, keyOf(t, s).Tokens("", aclScope).RoundTripper(calendar), http.MethodGet, "")
	if status != http.StatusForbidden || err != nil || len(calendar.shown) != 1 {
		t.Errorf("%d, %v after %d requests", status, err, len(calendar.shown))
	}
}

func TestASignInThatIsRevokedInMidUseSaysSo(t *testing.T) {
	s := tokenServer(t)
	calendar := &api{server: s}
	cred, refresh := userOf(t, s)
	rt := cred.Tokens("", calendarScope).RoundTripper(calendar)
	if status, err := send(t, rt, http.MethodGet, ""); status != http.StatusOK || err != nil {
		t.Fatalf("%d, %v", status, err)
	}
	s.RevokeSignIn(refresh)
	_, err := send(t, rt, http.MethodGet, "")
	var e *Error
	if !errors.As(err, &e) || e.Code != "invalid_grant" || !strings.Contains(err.Error(), "the token was refused") {
		t.Errorf("%v", err)
	}
	if calendar.open != 0 {
		t.Errorf("%d answers were left open", calendar.open)
	}
}

func TestWithoutATokenNothingIsSent(t *testing.T) {
	s := tokenServer(t)
	s.Outage(http.StatusInternalServerError)
	calendar := &api{server: s}
	closed := false
	r, err := http.NewRequestWithContext(soon(t), http.MethodPost, "https://www.googleapis.com/x",
		&closing{Reader: strings.NewReader("x"), closed: func() { closed = true }})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := keyOf(t, s).Tokens("", calendarScope).RoundTripper(calendar).RoundTrip(r)
	if resp != nil {
		resp.Body.Close()
	}
	if err == nil || len(calendar.shown) != 0 || !closed {
		t.Errorf("%v; %d requests; the body was closed: %v", err, len(calendar.shown), closed)
	}
}

func TestARequestThatIsGivenUpEndsTheRequestForItsToken(t *testing.T) {
	s := tokenServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.Fault(func(oauthserver.Kind, *http.Request) oauthserver.Fault {
		cancel()
		return oauthserver.Fault{Hang: true}
	})
	web := httptest.NewServer(s)
	defer web.Close()
	data, err := s.ServiceAccountJSON(web.URL)
	transport := newTransport()
	defer transport.CloseIdleConnections()
	rt := mustNew(t, Config{File: put(t, data, err), Transport: transport}).Tokens("", calendarScope).RoundTripper(&api{server: s})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://www.googleapis.com/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(r)
	if resp != nil {
		resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestARedirectElsewhereDoesNotGetTheToken(t *testing.T) {
	s := tokenServer(t)
	var heard []string
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		heard = append(heard, r.Header.Get("Authorization"))
	}))
	defer stranger.Close()
	calendar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := stranger.URL
		if r.URL.Path == "/near" {
			to = "/far"
		}
		if r.URL.Path != "/end" {
			http.Redirect(w, r, to, http.StatusFound)
		}
	}))
	defer calendar.Close()
	transport := newTransport()
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: keyOf(t, s).Tokens("", calendarScope).RoundTripper(transport)}
	for path, want := range map[string]error{"/near": errElsewhere, "/far": errElsewhere, "/end": nil} {
		resp, err := client.Get(calendar.URL + path)
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if len(heard) != 0 {
		t.Errorf("the stranger heard %q", heard)
	}
}
