package ical

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"sort"
	"strings"
	"sync"

	goical "github.com/emersion/go-ical"
)

// onset is when a zone's offset changes, and to what.
type onset struct {
	utc      int64
	from, to int
}

// rules are the offsets that a VTIMEZONE describes, in order of time.
type rules []onset

func (r rules) at(utc int64) int {
	i := sort.Search(len(r), func(i int) bool { return r[i].utc > utc })
	if i == 0 {
		return r[0].from
	}
	return r[i-1].to
}

// described reads the resource's VTIMEZONEs, once.
func (z *zones) described() map[string]*tz {
	if z.found != nil {
		return z.found
	}
	z.found = map[string]*tz{}
	for _, text := range z.spans {
		d := describe(text, &z.rules)
		if d.zone != nil && z.found[d.tzid] == nil {
			z.found[d.tzid] = d.zone
		}
	}
	return z.found
}

// description is what a VTIMEZONE says.
type description struct {
	tzid string
	zone *tz // nil: it describes none
}

// read remembers VTIMEZONEs by the hash of their text: a service's resources repeat a few of them.
var read struct {
	sync.Mutex
	zones map[[32]byte]description
}

const maxRead = 512

// describe reads the text of a VTIMEZONE; expanded counts RRULEs.
func describe(text string, expanded *int) description {
	key := sha256.Sum256([]byte(text))
	read.Lock()
	d, ok := read.zones[key]
	read.Unlock()
	if ok || *expanded >= MaxZoneRules {
		return d
	}
	d = readZone(text, expanded)
	if *expanded >= MaxZoneRules {
		return d // perhaps cut short: not for others
	}
	read.Lock()
	defer read.Unlock()
	if read.zones == nil || len(read.zones) >= maxRead {
		read.zones = map[[32]byte]description{}
	}
	read.zones[key] = d
	return d
}

// readZone makes a zone of a VTIMEZONE's own rules, under IANA's name where it says which or behaves like one.
func readZone(text string, expanded *int) description {
	v := readObservances(text)
	z := &tz{name: strings.Clone(v.tzid), tzid: strings.Clone(v.tzid)}
	d := description{tzid: z.tzid}
	var r rules
	for i := range v.observances {
		r = v.observances[i].onsets(r, expanded)
	}
	iana := lookup(v.location)
	switch {
	case len(r) == 0 && iana == nil:
		return d
	case len(r) == 0:
		d.zone = iana
		return d
	}
	slices.SortStableFunc(r, func(a, b onset) int { return cmp.Compare(a.utc, b.utc) })
	z.rules = r
	if iana == nil {
		iana = alike(r, v.tzid)
	}
	if iana != nil {
		z.name, z.known = iana.name, iana.known
	}
	d.zone = z
	return d
}

// vtimezone is what is read of a VTIMEZONE.
type vtimezone struct {
	tzid        string
	location    string // another name that it goes by
	observances []observance
}

// observance is a STANDARD or DAYLIGHT part.
type observance struct {
	start    int64 // wall time
	from, to int
	dates    []int64 // RDATE, wall times
	rules    []string
	set      int // which of start, from and to have been read, as bits
}

func readObservances(body string) vtimezone {
	var v vtimezone
	var open *observance
	var arena []param
	for l := newLines(body); l.next(); {
		p, params, why := split(l.line, arena)
		arena = params[:0]
		switch {
		case why != "" || l.size > MaxLine:
		case p.name == "BEGIN":
			v.observances = append(v.observances, observance{})
			open = &v.observances[len(v.observances)-1]
		case p.name == "END":
			open = nil
		case open != nil:
			open.read(&p)
		case p.name == goical.PropTimezoneID:
			v.tzid = strings.TrimSpace(text(p.value))
		case p.name == "X-LIC-LOCATION" || p.name == "TZID-ALIAS-OF":
			v.location = p.value
		}
	}
	return v
}

// read takes a property of an observance.
func (o *observance) read(p *property) {
	switch p.name {
	case goical.PropDateTimeStart:
		if w, ok := parseWhen(p.value); ok {
			o.start = w.wall
			o.set |= 1
		}
	case goical.PropTimezoneOffsetFrom:
		var ok bool
		if o.from, ok = parseOffset(p.value); ok {
			o.set |= 2
		}
	case goical.PropTimezoneOffsetTo:
		var ok bool
		if o.to, ok = parseOffset(p.value); ok {
			o.set |= 4
		}
	case goical.PropRecurrenceRule:
		o.rules = append(o.rules, p.value)
	case goical.PropRecurrenceDates:
		for s := range strings.SplitSeq(p.value, ",") {
			if w, ok := parseWhen(s); ok && len(o.dates) < MaxOnsets {
				o.dates = append(o.dates, w.wall)
			}
		}
	}
}

// parseOffset reads a UTC-OFFSET (RFC 5545 3.3.14).
func parseOffset(s string) (int, bool) {
	if len(s) != 5 && len(s) != 7 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	h, m, sec := digits(s[1:3]), digits(s[3:5]), digits(s[5:])
	if h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 59 {
		return 0, false
	}
	n := h*3600 + m*60 + sec
	if s[0] == '-' {
		n = -n
	}
	return n, true
}

// onsets appends when the observance begins, each time, up to MaxOnsets in all.
func (o *observance) onsets(r rules, expanded *int) rules {
	if o.set != 7 {
		return r
	}
	walls := append([]int64{o.start}, o.dates...)
	for _, rule := range o.rules {
		if *expanded >= MaxZoneRules {
			break
		}
		*expanded++
		walls = append(walls, expand(rule, o)...)
	}
	for _, wall := range walls[:min(len(walls), MaxOnsets-min(len(r), MaxOnsets))] {
		r = append(r, onset{utc: wall - int64(o.from), from: o.from, to: o.to})
	}
	return r
}
