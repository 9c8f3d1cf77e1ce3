// Package oracle judges what calcdc published: it reads the topics with another client than calcdc's, folds them under the rules of
// the contract (internal/verify), and compares the fold with its own listing of the calendar server.
package oracle

import "github.com/calcdc/calcdc/internal/verify"

// What the fold is made of.
type (
	Fold   = verify.Fold
	State  = verify.State
	Stream = verify.Stream
	Record = verify.Record
	Row    = verify.Row
	Marker = verify.Marker
)

// NewFold begins with no records, of CalDAV.
func NewFold() *Fold { return verify.NewFold() }
