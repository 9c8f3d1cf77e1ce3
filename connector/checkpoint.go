package connector

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
)

// Hash is the first half of a SHA-256.
type Hash [16]byte

// HashOf hashes the concatenation of parts.
func HashOf(parts ...[]byte) Hash {
	if len(parts) == 1 {
		sum := sha256.Sum256(parts[0])
		return Hash(sum[:16])
	}
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return Hash(h.Sum(nil)[:16])
}

// Offset is what a stream resumes from, as it stands in <name>-offsets.
type Offset struct {
	Token        string // "" while a snapshot is in progress
	Epoch        int64
	ConfigHash   string // of the configuration that the token belongs to
	ReconciledMs int64  // when everything was last compared, ms since 1970
	CommittedMs  int64  // when this offset was committed, ms since 1970
}

// Phase is where a stream stands, as the state keeps it.
type Phase string

// The phases of a stream. A stream without a record has none yet.
const (
	Snapshot   Phase = "snapshot"  // begun and not ended: the token is null
	Streaming  Phase = "streaming" // follows its token
	Removing   Phase = "removing"  // the collection is gone, its rows are being deleted
	RemovedAll Phase = "removed"   // gone, no rows; kept for its epoch
)

// Reasons of a reset after a loss, for StreamState.Due.
const (
	StateLost = "state-lost"
	TopicLost = "topic-lost"
)

// StreamState is the record of a stream in <name>-state; it is never removed.
type StreamState struct {
	Epoch      int64  `json:"epoch"`               // the highest ever used
	Phase      Phase  `json:"phase"`               //
	Partition  int32  `json:"partition"`           // of the data topic, fixed for the stream's life
	Commit     int64  `json:"commit"`              // rises by one with each transaction that has records
	Resources  int64  `json:"resources"`           // how many the state holds
	Rows       int64  `json:"rows"`                // how many the state holds
	RowVersion int    `json:"row_version"`         // of the rows published last
	KeyFormat  string `json:"key_format"`          // "json"; fixed for the stream's life
	DataEnd    int64  `json:"data_end"`            // the data partition is at least this long
	Compares   int64  `json:"compares"`            // full comparisons by schedule so far
	Reason     string `json:"reason"`              // of the last snapshot
	Due        string `json:"due,omitempty"`       // reason of the reset that is to follow, where it is not that somebody asked
	Mending    string `json:"mending,omitempty"`   // the same while what is known is being put together again: not to be gone on with
	Pending    bool   `json:"pending,omitempty"`   // a commit has begun, of which the topics may hold a part (at_least_once)
	Connector  string `json:"connector,omitempty"` // that published it last: "caldav", "google"

	Signal *Position `json:"signal,omitempty"` // of the last signal that its snapshots have heeded; nil: none
	Base   int64     `json:"base,omitempty"`   // rows that it had when its last snapshot began
	Hold   *Hold     `json:"hold,omitempty"`   // what a listing would delete; nil: nothing is held
}

// ResourceState is what is known of a resource.
type ResourceState struct {
	ETag    string
	Unknown bool   // its body could not be had since it was last reported
	Hash    Hash   // of its bytes as last read
	Epoch   int64  // of its last publication
	Parent  string // id of the resource that it goes with; "" where there is none
	Rows    []string
}

// Index is what is committed of a stream's resources and rows. It changes only by Ledger.Commit and Load, and may
// be read at any time between Load and the next error of Commit.
type Index interface {
	Resource(id string) (ResourceState, bool)
	// Row returns the hash of a row's content.
	Row(id string) (Hash, bool)
	// Body returns the row's JSON as last published, nil where it was not kept.
	Body(id string) ([]byte, error)
	// Resources runs over all in the order of their ids. What is committed meanwhile may be shown or not.
	Resources() iter.Seq2[string, ResourceState]
	// Unread are the ids, sorted, of the resources whose version is unknown.
	Unread() []string
	// Children are the ids, sorted, of the resources whose Parent is the given one.
	Children(parent string) []string
}

// Checkpoint is everything committed about one stream.
type Checkpoint struct {
	Stream Stream
	Offset *Offset      // nil: none, or forgotten
	State  *StreamState // nil: never seen
	Index  Index        // never nil
	// Lost, where set, says what is missing: the stream's state, or part of it, or what its data topic held. Ledger.Mend
	// comes before anything else.
	Lost error
	// Refused, where set, says why the stream cannot go on and what to do.
	Refused error
	// Caveat is what a mended stream cannot promise; "" where there is nothing.
	Caveat string
}

