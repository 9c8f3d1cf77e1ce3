package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calcdc/calcdc/internal/oauthserver"
)

func TestATokenIsReplacedShortlyBeforeItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tokenServer(t)
		tokens := keyOf(t, s).Tokens("", calendarScope)
		first := mustToken(t, tokens)
		time.Sleep(time.Hour - margin - time.Second)
		if mustToken(t, tokens) != first {
			t.Error("a token that was good was not used again")
		}
		time.Sleep(2 * time.Second)
		second := mustToken(t, tokens)
		if _, alive := s.Valid(first); second == first || !alive {
			t.Errorf("the same token: %v; the first one is still alive: %v", second == first, alive)
		}
		s.SetTokenLife(8 * time.Second)
		tokens.Drop(second)
		short := mustToken(t, tokens)
		time.Sleep(5 * time.Second)
		if mustToken(t, tokens) != short {
			t.Error("a token of a short life was not used for most of it")
		}
		time.Sleep(2 * time.Second)
		if _, alive := s.Valid(short); mustToken(t, tokens) == short || !alive {
			t.Error("a token of a short life was used to its end")
		}
	})
}

func TestSubjectsAndScopesHaveTokensOfTheirOwn(t *testing.T) {
	s := tokenServer(t)
	s.Delegate("*", calendarScope, aclScope)
	cred := keyOf(t, s)
	if cred.Tokens(bob, calendarScope, aclScope) != cred.Tokens(bob, aclScope, calendarScope, aclScope) {
		t.Error("the same subject and scopes, and other tokens")
	}
	seen := map[string]bool{}
	for _, tokens := range []*Tokens{
		cred.Tokens("", calendarScope), cred.Tokens(bob, calendarScope), cred.Tokens(alice, calendarScope), cred.Tokens(bob, aclScope),
	} {
		seen[mustToken(t, tokens)] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d tokens for 4 subjects and scopes", len(seen))
	}
	if _, ok := s.Valid(mustToken(t, cred.Tokens(bob, aclScope)), calendarScope); ok {
		t.Error("a token for the access rules reads calendars")
	}
}

func TestCallersAtTheSameTimeShareOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tokenServer(t)
		s.Fault(func(oauthserver.Kind, *http.Request) oauthserver.Fault { return oauthserver.Fault{Delay: time.Second} })
		tokens := keyOf(t, s).Tokens("", calendarScope)
		got := make([]string, 50)
		var callers sync.WaitGroup
		for i := range got {
			callers.Go(func() { got[i], _ = tokens.Token(t.Context()) })
		}
		callers.Wait()
		for _, token := range got {
			if token == "" || token != got[0] {
				t.Fatalf("tokens %q", got)
			}
		}
		if n := s.Counts()[oauthserver.JWTBearer]; n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestACallerThatGivesUpDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tokenServer(t)
		s.Fault(func(oauthserver.Kind, *http.Request) oauthserver.Fault {
			return oauthserver.Fault{Delay: 5 * time.Second}
		})
		tokens := keyOf(t, s).Tokens("", calendarScope)
		begun := time.Now()
		var callers sync.WaitGroup
		callers.Go(func() { // the first one, who set the request off
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := tokens.Token(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
				t.Errorf("after %v: %v", time.Since(begun), err)
			}
		})
		synctest.Wait()
		callers.Go(func() {
			if _, err := tokens.Token(t.Context()); err != nil || time.Since(begun) != 5*time.Second {
				t.Errorf("after %v: %v", time.Since(begun), err)
			}
		})
		callers.Wait()
		if n := s.Counts()[oauthserver.JWTBearer]; n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestTheRequestEndsWithItsLastCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tokenServer(t)
		s.Fault(func(oauthserver.Kind, *http.Request) oauthserver.Fault { return oauthserver.Fault{Hang: true} })
		tokens := keyOf(t, s).Tokens("", calendarScope)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := tokens.Token(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if n := s.Counts()[oauthserver.JWTBearer]; n != 1 {
			t.Errorf("%d requests have ended when their last caller has", n)
		}
		if _, err := tokens.Token(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context that has ended: %v", err)
		}
		s.Fault(nil)
		mustToken(t, tokens)
	})
}

