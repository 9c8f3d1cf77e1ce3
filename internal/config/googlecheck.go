package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// What a Google set-up may hold.
const (
	maxSubjects    = 100_000
	maxPerMinute   = 10_000_000
	maxCredentials = 256 << 10
)

func (k *checker) google(key string, s Source) {
	g := *s.Google
	k.endpoint(key+".endpoint", g.Endpoint)
	k.googleCredentials(key, g)
	k.subjects(key, g)
	k.domain(key, g)
	k.streams(key+".streams", g.Streams)
	k.unique(key+".event_types", g.EventTypes)
	k.between(key+".quota.user_per_minute", int64(g.Quota.UserPerMinute), 1, maxPerMinute)
	k.between(key+".quota.project_per_minute", int64(g.Quota.ProjectPerMinute), 1, maxPerMinute)
	k.filters(key, g)
	if g.UpdatedMin && s.ReconcileInterval == 0 {
		k.fail(strings.TrimSuffix(key, ".google")+".reconcile_interval",
			"is 0, but with updated_min what no longer matches is found by comparing alone; set it, e.g. 24h")
	}
}

func (k *checker) endpoint(key, text string) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		k.fail(key, "is empty; remove it for Google's own, or give a base URL, e.g. http://127.0.0.1:8080/calendar/v3/")
	case err != nil: // the parser's error quotes the URL, which may hold a password
		k.fail(key, "is not a URL, e.g. http://127.0.0.1:8080/calendar/v3/")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		k.fail(key, "must begin with https:// (or http://) and a host")
	case u.User != nil:
		k.fail(key, "holds a user name; access_token is the way to sign in to an emulator")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		k.fail(key, "must not have a query or a fragment")
	}
}

func (k *checker) googleCredentials(key string, g Google) {
	if g.Impersonate != "" {
		k.address(key+".impersonate", g.Impersonate, "calcdc@project.iam.gserviceaccount.com")
	}
	if g.CredentialsFile != "" {
		if err := credentialsIn(g.CredentialsFile); err != nil {
			k.fail(key+".credentials_file", "reading %s: %v", k.quote(key+".credentials_file", g.CredentialsFile), pathless(err))
		}
	}
	if !g.AccessToken.Set() {
		return
	}
	if g.CredentialsFile != "" {
		k.fail(key+".credentials_file", "stands beside an access_token; give one of them")
	}
	if g.Impersonate != "" {
		k.fail(key+".impersonate", "stands beside an access_token, which is of one account for good; remove one of them")
	}
	if len(g.Subjects) > 0 {
		k.fail(key+".subjects", "stands beside an access_token, which is of one account for good; remove one of them")
	}
	if g.Domain != nil {
		k.fail(key+".domain", "stands beside an access_token, which is of one account for good; remove one of them")
	}
}

