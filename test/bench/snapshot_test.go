//go:build integration

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const (
	rounds      = 3 // of each side; medians are reported
	snapshotted = 50_000
)

// BenchmarkSnapshot publishes a calendar of 50,000 events of about 1 KiB for the first time: from the first request for
// the calendar to the visible snapshot-end. Floor 1 downloads the same bodies and produces them raw; floor 2 downloads them and writes
// the bytes that calcdc wrote, in transactions of 1,000 records. The floors named cut do not read XML.
func BenchmarkSnapshot(b *testing.B) {
	s := startServer(b, serverOptions{Calendars: 1, Events: snapshotted})
	snapshots(b, s, 1, floorOptions{URL: s.URL})
}

// snapshots measures first snapshots of s, which has n calendars, beside the floors.
func snapshots(b *testing.B, s measured, n int, o floorOptions) {
	b.Helper()
	cl := client(b)
	o.Brokers, o.Events = brokers(b), snapshotted
	o.Records = filepath.Join(b.TempDir(), "records.gob")
	for range b.N {
		var ours []run
		floors := map[floorKind][]run{}
		for range rounds {
			ours = append(ours, snapshot(b, s, n, func(name string) {
				if _, err := os.Stat(o.Records); err != nil {
					saveRecords(b, o.Records, interleave(dump(b, name)))
				}
				dropTopics(b, cl, name)
			}))
			for _, kind := range floorKinds {
				o.Name, o.Cut = newName(s.source(), kind.task), kind.cut
				makeTopics(b, cl, o.Name)
				r := runFloor(b, kind.task, o)
				floors[kind] = append(floors[kind], run{took: r.took(), cpu: time.Duration(r.CPU)})
				dropTopics(b, cl, o.Name)
				b.Logf("%s %v", kind.name, floors[kind][len(floors[kind])-1])
			}
			b.Logf("calcdc %v", ours[len(ours)-1])
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(snapshotted/median(ours, seconds), "events/s")
		for _, kind := range floorKinds {
			b.ReportMetric(snapshotted/median(floors[kind], seconds), kind.name+"-events/s")
			b.ReportMetric(median(ours, seconds)/median(floors[kind], seconds), "×"+kind.name)
		}
		b.ReportMetric(median(ours, func(r run) float64 { return r.cpu.Seconds() }), "cpu-s")
		b.ReportMetric(median(ours, func(r run) float64 { return float64(r.peak) / 1e6 }), "peak-MB")
	}
}

// floorKind is a floor: what it writes, and how it reads.
type floorKind struct {
	name, task string
	cut        bool
}

var floorKinds = []floorKind{{"floor1", "raw", false}, {"floor2", "txn", false}, {"floor1-cut", "raw", true}, {"floor2-cut", "txn", true}}

// measured is a calendar server that says when it was first asked for the events of the first calendar.
type measured interface {
	upstream
	begin(b *testing.B) // forgets what it has been asked
	first(b *testing.B) int64
}

// run is one measurement: how long it took, the processor time of the whole process, and the most memory that it had.
type run struct {
	took, cpu time.Duration
	peak      int64
}

func (r run) String() string {
	return fmt.Sprintf("%.2f s (cpu %.2f s, %d MB)", r.took.Seconds(), r.cpu.Seconds(), r.peak/1e6)
}

func seconds(r run) float64 { return r.took.Seconds() }

// snapshot runs calcdc on a server of n calendars until each has been published. after is called once it has ended.
func snapshot(b *testing.B, s measured, n int, after func(name string)) run {
	b.Helper()
	s.begin(b)
	in := startCalcdc(b, s, time.Hour)
	at := ended(b, in.name, n)
	r := run{cpu: in.cpu(b), peak: in.peak(b)}
	in.stop(b)
	r.took = time.Duration(at.UnixNano() - s.first(b))
	after(in.name)
	return r
}

// median is that of a figure of the runs.
func median[T any](all []T, figure func(T) float64) float64 {
	figures := make([]float64, len(all))
	for i, one := range all {
		figures[i] = figure(one)
	}
	slices.Sort(figures)
	return figures[len(figures)/2]
}
