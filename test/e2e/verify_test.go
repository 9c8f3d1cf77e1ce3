//go:build integration

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/oracle"
)

// verified demands that `calcdc verify`, which asks with calcdc's own clients, finds what the oracle has found: no difference. No calcdc
// runs, so nobody is waited for.
func (in *runner) verified() {
	in.t.Helper()
	if out, code := in.command(in.t.Context(), "verify", "--wait", "0s"); code != 0 {
		in.t.Errorf("calcdc verify ended with code %d:\n%s", code, out)
	}
}

// verification is what `calcdc verify --json` prints.
type verification struct {
	OK          bool
	Rows        int
	Total       int `json:"differences_total"`
	Held        int
	Differences []struct{ What, Collection, Stream, ID, Detail string }
	NotCompared []struct{ Why, Collection, Stream string } `json:"not_compared"`
}

// verify prints nothing else; lines are the differences, sorted.
func (in *runner) verify(args ...string) (v verification, lines []string) {
	in.t.Helper()
	out, code := in.command(in.t.Context(), append([]string{"verify", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		in.t.Fatalf("code %d, %v:\n%s", code, err, out)
	}
	if v.OK != (code == 0) || v.OK != (v.Total == 0 && len(v.NotCompared) == 0) || v.Total != len(v.Differences) {
		in.t.Errorf("code %d:\n%s", code, out)
	}
	for _, d := range v.Differences {
		lines = append(lines, d.What+" "+d.ID)
	}
	slices.Sort(lines)
	return v, lines
}

// What is wrong in a topic, and what the topic lacks of its source, is reported row by row; what is on its way is not.
func TestVerify(t *testing.T) {
	t.Parallel()
	brokers := testenv.Env(t, testenv.EnvKafka)
	in := newInstance(t, testenv.NewRadicale(t), brokers)
	h := newHistory(in.server, in.dav, 41)
	path, err := h.NewCollection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		if err := h.Create(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	last := map[string]oracle.Record{} // of each row of the collection's events
	in.reader.Seen = func(r oracle.Record) {
		if r.Topic == in.topic("events") && r.Value != nil && bytes.Contains(r.Value, []byte(`"op":"r"`)) {
			last[string(r.Key)] = r
		}
	}
	in.start()
	in.settle(settleTime)
	if v, lines := in.verify(); v.Rows < 9 || len(lines) > 0 {
		t.Errorf("beside a running calcdc: %+v", v)
	}
	for range 5 {
		if err := h.Change(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	if v, lines := in.verify(); len(lines) > 0 {
		t.Errorf("of changes that are on their way: %+v", v)
	}
	in.settle(settleTime)
	in.quiet() // nobody was fenced
	in.stop()
	in.verified()

	t.Run("topic", func(t *testing.T) { in.verifiesTopic(t, last) })
	if err := h.Create(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if _, lines := in.verify("--wait", "0s"); len(lines) != 6 {
		t.Errorf("with one more at the source: %q", lines)
	}
}

// verifiesTopic spoils a topic in every way that there is.
func (in *instance) verifiesTopic(t *testing.T, last map[string]oracle.Record) {
	keys := []string{}
	for k := range last {
		if !strings.Contains(k, "#") { // masters' and singles'
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	wrong, lost, astray := last[keys[0]], last[keys[1]], last[keys[2]]
	wrong.Value = bytes.ReplaceAll(wrong.Value, []byte(`"uid":"`), []byte(`"uid":"not-`))
	lost.Value = nil
	astray.Partition = (astray.Partition + 1) % 3
	extra, foreign := last[keys[3]], last[keys[3]]
	extra.Key = bytes.Replace(extra.Key, []byte(`"id":"`), []byte(`"id":"never-`), 1)
	foreign.Key = []byte("not a key")
	in.write(t, wrong, lost, astray, extra, foreign)
	want := []string{"astray " + id(astray), "differs " + id(wrong), "extra " + id(extra), "missing " + id(lost), "unreadable not a key"}
	v, lines := in.verify("--wait", "0s")
	if !slices.Equal(lines, want) {
		t.Errorf("found %q, want %q: %+v", lines, want, v)
	}
	if _, code := in.command(t.Context(), "verify", "--wait", "0s", "--stream", "calendars"); code != 0 {
		t.Errorf("of the calendars: code %d", code)
	}
}

func id(r oracle.Record) string {
	var k struct{ ID string }
	_ = json.Unmarshal(r.Key, &k)
	return k.ID
}

// write writes records as any producer may.
func (in *runner) write(t *testing.T, records ...oracle.Record) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(in.brokers, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, r := range records {
		out := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value}
		if err := cl.ProduceSync(context.WithoutCancel(t.Context()), out).FirstErr(); err != nil {
			t.Fatal(fmt.Errorf("writing %s: %w", r, err))
		}
	}
}
