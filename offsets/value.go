package offsets

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/calcdc/calcdc/connector"
)

// The values of the state's records.
//
//	stream    JSON of connector.StreamState
//	resource  1, flags (1: unknown, 2: has a parent), hash[16], epoch, etag, parent where there is one, number of rows, and each
//	          row's id: where in the resource's id its beginning stands, how long that is, and the rest
//	row       1, hash[16], form of the body, body (see body.go)
//
// Numbers are unsigned varints, strings are preceded by their length. The index keeps the values of resources and
// rows as they are: one string each is a third of the memory of the structs.
const (
	resourceVersion = 1
	rowVersion      = 1
	flagUnknown     = 1
	flagParent      = 2
	hashLen         = len(connector.Hash{})
	rowHead         = 1 + hashLen + 1
	maxStreamState  = 64 << 10
)

// encodeState is the value of a stream's record.
func encodeState(s connector.StreamState) ([]byte, error) { return json.Marshal(s) }

// parseState reads the value of a stream's record; fields that it does not know are left out.
func parseState(value []byte) (connector.StreamState, error) {
	var s connector.StreamState
	if err := unmarshal(value, maxStreamState, &s); err != nil {
		return s, err
	}
	if s.Epoch < 0 || s.Commit < 0 || s.Resources < 0 || s.Rows < 0 || s.DataEnd < 0 {
		return s, errors.New("a number is negative")
	}
	switch s.Phase {
	case connector.Snapshot, connector.Streaming, connector.Removing, connector.RemovedAll:
		return s, nil
	default:
		return s, fmt.Errorf("phase %q is not known", s.Phase)
	}
}

// encodeResource is the value of the record of the resource id.
func encodeResource(id string, r *connector.ResourceState) []byte {
	b := append(make([]byte, 0, 64), resourceVersion, 0)
	if r.Unknown {
		b[1] |= flagUnknown
	}
	if r.Parent != "" {
		b[1] |= flagParent
	}
	b = append(b, r.Hash[:]...)
	b = binary.AppendUvarint(b, uint64(max(r.Epoch, 0)))
	b = appendBytes(b, r.ETag)
	if r.Parent != "" {
		b = appendBytes(b, r.Parent)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Rows)))
	for _, row := range r.Rows {
		start, n := shared(id, row)
		b = binary.AppendUvarint(b, uint64(start))
		b = binary.AppendUvarint(b, uint64(n))
		b = appendBytes(b, row[n:])
	}
	return b
}

// shared finds the beginning of a row's id, up to a RECURRENCE-ID, in its resource's: most are the resource's name.
func shared(id, row string) (start, n int) {
	name, _, _ := strings.Cut(row, "#")
	start = strings.Index(id, name)
	if name == "" || start < 0 {
		return 0, 0
	}
	return start, len(name)
}

// parseResource reads the value of the record of the resource id. The strings are parts of value and id where they can be.
func parseResource(id, value string) (connector.ResourceState, error) {
	var r connector.ResourceState
	in := reader{rest: value}
	if v := in.byte(); in.err == nil && v != resourceVersion {
		return r, fmt.Errorf("version %d of a resource's record is not known: it is of a newer calcdc", v)
	}
	flags := in.byte()
	r.Unknown = flags&flagUnknown != 0
	copy(r.Hash[:], in.take(uint64(hashLen)))
	epoch := in.uvarint()
	r.Epoch = int64(epoch & (1<<63 - 1))
	r.ETag = in.take(in.uvarint())
	if flags&flagParent != 0 {
		r.Parent = in.take(in.uvarint())
	}
	n := in.uvarint()
	if n > uint64(len(in.rest))/3 { // each takes three bytes at least
		return r, errShort
	}
	if n > 0 && in.err == nil {
		r.Rows = make([]string, 0, n)
	}
	for range n {
		start, length := in.uvarint(), in.uvarint()
		if start > uint64(len(id)) || length > uint64(len(id))-start {
			in.fail()
			break
		}
		row := id[start : start+length]
		if rest := in.take(in.uvarint()); rest != "" {
			row += rest
		}
		r.Rows = append(r.Rows, row)
	}
	if in.err == nil && in.rest != "" {
		in.err = fmt.Errorf("%d bytes too many", len(in.rest))
	}
	return r, in.err
}

// encodeRow is the value of a row's record.
func encodeRow(c *connector.RowChange, scratch *[]byte) []byte {
	b := append((*scratch)[:0], rowVersion)
	b = append(b, c.Hash[:]...)
	b = appendBody(b, c.Body)
	*scratch = b
	return append(make([]byte, 0, len(b)), b...)
}

// checkRow says whether value is one of a row's record; the body itself is not looked at.
func checkRow(value []byte) error {
	if len(value) < rowHead {
		return errShort
	}
	if value[0] != rowVersion {
		return fmt.Errorf("version %d of a row's record is not known: it is of a newer calcdc", value[0])
	}
	return checkBody(value[rowHead-1:])
}

// rowHash is the hash in a row's value that checkRow has passed.
func rowHash(value string) (h connector.Hash) {
	copy(h[:], value[1:])
	return h
}

var errShort = errors.New("it ends too early")

// reader takes a value apart. After its first error it yields zeros.
type reader struct {
	rest string
	err  error
}

func (r *reader) take(n uint64) string {
	if r.err != nil || n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) byte() byte {
	if s := r.take(1); s != "" {
		return s[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	var v uint64
	for shift := uint(0); shift < 64; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.fail()
	return 0
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = errShort
	}
	r.rest = ""
}

func appendBytes(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }
