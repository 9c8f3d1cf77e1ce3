package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// judge folds what was committed and holds it against the rules of the contract, and against what the service held.
type judge struct {
	w       *world
	tail    *tail
	streams map[connector.Stream]*mirror
	ids     map[string]record // by calcdc.id
	notices map[string]notice // the last of each key
	records int
	states  int // how often the state was lost
	forgot  int // how often the offsets were
	faults  []error
}

// mirror is what a consumer holds of one stream.
type mirror struct {
	rows   map[string]mirrored
	epoch  int64
	open   bool            // between a begin or reset and its end
	fresh  map[string]bool // rows published since
	buried []byte          // key of the d whose tombstone is due
	opened string          // the reason of the last begin or reset
	begins int             // how many of these there were
	asked  int             // of them, those that somebody has asked for
	due    int             // how many there must be, since a signal asks for one, or the state was lost
	last   notice          // marker
	length int64           // of its data partition, up to its last record
	lapse
}

type mirrored struct {
	json  []byte
	value string
}

type notice struct {
	kind, reason string
	epoch, count int64
}

func newJudge(w *world) *judge {
	return &judge{
		w: w, tail: &tail{w: w, next: map[place]int64{}, conns: map[int]net.Conn{}}, streams: map[connector.Stream]*mirror{}, ids: map[string]record{},
		notices: map[string]notice{},
	}
}

func (j *judge) fault(r record, format string, args ...any) {
	j.faults = append(j.faults, fmt.Errorf("%s: %s", r, fmt.Sprintf(format, args...)))
}

// catchUp folds what has been committed since.
func (j *judge) catchUp() error {
	for _, topic := range topics()[:5] {
		for p := range int32(partitions) {
			recs, err := j.tail.read(place{topic, p})
			if err != nil {
				return err
			}
			for _, r := range recs {
				j.records++
				j.w.note("record %s %s %d bytes", r, r.headers, len(r.value))
				j.fold(r)
			}
		}
	}
	return nil
}

func (j *judge) fold(r record) {
	kind := r.topic[strings.LastIndexByte(r.topic, '.')+1:]
	var key struct{ Source, Account, Collection, ID, Stream, Type string }
	if err := json.Unmarshal(r.key, &key); err != nil {
		j.fault(r, "the key: %v", err)
		return
	}
	if kind == "notifications" {
		j.notice(r)
		return
	}
	s := connector.Stream{Source: key.Source, Account: key.Account, Collection: key.Collection, Kind: connector.Kind(kind)}
	id := key.ID
	if s.Kind == connector.Calendars {
		s.Collection, id = "", key.Collection
	}
	m := j.streams[s]
	if m == nil {
		m = &mirror{rows: map[string]mirrored{}, fresh: map[string]bool{}}
		j.streams[s] = m
	}
	m.length = r.offset + 1
	if r.partition != s.Partition(partitions) {
		j.fault(r, "it is not in the stream's partition")
	}
	marker := r.headers["calcdc.marker"]
	if m.buried != nil && (marker != "" || r.value != nil || !bytes.Equal(m.buried, r.key)) {
		j.fault(r, "the tombstone of %s is due", m.buried)
	}
	switch {
	case marker != "":
		j.marker(m, s, r, marker)
	case r.value == nil && m.buried == nil:
		j.fault(r, "a tombstone without its d")
	case r.value == nil:
		j.w.met.add("tombstone")
	case r.value != nil:
		j.change(m, s, r, id)
		return
	}
	m.buried = nil
}

