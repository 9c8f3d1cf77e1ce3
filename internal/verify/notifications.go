package verify

import (
	"encoding/json"
	"fmt"

	"github.com/calcdc/calcdc/connector"
)

// notification is a marker as <prefix>.notifications tells it.
type notification struct {
	stream Stream
	marker Marker
}

func (f *Fold) notification(r Record) {
	var k struct {
		Source, Account, Collection, Stream, Type string
	}
	var v struct {
		ID, Type, Source, Account, Collection, Stream, Reason string
		Epoch                                                 int64
		Count                                                 *int64
		TsMs                                                  int64 `json:"ts_ms"`
	}
	if err := json.Unmarshal(r.Key, &k); err != nil {
		f.fault(r, "decoding the key: %v", err)
		return
	}
	if err := json.Unmarshal(r.Value, &v); err != nil {
		f.fault(r, "decoding the notification: %v", err)
		return
	}
	if k.Source != v.Source || k.Account != v.Account || k.Collection != v.Collection || k.Stream != v.Stream ||
		k.Type != v.Type || v.ID == "" || v.TsMs <= 0 {
		f.fault(r, "the notification and its key differ: %s", r.Value)
	}
	n := notification{
		stream: Stream{Source: k.Source, Account: k.Account, Collection: k.Collection, Kind: connector.Kind(k.Stream)},
		marker: Marker{Type: v.Type, Reason: v.Reason, Epoch: v.Epoch, Count: -1},
	}
	if v.Count != nil && v.Type == markEnd {
		n.marker.Count = *v.Count
	}
	f.notified = append(f.notified, n)
}

// Notified returns the faults of the notifications: for each marker one, in the same order, and no other.
func (f *Fold) Notified() []string {
	told := map[Stream][]Marker{}
	for _, n := range f.notified {
		told[n.stream] = append(told[n.stream], n.marker)
	}
	var faults []string
	for k, s := range f.Streams {
		if !equalMarkers(told[k], s.Markers) {
			faults = append(faults, fmt.Sprintf("notifications of %v are %+v, markers %+v", k, told[k], s.Markers))
		}
		delete(told, k)
	}
	for k := range told {
		faults = append(faults, fmt.Sprintf("notifications of %v, which has no markers", k))
	}
	return faults
}

func equalMarkers(a, b []Marker) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		x.Reason, y.Reason = "", "" // ends and begins may leave it out in either place
		if x != y {
			return false
		}
	}
	return true
}
