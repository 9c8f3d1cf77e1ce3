package offsets

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/calcdc/calcdc/connector"
)

// What a transaction of a rebuild holds: about as much as one of a snapshot.
const (
	mendBatch = 1000
	mendBytes = 4 << 20
)

// rebuild adds to the state what a data topic still tells of its streams.
type rebuild struct {
	l          *Ledger
	topic      string
	partitions int32
	ends       map[int32]int64 // true ends of the data partitions that matter
	told       map[int32]int64 // and of the notifications'
	cut        bool            // the topic does not begin at its beginning
	streams    map[connector.Stream]*mended
	order      []connector.Stream
	size       int // bytes and changes that wait for a transaction
	waiting    int
}

// mended is one stream of a rebuild.
type mended struct {
	stream    connector.Stream
	due       string
	short     bool // the topic has lost something: what the state holds is newer
	epoch     int64
	at        int32 // its data partition, and from where a commit that was cut short may have written to it
	begin     int64
	connector string
	partition int32 // in which its records were found
	found     bool
	records   int
	foreign   int // records under its keys that calcdc did not write

	marker marking // the last that began a snapshot

	rows      map[string]*connector.RowChange // that wait for a transaction
	resources map[string]*connector.ResourceState
	added     map[string]struct{} // rows that a short topic held and the state did not
}

// marking is what a marker says.
type marking struct {
	name, reason string
	epoch        int64
}

// readNotifications learns of epochs.
func (r *rebuild) readNotifications(ctx context.Context) error {
	for p, end := range r.told {
		for rec, err := range r.l.r.Read(ctx, r.l.cfg.Notifications, p, 0, end) {
			if err != nil {
				return fmt.Errorf("mending: reading %s: %w", r.l.cfg.Notifications, err)
			}
			n, _ := parseNote(rec.Value) // nothing but an epoch was to be had from one that is not ours
			if m, ok := r.streams[n.Stream]; ok && m.due != unfinished {
				m.epoch = max(m.epoch, n.Epoch)
			}
		}
	}
	return nil
}

// readData folds the data partitions as a consumer does, in pieces that are committed to the state as they come.
func (r *rebuild) readData(ctx context.Context) error {
	source := r.order[0]
	for _, p := range slices.Sorted(maps.Keys(r.ends)) {
		for rec, err := range r.l.r.Read(ctx, r.topic, p, r.from(p), r.ends[p]) {
			if err != nil {
				return fmt.Errorf("mending: reading %s: %w", r.topic, err)
			}
			s, id, ok := parseDataKey(source.Source, source.Kind, rec.Key)
			m := r.streams[s]
			if !ok || m == nil {
				continue
			}
			r.add(m, id, &rec)
			if r.waiting >= mendBatch || r.size >= mendBytes {
				if err := r.flush(ctx); err != nil {
					return err
				}
			}
		}
	}
	return r.flush(ctx)
}

// parseDataKey tells the stream and the row of a data record's key; id is "" for a marker.
func parseDataKey(source string, kind connector.Kind, key []byte) (s connector.Stream, id string, ok bool) {
	var k struct {
		Source     string `json:"source"`
		Account    string `json:"account"`
		Collection string `json:"collection"`
		ID         string `json:"id"`
	}
	if unmarshal(key, maxKey, &k) != nil || k.Source != source {
		return s, "", false
	}
	s = connector.Stream{Source: k.Source, Account: k.Account, Kind: kind}
	id = k.ID
	switch kind {
	case connector.Calendars:
		id = k.Collection
	case connector.Events, connector.ACL:
		s.Collection = k.Collection
	case connector.Settings:
	}
	return s, id, bytes.Equal(key, s.Key(id))
}

// envelope is what a rebuild needs of a data record's value.
type envelope struct {
	After  json.RawMessage `json:"after"`
	Op     string          `json:"op"`
	Source struct {
		Connector string  `json:"connector"`
		Epoch     int64   `json:"epoch"`
		ETag      *string `json:"etag"`
	} `json:"source"`
}

// add takes in a record of the stream.
func (r *rebuild) add(m *mended, id string, rec *connector.Committed) {
	m.records++
	m.partition, m.found = rec.Partition, true
	var seen marking
	for _, h := range rec.Headers {
		switch h.Key {
		case "calcdc.epoch":
			seen.epoch, _ = strconv.ParseInt(string(h.Value), 10, 64)
		case "calcdc.marker":
			seen.name = string(h.Value)
		case "calcdc.reason":
			seen.reason = string(h.Value)
		}
	}
	m.epoch = max(m.epoch, seen.epoch)
	if seen.name != "" && seen.name != "snapshot-end" {
		m.marker = seen
	}
	var e envelope
	switch {
	case id == "": // a marker
	case rec.Value == nil:
		r.remove(m, id)
	case json.Unmarshal(rec.Value, &e) != nil || e.Op == "":
		m.foreign++
	case isNull(e.After):
		r.remove(m, id)
	default:
		r.put(m, id, &e)
	}
}

func isNull(v json.RawMessage) bool { return len(v) == 0 || string(v) == "null" }

