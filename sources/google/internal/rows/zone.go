package rows

import (
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones, where the machine has none
)

// Bounds of the names whose meaning is remembered.
const (
	maxZones    = 4096
	maxZoneName = 64 // bytes; a longer one means nothing
)

// zones maps names to IANA's zones; it remembers those that are none too (nil).
var zones struct {
	sync.RWMutex
	known map[string]*time.Location
}

// zone is the IANA zone of that name, nil where there is none.
func zone(name string) *time.Location {
	if name == "" || len(name) > maxZoneName {
		return nil
	}
	zones.RLock()
	loc, ok := zones.known[name]
	zones.RUnlock()
	if ok {
		return loc
	}
	name = strings.Clone(name)
	if isZoneName(name) {
		loc, _ = time.LoadLocation(name) // an error: not a zone
	}
	zones.Lock()
	defer zones.Unlock()
	if zones.known == nil || len(zones.known) == maxZones {
		zones.known = map[string]*time.Location{}
	}
	zones.known[name] = loc
	return loc
}

// isZoneName tells names that may be zones from those that mean the machine's own, or files of the database that are none.
func isZoneName(name string) bool {
	switch name {
	case "Local", "Factory", "posixrules", "localtime", "leapseconds":
		return false
	}
	if c := name[0] | 0x20; c < 'a' || c > 'z' || strings.HasPrefix(name, "right/") || strings.HasPrefix(name, "posix/") {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && strings.IndexByte("0123456789+-_/", c) < 0 {
			return false
		}
	}
	return true
}
