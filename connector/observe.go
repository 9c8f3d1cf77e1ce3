package connector

import "time"

// Condition is what a stream is doing, for operators.
type Condition string

// The conditions of a stream.
const (
	Starting     Condition = "starting"
	Snapshotting Condition = "snapshot"
	Following    Condition = "streaming"
	Holding      Condition = "held"     // a listing would delete too much at once: another look, or somebody, decides
	Failing      Condition = "failing"  // Err says why; it is tried again at RetryAt
	Refusing     Condition = "refused"  // cannot go on without an operator; Err says what to do
	Vanishing    Condition = "removing" // the collection is gone, its rows are being deleted
	Vanished     Condition = "removed"
)

// Status is a stream as its supervisor sees it.
type Status struct {
	Stream    Stream
	Condition Condition
	Epoch     int64
	Rows      int64
	Unread    int       // resources whose body could not be had
	Held      int64     // rows that a listing would delete, and that are not: until another look, or because somebody has refused
	LastPoll  time.Time // end of the last good pass; zero: none yet
	RetryAt   time.Time
	Failures  int    // passes failed in a row
	Err       string // of the last failed pass; "" when well
	Note      string // e.g. that tokens are not relied on for now
}

// Observer is told what happens; it must not block. Methods are called from many goroutines.
type Observer interface {
	Stream(Status)                             // a stream's status after each pass and each change
	Published(s Stream, ops map[string]int)    // committed records by op: c, u, d, r
	Reset(s Stream, reason string)             // a committed snapshot-reset
	Account(source, account string, err error) // the account's last look at its home
	Assigned(partitions []int32)               // the share of this process, whenever it is another
	Left(source, account string)               // the account and its streams are no longer followed here
}
