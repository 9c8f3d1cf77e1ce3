package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much the heap may grow before garbage is collected, in hundredths of what is in use, where GOGC does not say so. At work three quarters
// of Go's own: a tenth less memory at the peak of a snapshot (BenchmarkSnapshot). At rest much less, which costs next to nothing then, and
// an idle fleet has a tenth less memory (BenchmarkFleet).
const (
	collectAtWork = 75
	collectAtRest = 30
	restBelow     = 16 << 20 // bytes allocated a second
	restLook      = 5 * time.Second
)

// collectGarbage sets when garbage is collected, for as long as the process lives.
func collectGarbage() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(collectAtWork)
	go func() {
		at, before := collectAtWork, allocated()
		for range time.Tick(restLook) {
			now, next := allocated(), collectAtWork
			if now-before < restBelow*uint64(restLook/time.Second) {
				next = collectAtRest
			}
			if before = now; next != at {
				at = next
				debug.SetGCPercent(next)
				if next == collectAtRest {
					debug.FreeOSMemory() // what the work has taken
				}
			}
		}
	}()
}

// allocated is how many bytes have been allocated since the process began.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
