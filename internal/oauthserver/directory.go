package oauthserver

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// directoryScopes are those of which each lets a token list the users.
var directoryScopes = []string{
	"https://www.googleapis.com/auth/admin.directory.user", "https://www.googleapis.com/auth/admin.directory.user.readonly",
}

func badRequest(message string) reply {
	return apiError(http.StatusBadRequest, "INVALID_ARGUMENT", "invalid", message)
}

// listUsers is the directory's users.list.
func (s *Server) listUsers(c *call) reply {
	who, alive := s.Valid(bearer(c))
	c.note.Subject = who
	if !alive {
		return apiError(http.StatusUnauthorized, "UNAUTHENTICATED", "authError", "Request had invalid authentication credentials.")
	}
	if _, has := s.Valid(bearer(c), directoryScopes...); !has {
		return apiError(http.StatusForbidden, "PERMISSION_DENIED", "insufficientPermissions", "Request had insufficient authentication scopes.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.users, func(u User) bool { return u.Admin && strings.EqualFold(u.Email, who) }) {
		return apiError(http.StatusForbidden, "PERMISSION_DENIED", "forbidden", "Not Authorized to access this resource/api")
	}
	q := c.URL.Query()
	if c.Method != http.MethodGet {
		return apiError(http.StatusNotFound, "NOT_FOUND", "notFound", "Not Found")
	}
	if customer := q.Get("customer"); customer != "my_customer" && customer != s.opts.Customer {
		return badRequest("Bad Request") // also where there is none: domain is not served here
	}
	page, err := s.pageOf(q)
	if err != nil {
		return badRequest("Invalid Input: " + err.Error())
	}
	body, err := mask(page, q.Get("fields"))
	if err != nil {
		return badRequest("Invalid field selection " + err.Error())
	}
	return ok(body)
}

// pageOf is one page of the users that match. The caller holds mu.
func (s *Server) pageOf(q url.Values) (map[string]any, error) {
	size := 100
	if text := q.Get("maxResults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 500 {
			return nil, fmt.Errorf("maxResults")
		}
		size = n
	}
	matching, err := s.search(q.Get("query"))
	if err != nil {
		return nil, err
	}
	switch q.Get("orderBy") {
	case "":
	case "email":
		slices.SortFunc(matching, func(a, b User) int { return strings.Compare(a.Email, b.Email) })
	default:
		return nil, fmt.Errorf("orderBy")
	}
	// A page token belongs to the query that it came of.
	same := url.QueryEscape(q.Get("query")) + "/" + q.Get("orderBy") + "/"
	from := 0
	if text := q.Get("pageToken"); text != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(text, same))
		if err != nil || n < 0 || n > len(matching) {
			return nil, fmt.Errorf("pageToken")
		}
		from = n
	}
	to := min(from+size, len(matching))
	page := map[string]any{"kind": "admin#directory#users", "etag": `"test"`}
	if to < len(matching) {
		page["nextPageToken"] = same + strconv.Itoa(to)
	}
	var list []any
	for _, u := range matching[from:to] {
		list = append(list, s.resource(u))
	}
	if list != nil {
		page["users"] = list
	}
	return page, nil
}

// resource is a user as the directory shows it.
func (s *Server) resource(u User) map[string]any {
	return map[string]any{
		"kind": "admin#directory#user", "id": "1" + strings.Map(digits, u.Email), "etag": `"test"`, "primaryEmail": u.Email,
		"name":    map[string]any{"givenName": u.GivenName, "familyName": u.Family, "fullName": strings.TrimSpace(u.GivenName + " " + u.Family)},
		"isAdmin": u.Admin, "isDelegatedAdmin": false, "suspended": u.Suspended, "archived": u.Archived,
		"orgUnitPath": orgUnit(u), "customerId": s.opts.Customer, "isMailboxSetup": true,
		"emails": []any{map[string]any{"address": u.Email, "primary": true}},
	}
}

func digits(r rune) rune { return '0' + r%10 }

func orgUnit(u User) string {
	if u.OrgUnit == "" {
		return "/"
	}
	return u.OrgUnit
}

// search finds the users that match every clause of a query: field=value, field:value, field:value*, with values in
// single quotes where they hold spaces.
func (s *Server) search(query string) ([]User, error) {
	matching := slices.Clone(s.users)
	for _, clause := range clauses(query) {
		match, err := parseClause(clause)
		if err != nil {
			return nil, err
		}
		matching = slices.DeleteFunc(matching, func(u User) bool { return !match(u) })
	}
	return matching, nil
}

// clauses splits a query at spaces that do not stand within quotes.
func clauses(query string) []string {
	quoted := false
	return strings.FieldsFunc(query, func(r rune) bool {
		if r == '\'' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
}

func parseClause(clause string) (func(User) bool, error) {
	at := strings.IndexAny(clause, "=:")
	if at < 0 { // any of the text fields
		return func(u User) bool { return within(u.Email+" "+u.GivenName+" "+u.Family, clause) }, nil
	}
	field, exact, value := clause[:at], clause[at] == '=', strings.Trim(clause[at+1:], "'")
	flags := map[string]func(User) bool{
		"isSuspended": func(u User) bool { return u.Suspended }, "isArchived": func(u User) bool { return u.Archived },
		"isAdmin": func(u User) bool { return u.Admin },
	}
	texts := map[string]func(User) string{
		"email": func(u User) string { return u.Email }, "givenName": func(u User) string { return u.GivenName },
		"familyName": func(u User) string { return u.Family }, "name": func(u User) string { return u.GivenName + " " + u.Family },
	}
	if flag := flags[field]; flag != nil && exact && (value == "true" || value == "false") {
		return func(u User) bool { return flag(u) == (value == "true") }, nil
	}
	if field == "orgUnitPath" && exact { // of the unit, and those below
		return func(u User) bool {
			return orgUnit(u) == value || strings.HasPrefix(orgUnit(u), strings.TrimSuffix(value, "/")+"/")
		}, nil
	}
	text := texts[field]
	start, isPrefix := strings.CutSuffix(value, "*")
	switch {
	case text == nil || value == "":
		return nil, fmt.Errorf("query")
	case exact:
		return func(u User) bool { return strings.EqualFold(text(u), value) }, nil
	case isPrefix:
		return func(u User) bool { return strings.HasPrefix(strings.ToLower(text(u)), strings.ToLower(start)) }, nil
	}
	return func(u User) bool { return within(text(u), value) }, nil
}

func within(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}
