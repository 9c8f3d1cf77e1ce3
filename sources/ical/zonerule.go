package ical

import (
	"slices"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
)

// The years for which a VTIMEZONE's rules are expanded.
const (
	firstRuleYear = 1970
	lastRuleYear  = 2100
)

// zoneRuleParts are what rules of zones consist of; a rule with others is left out.
var zoneRuleParts = []string{"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYMONTHDAY", "BYDAY", "WKST"}

// yearly tells whether a rule, in upper case, is one that describes a zone.
func yearly(rule string) bool {
	if len(rule) > 512 || !strings.Contains(rule, "FREQ=YEARLY") {
		return false
	}
	for part := range strings.SplitSeq(rule, ";") {
		if name, _, _ := strings.Cut(part, "="); !slices.Contains(zoneRuleParts, name) {
			return false
		}
	}
	return true
}

// expand lists a yearly rule's wall times from its start, or 1970, to 2100; none for another rule. The days are counted out here and
// not by rrule-go, which looks for a day that never comes, like February 30, until the year 9999.
func expand(rule string, o *observance) []int64 {
	rule = strings.ToUpper(strings.TrimSuffix(strings.TrimSpace(rule), ";"))
	if !yearly(rule) {
		return nil
	}
	option, err := rrule.StrToROption(rule)
	if err != nil {
		return nil
	}
	until := int64(1<<63 - 1)
	if !option.Until.IsZero() {
		until = option.Until.Unix()
		if strings.Contains(rule, "Z") {
			until += int64(o.from) // UNTIL is an instant; the rule counts in wall time
		}
	}
	return newZoneRule(option, o.start).walls(until)
}

// zoneRule says on which days of a year an offset changes.
type zoneRule struct {
	option   *rrule.ROption
	start    int64 // wall time
	first    time.Time
	weekdays bool // BYDAY is given
	ofYear   bool // its ordinals count in the year
}

func newZoneRule(option *rrule.ROption, start int64) *zoneRule {
	r := &zoneRule{option: option, start: start, first: time.Unix(start, 0).UTC(), weekdays: len(option.Byweekday) > 0}
	r.ofYear = len(option.Bymonth) == 0
	if !r.weekdays && len(option.Bymonthday) == 0 {
		option.Bymonthday = []int{r.first.Day()}
		if r.ofYear {
			option.Bymonth = []int{int(r.first.Month())}
		}
	}
	return r
}

// walls lists the wall times up to until.
func (r *zoneRule) walls(until int64) []int64 {
	var walls []int64
	count := 0
	interval := max(r.option.Interval, 1)
	clock := r.start - floorDay(r.start)
	for y := r.firstYear(interval); y <= lastRuleYear; y += interval {
		for m := 1; m <= 12; m++ {
			if len(r.option.Bymonth) > 0 && !slices.Contains(r.option.Bymonth, m) {
				continue
			}
			for d := 1; d <= daysIn(y, m); d++ {
				wall := unix(y, m, d, 0, 0, 0) + clock
				if wall < r.start || !r.falls(y, m, d) {
					continue
				}
				count++
				if wall > until || len(walls) == MaxOnsets || r.option.Count > 0 && count > r.option.Count {
					return walls
				}
				walls = append(walls, wall)
			}
		}
	}
	return walls
}

func floorDay(sec int64) int64 { return sec - mod(sec, day) }

// firstYear is the rule's first from 1970; a COUNT counts from its start.
func (r *zoneRule) firstYear(interval int) int {
	y := r.first.Year()
	if y < firstRuleYear && r.option.Count == 0 {
		y += (firstRuleYear - y + interval - 1) / interval * interval
	}
	return y
}

// falls tells whether the rule means that day of a month that it means.
func (r *zoneRule) falls(y, m, d int) bool {
	days := daysIn(y, m)
	if list := r.option.Bymonthday; len(list) > 0 && !slices.Contains(list, d) && !slices.Contains(list, d-days-1) {
		return false
	}
	if !r.weekdays {
		return true
	}
	at := d
	if r.ofYear {
		t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
		at, days = t.YearDay(), time.Date(y, 12, 31, 0, 0, 0, 0, time.UTC).YearDay()
	}
	weekday := int(time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC).Weekday()+6) % 7 // from Monday
	return slices.ContainsFunc(r.option.Byweekday, func(w rrule.Weekday) bool {
		return w.Day() == weekday && (w.N() == 0 || w.N() == (at+6)/7 || w.N() == -(days-at+7)/7)
	})
}
