// Package connector is calcdc's domain: what a stream, a page, a row, an offset and a transaction are, and the
// one way data goes.
//
//	poll ──► diff ──► envelope ──► transaction{records, state, offset} ──► Kafka
//
// Read pass.go first: a pass over one stream asks its account for pages since the offset, compares each with
// what is known, wraps the differences and commits them. A null token is the snapshot phase: there is no other
// state machine. supervise.go runs the passes of many streams beside one another.
//
// The numbered invariants are in ARCHITECTURE.md; code that upholds one cites its number.
package connector
