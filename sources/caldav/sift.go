package caldav

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net/http"

	"github.com/calcdc/calcdc/connector"
)

// sifter reads the responses of one answer about a collection's members.
type sifter struct {
	*poll
	at        *answer
	batch     batch
	cursor    *cursor
	inline    bool
	delta     bool // what is listed has changed; else Needs decides
	truncated bool
	self      bool // the collection itself was among them
	gone      bool // the collection itself is 404 or 410
	members   int
	fresh     int // members not shown by an earlier answer of this poll
	foreign   int
	bodies    int
	bodiless  int
	sum       hashSum // of ids and ETags, where a comparison wants it
}

// run reads to the end and returns the sync-token.
func (s *sifter) run(maxBody int) (token string, err error) {
	m, err := newMultistatus(s.at.body, s.at.Header.Get("Content-Type"), maxBody)
	if err != nil {
		return "", err
	}
	defer m.release()
	m.take(s.ctx, &turn{long: s.account.client.long, first: func() error {
		if err := s.batch.flush(); err != nil {
			return err
		}
		return s.drained()
	}})
	for {
		r, err := m.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = s.sift(r)
		}
		if err != nil {
			return "", err
		}
	}
	if s.foreign > 0 && s.members == 0 && !s.self {
		return "", errors.New("the answer speaks of other paths only")
	}
	return m.token, s.batch.flush()
}

// sift puts one response where it belongs. The collection itself, sub-collections and what lies elsewhere are no
// members.
func (s *sifter) sift(r *response) error {
	raw, ok := resolve(s.at.url, r.href)
	if r.status == http.StatusInsufficientStorage {
		s.truncated = true
		return nil
	}
	id := normalise(raw)
	switch _, in := s.place.member(id); {
	case ok && s.place.is(id):
		s.self = true
		s.gone = s.gone || r.status == http.StatusNotFound || r.status == http.StatusGone
		return nil
	case !ok || !in:
		s.foreign++
		return nil
	case r.collection:
		return nil
	}
	s.count(id)
	s.sum.add(id, r.etag)
	return s.member(member{id: id, href: raw, etag: r.etag}, r)
}

func (s *sifter) count(id string) {
	s.members++
	if s.cursor == nil {
		return
	}
	if s.cursor.known.Add(id) {
		s.fresh++
	}
}

// member decides what a member's response means. Only a 404 of the response itself is a removal; one in a propstat
// is a property that the server lacks.
func (s *sifter) member(m member, r *response) error {
	switch {
	case r.status == http.StatusNotFound || r.status == http.StatusGone:
		delete(s.pending, m.id)
		return s.batch.known(connector.Resource{ID: m.id, Presence: connector.Removed})
	case !s.delta && r.status == 0 && !s.pending[m.id] && !s.query.Needs(m.id, m.etag):
		return s.batch.known(connector.Resource{ID: m.id, Presence: connector.Listed, ETag: m.etag})
	}
	delete(s.pending, m.id)
	if s.inline {
		if r.hasData {
			s.bodies++
			if err := s.batch.body(m, r); err != nil || len(r.data) <= longBytes {
				return err
			}
			return s.drained()
		}
		s.bodiless++
	}
	return s.batch.fetch(m)
}

// hashSum is a hash of a set: the order in which its elements come does not matter.
type hashSum [2]uint64

func (h *hashSum) add(id, etag string) {
	e := connector.HashOf([]byte(id + "\x00" + etag))
	h[0] += binary.BigEndian.Uint64(e[:8])
	h[1] += binary.BigEndian.Uint64(e[8:])
}

func (h *hashSum) String() string {
	b := binary.BigEndian.AppendUint64(nil, h[0])
	return hex.EncodeToString(binary.BigEndian.AppendUint64(b, h[1]))
}
