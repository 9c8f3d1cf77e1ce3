package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/calcdc/calcdc/internal/googleserver"
	"github.com/calcdc/calcdc/internal/oauthserver"
)

// The stories' Google: who is there, and what they share.
const (
	alice    = "alice@example.org"
	bob      = "bob@example.org"
	team     = "team@group.calendar.google.com" // alice's
	room     = "room@group.calendar.google.com" // bob's; alice reads it
	holidays = "en.uk#holiday@group.v.calendar.google.com"
)

const (
	readonly    = "https://www.googleapis.com/auth/calendar.readonly"
	aclReadonly = "https://www.googleapis.com/auth/calendar.acls.readonly"
	directory   = "https://www.googleapis.com/auth/admin.directory.user.readonly"
)

type (
	googleKey struct{}
	oauthKey  struct{}
)

// setUpGoogle starts a Google Calendar server of a story's own ($GOOGLE), whose tokens are token-of-USER, and
// narrow-token-of-USER for a user who has not granted calendar.acls.readonly; and a token server with a directory ($OAUTH), of
// whose service account key.json is the key. google changes what they hold.
func setUpGoogle(env *testscript.Env) error {
	oauth, err := oauthserver.New(oauthserver.Options{Users: []oauthserver.User{
		{Email: "admin@example.org", Admin: true, OrgUnit: "/IT"}, {Email: alice, OrgUnit: "/Sales"}, {Email: bob, OrgUnit: "/Sales"},
		{Email: "eve@example.org", OrgUnit: "/Sales", Suspended: true}}})
	if err != nil {
		return err
	}
	s := googleserver.New(googleserver.Options{Authenticate: bearerOf(oauth), Scopes: scopesOf(oauth)})
	if err := furnish(s); err != nil {
		return fmt.Errorf("furnishing the Google server: %w", err)
	}
	env.Values[googleKey{}], env.Values[oauthKey{}] = s, oauth
	at, err := serveWhile(env, s.Serve)
	if err != nil {
		return err
	}
	env.Setenv("GOOGLE", googleserver.Endpoint(at))
	env.Setenv("TOKEN", "token-of-"+alice)
	if at, err = serveWhile(env, oauth.Serve); err != nil {
		return err
	}
	env.Setenv("OAUTH", at+"/")
	return oauth.WriteServiceAccount(filepath.Join(env.WorkDir, "key.json"), at)
}

// serveWhile serves until the story ends, and returns the server's URL.
func serveWhile(env *testscript.Env, serve func(context.Context, net.Listener) error) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, ln) }()
	env.Defer(func() { cancel(); <-ended })
	return "http://" + ln.Addr().String(), nil
}

func bearerOf(oauth *oauthserver.Server) func(*http.Request) (string, bool) {
	return func(r *http.Request) (string, bool) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, user, ok := strings.Cut(token, "token-of-"); ok {
			return user, true
		}
		return oauth.Valid(token)
	}
}

func scopesOf(oauth *oauthserver.Server) func(*http.Request) []string {
	return func(r *http.Request) []string {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case strings.HasPrefix(token, "narrow-"):
			return []string{readonly}
		case strings.HasPrefix(token, "token-of-"):
			return []string{readonly, aclReadonly}
		}
		return slices.DeleteFunc([]string{readonly, aclReadonly}, func(scope string) bool {
			_, has := oauth.Valid(token, scope)
			return !has
		})
	}
}

func furnish(s *googleserver.Server) error {
	steps := []func() error{
		func() error { return s.AddUser(alice) },
		func() error { return s.AddUser(bob) },
		func() error { return s.AddCalendar(alice, team, googleserver.Calendar{Summary: "Team"}) },
		func() error { return s.AddCalendar(bob, room, googleserver.Calendar{Summary: "Room 1"}) },
		func() error { return s.Share(room, alice, googleserver.Reader) },
		func() error { return s.Subscribe(alice, room, googleserver.Entry{Selected: true}) },
		func() error { return s.AddGenerated(alice, holidays, googleserver.Calendar{Summary: "Holidays"}) },
		func() error { return putGoogle(s, alice, "standup", "Stand-up", `,"recurrence":["RRULE:FREQ=DAILY"]`) },
		func() error { return putGoogle(s, team, "lunch", "Lunch", "") },
		func() error { return putGoogle(s, room, "visit", "Visit", "") },
		func() error { return putGoogle(s, holidays, "newyear", "New Year", "") },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// putGoogle puts an event; more are further members of it.
func putGoogle(s *googleserver.Server, calendar, id, summary, more string) error {
	item := fmt.Sprintf(`{"id":%q,"summary":%q,"start":{"dateTime":"2026-06-02T10:00:00Z","timeZone":"UTC"},`+
		`"end":{"dateTime":"2026-06-02T11:00:00Z","timeZone":"UTC"}%s}`, id, summary, more)
	_, err := s.PutEvent(alice, calendar, item)
	return err
}

// googleCmd changes what the Google server holds:
//
//	google put CALENDAR ID SUMMARY
//	google delete CALENDAR ID
//	google cancel CALENDAR SERIES TIME     one instance of a series
//	google share CALENDAR USER ROLE
//	google unsubscribe CALENDAR            takes it out of alice's list
//	google setting ID VALUE
//	google forget                          every sync token
//	google delegate SCOPE …                lets the service account act for every user: readonly, acl, directory
func googleCmd(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(googleKey{}).(*googleserver.Server)
	arg := func(i int) string {
		if i >= len(args) {
			ts.Fatalf("google %s lacks an argument", strings.Join(args, " "))
		}
		return strings.NewReplacer("TEAM", team, "ROOM", room, "ALICE", alice, "BOB", bob, "HOLIDAYS", holidays).Replace(args[i])
	}
	var err error
	switch arg(0) {
	case "put":
		err = putGoogle(s, arg(1), arg(2), arg(3), "")
	case "delete":
		err = s.DeleteEvent(alice, arg(1), arg(2))
	case "cancel":
		var at time.Time
		if at, err = time.Parse(time.RFC3339, arg(3)); err == nil {
			_, err = s.CancelInstance(alice, arg(1), arg(2), at)
		}
	case "share":
		err = s.Share(arg(1), arg(2), googleserver.Role(arg(3)))
	case "unsubscribe":
		err = s.Unsubscribe(alice, arg(1))
	case "setting":
		err = s.PutSetting(alice, arg(1), arg(2))
	case "forget":
		s.ForgetAll(googleserver.ByFullSync)
	case "delegate":
		for i := range args[1:] {
			ts.Value(oauthKey{}).(*oauthserver.Server).Delegate("*", map[string]string{
				"readonly": readonly, "acl": aclReadonly, "directory": directory}[arg(i+1)])
		}
	default:
		ts.Fatalf("google %s is unknown", arg(0))
	}
	if neg || err != nil {
		ts.Fatalf("google %s: %v", strings.Join(args, " "), err)
	}
}
