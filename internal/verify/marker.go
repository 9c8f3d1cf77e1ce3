package verify

import (
	"errors"
	"fmt"
	"strconv"
)

// The markers of a stream.
const (
	markBegin = "snapshot-begin"
	markReset = "snapshot-reset"
	markEnd   = "snapshot-end"
)

// Marker is a marker of a stream, in order.
type Marker struct {
	Type   string // snapshot-begin, snapshot-reset, snapshot-end
	Reason string
	Epoch  int64
	Count  int64 // of an end; else -1
}

// parseMarker reads what a marker's headers say. Beside an error it is what could be read.
func parseMarker(r Record, id string) (Marker, error) {
	m := Marker{Type: r.Headers["calcdc.marker"], Reason: r.Headers["calcdc.reason"], Count: -1}
	var faults []error
	var err error
	if m.Epoch, err = strconv.ParseInt(r.Headers["calcdc.epoch"], 10, 64); err != nil {
		faults = append(faults, fmt.Errorf("a marker without its epoch: %w", err))
	}
	if id != "" || r.Value != nil {
		faults = append(faults, errors.New("a marker has an empty last field and no value"))
	}
	switch m.Type {
	case markBegin, markReset:
	case markEnd:
		if m.Count, err = strconv.ParseInt(r.Headers["calcdc.count"], 10, 64); err != nil {
			faults = append(faults, fmt.Errorf("an end without its count: %w", err))
		}
	default:
		faults = append(faults, fmt.Errorf("unknown marker %s", m.Type))
	}
	return m, errors.Join(faults...)
}

// Progress is where a stream stands, as its markers tell it.
type Progress struct {
	Epoch    int64
	Snapshot bool // between a begin or reset and its end
}

func (p *Progress) mark(m Marker) {
	switch m.Type {
	case markBegin, markReset:
		p.Epoch, p.Snapshot = m.Epoch, true
	case markEnd:
		p.Epoch, p.Snapshot = m.Epoch, false // compaction may have left the end alone
	}
}

// InSnapshot tells whether a begin or reset has no end yet.
func (p *Progress) InSnapshot() bool { return p.Snapshot }