func TestACallerWhoComesWhileTheRequestIsBeingEndedGetsAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tokenServer(t)
		cred := keyOf(t, s)
		under, most, first := 0, 0, true
		cred.base = transportFunc(func(r *http.Request) (*http.Response, error) {
			under++
			most = max(most, under)
			defer func() { under-- }()
			if !first {
				return s.Transport().RoundTrip(r)
			}
			first = false
			<-r.Context().Done()
			time.Sleep(time.Second) // it takes a while to end
			return nil, r.Context().Err()
		})
		tokens := cred.Tokens("", calendarScope)
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		callers.Go(func() {
			if _, err := tokens.Token(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("the one who gave up: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		callers.Go(func() { mustToken(t, tokens) })
		callers.Wait()
		if most != 1 {
			t.Errorf("%d requests at once", most)
		}
	})
}

func TestATokenServerThatHangsIsLeftAfterAWhile(t *testing.T) {
	for name, kind := range map[string]oauthserver.Kind{"the grant": oauthserver.JWTBearer, "IAM": oauthserver.SignJWT, "the metadata server": oauthserver.Metadata} {
		t.Run(name, func(t *testing.T) {
			noDefaults(t)
			synctest.Test(t, func(t *testing.T) {
				s := tokenServer(t)
				s.AllowImpersonation(machine)
				s.Delegate(bob, calendarScope)
				hung := true
				s.Fault(func(k oauthserver.Kind, _ *http.Request) oauthserver.Fault {
					return oauthserver.Fault{Hang: hung && k == kind}
				})
				begun := time.Now()
				tokens := mustNew(t, Config{Impersonate: oauthserver.DefaultAccount, Transport: s.Transport()}).Tokens(bob, calendarScope)
				_, err := tokens.Token(t.Context())
				var e *Error
				if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || time.Since(begun) != patience {
					t.Errorf("after %v: %v", time.Since(begun), err)
				}
				hung = false
				mustToken(t, tokens)
			})
		})
	}
}

func TestAnAnswerThatIsNoTokenIsAnError(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":         ``,
		"not JSON":        `<html>ya29.in-the-page</html>`,
		"an array":        `[1]`,
		"empty":           `{}`,
		"expired":         `{"access_token":"ya29.x","expires_in":-5}`,
		"a line break":    `{"access_token":"ya29.x\r\nX: y","expires_in":3600}`,
		"a long one":      `{"access_token":"` + strings.Repeat("x", maxToken+1) + `","expires_in":3600}`,
		"another type":    `{"access_token":"ya29.x","token_type":"mac","expires_in":3600}`,
		"a number":        `{"access_token":29292929292929292929,"expires_in":3600}`,
		"an error in 200": `{"error":"invalid_grant","access_token":"ya29.x"}`,
		"too much":        `{"access_token":"ya29.x","junk":"` + strings.Repeat("x", maxAnswer) + `"}`,
	} {
		s := tokenServer(t)
		cred, _ := userOf(t, s)
		tokens := cred.Tokens("", calendarScope)
		s.Fault(func(oauthserver.Kind, *http.Request) oauthserver.Fault {
			return oauthserver.Fault{Status: http.StatusOK, Body: body}
		})
		_, err := tokens.Token(t.Context())
		var e *Error
		if !errors.As(err, &e) || strings.Contains(err.Error(), "ya29") || strings.Contains(err.Error(), "292929") {
			t.Errorf("%s: %v", name, err)
		}
		s.Fault(nil)
		mustToken(t, tokens)
	}
}

func TestATokenOfUnknownLifeIsUsedForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tokenServer(t)
		cred, _ := userOf(t, s)
		s.Fault(func(oauthserver.Kind, *http.Request) oauthserver.Fault {
			return oauthserver.Fault{Status: http.StatusOK, Body: `{"access_token":"ya29.x"}`}
		})
		tokens := cred.Tokens("", calendarScope)
		for range 3 {
			mustToken(t, tokens)
			time.Sleep(29 * time.Minute)
		}
		mustToken(t, tokens)
		if n := s.Counts()[oauthserver.Refresh]; n != 2 {
			t.Errorf("%d requests in 87 minutes", n)
		}
	})
}

func TestARefreshTokenThatIsReplacedIsNotUsedAgain(t *testing.T) {
	s := tokenServer(t)
	cred, old := userOf(t, s)
	next := s.SignIn(alice, calendarScope)
	s.Fault(func(oauthserver.Kind, *http.Request) oauthserver.Fault {
		return oauthserver.Fault{Status: http.StatusOK, Body: `{"access_token":"ya29.x","expires_in":3600,"refresh_token":"` + next + `"}`}
	})
	tokens := cred.Tokens("", calendarScope)
	tokens.Drop(mustToken(t, tokens))
	s.Fault(nil)
	s.RevokeSignIn(old)
	mustToken(t, tokens)
}

func TestOnlyTheTokenInUseIsDropped(t *testing.T) {
	s := tokenServer(t)
	tokens := keyOf(t, s).Tokens("", calendarScope)
	first := mustToken(t, tokens)
	tokens.Drop(first)
	second := mustToken(t, tokens)
	tokens.Drop(first) // by a slow request that began with it
	if mustToken(t, tokens) != second || first == second {
		t.Error("a token was dropped that nobody refused, or kept that somebody did")
	}
}
