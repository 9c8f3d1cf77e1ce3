package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// listing compares what a source shows of a stream with what the topic's shelf holds of it.
type listing struct {
	r        *run
	stream   Stream
	home     *home
	shelf    *shelf // nil once the listing has been compared
	began    time.Time
	progress Progress // of the topic
	leaving  *Apart   // the source does not have the stream any more: what there is to say should its rows stay

	doubts    map[connector.Hash]*doubt // by hash of the row's id
	resources map[connector.Hash]uint32 // that were shown: hashes of id and ETag
	unread    map[string]bool           // resources whose body could not be had
	known     map[connector.Hash]connector.Hash
	failed    error // of the last look
	rows      int64 // the same in both
	older     int64
	faulty    int64 // of rows: with a parse_error
	apart     int64 // rows of collections that are listed and not followed
}

func (r *run) listing(h *home, s Stream, shelf *shelf) *listing {
	return &listing{r: r, stream: s, home: h, shelf: shelf, progress: shelf.Progress, began: time.Now(), doubts: map[connector.Hash]*doubt{},
		resources: map[connector.Hash]uint32{}, unread: map[string]bool{}}
}

// compare lists the stream at its source in full, once unless that fails.
func (r *run) compare(ctx context.Context, h *home, s Stream, shelf *shelf) (*listing, error) {
	var l *listing
	err := attempt(ctx, func() error {
		l = r.listing(h, s, shelf)
		err := l.all(ctx)
		if err != nil {
			l.dropAll()
			shelf.unsee()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	l.shelf = nil
	if len(l.doubts) == 0 {
		l.resources = nil
	}
	return l, nil
}

// all lists everything.
func (l *listing) all(ctx context.Context) error {
	everything := func(string, string) bool { return true }
	err := poll(ctx, l.home.account, connector.Query{Stream: l.stream, Fresh: true, Needs: everything}, func(res connector.Resource) error {
		return l.take(ctx, res)
	})
	if err != nil {
		return err
	}
	if err := l.skipUnread(ctx); err != nil {
		return err
	}
	return l.extras()
}

// poll reads a listing to its end.
func poll(ctx context.Context, a connector.Account, q connector.Query, take func(connector.Resource) error) error {
	for page, err := range a.Poll(ctx, q) {
		if err != nil {
			return fmt.Errorf("listing %s: %w", q.Stream, err)
		}
		for _, res := range page.Resources {
			if err := take(res); err != nil {
				return err
			}
		}
		if page.Last && !page.Listing {
			return fmt.Errorf("listing %s: the source answered with less than everything", q.Stream)
		}
		if page.Last {
			return nil
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return fmt.Errorf("listing %s: the answer ended early", q.Stream)
}

// take compares one resource's rows.
func (l *listing) take(ctx context.Context, res connector.Resource) error {
	l.resources[hashOfID(res.ID)] = tagOf(res.ETag)
	switch res.Presence {
	case connector.Read:
	case connector.Removed, connector.Gone:
		return nil
	case connector.Ignored: // of collections, whose rows have their ids
		if id := hashOfID(res.ID); l.see(id) {
			l.apart++
		}
		return nil
	default:
		l.unread[res.ID] = true
		for _, row := range res.Rows {
			l.see(hashOfID(row.ID))
		}
		return nil
	}
	for i := range res.Rows {
		if err := l.row(ctx, &res, &res.Rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// see notes that the source, too, has the row; false where the topic does not.
func (l *listing) see(id connector.Hash) bool {
	m, ok := l.shelf.rows[id]
	if ok && !m.seen {
		m.seen = true
		l.shelf.rows[id] = m
	}
	if l.doubts[id] != nil { // it was shown before, and the later one counts
		l.drop(id)
	}
	return ok
}

func (l *listing) row(ctx context.Context, res *connector.Resource, row *connector.Row) error {
	id, hash := hashOfID(row.ID), rowHash(row.JSON)
	m := l.shelf.rows[id] // where there is none, the hash is none
	again := m.seen && l.doubts[id] == nil
	l.see(id)
	switch {
	case m.hash == hash && again: // counted
		return nil
	case m.hash == hash:
		if l.rows++; faulty(row.JSON) {
			l.faulty++
		}
		l.r.tell(l)
		return nil
	}
	if m.older {
		known, err := l.knownHash(ctx, res.ID)
		if err != nil {
			return err
		}
		if known == res.Hash && known != none {
			l.older++
			return nil
		}
	}
	l.doubts[id] = &doubt{id: row.ID, resource: res.ID, topic: m.hash, source: hash, since: l.began, body: l.r.room.keep(row.JSON)}
	return l.r.room.doubt()
}

// faulty tells whether a row of events says that it could not be read in full.
func faulty(row []byte) bool {
	i := bytes.LastIndex(row, []byte(`,"parse_error":`))
	return i >= 0 && !bytes.HasPrefix(row[i:], []byte(`,"parse_error":null}`))
}

// knownHash is the hash of the bytes of which the topic's rows of a resource were made, as the state has it.
func (l *listing) knownHash(ctx context.Context, resource string) (connector.Hash, error) {
	if l.known == nil {
		l.known = map[connector.Hash]connector.Hash{}
		err := l.r.cfg.Resources(ctx, l.stream, func(id string, state *connector.ResourceState) {
			if delete(l.known, hashOfID(id)); state != nil && !state.Unknown {
				l.known[hashOfID(id)] = state.Hash
			}
		})
		if err != nil {
			return none, fmt.Errorf("looking up what %s was made of: %w", l.stream, err)
		}
	}
	return l.known[hashOfID(resource)], nil
}

// skipUnread passes over the rows of resources that could not be read: nothing can be said of them.
func (l *listing) skipUnread(ctx context.Context) error {
	if len(l.unread) == 0 {
		return nil
	}
	rows := map[string][]string{}
	err := l.r.cfg.Resources(ctx, l.stream, func(id string, state *connector.ResourceState) {
		if delete(rows, id); state != nil && l.unread[id] {
			rows[id] = state.Rows
		}
	})
	if err != nil {
		return fmt.Errorf("looking up the rows of what could not be read of %s: %w", l.stream, err)
	}
	for _, ids := range rows {
		for _, id := range ids {
			l.see(hashOfID(id))
		}
	}
	return nil
}

// extras doubts the rows that the topic alone has: where the stream has gone, all.
func (l *listing) extras() error {
	for id, m := range l.shelf.rows {
		if m.seen && l.leaving == nil {
			continue
		}
		l.doubts[id] = &doubt{topic: m.hash, since: l.began}
		if err := l.r.room.doubt(); err != nil {
			return err
		}
	}
	return nil
}

// again asks the source for the rows in doubt, and for what it did not show before.
func (l *listing) again(ctx context.Context) error {
	if l.leaving != nil {
		return nil
	}
	wanted := map[string]bool{}
	for _, d := range l.doubts {
		wanted[d.resource] = true
	}
	var (
		began  time.Time
		unread map[string]bool
		found  map[connector.Hash]shown
	)
	err := attempt(ctx, func() error {
		began, unread, found = time.Now(), map[string]bool{}, map[connector.Hash]shown{}
		return poll(ctx, l.home.account, connector.Query{Stream: l.stream, Needs: func(id, etag string) bool {
			tag, ok := l.resources[hashOfID(id)]
			return wanted[id] || !ok || etag == "" || tag != tagOf(etag)
		}}, func(res connector.Resource) error {
			switch res.Presence {
			case connector.Read:
			case connector.Missing, connector.Failed, connector.Listed:
				unread[res.ID] = true
				return nil
			default:
				return nil
			}
			for _, row := range res.Rows {
				if id := hashOfID(row.ID); l.doubts[id] != nil {
					found[id] = shown{id: row.ID, resource: res.ID, hash: rowHash(row.JSON), body: row.JSON}
				}
			}
			return nil
		})
	})
	if errors.Is(err, connector.ErrGone) {
		l.leaving = &Apart{l.stream, Leaving, saysGone, 0}
		for _, d := range l.doubts {
			d.show(shown{}, began, &l.r.room)
		}
		return nil
	}
	if err != nil {
		return err
	}
	for id, d := range l.doubts {
		if d.resource != "" && unread[d.resource] {
			l.unread[d.resource] = true
			l.drop(id)
			continue
		}
		d.show(found[id], began, &l.r.room)
	}
	return nil
}

// follow takes over what a later record of the topic says of a row in doubt.
func (l *listing) follow(e entry) {
	if e.marker != nil {
		l.progress.mark(*e.marker)
	} else if d := l.doubts[hashOfID(e.id)]; d != nil {
		m, _ := markOf(e)
		d.topic = m.hash
	}
}

func (l *listing) dropAll() {
	for id := range l.doubts {
		l.drop(id)
	}
}

func (l *listing) drop(id connector.Hash) {
	l.r.room.free(l.doubts[id].body)
	l.r.room.doubts.Add(-1)
	delete(l.doubts, id)
}

// tagOf tells ETags apart.
func tagOf(etag string) uint32 { return crc32.ChecksumIEEE([]byte(etag)) }
