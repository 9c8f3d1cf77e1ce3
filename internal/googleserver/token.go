package googleserver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Death says how a sync token fails that is known no more.
type Death int

// The ways in which Google's guides let tokens die.
const (
	ByFullSync   Death = iota // 410 fullSyncRequired
	ByUpdatedMin              // 410 updatedMinTooLongAgo
	ByDeleted                 // 410 deleted
	ByInvalid                 // 400 Invalid sync token value
)

func (d Death) err() *Error {
	switch d {
	case ByUpdatedMin:
		return UpdatedMinTooLongAgo
	case ByDeleted:
		return Deleted
	case ByInvalid:
		return InvalidSyncToken
	default:
		return FullSyncRequired
	}
}

// mark is what a token holds. Clients see it sealed.
type mark struct {
	Page   bool   `json:"p,omitempty"`
	Kind   Kind   `json:"k"`
	User   string `json:"u"`
	List   uint64 `json:"l"`
	Query  string `json:"q"` // hash of the parameters that must stay the same
	Seq    uint64 `json:"s"` // sync token: the last change seen. page token: likewise, of the listing's begin
	Issued int64  `json:"i"` // Unix milliseconds
	Gen    int    `json:"g,omitempty"`
	Mine   int    `json:"m,omitempty"`

	Delta bool   `json:"d,omitempty"` // page token: of a delta
	At    uint64 `json:"a,omitempty"` // page token: where the next page begins
	Pages int    `json:"n,omitempty"` // page token: its generation
	Blank int    `json:"b,omitempty"` // page token: empty pages sent since
}

const sealLength = 12

// seal makes m opaque and tamper-proof.
func (s *Server) seal(m mark) string {
	b, err := json.Marshal(m)
	if err != nil {
		return "" // a mark always encodes
	}
	return base64.URLEncoding.EncodeToString(append(s.mac(b), b...))
}

func (s *Server) mac(b []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(b)
	return h.Sum(nil)[:sealLength]
}

// unseal reads a token of ours.
func (s *Server) unseal(token string) (m mark, ok bool) {
	b, err := base64.URLEncoding.DecodeString(token)
	if err != nil || len(b) < sealLength || !hmac.Equal(b[:sealLength], s.mac(b[sealLength:])) {
		return mark{}, false
	}
	return m, json.Unmarshal(b[sealLength:], &m) == nil
}

// checkSync says why a sync token cannot be used for the list l of query q. Somebody else's, or that of a calendar
// that has been made anew, needs a full synchronisation; one of another list or query was never valid here.
func (s *Server) checkSync(m mark, l *list, q *query, now time.Time) *Error {
	switch {
	case m.Page || m.Kind != q.kind:
		return InvalidSyncToken
	case m.User != q.user || m.List != l.uid:
		return FullSyncRequired
	case m.Query != q.binding:
		return InvalidSyncToken
	case m.Gen < len(l.deaths):
		return l.deaths[m.Gen].err()
	case m.Mine < len(l.mine[q.user]):
		return l.mine[q.user][m.Mine].err()
	case s.opts.TokenLife > 0 && now.Sub(time.UnixMilli(m.Issued)) > s.opts.TokenLife, m.Seq < l.horizon:
		return FullSyncRequired
	}
	return nil
}

// checkPage says why a page token cannot be used for the list l of query q.
func (s *Server) checkPage(m mark, l *list, q *query, now time.Time) *Error {
	switch {
	case !m.Page || m.Kind != q.kind || m.User != q.user || m.List != l.uid || m.Query != q.identity:
		return InvalidPageToken
	case m.Pages < l.pageDeath:
		return InvalidPageToken
	case s.opts.PageTokenLife > 0 && now.Sub(time.UnixMilli(m.Issued)) > s.opts.PageTokenLife:
		return InvalidPageToken
	}
	return nil
}

// hashQuery is a hash of the parameters, those that leave returns true for aside.
func hashQuery(v url.Values, leave func(name string) bool) string {
	names := make([]string, 0, len(v))
	for name := range v {
		if !leave(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		values := slices.Clone(v[name])
		slices.Sort(values)
		for _, field := range append([]string{name}, values...) {
			var n [4]byte
			binary.BigEndian.PutUint32(n[:], uint32(len(field)))
			h.Write(n[:])
			h.Write([]byte(strings.Clone(field)))
		}
		h.Write([]byte{255, 255, 255, 255})
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}
