//go:build integration

package faults

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/rig"
)

// What a state is made of that cannot be read from Kafka unnoticed: no codec makes the rows' text smaller than half its length.
const (
	cachedEvents = 300
	cachedText   = 4 << 10
	cachedState  = cachedEvents * cachedText / 2 // bytes that a worker reads at least which reads the state from its beginning
)

// A worker that is stopped or killed, and started again after changes, publishes just these and, unless it was killed in the middle of a pass,
// lists nothing anew, whatever has become of its cache meanwhile. With a whole one it reads on in the state; else it reads the state from its beginning.
func TestRestartWithACache(t *testing.T) {
	t.Parallel()
	relay := rig.NewRelay(t, nil)
	k := testenv.NewKafka(t, testenv.KafkaOptions{Properties: map[string]string{"advertised.listeners": "PLAINTEXT://" + relay.Addr()}})
	relay.To(k.Addr())
	r := newRestarted(t, relay)
	old, other := r.copied(), r.ofOtherTopics()
	r.in.start()
	eventually(t, settleTime, "the worker runs", func() string {
		if r.in.metrics() == nil {
			return "it does not answer"
		}
		return ""
	})
	const damaged = "the local cache of the state is damaged"
	for _, step := range []step{
		{name: "whole", whole: true},
		{name: "of a worker that was killed", killed: true, whole: true},
		{name: "an old one", before: func() { r.replace(old) }, whole: true},
		{name: "tables with other bytes", before: func() { r.spoil("*.sst", flip(500)) }, says: damaged},
		{name: "tables that were cut", before: func() { r.spoil("*.sst", cut) }, says: damaged},
		{name: "a manifest with other bytes", before: func() { r.spoil("MANIFEST*", flip(1)) }, says: damaged},
		{name: "all files cut", before: func() { r.spoil("*", cut) }, says: damaged},
		{name: "of other topics with these names", before: func() { r.replace(other) }, says: "it is of other topics with these names"},
		{name: "of a worker that was killed, with other bytes", killed: true, before: func() { r.spoil("*.sst", flip(500)) }, says: damaged},
		{name: "removed", before: func() { r.must(os.RemoveAll(r.dir)) }},
		{name: "where nothing can be written", before: r.block, says: "there is no local cache of the state"},
		{name: "where something can be written again", before: func() { r.must(os.Remove(r.dir)) }},
		{name: "the new one", whole: true},
	} {
		r.again(step)
	}
	r.in.quiet()
	r.in.run.Stop()
}

// step is what becomes of a cache, and what then does the worker that is started with it.
type step struct {
	name   string
	killed bool   // the worker that had it
	before func() // the next is started; nil: nothing is done to it
	whole  bool   // it is gone on from; else the state is read from its beginning
	says   string // in the log; "": no warning
}

// restarted is a worker with a cache, which is stopped and started again.
type restarted struct {
	in      *instance
	cal     *calendars
	relay   *rig.Relay
	dir     string       // of the caches
	listed  atomic.Int64 // requests for everything that a calendar holds
	changes int
}

// newRestarted is one that has read everything.
func newRestarted(t *testing.T, relay *rig.Relay) *restarted {
	t.Helper()
	r := &restarted{relay: relay, cal: newCalendars(t, davserver.Options{}, "alice"), dir: filepath.Join(t.TempDir(), "cache")}
	r.cal.MakeCalendar("alice", "work", "work")
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range cachedEvents {
		r.cal.large(rng, "alice", "work", fmt.Sprintf("%d.ics", i), cachedText)
	}
	instead := r.watch
	r.cal.instead.Store(&instead)
	r.in = newInstance(t, relay.Addr(), "state: {dir: "+r.dir+"}\n", r.upstream())
	r.in.start()
	r.in.settle()
	if r.listed.Load() == 0 {
		t.Error("no listing was seen")
	}
	r.in.run.Stop() // so that the cache is whole
	return r
}

func (r *restarted) upstream() upstream {
	return upstream{name: "work", cal: r.cal, users: []string{"alice"}}
}

// watch counts the requests that are listings.
func (r *restarted) watch(_ http.ResponseWriter, req *http.Request) bool {
	body, _ := io.ReadAll(req.Body)
	req.Body = io.NopCloser(bytes.NewReader(body))
	if bytes.Contains(body, []byte("sync-token></d:sync-token>")) {
		r.listed.Add(1)
	}
	return false
}

