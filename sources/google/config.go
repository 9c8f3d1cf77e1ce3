package google

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// DefaultEndpoint is Google's own API.
const DefaultEndpoint = "https://www.googleapis.com/calendar/v3/"

// Config is one Google set-up. Source is required; zero values stand for the defaults.
type Config struct {
	Source   string // the source's name, as it stands in rows
	Endpoint string // base URL of the API with its last slash; DefaultEndpoint
	// Streams are the kinds that are followed; all four. Calendars must be among them: the others are found by it.
	Streams []connector.Kind
	Raw     bool // rows carry what the server sent …
	MaxRaw  int  // … up to so many bytes; 1 MiB, < 0: any
	// Follow says whether the calendar is wanted; nil wants all.
	Follow func(id, name string) bool
	Filter Filter
	Quota  Quota

	Credentials Credentials
	Subjects    []string // domain-wide delegation: one account each
	Domain      *Domain  // or: one account for each user of a domain

	UserAgent string        // "calcdc"
	Timeout   time.Duration // the longest that the server may be silent, and that connecting may take; 2m
	// Transport carries every request, those for tokens and of the directory too; nil: one of its own.
	Transport http.RoundTripper
}

// Credentials say who asks. The zero value stands for Application Default Credentials.
type Credentials struct {
	File        string // of a service account, an authorised user, or workload identity federation
	AccessToken string // a token that is used as it is
	Impersonate string // a service account that the others act as, without its key
}

// Filter says which events are wanted. Sync tokens go with EventTypes only: all others need UpdatedMin.
type Filter struct {
	UpdatedMin                bool // follow by time of change instead of sync token
	Query                     string
	TimeMin, TimeMax          string // RFC 3339
	ICalUID                   string
	PrivateExtendedProperties []string // name=value, all of them
	SharedExtendedProperties  []string
	EventTypes                []string // any of them
}

// Quota bounds the requests in any minute. A request is one, whatever it asks.
type Quota struct {
	UserPerMinute    int // 600
	ProjectPerMinute int // 10,000: of all accounts of the source
}

// Domain finds the accounts in a Google Workspace directory.
type Domain struct {
	Admin    string // a user who may list users, as whom the directory is asked
	Customer string // my_customer
	Query    string // of the directory's users.list, e.g. orgUnitPath=/Sales
	Endpoint string // base URL of the directory API with its last slash; Google's own
}

var allStreams = []connector.Kind{connector.Events, connector.Calendars, connector.ACL, connector.Settings}

func (c Config) withDefaults() Config {
	if c.Endpoint == "" {
		c.Endpoint = DefaultEndpoint
	}
	if len(c.Streams) == 0 {
		c.Streams = allStreams
	}
	c.Streams = slices.Clone(c.Streams)
	c.Filter = c.Filter.sorted()
	if c.MaxRaw == 0 {
		c.MaxRaw = 1 << 20
	}
	if c.Follow == nil {
		c.Follow = func(string, string) bool { return true }
	}
	if c.Quota.UserPerMinute == 0 {
		c.Quota.UserPerMinute = 600
	}
	if c.Quota.ProjectPerMinute == 0 {
		c.Quota.ProjectPerMinute = 10_000
	}
	if c.Domain != nil {
		d := *c.Domain
		if d.Customer == "" {
			d.Customer = "my_customer"
		}
		c.Domain = &d
	}
	if c.UserAgent == "" {
		c.UserAgent = "calcdc"
	}
	if c.Timeout <= 0 {
		c.Timeout = 2 * time.Minute
	}
	return c
}

// sorted makes queries that ask for the same the same.
func (f Filter) sorted() Filter {
	for _, list := range []*[]string{&f.PrivateExtendedProperties, &f.SharedExtendedProperties, &f.EventTypes} {
		*list = slices.Clone(*list)
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return f
}

// Validate returns every fault of the configuration, each with its key.
func (c Config) Validate() error {
	var errs []error
	if c.Source == "" {
		errs = append(errs, errors.New("the source has no name"))
	}
	if c.Endpoint != "" {
		errs = append(errs, baseURL("endpoint", c.Endpoint))
	}
	errs = append(errs, c.streams(), c.Filter.validate(), c.Quota.validate(), c.who())
	return errors.Join(errs...)
}

func baseURL(key, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%s must be one of http:// or https://, e.g. %s", key, DefaultEndpoint)
	case u.User != nil:
		return fmt.Errorf("%s must not hold credentials", key)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s must not hold a query", key)
	case !strings.HasSuffix(u.Path, "/"):
		return fmt.Errorf("%s must end in a slash, e.g. %s", key, DefaultEndpoint)
	}
	return nil
}

