//go:build integration

package bench

import (
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
// the bytes that calcdc wrote, in transactions of 1,000 records.
func BenchmarkSnapshot(b *testing.B) {
	s := startServer(b, serverOptions{Calendars: 1, Events: snapshotted})
	cl := client(b)
	records := filepath.Join(b.TempDir(), "records.gob")
	for range b.N {
		var ours, raw, txn, peak []float64
		for range rounds {
			took, high := snapshot(b, s, 1, func(name string) {
				if _, err := os.Stat(records); err != nil {
					saveRecords(b, records, interleave(dump(b, name)))
				}
				dropTopics(b, cl, name)
			})
			ours, peak = append(ours, took.Seconds()), append(peak, float64(high)/1e6)
			for task, figures := range map[string]*[]float64{"raw": &raw, "txn": &txn} {
				o := floorOptions{Brokers: brokers(b), URL: s.URL, Name: newName(task), Records: records, Events: snapshotted}
				makeTopics(b, cl, o.Name)
				*figures = append(*figures, runFloor(b, task, o).took().Seconds())
				dropTopics(b, cl, o.Name)
			}
			b.Logf("round: calcdc %.2f s, floor 1 %.2f s, floor 2 %.2f s, peak %.0f MB", last(ours), last(raw), last(txn), last(peak))
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(snapshotted/median(ours), "events/s")
		b.ReportMetric(snapshotted/median(raw), "floor1-events/s")
		b.ReportMetric(snapshotted/median(txn), "floor2-events/s")
		b.ReportMetric(median(ours)/median(raw), "×floor1")
		b.ReportMetric(median(ours)/median(txn), "×floor2")
		b.ReportMetric(median(peak), "peak-MB")
	}
}

// snapshot runs calcdc on a server of n calendars until each has been published, and returns how long that took and the
// most memory that it had. after is called once it has ended.
func snapshot(b *testing.B, s *server, n int, after func(name string)) (time.Duration, int64) {
	b.Helper()
	s.account(b, true)
	in := startCalcdc(b, s, time.Hour)
	at := ended(b, in.name, n)
	high := in.peak(b)
	in.stop(b)
	began := s.account(b, false).FirstSync
	after(in.name)
	return time.Duration(at.UnixNano() - began), high
}

func last(all []float64) float64 { return all[len(all)-1] }

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