// credentialsIn says why the file holds no credentials; what exactly they need, the one who signs in knows.
func credentialsIn(path string) error {
	if info, err := os.Stat(path); err != nil { // before opening: opening a named pipe waits for its writer
		return err
	} else if !info.Mode().IsRegular() {
		return errors.New("it is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxCredentials+1))
	if err != nil {
		return err
	}
	var file struct {
		Type      string
		Installed *struct{}
		Web       *struct{}
	}
	switch {
	case len(b) > maxCredentials:
		return fmt.Errorf("it is longer than %d bytes", maxCredentials)
	case json.Unmarshal(b, &file) != nil: // its error may quote the key
		return errors.New("it is not JSON; Google Cloud's console downloads a service account's key as JSON")
	case file.Installed != nil || file.Web != nil:
		return errors.New("it holds an OAuth client, with which a user has yet to sign in: run gcloud auth application-default login --client-id-file with it (docs/google.md)")
	case file.Type == "":
		return errors.New("it has no type, so it holds no credentials; Google Cloud's console and gcloud write it as service_account or authorized_user")
	}
	return nil
}

func (k *checker) subjects(key string, g Google) {
	key += ".subjects"
	if len(g.Subjects) > maxSubjects {
		k.fail(key, "has %d entries; at most %d fit a source", len(g.Subjects), maxSubjects)
		return
	}
	if len(g.Subjects) > 0 && g.Domain != nil {
		k.fail(key, "stands beside domain, which finds the users; give one of them")
	}
	seen := map[string]int{}
	for i, s := range g.Subjects {
		at := fmt.Sprintf("%s[%d]", key, i)
		k.address(at, s, "alice@example.org")
		folded := strings.ToLower(s) // Google takes both for the same user
		if first, again := seen[folded]; again && s != "" {
			k.fail(at, "is the user of subjects[%d]; name each user once", first)
			continue
		}
		seen[folded] = i
	}
}

// address wants a mail address: users and service accounts are known by theirs.
func (k *checker) address(key, text, example string) {
	name, domain, found := strings.Cut(text, "@")
	switch {
	case !found || name == "" || domain == "" || strings.ContainsAny(domain, "@") || strings.ContainsFunc(text, notInAddress):
		k.fail(key, "%s is not an address, e.g. %s", k.quote(key, text), example)
	case len(text) > maxAccountName:
		k.fail(key, "is %d bytes long; at most %d fit a key column", len(text), maxAccountName)
	}
}

func notInAddress(r rune) bool { return r <= ' ' || r == 0x7f || r == ',' || r == '<' || r == '>' }

func (k *checker) domain(key string, g Google) {
	d := g.Domain
	if d == nil {
		return
	}
	key += ".domain"
	if d.Admin == "" {
		k.fail(key+".admin", "required; the administrator in whose name the directory is asked, e.g. admin@example.org")
	} else {
		k.address(key+".admin", d.Admin, "admin@example.org")
	}
	if d.Customer == "" {
		k.fail(key+".customer", "is empty; remove it, or write my_customer")
	}
	k.endpoint(key+".endpoint", d.Endpoint)
}

func (k *checker) streams(key string, streams []string) {
	if !slices.Contains(streams, "calendars") {
		k.fail(key, "lacks calendars, by which the others are found; add it")
	}
	k.unique(key, streams)
}

func (k *checker) unique(key string, values []string) {
	seen := map[string]int{}
	for i, v := range values {
		first, again := seen[v]
		if !again {
			seen[v] = i
			continue
		}
		k.fail(fmt.Sprintf("%s[%d]", key, i), "is there already, as %s[%d]; remove one of them", key[strings.LastIndexByte(key, '.')+1:], first)
	}
}

// filters wants updated_min with what sync tokens refuse.
func (k *checker) filters(key string, g Google) {
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"query", g.Query != ""}, {"time_min", g.TimeMin != ""}, {"time_max", g.TimeMax != ""}, {"ical_uid", g.ICalUID != ""},
		{"private_extended_properties", len(g.PrivateExtendedProperties) > 0},
		{"shared_extended_properties", len(g.SharedExtendedProperties) > 0},
	} {
		if f.given && !g.UpdatedMin {
			k.fail(key+"."+f.name, "is a filter that sync tokens refuse; set updated_min: true, or remove it")
		}
	}
	low, high := k.time(key+".time_min", g.TimeMin), k.time(key+".time_max", g.TimeMax)
	if !low.IsZero() && !high.IsZero() && !low.Before(high) {
		k.fail(key+".time_max", "is not after time_min, so no event would match")
	}
	k.pairs(key+".private_extended_properties", g.PrivateExtendedProperties)
	k.pairs(key+".shared_extended_properties", g.SharedExtendedProperties)
}

// time is zero where there is none, or none that can be read.
func (k *checker) time(key, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		k.fail(key, "%s is not a time as RFC 3339 has it, e.g. 2026-01-01T00:00:00Z", k.quote(key, text))
	}
	return t
}

func (k *checker) pairs(key string, pairs []string) {
	for i, p := range pairs {
		if name, _, found := strings.Cut(p, "="); !found || name == "" {
			at := fmt.Sprintf("%s[%d]", key, i)
			k.fail(at, "%s is not name=value", k.quote(at, p))
		}
	}
}