func (j *judge) marker(m *mirror, s connector.Stream, r record, kind string) {
	n := notice{kind: kind, reason: r.headers["calcdc.reason"], count: -1}
	n.epoch, _ = strconv.ParseInt(r.headers["calcdc.epoch"], 10, 64)
	switch kind {
	case "snapshot-begin", "snapshot-reset":
		j.w.met.add(strings.TrimPrefix(kind, "snapshot-") + " " + n.reason)
		if n.epoch != m.epoch+1 {
			j.fault(r, "epoch %d after %d", n.epoch, m.epoch)
		}
		if kind == "snapshot-begin" && len(m.rows) > 0 && n.reason != "returned" {
			j.fault(r, "a begin, and %d rows are known", len(m.rows))
		}
		if kind == "snapshot-reset" && (m.epoch == 0 || m.open && n.reason == "token-invalid") {
			j.fault(r, "a reset (%s) while no snapshot has ended", n.reason)
		}
		if n.reason == "requested" {
			m.asked++
		}
		if m.asked > j.w.asked[s]+j.forgot {
			j.fault(r, "%d resets, of which %d were asked for", m.asked, j.w.asked[s]+j.forgot)
		}
		if !j.reset(m, n.reason) {
			j.fault(r, "a reset, and no more was lost than has been reset before: %+v", m.lapse)
		}
		m.begins++
		m.epoch, m.open, m.opened = n.epoch, true, n.reason
	case "snapshot-end":
		j.w.met.add("end")
		n.count, _ = strconv.ParseInt(r.headers["calcdc.count"], 10, 64)
		if !m.open || n.epoch != m.epoch || n.count != int64(len(m.rows)) || n.reason != m.opened {
			j.fault(r, "an end (%+v) in epoch %d, open %v (%s), with %d rows", n, m.epoch, m.open, m.opened, len(m.rows))
		}
		for id := range m.rows {
			if !m.fresh[id] && !j.brief(m) {
				j.fault(r, "an end, and row %s is of an older epoch", id)
			}
		}
		m.open = false
	}
	clear(m.fresh)
	m.last = n
}

// brief tells whether the snapshot that is open publishes only what differs.
func (j *judge) brief(m *mirror) bool {
	return j.w.changes && (m.opened == "token-invalid" || m.opened == "requested" || m.opened == "configuration")
}

type envelope struct {
	Before, After json.RawMessage
	Op            string
	TsMs          int64 `json:"ts_ms"`
	Source        struct {
		Snapshot string
		Epoch    int64
	}
}

var null = []byte("null")

func (j *judge) change(m *mirror, s connector.Stream, r record, id string) {
	var e envelope
	if err := json.Unmarshal(r.value, &e); err != nil {
		j.fault(r, "the value: %v", err)
		return
	}
	j.identity(m, r, &e)
	j.w.met.add(e.Op)
	old, known := m.rows[id]
	if known && e.Op != "c" && e.Op != "r" && !bytes.Equal(e.Before, old.json) || !known && !bytes.Equal(e.Before, null) {
		j.fault(r, "%s: before is\n%s, not\n%s", e.Op, e.Before, old.json)
	}
	if known == (e.Op == "c") && e.Op != "r" {
		j.fault(r, "%s of a row, known: %v", e.Op, known)
	}
	if (e.Op == "r") != (e.Source.Snapshot == "true") && e.Op != "d" || e.Source.Snapshot == "true" && !m.open ||
		m.open && (e.Op == "c" || e.Op == "u") && !j.brief(m) || m.open && e.Op == "r" && j.brief(m) {
		j.fault(r, "%s with snapshot %s, in a snapshot: %v", e.Op, e.Source.Snapshot, m.open)
	}
	if e.Op == "d" {
		j.deletion(s, r, id, &e)
		m.buried = r.key
		delete(m.rows, id)
		delete(m.fresh, id)
		return
	}
	now := mirrored{json: e.After, value: valueOf(s.Kind, e.After)}
	if known && bytes.Equal(bare(old.json), bare(now.json)) && (e.Op == "u" || m.fresh[id]) {
		j.fault(r, "%s of a row that is what it was: %s", e.Op, now.value)
	}
	if now.value != unreadable && !j.history(s).had(rowKey{s, id}, now.value) {
		j.fault(r, "a row that never was: %s", now.value)
	}
	if now.value == unreadable {
		j.w.met.add("unreadable")
	}
	m.rows[id] = now
	m.fresh[id] = true
}

func (j *judge) identity(m *mirror, r record, e *envelope) {
	if e.Source.Epoch != m.epoch || r.headers["calcdc.epoch"] != strconv.FormatInt(m.epoch, 10) || r.headers["calcdc.op"] != e.Op {
		j.fault(r, "epoch %d, op %s, headers %v, in epoch %d", e.Source.Epoch, e.Op, r.headers, m.epoch)
	}
	if first, twice := j.ids[r.headers["calcdc.id"]]; twice || r.headers["calcdc.id"] == "" {
		j.fault(r, "its calcdc.id is that of %s", first)
	}
	j.ids[r.headers["calcdc.id"]] = r
}

