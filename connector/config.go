package connector

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Before says what the before of an update or a delete holds.
type Before string

// The forms of before.
const (
	BeforeFull Before = "full" // the whole old row
	BeforeKey  Before = "key"  // the key's fields
	BeforeNone Before = "none" // null
)

// Config is what the connector itself needs to know; sources, ledgers and topics bring their own.
type Config struct {
	Version     string // of calcdc, for the envelope
	TopicPrefix string // data topics are <prefix>.<source>.<kind>, notifications <prefix>.notifications
	Before      Before
	Tombstones  bool
	// Changes says that a reset publishes what differs, as c, u and d, in place of every row. A first snapshot, and one after
	// a loss, publishes every row all the same.
	Changes    bool
	Partitions int32 // of <name>-offsets
	// Uncommitted bounds the bytes of records that have been made and are not yet committed, over all streams: 0 stands for 64 MiB.
	Uncommitted int64
	Collections int    // of an account, at most: 0 stands for 10,000
	Guard       *Guard // nil: whatever a listing does not show is deleted
}

// Source is a configured upstream.
type Source struct {
	Name              string
	Connector         string // "caldav": the envelope's source.connector
	PollInterval      time.Duration
	ReconcileInterval time.Duration // 0: never compare fully on a schedule
	Accounts          []Account
	// Find asks for accounts besides; nil: there are no others. It is called at the start and every ten minutes; one that is
	// found again is the same Account, one that is no longer found is left as it stands.
	Find func(context.Context) ([]Account, error)
	// Streams are the kinds that are followed; nil: events and calendars. Calendars must be among them.
	Streams []Kind
	// Passes is how many streams are polled at once, and so bounds the pages held in memory: 0 stands for 8.
	// PassesPerAccount is how many of them may be of one account: 0 stands for all.
	Passes, PassesPerAccount int
}

// follows tells whether streams of the kind are followed.
func (s *Source) follows(k Kind) bool {
	if s.Streams == nil {
		return k == Events || k == Calendars
	}
	return slices.Contains(s.Streams, k)
}

func (s *Source) passes() int { return cmp.Or(s.Passes, passesPerSource) }

func (s *Source) passesPerAccount() int {
	return min(s.passes(), cmp.Or(s.PassesPerAccount, s.passes()))
}

// DataTopic is the topic of a stream's rows.
func (c Config) DataTopic(s Stream) string {
	return c.TopicPrefix + "." + s.Source + "." + string(s.Kind)
}

// NotificationsTopic holds the last marker of each type of each stream.
func (c Config) NotificationsTopic() string { return c.TopicPrefix + ".notifications" }

// SignalTopic is where requests are written. It has one partition.
func (c Config) SignalTopic() string { return c.TopicPrefix + "-signal" }
