package kafka

import "encoding/binary"

// parser takes fields off b. After the first error every field is zero and err says so.
type parser struct {
	b   []byte
	err error
}

func (p *parser) fail() {
	if p.err == nil {
		p.err = errTruncated
	}
	p.b = nil
}

func (p *parser) take(n int) []byte {
	if n < 0 || n > len(p.b) {
		p.fail()
		return nil
	}
	v := p.b[:n:n]
	p.b = p.b[n:]
	return v
}

func (p *parser) int16() int16 {
	if v := p.take(2); v != nil {
		return int16(binary.BigEndian.Uint16(v))
	}
	return 0
}

func (p *parser) int32() int32 {
	if v := p.take(4); v != nil {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

func (p *parser) int64() int64 {
	if v := p.take(8); v != nil {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

func (p *parser) varint() int64 {
	v, n := binary.Varint(p.b)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return v
}

// nullable takes bytes that a varint length precedes; -1 is nil.
func (p *parser) nullable() []byte {
	n := p.varint()
	if n < 0 || p.err != nil {
		return nil
	}
	if n > int64(len(p.b)) {
		p.fail()
		return nil
	}
	return p.take(int(n))
}

// list takes an int32 count and calls one for each element, each of at least min bytes.
func (p *parser) list(min int, one func()) {
	n := p.int32()
	if int64(n)*int64(min) > int64(len(p.b)) {
		p.fail()
		return
	}
	for i := int32(0); i < n && p.err == nil; i++ {
		one()
	}
}
