package ical

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
	_ "time/tzdata" // zones, where the machine has none
)

// offsets knows a zone's offset from UTC, in seconds, at an instant.
type offsets interface{ at(utc int64) int }

// tz is a zone that a TZID means: one of IANA's, one that a VTIMEZONE describes, or both where they agree.
type tz struct {
	name  string  // IANA's, or the TZID as sent
	known offsets // IANA's; nil: none
	rules offsets // the VTIMEZONE's; nil: not needed
	tzid  string  // as sent: the name of rules
}

// utc is the instant of a wall time. One that occurs twice is the first, one that is passed over takes the offset
// from before the gap (RFC 5545 3.3.5).
func (z *tz) utc(wall int64) int64 {
	o, _ := z.near(wall)
	return toUTC(o, wall)
}

// near returns who knows the offsets about a wall time, and under which name: IANA's zone, unless the VTIMEZONE
// disagrees with it at that time.
func (z *tz) near(wall int64) (offsets, string) {
	if z.rules == nil || z.known != nil && toUTC(z.known, wall) == toUTC(z.rules, wall) {
		return z.known, z.name
	}
	return z.rules, z.tzid
}

// toUTC looks a day to either side of the wall time, where at most one change of offset lies.
func toUTC(z offsets, wall int64) int64 {
	before, after := int64(z.at(wall-day)), int64(z.at(wall+day))
	if before != after && int64(z.at(wall-before)) != before && int64(z.at(wall-after)) == after {
		return wall - after
	}
	return wall - before
}

// location is one of IANA's zones. Far future times are slow to look up, so the spans between changes are kept.
type location struct {
	loc   *time.Location
	spans [128]atomic.Pointer[span]
}

type span struct {
	from, to int64 // seconds since 1970, to excluded
	offset   int
}

func (l *location) at(utc int64) int {
	slot := &l.spans[(utc>>22)&127] // 49 days
	if s := slot.Load(); s != nil && s.from <= utc && utc < s.to {
		return s.offset
	}
	t := time.Unix(utc, 0).In(l.loc)
	_, offset := t.Zone()
	start, end := t.ZoneBounds()
	s := &span{from: firstSecond - 2*day, to: lastSecond + 2*day, offset: offset}
	if !start.IsZero() {
		s.from = start.Unix()
	}
	if !end.IsZero() {
		s.to = end.Unix()
	}
	slot.Store(s)
	return offset
}

// Bounds of the TZIDs whose meaning is remembered.
const (
	maxCached = 4096
	maxTZID   = 255 // bytes; a longer one means nothing
)

// known maps TZIDs to IANA's zones; it remembers those that are none too (nil).
var known struct {
	sync.RWMutex
	zones map[string]*tz
}

// lookup returns the zone that a TZID names by itself, nil where it names none.
func lookup(tzid string) *tz {
	if len(tzid) > maxTZID {
		return nil
	}
	known.RLock()
	z, ok := known.zones[tzid]
	known.RUnlock()
	if ok {
		return z
	}
	z = resolve(tzid)
	known.Lock()
	defer known.Unlock()
	if known.zones == nil || len(known.zones) == maxCached {
		known.zones = map[string]*tz{}
	}
	known.zones[strings.Clone(tzid)] = z
	return z
}

// resolve tries, in order, what a TZID may be: an IANA name, a Windows name, either behind a prefix.
func resolve(tzid string) *tz {
	s := strings.TrimSpace(tzid)
	for range 8 {
		if name := ianaName(s); name != "" {
			if l := locate(name); l != nil {
				return &tz{name: l.loc.String(), known: l}
			}
		}
		i := strings.IndexByte(s, '/')
		if i < 0 {
			return nil
		}
		s = s[i+1:]
	}
	return nil
}

// located holds the zones of the database that have been asked for; it has no more of them than the database.
var located sync.Map // string to *location

// locate returns a zone of the database, nil where it has none of that name.
func locate(name string) *location {
	if l, ok := located.Load(name); ok {
		return l.(*location)
	}
	loc, err := time.LoadLocation(strings.Clone(name))
	if err != nil {
		return nil
	}
	l, _ := located.LoadOrStore(loc.String(), &location{loc: loc})
	return l.(*location)
}

// ianaName is the IANA name that s may mean, "" where its form excludes one.
func ianaName(s string) string {
	switch strings.ToLower(s) {
	case "", "local", "localtime", "posixrules", "factory", "leapseconds":
		return ""
	case "z", "utc":
		return "UTC"
	}
	if name := windowsName(s); name != "" {
		return name
	}
	s = strings.ReplaceAll(s, " ", "_")
	if name, ok := anyCase().iana[strings.ToLower(s)]; ok {
		return name
	}
	if strings.HasPrefix(s, "right/") || strings.HasPrefix(s, "posix/") {
		return ""
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || strings.IndexByte("0123456789+-_/", c) < 0) {
			return ""
		}
	}
	return s
}

// windowsName is the IANA name for a Windows one, which Outlook may follow with a number.
func windowsName(s string) string {
	s = strings.ToLower(s)
	if name := anyCase().windows[s]; name != "" {
		return name
	}
	return anyCase().windows[strings.TrimRight(s, " 0123456789")]
}

// anyCase holds the known names by their lower case.
var anyCase = sync.OnceValue(func() (names struct{ iana, windows map[string]string }) {
	names.windows = make(map[string]string, len(windowsZones))
	for name, iana := range windowsZones {
		names.windows[strings.ToLower(name)] = iana
	}
	list := strings.Fields(ianaNames)
	names.iana = make(map[string]string, len(list))
	for _, name := range list {
		names.iana[strings.ToLower(name)] = name
	}
	return names
})

// zones finds the zones of one resource's TZIDs.
type zones struct {
	spans []string // of its VTIMEZONEs
	found map[string]*tz
	last  *tz
	lastN string
	rules int // RRULEs expanded so far
}

// find returns the zone that a TZID means here, nil where nothing says.
func (z *zones) find(tzid string) *tz {
	if z.last != nil && z.lastN == tzid {
		return z.last
	}
	found := lookup(tzid)
	if found == nil && len(tzid) <= maxTZID {
		found = z.described()[strings.TrimSpace(tzid)]
	}
	z.last, z.lastN = found, tzid
	return found
}
