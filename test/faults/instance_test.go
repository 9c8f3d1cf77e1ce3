//go:build integration

package faults

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calcdc/calcdc/test/cloud"
	"github.com/calcdc/calcdc/test/oracle"
	"github.com/calcdc/calcdc/test/rig"
)

// settleTime is enough for a busy machine and the longest wait between two attempts.
const settleTime = 4 * time.Minute

// upstream is one source of a configuration: some users of a calendar server, or of Google.
type upstream struct {
	name   string
	cal    *calendars
	cloud  *cloud.Cloud
	path   string // of the url, after its root
	users  []string
	extra  string // more lines of the source, indented by four
	caldav string // one more line of its caldav
}

// instance is one configuration of calcdc between calendar servers and Kafka, with the oracle on both ends.
type instance struct {
	t         testing.TB
	name      string
	dir       string
	http      string // address of the admin server
	brokers   []string
	upstreams []upstream
	reader    *oracle.Reader
	run       *rig.Process
}

// newInstance writes a configuration; extra are more of its lines.
func newInstance(t testing.TB, brokers, extra string, from ...upstream) *instance {
	t.Helper()
	var id [4]byte
	_, _ = rand.Read(id[:])
	in := &instance{t: t, name: "faults-" + hex.EncodeToString(id[:]), dir: t.TempDir(), http: rig.FreeAddr(t),
		brokers: strings.Split(brokers, ","), upstreams: from}
	in.write("calcdc.yaml", in.http, extra)
	in.read()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s: end of the log\n%s", in.name, rig.Tail(in.log()))
		}
	})
	return in
}

// write writes the configuration under a file name, with an address of its own for the admin server.
func (in *instance) write(file, admin, extra string) {
	in.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nhttp: {listen: %s}\n", in.name, admin)
	if !strings.Contains(extra, "kafka:") {
		extra += "kafka: {brokers: [" + strings.Join(in.brokers, ",") + "], topic_prefix: " + in.name + ", topics: {partitions: 3}, group: {session_timeout: 1s}}\n"
	}
	if !strings.Contains(extra, "offsets:") {
		extra += "offsets: {partitions: 2}\n"
	}
	b.WriteString(strings.ReplaceAll(extra, "NAME", in.name))
	b.WriteString("sources:\n")
	for _, u := range in.upstreams {
		fmt.Fprintf(&b, "  - name: %s\n    poll_interval: 1s\n%s", u.name, u.extra)
		if u.cloud != nil {
			b.WriteString(u.cloud.Source(in.t, in.dir, "", u.users...))
			continue
		}
		fmt.Fprintf(&b, "    caldav:\n      url: %s%s\n      %s\n      components: [VEVENT, VTODO]\n      accounts:\n", u.cal.url, u.path, u.caldav)
		for _, user := range u.users {
			fmt.Fprintf(&b, "      - {username: %s, password: %s}\n", user, password)
		}
	}
	if err := os.WriteFile(filepath.Join(in.dir, file), []byte(b.String()), 0o600); err != nil {
		in.t.Fatal(err)
	}
}

// read begins a new fold.
func (in *instance) read() {
	in.t.Helper()
	topics := []string{in.name + ".notifications"}
	for _, u := range in.upstreams {
		topics = append(topics, in.topic(u.name, "events"), in.topic(u.name, "calendars"))
		if u.cloud != nil {
			topics = append(topics, in.topic(u.name, "acl"), in.topic(u.name, "settings"))
		}
	}
	reader, err := oracle.NewReader(in.brokers, topics...)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(reader.Close)
	in.reader = reader
	if in.upstreams[0].cloud != nil { // those of one instance are of one kind
		reader.Fold.Connector = "google"
	}
}

func (in *instance) topic(source, kind string) string { return in.name + "." + source + "." + kind }
func (in *instance) config() string                   { return filepath.Join(in.dir, "calcdc.yaml") }
func (in *instance) log() string                      { return filepath.Join(in.dir, "calcdc.log") }

func (in *instance) start() {
	in.t.Helper()
	in.run = rig.Start(in.t, in.config(), in.log())
}

// settle waits until the fold equals what the servers hold and every snapshot has ended.
func (in *instance) settle() {
	in.t.Helper()
	began := time.Now()
	eventually(in.t, settleTime, "the topics equal the servers", func() string {
		in.run.Alive()
		return strings.Join(head(in.differences()), "\n")
	})
	in.sound()
	in.t.Logf("settled after %v, %d records", time.Since(began).Round(time.Millisecond), in.reader.Fold.Records)
}

// differences reads on and compares.
func (in *instance) differences() []string {
	in.t.Helper()
	in.catchUp()
	var found []string
	for _, u := range in.upstreams {
		if u.cloud != nil {
			found = append(found, u.cloud.Differences(in.t, in.reader.Fold, u.name, u.users...)...)
			continue
		}
		for _, user := range u.users {
			found = append(found, oracle.Compare(in.reader.Fold, u.name, user, rig.Listed(u.cal.Server, user))...)
		}
	}
	slices.Sort(found)
	return found
}

func (in *instance) catchUp() int {
	in.t.Helper()
	n, err := in.reader.CatchUp(in.t.Context())
	if err != nil {
		in.t.Fatal(err)
	}
	return n
}

func head(all []string) []string { return all[:min(len(all), 12)] }

// sound fails the test where a record broke a rule, or a row of something that is still there was deleted.
func (in *instance) sound() {
	in.t.Helper()
	if faults := in.reader.Broken(in.t.Context()); len(faults) > 0 {
		in.t.Fatalf("%d rules broken:\n%s", len(faults), strings.Join(head(faults), "\n"))
	}
}

// quiet demands that nothing is published for a few polls.
func (in *instance) quiet() {
	in.t.Helper()
	time.Sleep(3 * time.Second) // three polls: that nothing comes takes time to see
	if n := in.catchUp(); n > 0 {
		in.t.Fatalf("%d records were published though nothing changed", n)
	}
}

// rows is what the fold holds of a calendar's events, nil where nothing was published.
func (in *instance) stream(source, user, path string) *oracle.State {
	return in.reader.Fold.Streams[oracle.Stream{Source: source, Account: user, Collection: path, Kind: "events"}]
}

// logged tells whether a line of the log holds all of what.
func (in *instance) logged(what ...string) bool {
	in.t.Helper()
	return mentions(in.t, in.log(), what...)
}

// mentions tells whether a line of a file holds all of what.
func mentions(t testing.TB, path string, what ...string) bool {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if !slices.ContainsFunc(what, func(w string) bool { return !strings.Contains(line, w) }) {
			return true
		}
	}
	return false
}

// metrics are what the admin server says; nil: not yet.
func (in *instance) metrics() rig.Metrics {
	m, _ := rig.Scrape(in.t.Context(), in.http)
	return m
}

// behind names an object whose row is not what the calendar holds, "" where all are.
func behind(in *instance, cal *calendars, user, calendar string) string {
	in.t.Helper()
	for name, body := range cal.List(user, calendar) {
		if row := in.stream("work", user, cal.Path(user, calendar)).Rows[name]; row == nil || row.Text("raw") != string(body) {
			return name
		}
	}
	return ""
}
