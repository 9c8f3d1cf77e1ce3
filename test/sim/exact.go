//go:build replay

package sim

import (
	"runtime"
	"runtime/debug"

	_ "unsafe" // for go:linkname
)

//go:linkname simReplay runtime.simReplay
func simReplay(seed uint64)

// exact says that a seed's runs are the same to the last byte: the runtime is the one that the replay command has edited.
const exact = true

// fixChances makes the runtime's chances the seed's until release is called.
func fixChances(seed uint64) (release func()) {
	percent := debug.SetGCPercent(-1)
	runtime.GC() // twice, and no pool holds anything
	runtime.GC()
	simReplay(seed*2 + 1)
	return func() {
		simReplay(0)
		debug.SetGCPercent(percent)
	}
}
