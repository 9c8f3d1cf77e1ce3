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

var asText, asBase64, omitted = RawType, RawType + ";base64", RawType + ";omitted"

// raw is what a row carries of the item, and its type; nil for none. Rows without a raw_type tell base64 by its first
// byte, which is never that of an object.
func (o Options) raw(item string) (raw, kind *string) {
	switch {
	case !o.Raw:
		return nil, nil
	case o.MaxRaw >= 0 && len(item) > o.MaxRaw:
		return nil, &omitted
	case !utf8.ValidString(item):
		text := base64.StdEncoding.EncodeToString([]byte(item))
		return &text, &asBase64
	}
	return &item, &asText
}
