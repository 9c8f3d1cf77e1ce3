package verify

// Report is what a run has found.
type Report struct {
	Streams     int          `json:"streams"`           // that were compared
	Rows        int64        `json:"rows"`              // that are the same in topic and source
	Total       int64        `json:"differences_total"` //
	Differences []Difference `json:"differences"`       // the first of them
	Held        int64        `json:"held"`              // of all of them: rows whose deletes are held, or refused
	NotCompared []Apart      `json:"not_compared"`
	Changed     int64        `json:"changed_while_looking"` // rows that differed at first, and then did not
	Moving      int64        `json:"kept_changing"`         // rows that changed at the source at each look: nothing can be said of them
	Older       int64        `json:"older_row_version"`     // rows of the same bytes at the source, in the form of an earlier release
	ParseErrors int64        `json:"parse_errors"`          // rows that are the same and say that they could not be read in full
	Unread      int64        `json:"unread"`                // resources whose body could not be had
}

// OK tells whether the topics hold what the sources hold, as far as the configuration follows them.
func (r *Report) OK() bool {
	for _, a := range r.NotCompared {
		if a.Why != NotFollowed {
			return false
		}
	}
	return r.Total == 0
}

// Why a stream was not compared.
const (
	NotBegun    = "not begun"       // nothing was published of it yet
	InSnapshot  = "in a snapshot"   // not all is published yet; where deletes hold it open: Held
	Leaving     = "gone"            // the source does not have it any more, and its rows are not all deleted yet
	Lost        = "lost"            // its state, or its topic, is not what it was
	Refused     = "refused"         // it cannot go on without an operator
	Failing     = "failing"         // the source could not be asked
	Unlike      = "unlike"          // too much differs to be looked at row by row
	NotFollowed = "not followed"    // the configuration does not name it: its rows are left as they stand
	Forbidden   = "not ours to see" // the source does not list it, and forbids to look
)

// Apart is a stream that was not compared. Without a kind it stands for all of a source or an account.
type Apart struct {
	Stream
	Why    string `json:"why"`
	Detail string `json:"detail,omitempty"`
	Rows   int    `json:"rows"` // that the topic has of it
}

// Reasons in words.
const (
	saysNotBegun   = "nothing was published of it yet: a running calcdc begins it"
	saysInSnapshot = "its snapshot has not ended: verify again when it has"
	saysHeld       = "deletes are held, so its reset does not end: calcdc deletes list shows them"
	saysRemoving   = "it is gone at the source, and its rows are being deleted"
	saysGone       = "it is gone at the source, and its rows are still there: a running calcdc deletes them once it has found it gone twice"
	saysUnlisted   = "the source does not list it, and has it all the same"
	saysForbidden  = "the source does not list it and forbids to look: a running calcdc deletes its rows when that has lasted for an hour"
	saysNoState    = "its offset is there, but its record in the state is missing: a running calcdc mends it"
	saysMending    = "a loss is being mended: a running calcdc goes on with it"
)
