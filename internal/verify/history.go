package verify

import (
	"fmt"
	"strconv"

	"github.com/calcdc/calcdc/connector"
)

// Fold is what a whole history amounts to so far, whole rows and all. A record that breaks a rule of the contract is noted in Faults.
type Fold struct {
	Connector string // of the sources
	Brief     bool   // resets publish only what differs
	Streams   map[Stream]*State
	Faults    []string
	Records   int
	ids       map[string]string // names of the records by calcdc.id

	notified []notification
}

// State is a stream as its records tell it.
type State struct {
	Progress
	Rows      map[string]Row
	Markers   []Marker
	Ops       map[string]int // data records by op, and "tombstone"
	partition int32
	fresh     map[string]bool // rows published in this snapshot
	buried    []byte          // key of the d whose tombstone is due, else nil
}

// NewFold begins with no records, of CalDAV.
func NewFold() *Fold {
	return &Fold{Connector: "caldav", Streams: map[Stream]*State{}, ids: map[string]string{}}
}

// Add folds one more record. Records of a partition come in order.
func (f *Fold) Add(r Record) {
	f.Records++
	if kindOf(r.Topic) == "notifications" {
		f.notification(r)
		return
	}
	e, err := takeApart(r)
	if err != nil {
		f.fault(r, "%v", err)
	}
	if e.stream.Kind == "" {
		return
	}
	s := f.stream(e.stream, r)
	switch {
	case e.marker != nil:
		f.marker(s, r, *e.marker)
	case e.bare:
		f.tombstone(s, r)
	case e.envelope != nil:
		f.change(s, r, e)
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
func (f *Fold) marker(s *State, r Record, m Marker) {
	switch m.Type {
	case markBegin, markReset:
		f.opening(s, r, m)
		clear(s.fresh)
	case markEnd:
		f.ending(s, r, m)
		clear(s.fresh)
	}
	s.mark(m)
	s.Markers = append(s.Markers, m)
}

func (f *Fold) opening(s *State, r Record, m Marker) {
	if m.Epoch != s.Epoch+1 {
		f.fault(r, "%s with epoch %d after epoch %d", m.Type, m.Epoch, s.Epoch)
	}
	if m.Type == markBegin && len(s.Rows) > 0 && m.Reason != "returned" { // in the middle of its removal
		f.fault(r, "a begin, and %d rows are known", len(s.Rows))
	}
	if m.Type == markReset && (s.Snapshot || s.Epoch == 0) {
		f.fault(r, "a reset while no snapshot has ended")
	}
	if m.Type == markReset && m.Reason == "" {
		f.fault(r, "a reset without its reason")
	}
}

func (f *Fold) ending(s *State, r Record, m Marker) {
	if !s.Snapshot {
		f.fault(r, "an end without a begin or reset")
	}
	if m.Epoch != s.Epoch {
		f.fault(r, "an end of epoch %d in epoch %d", m.Epoch, s.Epoch)
	}
	if m.Count != int64(len(s.Rows)) {
		f.fault(r, "an end counts %d rows of %d", m.Count, len(s.Rows))
	}
}

// change folds a record with an envelope.
func (f *Fold) change(s *State, r Record, of entry) {
	id, e := of.id, &told{envelope: of.envelope}
	var err error
	if e.Before, err = of.envelope.Before.row(); err != nil {
		f.fault(r, "decoding the value: %v", err)
		return
	}
	if e.After, err = of.envelope.After.row(); err != nil {
		f.fault(r, "decoding the value: %v", err)
		return
	}
	f.envelope(s, r, of.stream, id, e)
	old, known := s.Rows[id]
	s.Ops[e.Op]++
	switch e.Op {
	case "c":
		f.created(s, r, known, e)
	case "u":
		f.updated(s, r, old, e)
	case "r":
		f.read(s, r, id, old, e)
	case "d":
		f.deleted(s, r, old, e)
		s.buried = r.Key
		delete(s.Rows, id)
		delete(s.fresh, id)
		return
	default:
		f.fault(r, "unknown op %q", e.Op)
	}
	s.Rows[id] = e.After
}

// told is an envelope with its rows.
type told struct {
	*envelope
	Before, After Row
}

func (f *Fold) created(s *State, r Record, known bool, e *told) {
	if known {
		f.fault(r, "c of a row that is known")
	}
	if f.readsAll(s) || e.Before != nil || e.After == nil || e.Source.Snapshot != "false" {
		f.fault(r, "c: in a snapshot %t, before %v, after %v", s.Snapshot, e.Before, e.After)
	}
}

func (f *Fold) updated(s *State, r Record, old Row, e *told) {
	if old == nil {
		f.fault(r, "u of a row that is not known")
	}
	if f.readsAll(s) || e.After == nil || e.Source.Snapshot != "false" {
		f.fault(r, "u: in a snapshot %t, after %v", s.Snapshot, e.After)
	}
	if old != nil && same(old, e.After) {
		f.fault(r, "u that changes nothing")
	}
	f.before(r, old, e)
}

// readsAll tells whether the stream is in a snapshot that publishes every row, as r.
func (f *Fold) readsAll(s *State) bool {
	return s.Snapshot && (!f.Brief || s.Markers[len(s.Markers)-1].Type != markReset)
}

func (f *Fold) read(s *State, r Record, id string, old Row, e *told) {
	if !s.Snapshot {
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

func (f *Fold) deleted(s *State, r Record, old Row, e *told) {
	if old == nil {
		f.fault(r, "d of a row that is not known")
	}
	if e.After != nil {
		f.fault(r, "d with after")
	}
	if e.Source.Snapshot == "true" && !s.Snapshot {
		f.fault(r, "d with snapshot true outside a snapshot")
	}
	f.before(r, old, e)
}

// before must be the row as it was published last; events.before is full in these tests.
func (f *Fold) before(r Record, old Row, e *told) {
	if old != nil && string(compactJSON(old)) != string(compactJSON(e.Before)) {
		f.fault(r, "before is not what was published last:\n before %s\n known  %s", compactJSON(e.Before), compactJSON(old))
	}
}

// envelope checks what every envelope says of itself.
func (f *Fold) envelope(s *State, r Record, k Stream, id string, e *told) {
	src := e.Source
	if src.Connector != f.Connector || src.DB != k.Account || src.Table != string(k.Kind) || src.Version == "" ||
		src.TsMs <= 0 || e.TsMs <= 0 || r.Topic != src.Name+"."+string(k.Kind) {
		f.fault(r, "the envelope's source is wrong: %+v ts_ms %d", src, e.TsMs)
	}
	collection := k.Collection
	if k.Kind == connector.Calendars {
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
	f.ids[cid] = r.String()
	if a := e.After; a != nil {
		f.identity(r, k, id, a)
	}
}

func (f *Fold) identity(r Record, k Stream, id string, a Row) {
	field := "id"
	if k.Kind == connector.Calendars {
		field = "collection"
	}
	if a.Text("source") != k.Source || a.Text("account") != k.Account || a.Text(field) != id ||
		k.Collection != "" && a.Text("collection") != k.Collection {
		f.fault(r, "the row names itself otherwise: %s %s %s %s", a["source"], a["account"], a["collection"], a["id"])
	}
}

// Published tells whether the row was published in the snapshot that goes on.
func (s *State) Published(id string) bool { return s.fresh[id] }
