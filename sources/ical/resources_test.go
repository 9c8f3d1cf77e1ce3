package ical_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	goical "github.com/emersion/go-ical"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/sources/ical"
)

// BenchmarkResources makes rows of n resources of about 1 KiB. The floor is go-ical's decoder on the same bytes, which makes no
// rows. Time and memory a row must not depend on n.
func BenchmarkResources(b *testing.B) {
	const distinct = 1000
	objects, bodies := make([]ical.Object, distinct), make([][]byte, distinct)
	for i := range distinct {
		name := davserver.SampleName(1, i)
		bodies[i] = davserver.SampleEvent(1, i)
		objects[i] = ical.Object{Source: "dav", Account: "alice", Collection: "/alice/work/", Name: name, Href: "/alice/work/" + name,
			ETag: `"0123456789abcdef"`, Components: []string{"VEVENT"}, Raw: true, MaxRaw: 1 << 20}
	}
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("resources=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			began := time.Now()
			for i := range distinct {
				if _, err := goical.NewDecoder(bytes.NewReader(bodies[i])).Decode(); err != nil {
					b.Fatal(err)
				}
			}
			floor := float64(time.Since(began).Nanoseconds()) / distinct
			rows := 0
			for b.Loop() {
				for i := range n {
					rows += len(ical.Rows(objects[i%distinct], bodies[i%distinct]))
				}
			}
			resource := float64(b.Elapsed().Nanoseconds()) / float64(b.N*n)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
			b.ReportMetric(resource/floor, "×floor")
		})
	}
}