// ofOtherTopics is a copy of the cache of a worker of the same name at another cluster.
func (r *restarted) ofOtherTopics() string {
	r.in.t.Helper()
	dir := filepath.Join(r.in.t.TempDir(), "cache")
	o := newInstance(r.in.t, testenv.Env(r.in.t, testenv.EnvKafka), "", r.upstream())
	o.name = r.in.name
	o.write("calcdc.yaml", o.http, "state: {dir: "+dir+"}\n")
	o.read()
	o.start()
	o.settle()
	o.run.Stop()
	return dir
}

// again ends the worker, changes the calendar, lets something happen to the cache, starts the worker, and sees what it does.
func (r *restarted) again(s step) {
	t := r.in.t
	t.Helper()
	records, changes := r.in.reader.Fold.Records, r.changes
	if s.killed {
		r.kill()
	} else {
		r.in.run.Stop()
	}
	r.change()
	if s.before != nil {
		s.before()
	}
	r.must(os.RemoveAll(r.in.log()))
	listed, read := r.listed.Load(), r.relay.Answered()
	r.in.start()
	r.in.settle()
	read = r.relay.Answered() - read
	t.Logf("%s: %d bytes were read from Kafka, of a state of %d or more", s.name, read, cachedState)
	if n, want := r.in.reader.Fold.Records-records, (r.changes-changes)*recordsOfChange; n != want {
		t.Errorf("%s: %d records were published, want %d", s.name, n, want)
	}
	if n := r.listed.Load() - listed; n > 0 && !s.killed || n > 1 { // a pass that was cut in the middle looks like a delta that cannot be right: everything is compared
		t.Errorf("%s: %d listings of everything", s.name, n)
	}
	if s.whole && read > cachedState/2 || !s.whole && read < cachedState {
		t.Errorf("%s: %d bytes were read from Kafka", s.name, read)
	}
	if s.says != "" && !r.in.logged("[WARN]", s.says) || s.says == "" && r.in.logged("[WARN]") {
		t.Errorf("%s: want %q in the log:\n%s", s.name, s.says, rig.Tail(r.in.log()))
	}
}

// recordsOfChange is what change comes to: two updates, two deletes with their tombstones, a new row.
const recordsOfChange = 2 + 2*2 + 1

func (r *restarted) change() {
	name := func(i int) string { return fmt.Sprintf("%d.ics", 4*r.changes+i) }
	r.cal.write("alice", "work", name(0))
	r.cal.write("alice", "work", name(1))
	r.cal.Delete("alice", "work", name(2))
	r.cal.Delete("alice", "work", name(3))
	r.cal.write("alice", "work", fmt.Sprintf("new%d.ics", r.changes))
	r.changes++
}

// kill kills the worker when a change has just been published: the cache has it, or not, or in part.
func (r *restarted) kill() {
	r.in.t.Helper()
	r.change()
	eventually(r.in.t, settleTime, "the change is published", func() string {
		if r.in.catchUp() == 0 {
			return "nothing is"
		}
		return ""
	})
	r.in.run.Kill()
}

// copied is a copy of the caches.
func (r *restarted) copied() string {
	r.in.t.Helper()
	to := filepath.Join(r.in.t.TempDir(), "copy")
	r.must(os.CopyFS(to, os.DirFS(r.dir)))
	return to
}

// replace puts other caches in place of ours.
func (r *restarted) replace(dir string) {
	r.in.t.Helper()
	r.must(errors.Join(os.RemoveAll(r.dir), os.CopyFS(r.dir, os.DirFS(dir))))
}

// block makes a place where no directory can be made, by root either.
func (r *restarted) block() {
	r.in.t.Helper()
	r.must(errors.Join(os.RemoveAll(r.dir), os.WriteFile(r.dir, nil, 0o600)))
}

// spoil changes the cache's files of a pattern.
func (r *restarted) spoil(pattern string, change func([]byte) []byte) {
	r.in.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, r.in.name, "0", "store", pattern))
	r.must(err)
	if len(files) == 0 {
		r.in.t.Fatalf("no file is %s", pattern)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		r.must(errors.Join(err, os.WriteFile(file, change(b), 0o600)))
	}
}

// flip changes one byte of so many.
func flip(of int) func([]byte) []byte {
	return func(b []byte) []byte {
		for i := of / 2; i < len(b); i += of {
			b[i] ^= 0x10
		}
		return b
	}
}

func cut(b []byte) []byte { return b[:len(b)/2] }

func (r *restarted) must(err error) {
	r.in.t.Helper()
	if err != nil {
		r.in.t.Fatal(err)
	}
}
