//go:build integration

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/internal/testenv"
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
	consume := exec.CommandContext(t.Context(), python, "consume.py", brokers, in.topic("events"), in.topic("calendars"))
	var errs bytes.Buffer
	consume.Stderr = &errs
	consumed, err := consume.Output()
	if err != nil {
		t.Fatalf("consuming: %v: %s", err, errs.String())
	}
	ours, theirs := records(t, printed, asJSON), records(t, string(consumed), asBase64)
	if len(theirs) < 40 || !slices.Equal(ours, theirs) {
		t.Errorf("tail printed %d records, the other client read %d; first difference:\n%s", len(ours), len(theirs), firstDifference(ours, theirs))
	}
}

// records returns the records of lines of JSON in the order of topic, partition and offset, in one form.
func records(t *testing.T, lines string, decode func(json.RawMessage) string) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(lines) {
		var s seen
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("decoding %s: %v", line, err)
		}
		headers, err := json.Marshal(s.Headers)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s[%d]@%06d %s %s %s", s.Topic, s.Partition, s.Offset, decode(s.Key), decode(s.Value), headers))
	}
	slices.Sort(all)
	return all
}

// asJSON is for keys and values that stand in the line as they are; asBase64 for those that are encoded.
func asJSON(b json.RawMessage) string { return string(b) }

func asBase64(b json.RawMessage) string {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil || s == nil {
		return "null"
	}
	raw, err := base64.StdEncoding.DecodeString(*s)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i] + "\n" + b[i]
		}
	}
	return "one ends earlier"
}