// Header is a Kafka record header.
type Header struct {
	Key   string
	Value []byte
}

// Record is one Kafka record to be published. A nil Value is a tombstone.
type Record struct {
	Topic     string
	Partition int32
	Key       []byte
	Value     []byte
	Headers   []Header
}

// ResourceChange sets or, with a nil State, removes what is known of a resource.
type ResourceChange struct {
	ID    string
	State *ResourceState
}

// RowChange sets or, with Deleted, removes what is known of a row.
type RowChange struct {
	ID      string
	Deleted bool
	Hash    Hash
	Body    []byte // the row's JSON, to be kept for the next before; nil: do not keep
}

// Transaction is what becomes visible together (Invariant 1), of one stream.
type Transaction struct {
	Stream    Stream
	Records   []Record     // data and notifications, in order
	State     *StreamState // nil: unchanged
	Resources []ResourceChange
	Rows      []RowChange
	Offset    *Offset // nil: unchanged
	Forget    bool    // remove the offset
}

// Ledger is one partition of <name>-offsets in the hands of its owner, with that partition of <name>-state and the
// producer that writes both beside the data.
type Ledger interface {
	// Load fences every earlier owner and returns what was committed (Invariant 4). After an error of Commit it
	// folds on from where the fold stood (Invariant 7). No Commit may be under way.
	Load(ctx context.Context) (map[Stream]*Checkpoint, error)

	// Open is the checkpoint of one stream as loaded: an empty one, with a live Index, where nothing is committed.
	// Load and Open return checkpoints whose State and Offset are the caller's own; their Index is the ledger's, and
	// follows its commits.
	Open(s Stream) *Checkpoint

	// Overtaken tells whether somebody else has committed to the partition since Load: an offset tool, or another
	// process. An owner that has nothing to commit would not notice otherwise. False is no proof (Invariant 4). ErrDoubt: Load again.
	Overtaken(ctx context.Context) (bool, error)

	// Mend puts together again what is known of a stream of which something is lost, as far as the data topic still holds it, and
	// commits it: its next pass is a reset, in an epoch above every one known, for the reason State.Due. Of a stream of which nothing is
	// committed it finds out whether everything is lost, to be loaded as such. A Mend that is cut short begins again. ErrDoubt: Load again.
	Mend(ctx context.Context, s Stream) (*Checkpoint, error)

	// Commit makes the transactions, in order, visible whole or not at all, with others that are ready at the same
	// time; all are of one stream. It is not cancelled by ctx once it has begun (Invariant 10). After a *RefusedError nothing was sent and
	// the ledger goes on. After any other error the outcome is unknown: Load again. ErrFenced: another owner has begun.
	Commit(ctx context.Context, txs []Transaction) error
}

// ErrDoubt says that what is committed is unknown until the next Load.
var ErrDoubt = errors.New("what is committed is unknown")

// ErrFenced says that another process has become the owner of the partition.
var ErrFenced = errors.New("fenced: another process has taken this partition")

// RefusedError says that a stream's transaction cannot be published as it is, e.g. a record larger than the
// broker allows. Nothing was sent.
type RefusedError struct {
	Stream Stream
	Reason string // what is wrong, with figures
	Hint   string // what to do: the setting to raise
}

func (e *RefusedError) Error() string { return e.Stream.String() + ": " + e.Reason + ": " + e.Hint }

// Topics tells how many partitions a data topic has, creating it where the configuration allows.
type Topics interface {
	Partitions(ctx context.Context, topic string) (int32, error)
}

// Committed is a record as a read_committed consumer reads it.
type Committed struct {
	Record
	Offset int64
	TimeMs int64 // the record's timestamp, ms since 1970
}

// TooLargeError says that one record alone exceeds what its topic takes.
type TooLargeError struct {
	Topic string
	Key   []byte
	Size  int // bytes of the batch that holds it alone, after compression
	Limit int // the topic's max.message.bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("a record of %d bytes (key %s) does not fit topic %s, which takes %d", e.Size, e.Key, e.Topic, e.Limit)
}
