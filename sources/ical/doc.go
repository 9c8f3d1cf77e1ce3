// Package ical turns an iCalendar resource (RFC 5545) into rows of the events stream.
//
// A resource is one calendar object: a single event, or a series with its overrides. Each VEVENT or VTODO of it
// becomes a row; what cannot be read is published all the same, as it came and with parse_error beside what could
// be read. The package is pure: no clock, no logger, no I/O but the time zone database, whose answers are cached.
//
// Input is hostile. Whatever it holds, Rows takes time and memory in proportion to its size, within the limits
// below; rules of recurrence are carried, never expanded. The content lines are split here and not by go-ical's decoder, which
// gives up at the first bad line, panics on a cut parameter and takes quadratic time for long ones;
// its names and, in the tests, its reading of well-formed text are the reference.
package ical

// The limits of what is read of a resource. What exceeds them is left out and parse_error says so; raw is whole.
const (
	MaxBody       = 16 << 20  // bytes; a larger body is not parsed
	MaxLine       = 256 << 10 // bytes of one unfolded property
	MaxRow        = 2 << 20   // bytes of all properties of one row, each counted with 64 more
	MaxComponents = 20_000    // VEVENTs and VTODOs
	MaxDepth      = 16        // BEGINs within one another
	MaxZones      = 128       // VTIMEZONEs that are looked into
	MaxOnsets     = 8192      // changes of offset in one VTIMEZONE
	MaxZoneRules  = 64        // RRULEs expanded in all VTIMEZONEs of a resource
	MaxNotes      = 10        // faults spelled out in one parse_error
)
