// Package oracle judges what calcdc published: it reads the topics with another client than calcdc's, folds them under the rules of
// the contract (internal/verify), and compares the fold with its own listing of the calendar server.
package oracle

import "github.com/calcdc/calcdc/internal/verify"

// Fold is what the records so far amount to.
type Fold = verify.Fold

// State is a stream as its records tell it.
type State = verify.State

// Stream is a record's key without its last field, with the topic's kind.
type Stream = verify.Stream

// Record is a committed record.
type Record = verify.Record

// Row is a row as published.
type Row = verify.Row

// NewFold begins with no records, of CalDAV.
func NewFold() *Fold { return verify.NewFold() }
