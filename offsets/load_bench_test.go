package offsets

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/connector"
)

// pagesOf is a topic of the records of snapshot pages, made as they are read.
type pagesOf struct{ rows int }

func (r *pagesOf) Read(_ context.Context, topic string, _ int32, _, until int64) iter.Seq2[connector.Committed, error] {
	return func(yield func(connector.Committed, error) bool) {
		l := &Ledger{cfg: testConfig(), fold: newFold("team", true)}
		offset := int64(0)
		for i := 0; i < r.rows && topic == StateTopic("team"); i += 500 {
			log := batch{l: l}
			tx := snapshotPage(i, 500)
			if err := log.add(&tx); err != nil {
				panic(err)
			}
			for j := range log.records {
				if log.kinds[j] != stateRecord {
					continue
				}
				if !yield(connector.Committed{Record: log.records[j], Offset: offset}, nil) {
					return
				}
				offset++
			}
		}
		yield(connector.Committed{Record: connector.Record{Key: barrierKey}, Offset: until - 1}, nil)
	}
}

func (r *pagesOf) End(context.Context, string, int32) (int64, error) { return 1 << 40, nil }

// BenchmarkLoad loads a partition of 200,000 rows into a local cache that is empty, and goes on with it. What the records take that are made
// meanwhile is its floor.
func BenchmarkLoad(b *testing.B) {
	const rows = 600_000
	samples()
	for b.Loop() {
		began := time.Now()
		n := 0
		for range (&pagesOf{rows}).Read(b.Context(), StateTopic("team"), 0, 0, 1<<40) {
			n++
		}
		floor := time.Since(began)
		c := OpenCache(CacheConfig{Dir: b.TempDir(), Name: "team", Memory: 32 << 20}, hclog.NewNullLogger())
		cfg := testConfig()
		cfg.Cache, cfg.Identify = c, identify
		l := NewLedger(cfg, &discard{next: 1 << 40}, &pagesOf{rows}, hclog.NewNullLogger())
		began = time.Now()
		if _, err := l.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64((time.Since(began)-floor).Nanoseconds())/rows, "ns/row")
		b.ReportMetric(float64(floor.Nanoseconds())/rows, "floor-ns/row")
		began = time.Now()
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "close-s")
	}
	b.ReportMetric(0, "ns/op")
}
