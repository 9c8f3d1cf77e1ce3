package rows

import (
	"encoding/base64"
	"unicode/utf8"
)

// Options says what rows carry of the item's own bytes.
type Options struct {
	Raw    bool // carry the item in raw (events.raw)
	MaxRaw int  // bytes of an item that raw may hold (events.max_raw); < 0: any
}

// RawType is the raw_type of an item carried as text. Of one carried as base64 it is followed by ";base64" (the bytes
// are not UTF-8), of one left out because it is longer than MaxRaw by ";omitted" alone.
const RawType = "application/json"

// raw is what a row carries of the item, and its type; nil for none. Rows without a raw_type tell base64 by its first
// byte, which is never that of an object.
func (o Options) raw(item string) (raw, kind *string) {
	text, name := item, RawType
	switch {
	case !o.Raw:
		return nil, nil
	case o.MaxRaw >= 0 && len(item) > o.MaxRaw:
		name += ";omitted"
		return nil, &name
	case !utf8.ValidString(item):
		text, name = base64.StdEncoding.EncodeToString([]byte(item)), name+";base64"
	}
	return &text, &name
}
