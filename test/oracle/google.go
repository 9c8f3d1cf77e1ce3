package oracle

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// GoogleAgent begins the User-Agent of the oracle's own requests, so that servers can tell them from calcdc's.
const GoogleAgent = "oracle"

// Google is a Google Calendar v3 server as a plain client of one user sees it.
type Google struct {
	Endpoint string // of the API, with its last slash
	Token    string // the user's bearer token
	Client   *http.Client
	// Filter are parameters of events.list beside the oracle's own.
	Filter url.Values
}

// GoogleAccount is what the server lists for one user: items by id, as the bytes that were sent.
type GoogleAccount struct {
	Calendars map[string]string
	Events    map[string]map[string]string // by calendar
	ACL       map[string]map[string]string // by calendar, of those that the user owns
	Settings  map[string]string
}

// List reads the user's calendar list with what is hidden, the events of every calendar in it, the rules of those that
// the user owns, and the settings.
func (g *Google) List(ctx context.Context) (*GoogleAccount, error) {
	a := &GoogleAccount{Events: map[string]map[string]string{}, ACL: map[string]map[string]string{}}
	var err error
	if a.Settings, err = g.list(ctx, "users/me/settings", nil); err != nil {
		return nil, err
	}
	if a.Calendars, err = g.list(ctx, "users/me/calendarList", url.Values{"showHidden": {"true"}}); err != nil {
		return nil, err
	}
	for id, entry := range a.Calendars {
		base := "calendars/" + url.PathEscape(id)
		if a.Events[id], err = g.list(ctx, base+"/events", g.Filter); err != nil {
			return nil, err
		}
		if text(entry, "accessRole") != "owner" {
			continue
		}
		if a.ACL[id], err = g.list(ctx, base+"/acl", nil); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// quotaUser is another at each call, so that the oracle uses up no quota.
func quotaUser() string { return GoogleAgent + rand.Text() }

// list reads all pages of a list.
func (g *Google) list(ctx context.Context, path string, params url.Values) (map[string]string, error) {
	items := map[string]string{}
	query := url.Values{"prettyPrint": {"false"}, "quotaUser": {quotaUser()}, "maxResults": {"2500"}}
	for name, values := range params {
		query[name] = values
	}
	for {
		body, err := g.get(ctx, path+"?"+query.Encode())
		if err != nil {
			return nil, err
		}
		var page struct {
			Items         []json.RawMessage
			NextPageToken string
			NextSyncToken string
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, fmt.Errorf("GET %s: %w", path, err)
		}
		for _, item := range page.Items {
			id := text(string(item), "id")
			if _, twice := items[id]; twice {
				return nil, fmt.Errorf("GET %s: %s is listed twice", path, id)
			}
			items[id] = string(item)
		}
		if page.NextPageToken == "" {
			return items, nil
		}
		query.Set("pageToken", page.NextPageToken)
	}
}

func (g *Google) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.Endpoint+path, nil)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	req.Header.Set("Authorization", "Bearer "+g.Token)
	req.Header.Set("User-Agent", GoogleAgent)
	resp, err := g.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: status %d: %.300s", path, resp.StatusCode, b)
	}
	return b, nil
}

// members takes an item's outermost object apart; nil where it is none.
func members(item string) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal([]byte(item), &m) != nil {
		return nil
	}
	return m
}

// text is a member of an item, by the names on the way to it, where it is a string; else "".
func text(item string, path ...string) string {
	for _, name := range path {
		item = string(members(item)[name])
	}
	var s string
	if json.Unmarshal([]byte(item), &s) != nil {
		return ""
	}
	return s
}

// seriesOf is the series that an item is an exception of, "" for others. A cancelled one may name it in its id alone:
// {series}_{yyyymmdd[Thhmmss]Z}.
func seriesOf(item string) string {
	if s := text(item, "recurringEventId"); s != "" || text(item, "status") != "cancelled" {
		return s
	}
	id := text(item, "id")
	i := strings.LastIndexByte(id, '_')
	if i < 1 || strings.Trim(id[i+1:], "0123456789TZ") != "" {
		return ""
	}
	return id[:i]
}
