package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/api/googleapi"

	"github.com/calcdc/calcdc/internal/oauthserver"
)

// directoryOf asks s's directory as a subject.
func directoryOf(t testing.TB, s *oauthserver.Server, subject string) *http.Client {
	t.Helper()
	s.Delegate(subject, DirectoryScope)
	return &http.Client{Transport: keyOf(t, s).Tokens(subject, DirectoryScope).RoundTripper(s.Transport())}
}

func TestUsersAreThoseOfTheDomainWhoAreActive(t *testing.T) {
	s := tokenServer(t)
	all := []oauthserver.User{{Email: alice, Admin: true}, {Email: "Archie@example.org", OrgUnit: "/staff/it"},
		{Email: "carol@example.org", Suspended: true}, {Email: "dan@example.org", Archived: true}}
	want := []string{alice, "archie@example.org"}
	for i := range 1200 { // pages of 500
		all = append(all, oauthserver.User{Email: fmt.Sprintf("u%04d@example.org", i)})
		want = append(want, all[len(all)-1].Email)
	}
	s.SetUsers(all)
	users, err := Users(t.Context(), directoryOf(t, s, alice), "", "", "")
	if err != nil || !slices.Equal(users, want) {
		t.Errorf("%d users, %v", len(users), err)
	}
	if n := s.Counts()[oauthserver.Users]; n != 3 {
		t.Errorf("%d requests for 1204 users", n)
	}
	users, err = Users(t.Context(), directoryOf(t, s, alice), "", "C00test00", "orgUnitPath=/staff")
	if err != nil || !slices.Equal(users, []string{"archie@example.org"}) {
		t.Errorf("of the staff: %v, %v", users, err)
	}
	users, err = Users(t.Context(), directoryOf(t, s, alice), "", "", "email:nobody*")
	if err != nil || len(users) != 0 {
		t.Errorf("of nobody: %v, %v", users, err)
	}
}

func TestWhoIsNoAdminIsToldSo(t *testing.T) {
	s := tokenServer(t)
	_, err := Users(t.Context(), directoryOf(t, s, bob), "", "", "")
	var refused *googleapi.Error
	if !errors.As(err, &refused) || refused.Code != http.StatusForbidden || !strings.Contains(err.Error(), "domain.admin must be an administrator") {
		t.Errorf("%v", err)
	}
}

// pageFunc answers every request for users with what it returns.
func pageFunc(f func(token string) string) *http.Client {
	return &http.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
		body := f(r.URL.Query().Get("pageToken"))
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
			Body: io.NopCloser(strings.NewReader(body)),
		}, nil
	})}
}

func TestADirectoryThatLiesIsBounded(t *testing.T) {
	n := 0
	for name, test := range map[string]struct {
		client *http.Client
		want   error
	}{
		"circle":     {pageFunc(func(string) string { return `{"nextPageToken":"a"}` }), errPageToken},
		"no end":     {pageFunc(func(string) string { n++; return fmt.Sprintf(`{"nextPageToken":"%d"}`, n) }), errManyUsers},
		"long page":  {pageFunc(func(string) string { return `{"users":[` + strings.Repeat("{},", maxUsersPage/3) + `{}]}` }), errLongPage},
		"no address": {pageFunc(func(string) string { return `{"users":[{"primaryEmail":"a b"}]}` }), errNoSubject},
		"null users": {pageFunc(func(string) string { return `{"users":[null]}` }), nil},
	} {
		if _, err := Users(t.Context(), test.client, "", "", ""); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUsersEndWithTheirContext(t *testing.T) {
	s := tokenServer(t)
	client := directoryOf(t, s, alice)
	ctx, cancel := context.WithCancel(t.Context())
	s.Fault(func(k oauthserver.Kind, _ *http.Request) oauthserver.Fault {
		if k != oauthserver.Users {
			return oauthserver.Fault{}
		}
		cancel()
		return oauthserver.Fault{Hang: true}
	})
	if _, err := Users(ctx, client, "", "", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
