package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/segmentio/kafka-go/compress"

	"github.com/calcdc/calcdc/connector"
)

// maxInflated bounds what a compressed batch may unpack to.
const maxInflated = 512 << 20

// batch is a record batch as fetched; records are still packed.
type batch struct {
	base, last int64 // offsets: the first, and the last that the batch ever held
	attributes int16
	baseTime   int64
	maxTime    int64
	producer   int64
	count      int
	packed     []byte
}

func (b *batch) transactional() bool { return b.attributes&flagTxn != 0 }
func (b *batch) control() bool       { return b.attributes&flagControl != 0 }

var errTruncated = errors.New("record batch is cut short")

// cutBatch takes the first batch off a fetched record set. ok is false where none is whole: brokers cut the last
// one at the size that was asked for.
func cutBatch(set []byte) (b batch, rest []byte, ok bool, err error) {
	if len(set) < headerSize {
		return batch{}, nil, false, nil
	}
	be := binary.BigEndian
	if magic := set[atMagic]; magic != 2 {
		return batch{}, nil, false, fmt.Errorf("message format v%d is not supported: only v2 (Kafka 0.11 and later) is", magic)
	}
	size := int64(int32(be.Uint32(set[atLength:]))) + atLength + 4
	if size < headerSize {
		return batch{}, nil, false, fmt.Errorf("record batch of %d bytes: %w", size, errTruncated)
	}
	if size > int64(len(set)) {
		return batch{}, nil, false, nil
	}
	raw := set[:size]
	if sum := crc32.Checksum(raw[atAttributes:], castagnoli); sum != be.Uint32(raw[atCRC:]) {
		return batch{}, nil, false, fmt.Errorf("record batch at offset %d: checksum does not match", be.Uint64(raw))
	}
	b = batch{
		base:       int64(be.Uint64(raw)),
		attributes: int16(be.Uint16(raw[atAttributes:])),
		baseTime:   int64(be.Uint64(raw[atBaseTime:])),
		maxTime:    int64(be.Uint64(raw[atMaxTime:])),
		producer:   int64(be.Uint64(raw[atProducer:])),
		count:      int(int32(be.Uint32(raw[atCount:]))),
		packed:     raw[headerSize:],
	}
	b.last = lastOffset(raw)
	if b.last < b.base || b.count < 0 || int64(b.count) > b.last-b.base+1 {
		return batch{}, nil, false, fmt.Errorf("record batch at offset %d: %d records up to offset %d make no sense", b.base, b.count, b.last)
	}
	return b, set[size:], true, nil
}

// lastOffset is the last offset that a batch ever held, by its header.
func lastOffset(raw []byte) int64 {
	return int64(binary.BigEndian.Uint64(raw)) + int64(int32(binary.BigEndian.Uint32(raw[atLastDelta:])))
}

// unpack returns the batch's records in memory of their own.
func (b *batch) unpack() ([]connector.Committed, error) {
	if b.count == 0 {
		return nil, nil
	}
	raw, err := b.inflate()
	if err != nil {
		return nil, fmt.Errorf("unpacking the batch at offset %d: %w", b.base, err)
	}
	if b.count > len(raw)/7 { // the smallest record
		return nil, fmt.Errorf("unpacking the batch at offset %d: %d records in %d bytes: %w", b.base, b.count, len(raw), errTruncated)
	}
	recs := make([]connector.Committed, b.count)
	p := parser{b: raw}
	for i := range recs {
		b.record(&p, &recs[i])
	}
	if p.err != nil {
		return nil, fmt.Errorf("unpacking the batch at offset %d: %w", b.base, p.err)
	}
	return recs, nil
}

func (b *batch) inflate() ([]byte, error) {
	codec := compress.Compression(b.attributes & codecMask)
	if codec == compress.None {
		return bytes.Clone(b.packed), nil
	}
	if int(codec) >= len(compress.Codecs) {
		return nil, fmt.Errorf("compression codec %d is not known", codec)
	}
	buf := unpacking.Get().(*bytes.Buffer)
	defer unpacking.Put(buf)
	buf.Reset()
	r := codec.Codec().NewReader(bytes.NewReader(b.packed))
	defer r.Close()
	n, err := buf.ReadFrom(io.LimitReader(r, maxInflated+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", codec, err)
	}
	if n > maxInflated {
		return nil, fmt.Errorf("%s: more than %d bytes", codec, maxInflated)
	}
	return bytes.Clone(buf.Bytes()), nil
}

func (b *batch) record(p *parser, rec *connector.Committed) {
	end := p.varint()
	if end > int64(len(p.b)) {
		p.fail()
		return
	}
	after := len(p.b) - int(end)
	p.take(1)
	rec.TimeMs = b.baseTime + p.varint()
	if b.attributes&flagAppendTime != 0 {
		rec.TimeMs = b.maxTime
	}
	rec.Offset = b.base + p.varint()
	rec.Key = p.nullable()
	rec.Value = p.nullable()
	if n := p.varint(); n > 0 && n <= int64(len(p.b)) {
		rec.Headers = make([]connector.Header, n)
	} else if n != 0 {
		p.fail()
	}
	for i := range rec.Headers {
		rec.Headers[i] = connector.Header{Key: string(p.nullable()), Value: p.nullable()}
	}
	if p.err == nil && len(p.b) != after {
		p.fail()
	}
}
