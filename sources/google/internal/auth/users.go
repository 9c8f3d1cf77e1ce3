package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	admin "google.golang.org/api/admin/directory/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

// DirectoryScope lets a token list a domain's users.
const DirectoryScope = admin.AdminDirectoryUserReadonlyScope

const (
	maxUsers     = 100_000
	usersPerPage = 500      // the most that the directory gives
	maxUsersPage = 16 << 20 // bytes
	pagePatience = time.Minute
)

var (
	errManyUsers = fmt.Errorf("more than %d users: narrow domain.query", maxUsers)
	errPageToken = errors.New("the directory's pages go in a circle")
	errLongPage  = fmt.Errorf("a page of users of more than %d MiB", maxUsersPage>>20)
)

// Users returns the primary addresses of a domain's users who are not suspended or archived, sorted and each once. hc sends
// the token of an administrator, with DirectoryScope. endpoint is the directory's base URL with its last slash, "": Google's;
// customer is the domain's customer, "": that of the administrator (my_customer); query is the directory's search, "": everybody.
// Errors are the directory's (*googleapi.Error) or hc's, wrapped.
func Users(ctx context.Context, hc *http.Client, endpoint, customer, query string) ([]string, error) {
	bounded := *hc
	bounded.Transport = boundedPages{hc.Transport}
	opts := []option.ClientOption{option.WithHTTPClient(&bounded)}
	if endpoint != "" {
		opts = append(opts, option.WithEndpoint(endpoint))
	}
	service, err := admin.NewService(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("listing the domain's users: %w", err)
	}
	if customer == "" {
		customer = "my_customer"
	}
	call := service.Users.List().Customer(customer).MaxResults(usersPerPage).OrderBy("email").
		Fields("nextPageToken", "users(primaryEmail,suspended,archived)")
	if query != "" {
		call = call.Query(query)
	}
	users, err := pages(ctx, call)
	if err != nil {
		return nil, fmt.Errorf("listing the domain's users: %w", directoryHint(err))
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}

// pages reads every page of the users.
func pages(ctx context.Context, call *admin.UsersListCall) ([]string, error) {
	var users []string
	seen := map[string]bool{}
	for {
		page, err := onePage(ctx, call)
		if err != nil {
			return nil, err
		}
		for _, u := range page.Users {
			if u == nil || u.Suspended || u.Archived {
				continue
			}
			if err := checkSubject(u.PrimaryEmail); err != nil {
				return nil, fmt.Errorf("the directory names a user %q: %w", clip(u.PrimaryEmail), err)
			}
			users = append(users, strings.ToLower(u.PrimaryEmail))
		}
		next := page.NextPageToken
		switch {
		case next == "":
			return users, nil
		case seen[next]:
			return nil, errPageToken
		case len(users) > maxUsers || len(seen) > 10*maxUsers/usersPerPage:
			return nil, errManyUsers
		}
		seen[next] = true
		call = call.PageToken(next)
	}
}

func onePage(ctx context.Context, call *admin.UsersListCall) (*admin.Users, error) {
	ctx, cancel := context.WithTimeout(ctx, pagePatience)
	defer cancel()
	return call.Context(ctx).Do()
}

// directoryHint says what to do about the directory's refusals, where that is not what the directory says itself.
func directoryHint(err error) error {
	var refused *googleapi.Error
	if errors.As(err, &refused) {
		refused.Body = clip(refused.Body) // it is part of the error's text
	}
	if refused == nil || refused.Code != http.StatusForbidden || len(refused.Errors) == 0 {
		return err
	}
	if refused.Errors[0].Reason == "forbidden" {
		return fmt.Errorf("%w: domain.admin must be an administrator who may read users (Admin console, Account > Admin roles)", err)
	}
	return err
}

// boundedPages bounds the answers of a transport.
type boundedPages struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b boundedPages) RoundTrip(r *http.Request) (*http.Response, error) {
	base := b.base
	if base == nil {
		base = http.DefaultTransport
	}
	resp, err := base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxUsersPage}
	return resp, nil
}

// boundedBody fails, rather than ends, where it is too long.
type boundedBody struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errLongPage
	}
	return n, err
}
