package rig

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// The requests of a transaction (Kafka's protocol, API keys).
const (
	Produce        = 0
	InitProducerID = 22
	AddPartitions  = 24
	EndTransaction = 26
)

const (
	longestFrame   = 64 << 20
	clientOfCalcdc = "calcdc-" // how calcdc's client ids begin
	fixedHeader    = 14        // size, API key, version, correlation id, length of the client id
)

// Request is what a client asks of a broker.
type Request struct {
	Key   int
	Ours  bool // calcdc asks
	Frame []byte
}

// readFrame reads a request or an answer with its size before it.
func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > longestFrame {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	frame := make([]byte, 4+n)
	copy(frame, size[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

// parse reads a request's header.
func parse(frame []byte) Request {
	q := Request{Key: -1, Frame: frame}
	if len(frame) < fixedHeader {
		return q
	}
	q.Key = int(binary.BigEndian.Uint16(frame[4:]))
	n := int(int16(binary.BigEndian.Uint16(frame[12:])))
	q.Ours = n >= 0 && len(frame) >= fixedHeader+n && strings.HasPrefix(string(frame[fixedHeader:fixedHeader+n]), clientOfCalcdc)
	return q
}
