package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
)

// record is a record as the demo understands it.
type record struct {
	stream string // events, calendars, acl, settings
	rawKey string
	key    struct{ Collection, ID string }
	value  *envelope // nil: a tombstone or a marker
	marker string
	epoch  string
	reason string
	count  string
}

type envelope struct {
	Op            string
	Before, After *content
}

// content is what the demo shows of a row, of whichever kind.
type content struct {
	Name, Summary, Kind, Location, Status *string
	StartLocal                            *string `json:"start_local"`
	EndLocal                              *string `json:"end_local"`
	Role, Value                           *string // of a rule, of a setting
	Raw                                   *string
}

// follow shows the committed records of a topic, which may not exist yet, until ctx ends.
func (s *stage) follow(ctx context.Context, topic string) error {
	partitions := s.await(ctx, topic)
	g, ctx := errgroup.WithContext(ctx)
	for p := range partitions {
		g.Go(func() error {
			for c, err := range s.client.Read(ctx, topic, p, 0, -1) {
				if ctx.Err() != nil {
					return nil
				}
				if err != nil {
					return err
				}
				r, err := parseRecord(c)
				if err != nil {
					return fmt.Errorf("reading %s: %w", topic, err)
				}
				s.fold.add(r)
				s.show(r.line(s.calendars.name))
			}
			return nil
		})
	}
	return g.Wait()
}

// await waits until the connector has made the topic and returns how many partitions it has, 0 when ctx ended.
func (s *stage) await(ctx context.Context, topic string) int32 {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if t, there, err := s.client.DescribeTopic(ctx, topic); err == nil && there {
			return t.Partitions
		}
		select {
		case <-ctx.Done():
			return 0
		case <-again.C:
		}
	}
}

func parseRecord(c connector.Committed) (record, error) {
	r := record{stream: path.Ext(c.Topic)[1:], rawKey: string(c.Key)}
	if err := json.Unmarshal(c.Key, &r.key); err != nil {
		return r, fmt.Errorf("its key: %w", err)
	}
	for _, h := range c.Headers {
		switch h.Key {
		case "calcdc.marker":
			r.marker = string(h.Value)
		case "calcdc.epoch":
			r.epoch = string(h.Value)
		case "calcdc.reason":
			r.reason = string(h.Value)
		case "calcdc.count":
			r.count = string(h.Value)
		}
	}
	if c.Value == nil {
		return r, nil
	}
	if err := json.Unmarshal(c.Value, &r.value); err != nil {
		return r, fmt.Errorf("its value: %w", err)
	}
	return r, nil
}

func (r record) op() string {
	switch {
	case r.marker != "":
		return "="
	case r.value == nil:
		return "∅"
	}
	return r.value.Op
}

// line says in a few words what the record tells. name is people's word for a collection.
func (r record) line(name func(collection string) string) line {
	l := line{side: onTopic, op: r.op(), where: name(r.key.Collection), id: r.key.ID}
	switch {
	case r.stream == "events":
	case r.key.Collection == "" || r.key.ID == "" && r.stream == "calendars" && r.marker != "":
		l.where = r.stream
	case r.stream == "calendars":
		l.where, l.id = r.stream, l.where
	default:
		l.where, l.id = r.stream, path.Join(l.where, r.key.ID)
	}
	switch {
	case r.marker != "":
		l.where, l.id = path.Join(l.where, l.id), ""
		l.what = r.describeMarker()
	case r.value == nil:
		l.what = "tombstone"
	default:
		l.what = r.value.describe()
	}
	return l
}

func (r record) describeMarker() string {
	if r.marker == "snapshot-end" {
		rows, _ := strconv.Atoi(r.count) // 0 is what a broken one should look like
		return fmt.Sprintf("%s · %s", r.marker, plural(rows, "row"))
	}
	return fmt.Sprintf("%s · epoch %s, %s", r.marker, r.epoch, r.reason)
}

func (e *envelope) describe() string {
	switch {
	case e.After == nil && e.Before == nil:
		return ""
	case e.After == nil:
		return e.Before.describe()
	case e.Before != nil && e.Op == "u":
		return e.Before.changes(e.After)
	}
	return e.After.describe()
}

func (c *content) describe() string {
	words := []string{text(c.Summary) + text(c.Name) + text(c.Role) + text(c.Value)}
	if c.StartLocal != nil {
		words = append(words, when(text(c.StartLocal)))
	}
	switch text(c.Kind) {
	case "series":
		words = append(words, "a series")
	case "override":
		words = append(words, "only this one")
	}
	if text(c.Status) == "cancelled" {
		words = append(words, "cancelled")
	}
	if words[0] == "" {
		words = words[1:]
	}
	return strings.Join(words, ", ")
}

// changes tells what differs, in the fields that the demo knows.
func (c *content) changes(to *content) string {
	var told []string
	tell := func(a, b *string, read func(string) string) {
		if from, now := read(text(a)), read(text(b)); from != now {
			told = append(told, from+" → "+now)
		}
	}
	as := func(s string) string { return s }
	tell(c.Name, to.Name, as)
	tell(c.Summary, to.Summary, as)
	tell(c.StartLocal, to.StartLocal, when)
	tell(c.Location, to.Location, as)
	tell(c.Role, to.Role, as)
	tell(c.Value, to.Value, as)
	words := text(to.Summary)
	switch {
	case len(told) > 0 && words != "":
		return words + ": " + strings.Join(told, ", ")
	case len(told) > 0:
		return strings.Join(told, ", ")
	}
	return words + ": its text"
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// when turns 2026-06-02T10:00:00 into Tue 10:00, and a date into Tue.
func when(local string) string {
	if t, err := time.Parse("2006-01-02T15:04:05", local); err == nil {
		return t.Format("Mon 15:04")
	}
	if t, err := time.Parse("2006-01-02", local); err == nil {
		return t.Format("Mon")
	}
	return local
}
