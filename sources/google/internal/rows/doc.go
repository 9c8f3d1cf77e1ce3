// Package rows turns what Google Calendar's lists hold into rows: an item of events.list, calendarList.list, acl.list
// or settings.list, as its bytes came, into a row of the streams events, calendars, acl and settings.
//
// The package is pure: no clock, no logger, no I/O but the time zone database, whose answers are cached. It reads the bytes
// and not the typed structs of Google's client, which drop what they do not know: what has no column stands in an event's
// other_properties, and everything in raw.
//
// Input is hostile. Whatever it holds, a parser returns what could be read, with a parse error beside it, in time and memory
// in proportion to the item's size: a field of the wrong type costs no other field. An item is gone through once, with jsontext:
// encoding/json takes several times as long (BenchmarkTyped), matches names whatever their case and gives up a struct at its first fault.
package rows

// The limits of what is read of an item. What exceeds them is left out and the parse error says so; raw is whole.
const (
	MaxItem  = 16 << 20 // bytes; a larger item is not parsed
	MaxRow   = 2 << 20  // bytes of all fields of one item, each and each element of a list counted with 64 more
	MaxNotes = 10       // faults spelled out in one parse error
)
