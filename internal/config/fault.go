package config

import (
	"fmt"
	"sort"
	"strings"
)

// maxFaults are reported at most: more say nothing new.
const maxFaults = 200

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	File    string
	Line    int    // 0: the file as a whole, or what it lacks
	Key     string // e.g. sources[0].caldav.accounts[1].username; "" for the file as a whole
	Message string // what is wrong and what to do; never a secret
}

func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	return b.String() + f.Message
}

// Faults is the error of Load and Validate: everything that is wrong, a line each, in the file's order.
type Faults []Fault

func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// err is nil without faults; else the faults by line.
func (fs Faults) err() error {
	if len(fs) == 0 {
		return nil
	}
	sort.SliceStable(fs, func(i, j int) bool { return fs[i].Line < fs[j].Line })
	return fs
}
