// Package offsets keeps what was committed of the streams: <name>-offsets, in Kafka Connect's format, and
// <name>-state, both compacted topics with one partition for each owner.
//
//	Ledger.Commit: transaction ──► records ──► Kafka ──► fold
//	Ledger.Load:   fence, barrier ──► records up to it ──► fold
//
// Read ledger.go first. Both ways end in the same fold, so that what is in memory is by construction what another
// process would load.
//
// The forms of keys and values are fixed: key.go, offset.go and value.go say what they are. A value's first byte
// (of resources and rows) is its version; an unknown one is an error, never a guess.
package offsets