func (c Config) streams() error {
	if len(c.Streams) == 0 {
		return nil
	}
	var errs []error
	for i, k := range c.Streams {
		switch {
		case !slices.Contains(allStreams, k):
			errs = append(errs, fmt.Errorf("streams: %q is not one of events, calendars, acl, settings", k))
		case slices.Contains(c.Streams[:i], k):
			errs = append(errs, fmt.Errorf("streams: %s stands twice", k))
		}
	}
	if !slices.Contains(c.Streams, connector.Calendars) {
		errs = append(errs, errors.New("streams: calendars must be among them: the others are found by it"))
	}
	return errors.Join(errs...)
}

func (q Quota) validate() error {
	var errs []error
	if q.UserPerMinute < 0 {
		errs = append(errs, errors.New("quota.user_per_minute must be at least 1"))
	}
	if q.ProjectPerMinute < 0 {
		errs = append(errs, errors.New("quota.project_per_minute must be at least 1"))
	}
	return errors.Join(errs...)
}

// who checks whose accounts are meant.
func (c Config) who() error {
	var errs []error
	cr := c.Credentials
	delegates := len(c.Subjects) > 0 || c.Domain != nil
	switch {
	case cr.AccessToken != "" && (cr.File != "" || cr.Impersonate != ""):
		errs = append(errs, errors.New("access_token excludes credentials_file and impersonate"))
	case cr.AccessToken != "" && delegates:
		errs = append(errs, errors.New("access_token is one user's: it excludes subjects and domain"))
	}
	if len(c.Subjects) > 0 && c.Domain != nil {
		errs = append(errs, errors.New("subjects and domain exclude each other"))
	}
	seen := map[string]bool{}
	for _, s := range c.Subjects {
		if err := checkName(s); err != nil {
			errs = append(errs, fmt.Errorf("subjects: %w", err))
		}
		if seen[strings.ToLower(s)] {
			errs = append(errs, fmt.Errorf("subjects: %s stands twice", s))
		}
		seen[strings.ToLower(s)] = true
	}
	if d := c.Domain; d != nil {
		if !strings.Contains(d.Admin, "@") {
			errs = append(errs, errors.New("domain.admin must be the address of a user who may list users"))
		}
		if d.Endpoint != "" {
			errs = append(errs, baseURL("domain.endpoint", d.Endpoint))
		}
	}
	return errors.Join(errs...)
}

// maxName bounds an account's name, so that keys fit the columns of SQL sinks.
const maxName = 190

// checkName says whether an account may be called so.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("an account without a name")
	case len(name) > maxName:
		return fmt.Errorf("an account's name of more than %d bytes: %.40s…", maxName, name)
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\uFFFD' }):
		return fmt.Errorf("an account's name with white space or control characters: %q", name)
	}
	return nil
}

// eventTypes are those of the discovery document.
var eventTypes = []string{"birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation"}

// validate names the keys that do not go with sync tokens.
func (f Filter) validate() error {
	var errs []error
	if needs := f.needUpdatedMin(); len(needs) > 0 && !f.UpdatedMin {
		errs = append(errs, fmt.Errorf("filter: sync tokens refuse %s: set updated_min: true to follow by time of change, or leave it out",
			strings.Join(needs, ", ")))
	}
	var bounds [2]time.Time
	for i, m := range []struct{ key, value string }{{"time_min", f.TimeMin}, {"time_max", f.TimeMax}} {
		if m.value == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, m.value)
		if err != nil {
			errs = append(errs, fmt.Errorf("filter.%s: %q is not a time like 2026-01-01T00:00:00Z", m.key, m.value))
		}
		bounds[i] = t
	}
	if !bounds[0].IsZero() && !bounds[1].IsZero() && !bounds[0].Before(bounds[1]) {
		errs = append(errs, errors.New("filter.time_max must be later than time_min"))
	}
	for key, list := range map[string][]string{
		"private_extended_properties": f.PrivateExtendedProperties, "shared_extended_properties": f.SharedExtendedProperties} {
		for _, p := range list {
			if name, _, ok := strings.Cut(p, "="); !ok || name == "" {
				errs = append(errs, fmt.Errorf("filter.%s: %q is not of the form name=value", key, p))
			}
		}
	}
	for _, t := range f.EventTypes {
		if !slices.Contains(eventTypes, t) {
			errs = append(errs, fmt.Errorf("filter.event_types: %q is not one of %s", t, strings.Join(eventTypes, ", ")))
		}
	}
	return errors.Join(errs...)
}

// needUpdatedMin are the keys in use that a sync token refuses.
func (f Filter) needUpdatedMin() []string {
	var keys []string
	for _, k := range []struct {
		name string
		used bool
	}{
		{"query", f.Query != ""}, {"time_min", f.TimeMin != ""}, {"time_max", f.TimeMax != ""}, {"ical_uid", f.ICalUID != ""},
		{"private_extended_properties", len(f.PrivateExtendedProperties) > 0},
		{"shared_extended_properties", len(f.SharedExtendedProperties) > 0},
	} {
		if k.used {
			keys = append(keys, k.name)
		}
	}
	return keys
}
