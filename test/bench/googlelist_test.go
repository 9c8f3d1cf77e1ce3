//go:build integration

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"google.golang.org/api/calendar/v3"
)

// lister asks what calcdc asks of Google: the events of the first calendar, 2,500 a page, one page after the other. It decodes each
// page with encoding/json into the official client's type, as that client does; or, for a bound that no reader of JSON can reach, does
// not. The items' bytes it takes from the answer by searching for the marks of the benchmark's own server.
type lister struct {
	url, token string
	cut        bool
}

const (
	itemBegin = `{"kind":"calendar#event",`
	itemID    = `"id":"`
	nextPage  = `"nextPageToken":"`
)

// run calls take with the items of each page.
func (l *lister) run(ctx context.Context, take func([]body) error) error {
	var buf bytes.Buffer
	for page, more := "", true; more; more = page != "" {
		if err := l.get(ctx, page, &buf); err != nil {
			return err
		}
		var err error
		if page, err = l.next(buf.Bytes()); err != nil {
			return err
		}
		if err := take(items(bytes.Clone(buf.Bytes()))); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) get(ctx context.Context, page string, to *bytes.Buffer) error {
	q := url.Values{"maxResults": {"2500"}, "singleEvents": {"false"}, "alt": {"json"}, "prettyPrint": {"false"}}
	if page != "" {
		q.Set("pageToken", page)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+"calendars/"+url.PathEscape(googleCalendar(0))+"/events?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+l.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the Google server answers %s", res.Status)
	}
	to.Reset()
	_, err = to.ReadFrom(res.Body)
	return err
}

// next is the token of the page after this one.
func (l *lister) next(page []byte) (string, error) {
	if l.cut {
		token, _ := between(page, nextPage, `"`)
		return string(token), nil
	}
	var events calendar.Events
	err := json.Unmarshal(page, &events)
	return events.NextPageToken, err
}

// items are those of a page, whose bytes they share.
func items(page []byte) []body {
	var all []body
	for at := bytes.Index(page, []byte(itemBegin)); at >= 0; {
		page = page[at:]
		end := len(page)
		if at = bytes.Index(page[1:], []byte(itemBegin)); at >= 0 {
			at++
			end = at
		}
		id, _ := between(page[:end], itemID, `"`)
		all = append(all, body{href: id, data: bytes.TrimRight(page[:end], ",]} \n")})
	}
	return all
}
