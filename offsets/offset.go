package offsets

import (
	"errors"

	"github.com/calcdc/calcdc/connector"
)

// maxOffset bounds an offset's value as it is read; a token is some hundred bytes.
const maxOffset = 1 << 20

// offsetValue is the value of an offset's record: a flat JSON map, as Kafka Connect's.
type offsetValue struct {
	SyncToken    *string `json:"sync_token"` // null while a snapshot is in progress
	Epoch        int64   `json:"epoch"`
	ConfigHash   string  `json:"config_hash"`
	ReconciledMs int64   `json:"reconciled_ms"`
	CommittedMs  int64   `json:"committed_ms"`
}

func newOffsetValue(o connector.Offset) offsetValue {
	v := offsetValue{Epoch: o.Epoch, ConfigHash: o.ConfigHash, ReconciledMs: o.ReconciledMs, CommittedMs: o.CommittedMs}
	if o.Token != "" {
		v.SyncToken = &o.Token
	}
	return v
}

// encodeOffset is the value of an offset's record.
func encodeOffset(o connector.Offset) []byte {
	v := newOffsetValue(o)
	b := []byte(`{"sync_token":null`)
	if v.SyncToken != nil {
		b = appendString([]byte(`{"sync_token":`), *v.SyncToken)
	}
	b = appendInt(append(b, `,"epoch":`...), v.Epoch)
	b = appendString(append(b, `,"config_hash":`...), v.ConfigHash)
	b = appendInt(append(b, `,"reconciled_ms":`...), v.ReconciledMs)
	b = appendInt(append(b, `,"committed_ms":`...), v.CommittedMs)
	return append(b, '}')
}

// parseOffset reads an offset's value, whatever the order of its fields; an operator may have written it.
func parseOffset(value []byte) (*connector.Offset, error) {
	var v *offsetValue
	if err := unmarshal(value, maxOffset, &v); err != nil {
		return nil, err
	}
	if v == nil {
		return nil, nil // the JSON null that Kafka Connect's converters write for a null
	}
	if v.Epoch < 0 || v.ReconciledMs < 0 || v.CommittedMs < 0 {
		return nil, errors.New("a number is negative")
	}
	return v.offset(), nil
}

func (v *offsetValue) offset() *connector.Offset {
	o := &connector.Offset{Epoch: v.Epoch, ConfigHash: v.ConfigHash, ReconciledMs: v.ReconciledMs, CommittedMs: v.CommittedMs}
	if v.SyncToken != nil {
		o.Token = *v.SyncToken
	}
	return o
}
