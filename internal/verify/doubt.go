package verify

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// none is the hash of a row that is not there.
var none connector.Hash

// doubt is a row in which topic and source are not alike, as far as has been looked.
type doubt struct {
	id       string // "" where the topic alone has the row: its fold keeps a hash
	resource string // of the source, "" likewise
	topic    connector.Hash
	source   connector.Hash
	earlier  connector.Hash // what the source had at the look before, where that was another
	moved    bool           // it was
	held     bool           // the source does not have the row, and its delete is held
	since    time.Time      // source has been so: the beginning of the look that showed it first
	body     []byte         // of the source's row; nil where there is none, or no room
}

// show takes over what a look at the source has shown.
func (d *doubt) show(found shown, began time.Time, room *room) {
	room.free(d.body)
	d.body, d.moved = room.keep(found.body), found.hash != d.source
	if found.hash != none {
		d.id, d.resource = found.id, found.resource
	}
	if d.moved {
		d.earlier, d.source, d.since = d.source, found.hash, began
	}
}

// settled tells whether topic and source are alike now, or the topic has followed the source to where it was at the look before.
func (d *doubt) settled() bool {
	return d.topic == d.source || d.moved && d.topic == d.earlier
}

// shown is a row as a look at the source shows it.
type shown struct {
	id       string
	resource string
	hash     connector.Hash
	body     []byte
}

// roomForBodies bounds the bytes of rows that are kept to be shown in full.
const roomForBodies = 32 << 20

// maxDoubts bounds the rows that are looked at again.
const maxDoubts = 100_000

var errTooMany = fmt.Errorf("more than %d rows differ: they are not looked at one by one", maxDoubts)

// room is what is left for bodies, and for doubts.
type room struct{ used, doubts atomic.Int64 }

// doubt takes the room of one doubt.
func (r *room) doubt() error {
	if r.doubts.Add(1) > maxDoubts {
		return errTooMany
	}
	return nil
}

// keep returns body, or nil where there is no room for it.
func (r *room) keep(body []byte) []byte {
	if n := int64(len(body)); r.used.Add(n) > roomForBodies {
		r.used.Add(-n)
		return nil
	}
	return body
}

// free gives the room of a body back.
func (r *room) free(body []byte) { r.used.Add(-int64(len(body))) }
