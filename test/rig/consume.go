package rig

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"

	"github.com/calcdc/calcdc/test/oracle"
)

//go:embed consume.py
var consume string

// Consume has another client (librdkafka's, in the python that the environment names) read all that is committed of the topics.
func Consume(ctx context.Context, python, brokers string, topics ...string) ([]oracle.Record, error) {
	cmd := exec.CommandContext(ctx, python, append([]string{"-c", consume, brokers}, topics...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("consuming: %w: %s", err, errs.String())
	}
	var all []oracle.Record
	for line := range strings.Lines(string(out)) {
		var r oracle.Record // bytes stand in base64 there, as they do here
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, fmt.Errorf("decoding %s: %w", line, err)
		}
		all = append(all, r)
	}
	return all, nil
}