// believed is how old what a deletion goes by may be when it is published.
const believed = 3 * time.Minute

// deletion holds a d against the truth: the row was absent a moment ago.
func (j *judge) deletion(s connector.Stream, r record, id string, e *envelope) {
	at := time.UnixMilli(e.TsMs)
	if !j.history(s).absent(rowKey{s, id}, at.Add(-believed), at) {
		j.fault(r, "a d at %s of a row that was there all the time", at.UTC().Format("15:04:05"))
	}
}

func (j *judge) history(s connector.Stream) history {
	for _, a := range j.w.service.accounts {
		if a.name == s.Account {
			return a.history
		}
	}
	return nil
}

// bare is a row without its ETag.
func bare(row []byte) []byte {
	i := bytes.Index(row, []byte(`"etag":`))
	if i < 0 {
		return row
	}
	n := bytes.IndexAny(row[i:], ",}")
	return slices.Concat(row[:i], row[i+n:])
}

func valueOf(k connector.Kind, row []byte) string {
	var v struct{ Summary, Role, Value, Name *string }
	_ = json.Unmarshal(row, &v)
	p := map[connector.Kind]*string{connector.Events: v.Summary, connector.ACL: v.Role, connector.Settings: v.Value, connector.Calendars: v.Name}[k]
	if p == nil {
		return ""
	}
	return *p
}

func (j *judge) notice(r record) {
	var v struct {
		Type, Reason string
		Epoch        int64
		Count        *int64
	}
	if err := json.Unmarshal(r.value, &v); err != nil {
		j.fault(r, "the notification: %v", err)
		return
	}
	n := notice{v.Type, v.Reason, v.Epoch, -1}
	if v.Count != nil && v.Type == "snapshot-end" {
		n.count = *v.Count
	}
	j.notices[string(r.key)] = n
}

// verdict is what is wrong with all that was committed so far.
func (j *judge) verdict() error { return errors.Join(j.faults...) }

// compare holds the mirror against the truth, at a moment at which both should be at rest.
func (j *judge) compare() error {
	var errs []error
	truth := map[connector.Stream]map[string]string{}
	for _, a := range j.w.service.accounts {
		maps.Copy(truth, a.holds())
	}
	for s, m := range j.streams {
		if m.open && truth[s] != nil {
			errs = append(errs, fmt.Errorf("%s: a snapshot has not ended", s))
		}
		if m.begins < m.due && truth[s] != nil {
			errs = append(errs, fmt.Errorf("%s: a signal has asked for a snapshot, or the state was lost, and none has begun", s))
		}
		if j.missed(s, m) {
			errs = append(errs, fmt.Errorf("%s: its data topic was lost, and no reset has followed: %+v", s, m.lapse))
		}
		if m.buried != nil {
			errs = append(errs, fmt.Errorf("%s: no tombstone follows the d of %s", s, m.buried))
		}
		for id, row := range m.rows {
			if value, ok := truth[s][id]; !ok || value != row.value {
				errs = append(errs, fmt.Errorf("%s: row %s is %q in the topic, at the source: %v %q", s, id, row.value, ok, value))
			}
		}
		n, ok := j.notices[noticeKey(s, m.last.kind)]
		if !ok || n != m.last {
			errs = append(errs, fmt.Errorf("%s: the notifications say %+v, the last marker %+v", s, n, m.last))
		}
	}
	for s, rows := range truth {
		for id := range rows {
			if m := j.streams[s]; m == nil || m.rows[id].json == nil {
				errs = append(errs, fmt.Errorf("%s: row %s is at the source alone", s, id))
			}
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func noticeKey(s connector.Stream, kind string) string {
	return fmt.Sprintf(`{"source":%q,"account":%q,"collection":%q,"stream":%q,"type":%q}`, s.Source, s.Account, s.Collection, s.Kind, kind)
}
