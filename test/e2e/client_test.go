//go:build integration

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/oracle"
	"github.com/calcdc/calcdc/test/rig"
)

// seen is a record as a program prints it.
type seen struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       json.RawMessage
	Value     json.RawMessage
	Headers   map[string]string
}

// Another client reading committed (librdkafka's) sees the same records, byte for byte, as `calcdc tail` prints.
func TestAnotherClientSeesTheSame(t *testing.T) {
	t.Parallel()
	brokers, python := testenv.Env(t, testenv.EnvKafka), testenv.Env(t, testenv.EnvPython)
	in := newInstance(t, testenv.NewRadicale(t), brokers)
	h, path := filled(t, in, 31)
	gap(t, in, h, path, true)
	if err := h.DeleteCollection(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	in.settle(settleTime)
	in.stop()

	printed, code := in.command(t.Context(), "tail", "--from-beginning", "--to-end", "--json")
	if code != 0 {
		t.Fatalf("calcdc tail ended with code %d", code)
	}
	consumed, err := rig.Consume(t.Context(), python, brokers, in.topic("events"), in.topic("calendars"))
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := lines(t, parsed(t, printed)), lines(t, consumed)
	if len(theirs) < 40 || !slices.Equal(ours, theirs) {
		t.Errorf("tail printed %d records, the other client read %d; first difference:\n%s", len(ours), len(theirs), firstDifference(ours, theirs))
	}
}

// parsed reads lines as `calcdc tail --json` prints them.
func parsed(t *testing.T, text string) []oracle.Record {
	t.Helper()
	var all []oracle.Record
	for line := range strings.Lines(text) {
		var s seen
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("decoding %s: %v", line, err)
		}
		r := oracle.Record{Topic: s.Topic, Partition: s.Partition, Offset: s.Offset, Key: s.Key, Headers: s.Headers}
		if string(s.Value) != "null" {
			r.Value = s.Value
		}
		all = append(all, r)
	}
	return all
}

// lines returns the records in the order of topic, partition and offset, in one form.
func lines(t *testing.T, records []oracle.Record) []string {
	t.Helper()
	var all []string
	for _, r := range records {
		headers, err := json.Marshal(r.Headers)
		if err != nil {
			t.Fatal(err)
		}
		value := "null"
		if r.Value != nil {
			value = string(r.Value)
		}
		all = append(all, fmt.Sprintf("%s[%d]@%06d %s %s %s", r.Topic, r.Partition, r.Offset, r.Key, value, headers))
	}
	slices.Sort(all)
	return all
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i] + "\n" + b[i]
		}
	}
	return "one ends earlier"
}
