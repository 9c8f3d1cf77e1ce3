package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much the heap may grow before garbage is collected, in hundredths of what is in use, where GOGC does not say so. At work three quarters
// of Go's own: a tenth less memory at the peak of a snapshot (BenchmarkSnapshot). At rest much less, which costs next to nothing then, and so
// where thousands of streams begin at once after the start: what they keep lies between their garbage, and the gaps stay (BenchmarkFleet).
const (
	collectAtWork = 75
	collectAtRest = 30
	restBelow     = 16 << 20 // bytes allocated a second
	restAbove     = 20 << 20 // bytes in use: of less, little would be saved, and a change that comes would meet a collection (BenchmarkChanges)
	restLook      = 2 * time.Second
	crowd         = 2000 // goroutines, within crowdLasts of the start
	crowdLasts    = 2 * time.Minute
)

// collectGarbage sets when garbage is collected, for as long as the process lives.
func collectGarbage() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(collectAtWork)
	go func() {
		began := time.Now()
		at, before, wanted := collectAtWork, allocated(), collectAtWork
		for range time.Tick(restLook) {
			now, next, last := allocated(), collectAtWork, wanted
			rests := now-before < restBelow*uint64(restLook/time.Second)
			crowded := runtime.NumGoroutine() > crowd && time.Since(began) < crowdLasts
			if (rests || crowded) && read("/gc/heap/live:bytes") > restAbove {
				next = collectAtRest
			}
			before, wanted = now, next
			if next == at || next != last { // a moment is nothing to go by
				continue
			}
			at = next
			debug.SetGCPercent(next)
			if next == collectAtRest && rests {
				debug.FreeOSMemory() // what the work has taken
			}
		}
	}()
}

// allocated is how many bytes have been allocated since the process began.
func allocated() uint64 { return read("/gc/heap/allocs:bytes") }

func read(metric string) uint64 {
	sample := []metrics.Sample{{Name: metric}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
