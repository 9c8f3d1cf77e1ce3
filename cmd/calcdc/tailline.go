package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/config"
)

// tailRecord is a record as tail --json prints it. Keys and values that are no JSON are strings.
type tailRecord struct {
	Topic     string            `json:"topic"`
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	TimeMs    int64             `json:"timestamp_ms"`
	Key       json.RawMessage   `json:"key"`
	Headers   map[string]string `json:"headers"`
	Value     json.RawMessage   `json:"value"` // null: a tombstone or a marker
}

type rowKey struct {
	Source, Account, Collection, ID string
}

type rowFields struct {
	Summary    *string `json:"summary"`
	Name       *string `json:"name"`  // of a calendar
	Role       *string `json:"role"`  // of an access rule
	Value      *string `json:"value"` // of a setting
	StartLocal *string `json:"start_local"`
	StartUTC   *string `json:"start_utc"`
}

// line is how a record is printed, and whether it is at all.
func (o tailOptions) line(rec connector.Committed) (string, bool) {
	var key rowKey
	_ = json.Unmarshal(rec.Key, &key) // what is no key of ours shows as it is
	if o.collection != "" && !(config.Collections{Include: []string{o.collection}}).Follow(key.Collection, key.Collection) {
		return "", false
	}
	if o.asJSON {
		return jsonLine(rec), true
	}
	headers := headerMap(rec)
	when := time.UnixMilli(rec.TimeMs).Local().Format(time.RFC3339)
	if marker := headers["calcdc.marker"]; marker != "" {
		stream := whose(key, rec.Topic) + " "
		if key.Collection != "" {
			stream += clean(key.Collection) + " "
		}
		return fmt.Sprintf("%s  -- %s %s%s--", when, clean(marker), stream, clean(markerFacts(headers))), true
	}
	if rec.Value == nil {
		return "", false
	}
	fields := []string{when, orDash(clean(headers["calcdc.op"])), whose(key, rec.Topic)}
	return strings.Join(append(fields, describeRow(key, rec.Value)...), "  "), true
}

// whose is the source and account of a record and, where it is not of events, the kind of its stream.
func whose(key rowKey, topic string) string {
	text := clean(key.Source) + "/" + clean(key.Account)
	if kind := topic[strings.LastIndexByte(topic, '.')+1:]; kind != string(connector.Events) {
		text += "/" + clean(kind)
	}
	return text
}

func jsonLine(rec connector.Committed) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	out := tailRecord{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, TimeMs: rec.TimeMs,
		Key: asJSON(rec.Key), Headers: headerMap(rec), Value: asJSON(rec.Value)}
	_ = enc.Encode(out) // asJSON has made everything fit
	return strings.TrimSuffix(b.String(), "\n")
}

func asJSON(b []byte) json.RawMessage {
	if b == nil {
		return json.RawMessage("null")
	}
	if json.Valid(b) {
		return b
	}
	text, _ := json.Marshal(string(b)) // strings always encode
	return text
}

func headerMap(rec connector.Committed) map[string]string {
	m := make(map[string]string, len(rec.Headers))
	for _, h := range rec.Headers {
		m[h.Key] = string(h.Value)
	}
	return m
}

// markerFacts is what a marker says, e.g. "epoch 2 token-invalid 17 rows ".
func markerFacts(headers map[string]string) string {
	facts := "epoch " + headers["calcdc.epoch"] + " "
	if r := headers["calcdc.reason"]; r != "" {
		facts += r + " "
	}
	if n, ok := headers["calcdc.count"]; ok {
		facts += n + " rows "
	}
	return facts
}

// describeRow is collection, id, start and what the row is about, of the new row or, where there is none, the old one.
func describeRow(key rowKey, value []byte) []string {
	var envelope struct{ Before, After *rowFields }
	_ = json.Unmarshal(value, &envelope) // what is no envelope of ours shows its key alone
	var parts []string
	for _, p := range []string{key.Collection, key.ID} {
		if p != "" {
			parts = append(parts, clean(p))
		}
	}
	row := envelope.After
	if row == nil {
		row = envelope.Before
	}
	if row == nil {
		return parts
	}
	if start := first(row.StartLocal, row.StartUTC); start != "" {
		parts = append(parts, clean(start))
	}
	if title := first(row.Summary, row.Name, row.Role, row.Value); title != "" {
		parts = append(parts, fmt.Sprintf("%q", shortened(title, 80)))
	}
	return parts
}

func first(texts ...*string) string {
	for _, t := range texts {
		if t != nil && *t != "" {
			return *t
		}
	}
	return ""
}