// put makes the row what the record says, unless the state knows better.
func (r *rebuild) put(m *mended, id string, e *envelope) {
	m.epoch = max(m.epoch, e.Source.Epoch)
	m.connector = e.Source.Connector
	if m.knows(r.l, id) {
		return
	}
	if m.short {
		m.added[id] = struct{}{}
	}
	row := connector.KeptRow(m.stream.Kind, id, e.After)
	r.change(m, &connector.RowChange{ID: id, Hash: row.Hash, Body: row.JSON})
	name, parent := r.resourceOf(m, id, e.After)
	res := r.resource(m, name)
	if !slices.Contains(res.Rows, id) {
		res.Rows = append(slices.Clip(res.Rows), id)
	}
	// Its bytes are not known, so that whatever the source holds of it counts as another version.
	res.Hash, res.Parent, res.Epoch = connector.Hash{}, parent, max(res.Epoch, e.Source.Epoch)
	if e.Source.ETag != nil {
		res.ETag = *e.Source.ETag
	}
}

// knows tells whether the state holds the row and is newer than the topic.
func (m *mended) knows(l *Ledger, id string) bool {
	if !m.short {
		return false
	}
	if _, ours := m.added[id]; ours {
		return false
	}
	_, known := l.indexOf(m.stream).Row(id)
	return known
}

// remove forgets a row that the topic shows deleted.
func (r *rebuild) remove(m *mended, id string) {
	if m.knows(r.l, id) {
		return
	}
	delete(m.added, id)
	x := r.l.indexOf(m.stream)
	body, _ := x.Body(id) // one that cannot be read is taken for one that was not kept
	if c, waits := m.rows[id]; waits {
		body = c.Body
	} else if _, known := x.Row(id); !known {
		return
	}
	r.change(m, &connector.RowChange{ID: id, Deleted: true})
	name, _ := r.resourceOf(m, id, body)
	res := r.resource(m, name)
	res.Rows = slices.DeleteFunc(slices.Clone(res.Rows), func(row string) bool { return row == id })
	if len(res.Rows) == 0 {
		m.resources[name] = nil
	}
}

func (r *rebuild) change(m *mended, c *connector.RowChange) {
	m.rows[c.ID] = c
	r.waiting++
	r.size += len(c.Body)
}

// resourceOf names the resource of a row; row is nil where it was not kept.
func (r *rebuild) resourceOf(m *mended, id string, row []byte) (name, parent string) {
	if r.l.cfg.Resource == nil {
		return id, ""
	}
	return r.l.cfg.Resource(m.stream, m.connector, id, row)
}

// resource is the resource as it will be with the next transaction.
func (r *rebuild) resource(m *mended, name string) *connector.ResourceState {
	res, waits := m.resources[name]
	if res == nil {
		res = &connector.ResourceState{}
		if !waits {
			*res, _ = r.l.indexOf(m.stream).Resource(name)
		}
		m.resources[name] = res
		r.waiting++
	}
	return res
}

// flush commits what waits.
func (r *rebuild) flush(ctx context.Context) error {
	var txs []connector.Transaction
	for _, s := range r.order {
		m := r.streams[s]
		if len(m.rows)+len(m.resources) == 0 {
			continue
		}
		tx := connector.Transaction{Stream: s}
		for _, id := range slices.Sorted(maps.Keys(m.rows)) {
			tx.Rows = append(tx.Rows, *m.rows[id])
		}
		for _, id := range slices.Sorted(maps.Keys(m.resources)) {
			tx.Resources = append(tx.Resources, connector.ResourceChange{ID: id, State: m.resources[id]})
		}
		clear(m.rows)
		clear(m.resources)
		txs = append(txs, tx)
	}
	r.size, r.waiting = 0, 0
	return r.l.write(ctx, txs, nil)
}

// tidy lets resources and rows agree, also where the state has lost some of them: a resource names the rows that there are, and a
// row without a resource gets one.
func (r *rebuild) tidy(ctx context.Context) error {
	for _, s := range r.order {
		m, x := r.streams[s], r.l.indexOf(s)
		owned := map[string]struct{}{}
		var untidy []string
		for id, res := range x.Resources() {
			for _, row := range res.Rows {
				owned[row] = struct{}{}
			}
			if slices.ContainsFunc(res.Rows, lacks(x)) {
				untidy = append(untidy, id)
			}
		}
		for part := range slices.Chunk(untidy, mendBatch) {
			for _, id := range part {
				res := r.resource(m, id)
				if res.Rows = slices.DeleteFunc(slices.Clone(res.Rows), lacks(x)); len(res.Rows) == 0 {
					m.resources[id] = nil
				}
			}
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
		orphans := slices.DeleteFunc(slices.Collect(x.rowIDs()), func(id string) bool { _, ok := owned[id]; return ok })
		if err := r.adopt(ctx, m, x, orphans); err != nil {
			return err
		}
	}
	return nil
}

// lacks tells what x holds no row of.
func lacks(x index) func(row string) bool {
	return func(row string) bool {
		_, there := x.Row(row)
		return !there
	}
}

// adopt finds the resources of rows that none names.
func (r *rebuild) adopt(ctx context.Context, m *mended, x index, orphans []string) error {
	for part := range slices.Chunk(orphans, mendBatch) {
		for _, id := range part {
			body, err := x.Body(id)
			if err != nil {
				return err
			}
			name, parent := r.resourceOf(m, id, body)
			res := r.resource(m, name)
			res.Rows, res.Hash, res.Parent = append(slices.Clip(res.Rows), id), connector.Hash{}, parent
		}
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}
