package connector

import (
	"encoding/hex"
	"math"
	"strconv"
	"time"
)

// The ops of an envelope.
const (
	opCreate = "c"
	opUpdate = "u"
	opDelete = "d"
	opRead   = "r"
)

// The markers of a stream.
const (
	markBegin = "snapshot-begin"
	markReset = "snapshot-reset"
	markEnd   = "snapshot-end"
)

// Reasons of a snapshot. The first two are those of a snapshot-begin.
const (
	reasonInitial       = "initial"
	reasonReturned      = "returned" // the collection had gone
	reasonTokenInvalid  = "token-invalid"
	reasonRequested     = "requested"
	reasonConfiguration = "configuration"
)

// marker is one of a stream's markers.
type marker struct {
	Type   string
	Reason string
	Count  int64 // rows that the stream then has, on the end
}

// envelope wraps the changes of one stream that are committed together.
type envelope struct {
	cfg       Config
	connector string
	stream    Stream
	partition int32 // of the data topic
	notify    int32 // partition of the notifications topic
	epoch     int64
	commit    int64
	now       time.Time
}

// records wraps one change: its record and, after a deletion, the tombstone. before is nil where there is none to
// show, else the old row or the key's fields.
func (e envelope) records(out []Record, c change, before []byte, snapshot bool) []Record {
	key := e.stream.Key(c.id)
	out = append(out, e.record(key, e.value(c, before, snapshot), []Header{
		{"calcdc.op", []byte(c.op)},
		{"calcdc.epoch", strconv.AppendInt(nil, e.epoch, 10)},
		{"calcdc.id", e.changeID(key, c)},
	}))
	if c.op == opDelete && e.cfg.Tombstones {
		out = append(out, e.record(key, nil, nil))
	}
	return out
}

func (e envelope) record(key, value []byte, headers []Header) Record {
	return Record{Topic: e.cfg.DataTopic(e.stream), Partition: e.partition, Key: key, Value: value, Headers: headers}
}

// changeID is the same however often the change is published, and another for another change, of another kind of stream
// whose keys look alike too.
func (e envelope) changeID(key []byte, c change) []byte {
	b := make([]byte, 0, 256)
	b = append(append(b, e.stream.Kind...), 0)
	b = append(append(b, key...), 0)
	b = append(append(b, c.op...), 0)
	b = append(append(b, c.row.Hash[:]...), c.row.ETag...) // all that the row's JSON says
	sum := HashOf(strconv.AppendInt(append(b, 0), e.commit, 10))
	return hex.AppendEncode(make([]byte, 0, 2*len(sum)), sum[:])
}

// maxChangedMs bounds the times that ts_ns can tell, to the years 1678 to 2261: a calendar may claim any.
const maxChangedMs = math.MaxInt64 / int64(time.Millisecond)

// after is the row as it stands in the value that was made of it.
func (e envelope) after(value []byte, c change, before []byte) []byte {
	start := len(`{"before":,"after":`) + len(before)
	if before == nil {
		start += len("null")
	}
	end := start + len(c.row.JSON)
	return value[start:end:end]
}

// value is the Debezium envelope, schemaless.
func (e envelope) value(c change, before []byte, snapshot bool) []byte {
	b := make([]byte, 0, len(before)+len(c.row.JSON)+416+len(e.stream.Collection)+len(e.cfg.TopicPrefix)+len(c.row.ETag))
	b = append(b, `{"before":`...)
	b = appendOrNull(b, before)
	b = append(b, `,"after":`...)
	b = appendOrNull(b, c.row.JSON)
	b = append(b, `,"op":"`...)
	b = append(b, c.op...)
	b = appendTimes(append(b, `",`...), e.now.UnixNano())
	b = append(b, `,"transaction":null,"source":{"version":`...)
	b = appendString(b, e.cfg.Version)
	b = appendString(append(b, `,"connector":`...), e.connector)
	b = appendString(append(b, `,"name":`...), e.cfg.TopicPrefix+"."+e.stream.Source)
	changed := e.now.UnixNano()
	if ms := c.row.ChangedMs; ms != 0 && ms > -maxChangedMs && ms < maxChangedMs {
		changed = c.row.ChangedMs * int64(time.Millisecond)
	}
	b = appendTimes(append(b, ','), changed)
	b = append(b, `,"snapshot":"`...)
	b = strconv.AppendBool(b, snapshot)
	b = appendString(append(b, `","db":`...), e.stream.Account)
	b = appendString(append(b, `,"sequence":null,"table":`...), string(e.stream.Kind))
	b = appendString(append(b, `,"collection":`...), e.collection(c.id))
	b = strconv.AppendInt(append(b, `,"epoch":`...), e.epoch, 10)
	b = append(b, `,"etag":`...)
	if c.row.ETag == "" {
		b = append(b, "null"...)
	} else {
		b = appendString(b, c.row.ETag)
	}
	b = strconv.AppendInt(append(b, `,"row_version":`...), RowVersion, 10)
	return append(b, "}}"...)
}

// collection is the collection that a row belongs to: a calendars row is one itself.
func (e envelope) collection(id string) string {
	if e.stream.Kind == Calendars {
		return id
	}
	return e.stream.Collection
}

// mark returns the marker's record in the data topic and the same fact for the notifications topic.
func (e envelope) mark(m marker) []Record {
	headers := []Header{
		{"calcdc.marker", []byte(m.Type)},
		{"calcdc.epoch", strconv.AppendInt(nil, e.epoch, 10)},
		{"calcdc.reason", []byte(m.Reason)},
	}
	n := notification{
		Type: m.Type, Source: e.stream.Source, Account: e.stream.Account, Collection: e.stream.Collection,
		Stream: e.stream.Kind, Epoch: e.epoch, Reason: m.Reason, TsMs: e.now.UnixMilli(),
	}
	if m.Type == markEnd {
		headers = append(headers, Header{"calcdc.count", strconv.AppendInt(nil, m.Count, 10)})
		n.Count = &m.Count
	}
	key := appendJSON(nil, notificationKey{n.Source, n.Account, n.Collection, n.Stream, n.Type})
	id := HashOf(key, strconv.AppendInt(nil, e.epoch, 10))
	n.ID = hex.EncodeToString(id[:])
	return []Record{
		e.record(e.stream.Key(""), nil, headers),
		{Topic: e.cfg.NotificationsTopic(), Partition: e.notify, Key: key, Value: appendJSON(nil, n)},
	}
}

type notificationKey struct {
	Source     string `json:"source"`
	Account    string `json:"account"`
	Collection string `json:"collection"`
	Stream     Kind   `json:"stream"`
	Type       string `json:"type"`
}

type notification struct {
	ID         string `json:"id"`
	Type       string `json:"type"`
	Source     string `json:"source"`
	Account    string `json:"account"`
	Collection string `json:"collection"`
	Stream     Kind   `json:"stream"`
	Epoch      int64  `json:"epoch"`
	Reason     string `json:"reason"`
	Count      *int64 `json:"count"`
	TsMs       int64  `json:"ts_ms"`
}

func appendOrNull(b, json []byte) []byte {
	if json == nil {
		return append(b, "null"...)
	}
	return append(b, json...)
}

// appendTimes appends ts_ms, ts_us and ts_ns of a time in ns since 1970.
func appendTimes(b []byte, ns int64) []byte {
	b = strconv.AppendInt(append(b, `"ts_ms":`...), ns/1e6, 10)
	b = strconv.AppendInt(append(b, `,"ts_us":`...), ns/1e3, 10)
	return strconv.AppendInt(append(b, `,"ts_ns":`...), ns, 10)
}
