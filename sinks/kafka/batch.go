package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"github.com/segmentio/kafka-go/compress"

	"github.com/calcdc/calcdc/connector"
)

// A record batch (message format v2), offsets from its first byte:
//
//	0 baseOffset i64 · 8 length i32 · 12 leaderEpoch i32 · 16 magic i8 · 17 crc u32 · 21 attributes i16 ·
//	23 lastOffsetDelta i32 · 27 baseTimestamp i64 · 35 maxTimestamp i64 · 43 producerId i64 · 51 producerEpoch i16 ·
//	53 baseSequence i32 · 57 count i32 · 61 records, compressed together
const (
	atLength     = 8
	atMagic      = 16
	atCRC        = 17
	atAttributes = 21
	atLastDelta  = 23
	atBaseTime   = 27
	atMaxTime    = 35
	atProducer   = 43
	atEpoch      = 51
	atSequence   = 53
	atCount      = 57
	headerSize   = 61

	codecMask      = 0x07
	flagAppendTime = 0x08
	flagTxn        = 0x10
	flagControl    = 0x20

	sizePrefix = 4 // the int32 that precedes a record set in requests
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The buffers that records stand in before compression and after decompression.
var (
	packing   = sync.Pool{New: func() any { return new([]byte) }}
	unpacking = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)

// appendBatch appends to dst a record set of one transactional batch of recs: its size, then the batch. stamp gives it
// its producer.
func appendBatch(dst []byte, recs []*connector.Record, codec compress.Compression, nowMs int64) ([]byte, error) {
	start := len(dst) + sizePrefix
	dst = append(dst, make([]byte, sizePrefix+headerSize)...)
	var err error
	if codec == compress.None {
		dst = appendRecords(dst, recs)
	} else if dst, err = appendCompressed(dst, recs, codec); err != nil {
		return nil, err
	}
	b := dst[start:]
	be := binary.BigEndian
	be.PutUint32(dst[start-sizePrefix:], uint32(len(b)))
	be.PutUint32(b[atLength:], uint32(len(b)-atLength-4))
	be.PutUint32(b[12:], ^uint32(0))
	b[atMagic] = 2
	be.PutUint16(b[atAttributes:], uint16(codec)|flagTxn)
	be.PutUint32(b[atLastDelta:], uint32(len(recs)-1))
	be.PutUint64(b[atBaseTime:], uint64(nowMs))
	be.PutUint64(b[atMaxTime:], uint64(nowMs))
	be.PutUint32(b[atCount:], uint32(len(recs)))
	return dst, nil
}

// stamp writes the producer and the sequence of the first record into a record set, and seals it with its checksum.
func stamp(set []byte, producer int64, epoch int16, sequence int32) {
	b := set[sizePrefix:]
	be := binary.BigEndian
	be.PutUint64(b[atProducer:], uint64(producer))
	be.PutUint16(b[atEpoch:], uint16(epoch))
	be.PutUint32(b[atSequence:], uint32(sequence))
	be.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
}

// unbind makes a record set one of no transaction and no producer, and seals it.
func unbind(set []byte) {
	attributes := set[sizePrefix+atAttributes:]
	binary.BigEndian.PutUint16(attributes, binary.BigEndian.Uint16(attributes)&^flagTxn)
	stamp(set, -1, -1, -1)
}

func appendCompressed(dst []byte, recs []*connector.Record, codec compress.Compression) ([]byte, error) {
	buf := packing.Get().(*[]byte)
	defer packing.Put(buf)
	size := 0
	for _, r := range recs {
		size += recordSize(r)
	}
	*buf = appendRecords(slices.Grow((*buf)[:0], size), recs)
	out := bytes.NewBuffer(dst)
	w := compressor(codec, out)
	if _, err := w.Write(*buf); err != nil {
		return nil, fmt.Errorf("compressing %d records: %w", len(recs), err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing %d records: %w", len(recs), err)
	}
	return out.Bytes(), nil
}

func appendRecords(dst []byte, recs []*connector.Record) []byte {
	for i, r := range recs {
		dst = binary.AppendVarint(dst, int64(bodySize(r, i)))
		dst = append(dst, 0, 0) // attributes; the timestamp is the batch's
		dst = binary.AppendVarint(dst, int64(i))
		dst = appendNullable(dst, r.Key)
		dst = appendNullable(dst, r.Value)
		dst = binary.AppendVarint(dst, int64(len(r.Headers)))
		for _, h := range r.Headers {
			dst = binary.AppendVarint(dst, int64(len(h.Key)))
			dst = append(dst, h.Key...)
			dst = appendNullable(dst, h.Value)
		}
	}
	return dst
}

func appendNullable(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

// bodySize is the length of a record as its length field counts it, delta being its place in the batch.
func bodySize(r *connector.Record, delta int) int {
	n := 2 + varintSize(delta) + nullableSize(r.Key) + nullableSize(r.Value) + varintSize(len(r.Headers))
	for _, h := range r.Headers {
		n += varintSize(len(h.Key)) + len(h.Key) + nullableSize(h.Value)
	}
	return n
}

// recordSize bounds what a record takes in any batch before compression.
func recordSize(r *connector.Record) int {
	n := bodySize(r, 1<<20)
	return n + varintSize(n)
}

func nullableSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(len(b)) + len(b)
}

// varintSize is the length of n ≥ 0 as a zigzag varint.
func varintSize(n int) int {
	size := 1
	for u := uint64(n) << 1; u >= 0x80; u >>= 7 {
		size++
	}
	return size
}
