package ical

import (
	"strings"

	goical "github.com/emersion/go-ical"
)

// takeTime reads the properties that are times.
func (b *builder) takeTime(p *property) bool {
	switch p.name {
	case goical.PropDateTimeStart:
		return b.when(&b.start, p)
	case goical.PropDateTimeEnd:
		return b.comp.name == goical.CompEvent && b.when(&b.end, p)
	case goical.PropDue:
		return b.comp.name == goical.CompToDo && b.when(&b.due, p)
	case goical.PropDuration:
		if b.duration != nil {
			return false
		}
		b.duration = p
		return true
	case goical.PropRecurrenceID:
		return b.recurrenceID(p)
	case goical.PropCreated:
		return b.stamp(&b.row.CreatedAt, p)
	case goical.PropCompleted:
		return b.stamp(&b.row.CompletedUTC, p)
	case goical.PropLastModified:
		return b.stamp(&b.row.UpdatedAt, p)
	}
	return false
}

// when reads a DATE or DATE-TIME into a place that is empty.
func (b *builder) when(to *when, p *property) bool {
	if to.form != 0 {
		return false
	}
	tzid := p.param(goical.ParamTimezoneID)
	w, ok := parseWhen(strings.TrimSpace(p.value))
	if i := strings.LastIndexByte(p.value, ':'); !ok && tzid != "" && i >= 0 {
		// A TZID with a colon should stand in quotes: TZID=(UTC+01:00) Berlin:20260602T100000
		tzid += ":" + p.value[:i]
		w, ok = parseWhen(strings.TrimSpace(p.value[i+1:]))
	}
	if !ok {
		b.notes.add(p.number, p.name+": not a time: "+shown(p.value))
		return false
	}
	if w.form != date && strings.EqualFold(p.param(goical.ParamValue), string(goical.ValueDate)) {
		w = when{form: date, wall: w.wall - mod(w.wall, day)}
	}
	if tzid != "" && w.form == floating {
		zone := b.zones.find(tzid)
		if w = w.in(zone, clean(tzid)); zone == nil {
			b.notes.add(p.number, p.name+": nothing says what time zone "+shown(tzid)+" is")
		}
	}
	*to = w
	return true
}

// mod is the remainder that is never negative.
func mod(a, n int64) int64 { return (a%n + n) % n }

// recurrenceID reads which occurrence the component overrides. What is no time names the row as it is written.
func (b *builder) recurrenceID(p *property) bool {
	if b.row.RecurrenceID != nil {
		return false
	}
	var w when
	if b.when(&w, p) {
		b.row.RecurrenceID = b.ptr(w.basic())
		return p.param(goical.ParamRange) == ""
	}
	b.row.RecurrenceID = b.ptr(clean(p.value))
	return true
}

// stamp reads a time that is UTC; one written without Z and zone is taken for it, and noted.
func (b *builder) stamp(column **string, p *property) bool {
	if *column != nil {
		return false
	}
	var w when
	if !b.when(&w, p) {
		return false
	}
	if w.form == floating {
		b.notes.add(p.number, p.name+": has no time zone, read as UTC")
		w.utc, w.has = w.wall, true
	}
	if !w.has {
		if w.form == date {
			b.notes.add(p.number, p.name+": a day, not a time")
		}
		return false
	}
	if p.name == goical.PropLastModified {
		b.changedMs = w.utc * 1000
	}
	return b.set(column, w.instant())
}

// times fills the columns of start, end and due.
func (b *builder) times() {
	if b.start.form == 0 && b.comp.name == goical.CompEvent {
		b.notes.add(0, "no DTSTART")
	}
	end := b.ending()
	b.row.AllDay = b.start.form == date || b.start.form == 0 && end.form == date
	b.fill(&b.row.StartUTC, &b.row.StartLocal, &b.row.StartTZ, b.start)
	b.fill(&b.row.EndUTC, &b.row.EndLocal, &b.row.EndTZ, end)
	if b.comp.name == goical.CompToDo {
		b.row.DueUTC = b.row.EndUTC
	}
}

// ending is the end of an event, given or implied (RFC 5545 3.6.1), or when a to-do is due.
func (b *builder) ending() when {
	given := b.end
	if b.comp.name == goical.CompToDo {
		given = b.due
	}
	if given.form != 0 {
		if b.start.form != 0 && (given.form == date) != (b.start.form == date) {
			b.notes.add(0, "one of start and end is a day, the other a time")
		}
		if b.duration != nil {
			b.other(b.duration)
		}
		return given
	}
	if b.duration != nil {
		if end, ok := b.lasting(); ok {
			return end
		}
		b.other(b.duration)
	}
	switch {
	case b.comp.name != goical.CompEvent:
		return when{}
	case b.start.form == date:
		return b.start.plus(duration{days: 1})
	}
	return b.start
}

// lasting is the end that DURATION tells.
func (b *builder) lasting() (when, bool) {
	p := b.duration
	d, ok := parseDuration(strings.TrimSpace(p.value))
	if !ok {
		b.notes.add(p.number, "DURATION: not a duration: "+shown(p.value))
		return when{}, false
	}
	if b.start.form == 0 {
		return when{}, false
	}
	if b.start.form == date && d.seconds%day != 0 {
		b.notes.add(p.number, "DURATION: "+shown(p.value)+" of a day, read as whole days")
	}
	return b.start.plus(d), true
}

// fill writes a time into its three columns.
func (b *builder) fill(utc, local, tz **string, w when) {
	if w.form == 0 {
		return
	}
	if *local = b.opt(w.local()); *local == nil {
		b.notes.add(0, "a time beyond the year 9999")
	}
	if w.form != date {
		*utc, *tz = b.opt(w.instant()), b.opt(w.tz)
	}
}
