// Command replay writes an overlay (go help build, -overlay) with which a simulation's runs are the same whenever their seed is: the
// chances that the runtime itself takes inside a bubble of testing/synctest (which case of a select, where a walk over a map
// begins, which of two timers that are due is first) come from the seed, and no goroutine is preempted. With GOMAXPROCS=1 and the
// collector off, nothing is left that differs.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// edit replaces a text that must stand once in a file of the standard library.
type edit struct{ file, old, now string }

var edits = []edit{
	{"runtime/rand.go", "seed[i%len(seed)] ^= c\n", "_, _ = i, c\n"},
	{"runtime/rand.go", "func rand() uint64 {\n", "func rand() uint64 {\n\tif simSeed != 0 && getg().bubble != nil {\n\t\treturn simSeed\n\t}\n"},
	{"runtime/rand.go", "func rand32() uint32 {\n", "func rand32() uint32 {\n\tif simSeed != 0 && getg().bubble != nil {\n\t\treturn uint32(simSeed)\n\t}\n"},
	{"runtime/rand.go", "func maps_rand() uint64 {\n", "func maps_rand() uint64 {\n\tif simSeed != 0 && getg().bubble != nil {\n\t\treturn simSeed\n\t}\n"},
	{"runtime/rand.go", "// mrandinit initializes", source + "\n// mrandinit initializes"},
	{"runtime/select.go", "j := cheaprandn(uint32(norder + 1))", "j := simRandn(uint32(norder + 1))"},
	{"runtime/time.go", "t.rand = cheaprand()", "t.rand = simTimer()"},
	{"math/rand/rand.go", "//go:linkname runtime_rand runtime.rand\n", "//go:linkname runtime_rand runtime.simRand\n"},
	{"math/rand/v2/rand.go", "//go:linkname runtime_rand runtime.rand\n", "//go:linkname runtime_rand runtime.simRand\n"},
	{"runtime/proc.go", "const forcePreemptNS = 10 * 1000 * 1000 // 10ms", "const forcePreemptNS = 1000 * 1000 * 1000 * 1000"},
}

const source = `var simSeed, simState, simOrder uint64

// simReplay begins the chances of a seed; 0 ends them.
//
//go:linkname simReplay
func simReplay(seed uint64) { simSeed, simState, simOrder = seed, seed, seed }

// simRand is what math/rand and math/rand/v2 draw from.
//
//go:linkname simRand
func simRand() uint64 {
	if simSeed == 0 || getg().bubble == nil {
		return rand()
	}
	return simStep(&simState)
}

//go:nosplit
func simStep(state *uint64) uint64 {
	*state += 0x9e3779b97f4a7c15
	z := *state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func simRandn(n uint32) uint32 {
	if simSeed == 0 || getg().bubble == nil {
		return cheaprandn(n)
	}
	return uint32(simStep(&simOrder) >> 32 * uint64(n) >> 32)
}

func simTimer() uint32 {
	if simSeed == 0 {
		return cheaprand()
	}
	return uint32(simStep(&simOrder))
}
`

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: replay DIRECTORY")
		os.Exit(2)
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err == nil {
		err = write(os.Args[1], filepath.Join(strings.TrimSpace(string(root)), "src"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
}

// write puts the edited files and overlay.json into dir.
func write(dir, src string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := map[string]string{}
	for _, e := range edits {
		path := filepath.Join(src, e.file)
		if _, ok := files[path]; !ok {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files[path] = string(b)
		}
		if n := strings.Count(files[path], e.old); n != 1 {
			return fmt.Errorf("%s of %s has %q %d times, not once: the edits need to be looked at again", path, runtime.Version(), e.old, n)
		}
		files[path] = strings.Replace(files[path], e.old, e.now, 1)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for path, text := range files {
		edited := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(path, src+"/"), "/", "_"))
		if err := os.WriteFile(edited, []byte(text), 0o644); err != nil {
			return err
		}
		overlay.Replace[path] = edited
	}
	b, err := json.MarshalIndent(overlay, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "overlay.json"), b, 0o644)
}
