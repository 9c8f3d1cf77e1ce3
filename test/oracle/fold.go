package oracle

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Fold is what the records so far amount to. A record that breaks a rule of the contract is noted in Faults.
type Fold struct {
	Connector string // of the sources
	Brief     bool   // resets publish only what differs
	Streams   map[Stream]*State
	Faults    []string
	Records   int
	ids       map[string]Record // by calcdc.id

	notified []notification
}

// State is a stream as its records tell it.
type State struct {
	Rows      map[string]Row
	Epoch     int64
	Markers   []Marker
	Ops       map[string]int // data records by op, and "tombstone"
	partition int32
	snapshot  bool            // between a begin or reset and its end
	fresh     map[string]bool // rows published in this snapshot
	buried    []byte          // key of the d whose tombstone is due, else nil
}

// Marker is a marker of a stream, in order.
type Marker struct {
	Type   string // snapshot-begin, snapshot-reset, snapshot-end
	Reason string
	Epoch  int64
	Count  int64 // of an end; else -1
}

// NewFold begins with no records, of CalDAV.
func NewFold() *Fold {
	return &Fold{Connector: "caldav", Streams: map[Stream]*State{}, ids: map[string]Record{}}
}

// Add folds one more record. Records of a partition come in order.
func (f *Fold) Add(r Record) {
	f.Records++
	kind := kindOf(r.Topic)
	if kind == "notifications" {
		f.notification(r)
		return
	}
	stream, id, err := parseKey(kind, r.Key)
	if err != nil {
		f.fault(r, "%v", err)
		return
	}
	s := f.stream(stream, r)
	switch {
	case r.Headers["calcdc.marker"] != "":
		f.marker(s, r, id)
	case r.Value == nil:
		f.tombstone(s, r)
	default:
		f.change(s, r, stream, id)
	}
}

func (f *Fold) fault(r Record, format string, args ...any) {
	f.Faults = append(f.Faults, fmt.Sprintf("%s: %s", r, fmt.Sprintf(format, args...)))
}

func (f *Fold) stream(k Stream, r Record) *State {
	s := f.Streams[k]
	if s == nil {
		s = &State{
			Rows: map[string]Row{}, Ops: map[string]int{}, fresh: map[string]bool{},
			partition: r.Partition,
		}
		f.Streams[k] = s
	}
	if s.partition != r.Partition {
		f.fault(r, "the stream has records in partition %d too", s.partition)
	}
	if s.buried != nil && (r.Value != nil || r.Headers["calcdc.marker"] != "" || string(s.buried) != string(r.Key)) {
		f.fault(r, "the tombstone of %s is due", s.buried)
		s.buried = nil
	}
	return s
}

func (f *Fold) tombstone(s *State, r Record) {
	s.Ops["tombstone"]++
	if s.buried == nil {
		f.fault(r, "a tombstone without its d")
	}
	s.buried = nil
}

// marker: begin or reset, then rows, then the end with their number; epochs rise by one.
func (f *Fold) marker(s *State, r Record, id string) {
	m := Marker{Type: r.Headers["calcdc.marker"], Reason: r.Headers["calcdc.reason"], Count: -1}
	var err error
	if m.Epoch, err = strconv.ParseInt(r.Headers["calcdc.epoch"], 10, 64); err != nil {
		f.fault(r, "a marker without its epoch: %v", err)
	}
	if id != "" || r.Value != nil {
		f.fault(r, "a marker has an empty last field and no value")
	}
	switch m.Type {
	case "snapshot-begin", "snapshot-reset":
		f.opening(s, r, m)
	case "snapshot-end":
		if m.Count, err = strconv.ParseInt(r.Headers["calcdc.count"], 10, 64); err != nil {
			f.fault(r, "an end without its count: %v", err)
		}
		f.ending(s, r, m)
	default:
		f.fault(r, "unknown marker %s", m.Type)
	}
	s.Markers = append(s.Markers, m)
}

func (f *Fold) opening(s *State, r Record, m Marker) {
	if m.Epoch != s.Epoch+1 {
		f.fault(r, "%s with epoch %d after epoch %d", m.Type, m.Epoch, s.Epoch)
	}
	if m.Type == "snapshot-begin" && len(s.Rows) > 0 && m.Reason != "returned" { // in the middle of its removal
		f.fault(r, "a begin, and %d rows are known", len(s.Rows))
	}
	if m.Type == "snapshot-reset" && (s.snapshot || s.Epoch == 0) {
		f.fault(r, "a reset while no snapshot has ended")
	}
	if m.Type == "snapshot-reset" && m.Reason == "" {
		f.fault(r, "a reset without its reason")
	}
	s.Epoch, s.snapshot = m.Epoch, true
	clear(s.fresh)
}

func (f *Fold) ending(s *State, r Record, m Marker) {
	if !s.snapshot {
		f.fault(r, "an end without a begin or reset")
	}
	if m.Epoch != s.Epoch {
		f.fault(r, "an end of epoch %d in epoch %d", m.Epoch, s.Epoch)
	}
	if m.Count != int64(len(s.Rows)) {
		f.fault(r, "an end counts %d rows of %d", m.Count, len(s.Rows))
	}
	s.snapshot = false
	clear(s.fresh)
}

