package connector

import (
	"fmt"
	"testing"
	"time"
)

// sizes of a collection; time and memory a row must not depend on them.
var sizes = []int{1_000, 10_000, 100_000}

// sampleResources are n resources of one row of 2.5 KB each, which share the row's bytes.
func sampleResources(n int) []Resource {
	json := make([]byte, 2500)
	for i := range json {
		json[i] = 'a' + byte(i%26)
	}
	all := make([]Resource, n)
	for i := range all {
		id := fmt.Sprintf("/alice/work/%08d.ics", i)
		hash := HashOf([]byte(id))
		all[i] = Resource{ID: id, Presence: Read, ETag: id, Hash: hash, Rows: []Row{{ID: id, ETag: id, JSON: json, Hash: hash}}}
	}
	return all
}

// BenchmarkDiff compares a listing with what is known of it, one resource of ten having changed. The floor is looking each up.
func BenchmarkDiff(b *testing.B) {
	for _, n := range sizes {
		listed := sampleResources(n)
		known, rows := map[string]ResourceState{}, map[string]Hash{}
		for i, r := range listed {
			if i%10 == 0 {
				r.Hash, r.Rows[0].Hash = Hash{1}, Hash{1}
			}
			known[r.ID] = ResourceState{ETag: r.ETag, Hash: HashOf([]byte(r.ID)), Epoch: 1, Rows: []string{r.ID}}
			rows[r.ID] = HashOf([]byte(r.ID))
			listed[i] = r
		}
		row := func(id string) (Hash, bool) { h, ok := rows[id]; return h, ok }
		floor := func() {
			found := 0
			for i := range listed {
				if _, ok := known[listed[i].ID]; ok {
					found++
				}
			}
			if found != n {
				b.Fatal(found)
			}
		}
		bench(b, n, floor, func() {
			changes := 0
			for i := range listed {
				k, ok := known[listed[i].ID]
				changes += len(diffRead(view{known: k, ok: ok, row: row, epoch: 1}, listed[i]).changes)
			}
			if changes != n/10 {
				b.Fatal(changes)
			}
		})
	}
}

// BenchmarkEnvelope makes records of rows. The floor is a copy of each row.
func BenchmarkEnvelope(b *testing.B) {
	e := envelope{cfg: Config{Version: "test", TopicPrefix: "cal"}, connector: "caldav", stream: Stream{"work", "alice", "/alice/work/", Events},
		epoch: 1, commit: 7, now: time.Unix(1_800_000_000, 0)}
	for _, n := range sizes {
		listed := sampleResources(n)
		floor := func() {
			for i := range listed {
				sink = append([]byte(nil), listed[i].Rows[0].JSON...)
			}
		}
		bench(b, n, floor, func() {
			var out []Record
			for i := range listed {
				r := listed[i].Rows[0]
				out = e.records(out[:0], change{op: opRead, id: r.ID, row: r}, nil, true)
			}
			sink = out[0].Value
		})
	}
}

var sink []byte

// bench measures work on n rows beside its floor, and reports both a row.
func bench(b *testing.B, n int, floor, work func()) {
	b.Run(fmt.Sprintf("rows=%d", n), func(b *testing.B) {
		b.ReportAllocs()
		began, rounds := time.Now(), 0
		for ; rounds < 3 || time.Since(began) < 100*time.Millisecond; rounds++ {
			floor()
		}
		least := float64(time.Since(began).Nanoseconds()) / float64(rounds*n)
		for b.Loop() {
			work()
		}
		row := float64(b.Elapsed().Nanoseconds()) / float64(b.N*n)
		b.ReportMetric(row, "ns/row")
		b.ReportMetric(row/least, "×floor")
	})
}
