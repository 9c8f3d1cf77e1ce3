package connector

import "time"

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
	Partitions  int32 // of <name>-offsets
}

// Source is a configured upstream.
type Source struct {
	Name              string
	Connector         string // "caldav": the envelope's source.connector
	PollInterval      time.Duration
	ReconcileInterval time.Duration // 0: never compare fully on a schedule
	Accounts          []Account
}

// DataTopic is the topic of a stream's rows.
func (c Config) DataTopic(s Stream) string {
	return c.TopicPrefix + "." + s.Source + "." + string(s.Kind)
}

// NotificationsTopic holds the last marker of each type of each stream.
func (c Config) NotificationsTopic() string { return c.TopicPrefix + ".notifications" }