// change folds a record with an envelope.
func (f *Fold) change(s *State, r Record, k Stream, id string) {
	var e envelope
	if err := json.Unmarshal(r.Value, &e); err != nil {
		f.fault(r, "decoding the value: %v", err)
		return
	}
	f.envelope(s, r, k, id, &e)
	old, known := s.Rows[id]
	s.Ops[e.Op]++
	switch e.Op {
	case "c":
		f.created(s, r, known, &e)
	case "u":
		f.updated(s, r, old, &e)
	case "r":
		f.read(s, r, id, old, &e)
	case "d":
		f.deleted(s, r, old, &e)
		s.buried = r.Key
		delete(s.Rows, id)
		delete(s.fresh, id)
		return
	default:
		f.fault(r, "unknown op %q", e.Op)
	}
	s.Rows[id] = e.After
}

func (f *Fold) created(s *State, r Record, known bool, e *envelope) {
	if known {
		f.fault(r, "c of a row that is known")
	}
	if f.readsAll(s) || e.Before != nil || e.After == nil || e.Source.Snapshot != "false" {
		f.fault(r, "c: in a snapshot %t, before %v, after %v", s.snapshot, e.Before, e.After)
	}
}

func (f *Fold) updated(s *State, r Record, old Row, e *envelope) {
	if old == nil {
		f.fault(r, "u of a row that is not known")
	}
	if f.readsAll(s) || e.After == nil || e.Source.Snapshot != "false" {
		f.fault(r, "u: in a snapshot %t, after %v", s.snapshot, e.After)
	}
	if old != nil && same(old, e.After) {
		f.fault(r, "u that changes nothing")
	}
	f.before(r, old, e)
}

// readsAll tells whether the stream is in a snapshot that publishes every row, as r.
func (f *Fold) readsAll(s *State) bool {
	return s.snapshot && (!f.Brief || s.Markers[len(s.Markers)-1].Type != "snapshot-reset")
}

func (f *Fold) read(s *State, r Record, id string, old Row, e *envelope) {
	if !s.snapshot {
		f.fault(r, "r outside a snapshot")
	}
	if e.Before != nil || e.After == nil || e.Source.Snapshot != "true" {
		f.fault(r, "r: before %v, after %v, snapshot %s", e.Before, e.After, e.Source.Snapshot)
	}
	if s.fresh[id] && same(old, e.After) {
		f.fault(r, "r twice in epoch %d, and nothing changed", s.Epoch)
	}
	s.fresh[id] = true
}

func (f *Fold) deleted(s *State, r Record, old Row, e *envelope) {
	if old == nil {
		f.fault(r, "d of a row that is not known")
	}
	if e.After != nil {
		f.fault(r, "d with after")
	}
	if e.Source.Snapshot == "true" && !s.snapshot {
		f.fault(r, "d with snapshot true outside a snapshot")
	}
	f.before(r, old, e)
}

// before must be the row as it was published last; events.before is full in these tests.
func (f *Fold) before(r Record, old Row, e *envelope) {
	if old != nil && string(compactJSON(old)) != string(compactJSON(e.Before)) {
		f.fault(r, "before is not what was published last:\n before %s\n known  %s", compactJSON(e.Before), compactJSON(old))
	}
}

// envelope checks what every envelope says of itself.
func (f *Fold) envelope(s *State, r Record, k Stream, id string, e *envelope) {
	src := e.Source
	if src.Connector != f.Connector || src.DB != k.Account || src.Table != k.Kind || src.Version == "" ||
		src.TsMs <= 0 || e.TsMs <= 0 || r.Topic != src.Name+"."+k.Kind {
		f.fault(r, "the envelope's source is wrong: %+v ts_ms %d", src, e.TsMs)
	}
	collection := k.Collection
	if k.Kind == "calendars" {
		collection = id
	}
	if src.Collection != collection {
		f.fault(r, "the envelope names collection %s", src.Collection)
	}
	if src.Epoch != s.Epoch || r.Headers["calcdc.epoch"] != strconv.FormatInt(s.Epoch, 10) {
		f.fault(r, "epoch %d, header %s, in epoch %d", src.Epoch, r.Headers["calcdc.epoch"], s.Epoch)
	}
	if r.Headers["calcdc.op"] != e.Op {
		f.fault(r, "header calcdc.op is %q, op %q", r.Headers["calcdc.op"], e.Op)
	}
	cid := r.Headers["calcdc.id"]
	if first, twice := f.ids[cid]; twice || cid == "" {
		f.fault(r, "calcdc.id %q is that of %s", cid, first)
	}
	f.ids[cid] = r
	if a := e.After; a != nil {
		f.identity(r, k, id, a)
	}
}

func (f *Fold) identity(r Record, k Stream, id string, a Row) {
	field := "id"
	if k.Kind == "calendars" {
		field = "collection"
	}
	if a.Text("source") != k.Source || a.Text("account") != k.Account || a.Text(field) != id ||
		k.Collection != "" && a.Text("collection") != k.Collection {
		f.fault(r, "the row names itself otherwise: %s %s %s %s", a["source"], a["account"], a["collection"], a["id"])
	}
}

// InSnapshot tells whether a begin or reset has no end yet.
func (s *State) InSnapshot() bool { return s.snapshot }

// Published tells whether the row was published in the snapshot that goes on.
func (s *State) Published(id string) bool { return s.fresh[id] }
