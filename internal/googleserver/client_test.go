package googleserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/calcdc/calcdc/internal/googleserver"
)

// bearer signs requests.
type bearer struct {
	token string
	base  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.base.RoundTrip(r)
}

// service is the official client of a user.
func (f *fixture) service() *calendar.Service {
	f.t.Helper()
	client := &http.Client{Transport: bearer{f.Token(f.user), f.client.Transport}}
	s, err := calendar.NewService(context.Background(), option.WithEndpoint(f.url), option.WithHTTPClient(client))
	f.must(err)
	return s
}

func TestOfficialClient(t *testing.T) {
	f := start(t, googleserver.Options{})
	odd := "a#b/c%d@group.calendar.google.com"
	f.must(f.AddCalendar(alice, odd, googleserver.Calendar{Summary: "Odd"}))
	f.must(f.Share(odd, bob, googleserver.Reader))
	var want []string
	for i := range 5 {
		e := &calendar.Event{
			Id: fmt.Sprintf("event%d", i), Summary: "An event", Start: &calendar.EventDateTime{Date: "2026-06-01"},
			End: &calendar.EventDateTime{Date: "2026-06-02"},
		}
		id, err := f.PutEvent(alice, odd, e)
		f.must(err)
		want = append(want, id)
	}
	s := f.service()
	var got []string
	var token string
	f.must(s.Events.List(odd).MaxResults(2).Pages(context.Background(), func(page *calendar.Events) error {
		for _, e := range page.Items {
			got = append(got, e.Id)
		}
		token = page.NextSyncToken
		return nil
	}))
	if fmt.Sprint(got) != fmt.Sprint(want) || token == "" {
		t.Fatal(got, token)
	}
	e, err := s.Events.Get(odd, want[0]).Do()
	f.must(err)
	if e.Status != "confirmed" || e.Etag == "" || e.Organizer.Email != alice || e.Kind != "calendar#event" {
		t.Errorf("%+v", e)
	}
	if _, err := time.Parse(time.RFC3339, e.Updated); err != nil {
		t.Error(err)
	}
	_, err = s.Events.Get(odd, want[0]).IfNoneMatch(e.Etag).Do()
	if !googleapi.IsNotModified(err) {
		t.Error(err)
	}
	list, err := s.CalendarList.List().Do()
	f.must(err)
	if len(list.Items) != 3 || !list.Items[0].Primary || list.Items[2].Id != odd || list.Items[2].AccessRole != "owner" || list.NextSyncToken == "" {
		t.Errorf("%+v", list.Items)
	}
	entry, err := s.CalendarList.Get("primary").Do()
	f.must(err)
	c, err := s.Calendars.Get("primary").Do()
	f.must(err)
	if entry.Id != alice || c.Id != alice || entry.Summary != alice || c.TimeZone != "UTC" {
		t.Errorf("%+v %+v", entry, c)
	}
	acl, err := s.Acl.List(odd).Do()
	f.must(err)
	if len(acl.Items) != 2 || acl.Items[1].Id != "user:"+bob || acl.Items[1].Role != "reader" || acl.Items[1].Scope.Value != bob {
		t.Errorf("%+v", acl.Items)
	}
	rule, err := s.Acl.Get(odd, "user:"+bob).Do()
	f.must(err)
	setting, err := s.Settings.Get("timezone").Do()
	f.must(err)
	if rule.Role != "reader" || setting.Value != "UTC" {
		t.Errorf("%+v %+v", rule, setting)
	}
	f.must(f.Forget(googleserver.EventsList, "", odd, googleserver.ByFullSync))
	_, err = s.Events.List(odd).SyncToken(token).Do()
	var ge *googleapi.Error
	if !errors.As(err, &ge) || ge.Code != 410 || ge.Errors[0].Reason != "fullSyncRequired" || !strings.Contains(ge.Body, `"syncToken"`) {
		t.Error(err)
	}
}
