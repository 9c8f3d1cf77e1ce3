package testenv

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"testing"
)

// Env returns a variable of the test environment; without it the test fails and says how to get it.
func Env(t testing.TB, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: integration tests run under `make integration`, which starts what they need", name)
	}
	return v
}

// Dir returns a new directory that a server's own user can enter, unlike that of t.TempDir; it goes with the test.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "calcdc-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// NewKafka starts a cluster for the test alone.
func NewKafka(t testing.TB, o KafkaOptions) *Kafka {
	t.Helper()
	k, err := StartKafka(t.Context(), Dir(t), Env(t, EnvKafkaJars), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// NewRadicale starts a Radicale for the test alone.
func NewRadicale(t testing.TB) *DAV { return started(t, EnvRadicale, StartRadicale) }

// NewXandikos starts a Xandikos for the test alone.
func NewXandikos(t testing.TB) *DAV { return started(t, EnvXandikos, StartXandikos) }

// NewSabreDAV starts a sabre/dav for the test alone.
func NewSabreDAV(t testing.TB) *DAV { return started(t, EnvSabreDAV, StartSabreDAV) }

func started(t testing.TB, env string, start func(context.Context, string) (*DAV, error)) *DAV {
	t.Helper()
	Env(t, env) // proof that what it needs is installed
	d, err := start(t.Context(), Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// SharedDAViCal returns the DAViCal that all tests share, as a new user of it: it takes seconds to start.
func SharedDAViCal(t testing.TB) *DAV {
	t.Helper()
	u, err := url.Parse(Env(t, EnvDAViCal))
	if err != nil {
		t.Fatal(err)
	}
	u.User = nil
	d, err := OpenDAViCal(Env(t, EnvDAViCalState), u.String())
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("u%x", userNumber())
	if d, err = d.WithUser(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return d
}
