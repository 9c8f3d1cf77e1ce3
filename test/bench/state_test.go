//go:build integration

package bench

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// envStateRows is how many events BenchmarkState has, where it is not a million.
const envStateRows = "CALCDC_BENCH_STATE"

// statePatience is how long the first snapshot of a million events may take.
const statePatience = 15 * time.Minute

// BenchmarkState follows a calendar of a million events: the memory that calcdc has during the first snapshot, after it, and after a
// restart; how long it takes from the start of the process to the first request for the calendar, with a local cache, and without one. (After
// a SIGKILL the group first waits until the session of the dead has ended.)
// The floor of that is a bare read of the same partition of <name>-state by franz-go.
func BenchmarkState(b *testing.B) {
	events := 1_000_000
	if n, err := strconv.Atoi(os.Getenv(envStateRows)); err == nil {
		events = n
	}
	s := startServer(b, serverOptions{Calendars: 1, Events: events})
	for range b.N {
		in := startCalcdc(b, s, time.Hour)
		began := time.Now()
		endedWithin(b, in.name, 1, statePatience)
		b.ReportMetric(float64(events)/time.Since(began).Seconds(), "events/s")
		b.ReportMetric(mb(in.peak(b)), "snapshot-peak-MB")
		time.Sleep(20 * time.Second) // what is compacted in the background is
		b.ReportMetric(mb(in.resident(b)), "snapshot-then-MB")
		for _, with := range []struct {
			name  string
			sig   syscall.Signal
			clear bool
		}{{"cached", syscall.SIGTERM, false}, {"killed", syscall.SIGKILL, false}, {"uncached", syscall.SIGTERM, true}} {
			in.end(b, with.sig, with.clear)
			s.begin(b)
			in.run(b)
			from := time.Now()
			b.ReportMetric(float64(s.awaitFirst(b)-from.UnixNano())/1e9, with.name+"-s")
			b.ReportMetric(mb(in.peak(b)), with.name+"-peak-MB")
			time.Sleep(5 * time.Second)
			b.ReportMetric(mb(in.resident(b)), with.name+"-then-MB")
		}
		took := readAll(b, in.name+"-state")
		b.ReportMetric(took.Seconds(), "floor-read-s")
		in.stop(b)
		dropTopics(b, client(b), in.name)
	}
	b.ReportMetric(0, "ns/op")
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

// end ends the process; clear: its cache is removed.
func (in *instance) end(b *testing.B, sig syscall.Signal, clear bool) {
	b.Helper()
	_ = in.cmd.Process.Signal(sig)
	_ = in.cmd.Wait() // it was killed, or has ended
	if !clear {
		return
	}
	if err := os.RemoveAll(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "calcdc", in.name)); err != nil {
		b.Fatal(err)
	}
}

// awaitFirst waits for the first request for the calendar and returns when it began, ns since 1970.
func (s *server) awaitFirst(b *testing.B) int64 {
	b.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if at := s.first(b); at > 0 {
			return at
		}
		if time.Now().After(deadline) {
			b.Fatalf("no poll after %v", patience)
		}
	}
}

// readAll is how long it takes to read every committed record of a topic.
func readAll(b *testing.B, topic string) time.Duration {
	b.Helper()
	cl := client(b)
	defer cl.Close()
	left, err := ends(b.Context(), cl, topic)
	if err != nil {
		b.Fatal(err)
	}
	from := map[int32]kgo.Offset{}
	for p := range left {
		from[p] = kgo.NewOffset().AtStart()
	}
	began := time.Now()
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			b.Fatalf("reading %s: %v", topic, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+2 >= left[r.Partition] { // behind it stands the transaction's marker
				delete(left, r.Partition)
			}
		})
	}
	return time.Since(began)
}
