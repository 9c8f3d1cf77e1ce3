package ical

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Zones are alike when they change between the same offsets at the same instants in these years.
var (
	alikeFrom = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	alikeTo   = time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
)

// preferred are the names given to zones that several IANA zones are like, before all others.
var preferred = []string{
	"UTC", "Europe/Berlin", "Europe/London", "Europe/Athens", "America/New_York", "America/Chicago", "America/Denver",
	"America/Los_Angeles", "America/Sao_Paulo", "Asia/Tokyo", "Asia/Shanghai", "Asia/Kolkata", "Australia/Sydney",
}

// alike returns the IANA zone that behaves as r does, nil where there is none. Of several it is the one whose city
// the TZID speaks of, as Outlook's do: "(UTC+01:00) Brussels, Copenhagen, Madrid, Paris".
func alike(r rules, tzid string) *tz {
	names := behaviours()[behaviour(r)]
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		city := strings.ReplaceAll(name[strings.LastIndexByte(name, '/')+1:], "_", " ")
		if strings.Contains(tzid, city) {
			return lookup(name)
		}
	}
	return lookup(names[0])
}

// behaviours maps what zones do to their names, the preferred first.
var behaviours = sync.OnceValue(func() map[string][]string {
	names := make([]string, 0, len(windowsZones))
	for _, name := range windowsZones {
		if !slices.Contains(preferred, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	found := map[string][]string{}
	for _, name := range slices.Concat(preferred, slices.Compact(names)) {
		if z := lookup(name); z != nil {
			b := behaviour(z.known)
			found[b] = append(found[b], name)
		}
	}
	return found
})

// behaviour spells out the offsets from alikeFrom to alikeTo, looking at each hour of the days on which they change.
func behaviour(z offsets) string {
	var b strings.Builder
	last := z.at(alikeFrom)
	b.WriteString(strconv.Itoa(last))
	for t := alikeFrom; t < alikeTo; t += day {
		if z.at(t+day) == last {
			continue
		}
		for h := t; h < t+day; h += 1800 {
			if now := z.at(h + 1800); now != last {
				b.WriteString(" " + strconv.FormatInt(h, 36) + ":" + strconv.Itoa(now))
				last = now
			}
		}
	}
	return b.String()
}
