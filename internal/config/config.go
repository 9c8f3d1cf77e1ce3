// Package config reads calcdc's configuration file.
//
// Load parses YAML into plain structs, replaces ${NAME}, ${NAME:-default} and ${file:PATH} in values, and answers
// with every fault of the file at once, each with its line and key. Schema describes the same structs as JSON Schema.
package config

import (
	"time"
)

// Config is the whole file. Tags: doc is the schema's description, enum the values allowed, later what a later
// version brings: it is in the schema, and using it is answered with "not in this version".
type Config struct {
	Name     string   `yaml:"name" doc:"Required. Names this connector: its consumer group, the prefix of its transactional ids and of its internal topics. It can't change later: another name starts over."`
	Kafka    Kafka    `yaml:"kafka" doc:"The Kafka cluster, and the topics that calcdc creates there."`
	Delivery string   `yaml:"delivery" enum:"exactly_once,at_least_once" doc:"exactly_once, or at_least_once (one process only) for brokers without transactions."`
	Offsets  Offsets  `yaml:"offsets" doc:"The internal topics <name>-offsets and <name>-state."`
	State    State    `yaml:"state" doc:"The local cache of <name>-state. It may be deleted at any time: Kafka holds everything."`
	Events   Events   `yaml:"events" doc:"The form of the records."`
	Limits   Limits   `yaml:"limits" doc:"What servers and brokers can make calcdc take, of memory and of time."`
	Deletes  Deletes  `yaml:"deletes" doc:"Guards against deletes that a calendar server's mistake would cause."`
	HTTP     HTTP     `yaml:"http" doc:"The admin server: /healthz, /metrics, and requests for snapshots."`
	Log      Log      `yaml:"log" doc:"Logging, on standard error."`
	Sources  []Source `yaml:"sources" doc:"Required. The calendar services to follow. Names are unique."`

	dir     string            // relative paths start here
	lines   map[string]int    // line of each key in the file
	written map[string]string // values as they stand in the file, where references were replaced
}

// Kafka is the cluster.
type Kafka struct {
	Brokers     []string `yaml:"brokers" doc:"Required. Brokers to start from, as host:port."`
	TopicPrefix string   `yaml:"topic_prefix" doc:"Data topics are <topic_prefix>.<source>.<stream>, e.g. cal.work.events. The default is the name."`
	Compression string   `yaml:"compression" enum:"none,gzip,snappy,lz4,zstd" doc:"Codec of everything that calcdc writes. Flink ships no zstd."`
	Group       Group    `yaml:"group" doc:"The consumer group <name>, by which processes with the same file share the work."`
	Transaction Txn      `yaml:"transaction" doc:"Bounds of what streams that are ready at the same time commit together."`
	Topics      Topics   `yaml:"topics" doc:"Settings of the topics that calcdc creates. Topics that exist are used as they are."`
	TLS         KafkaTLS `yaml:"tls" doc:"TLS to the brokers."`
	SASL        SASL     `yaml:"sasl" doc:"Authentication to the brokers."`
}

// Group is the consumer group of all processes of one name.
type Group struct {
	SessionTimeout time.Duration `yaml:"session_timeout" doc:"After this time without a sign of life, what a process followed is followed by the others. Brokers take 6 s and more, unless set otherwise."`
}

// Txn bounds a transaction. What one stream has ready is never split: one alone may exceed them.
type Txn struct {
	MaxRecords int  `yaml:"max_records" doc:"Records of several streams in one transaction, at most."`
	MaxBytes   Size `yaml:"max_bytes" doc:"Bytes of several streams in one transaction before compression, at most. Each partition of <name>-offsets that a process follows may hold as much in memory."`
}

// Topics are the settings of topics that calcdc creates.
type Topics struct {
	Partitions        int32             `yaml:"partitions" doc:"Partitions of a data topic."`
	ReplicationFactor int16             `yaml:"replication_factor" doc:"Replicas of every topic, internal ones too. 3 in production."`
	Config            map[string]string `yaml:"config" doc:"Topic settings, merged over the defaults; null leaves a default to the broker."`
}

// KafkaTLS is TLS to the brokers.
type KafkaTLS struct {
	Enabled  bool   `yaml:"enabled" doc:"Speak TLS."`
	CAFile   string `yaml:"ca_file" doc:"PEM file with the authorities to trust; empty: the system's. Relative paths start at the configuration file's folder."`
	CertFile string `yaml:"cert_file" doc:"PEM file with the client certificate, for brokers that ask for one."`
	KeyFile  string `yaml:"key_file" doc:"PEM file with the client certificate's key."`
}

// SASL is authentication to the brokers.
type SASL struct {
	Mechanism string `yaml:"mechanism" enum:",plain,scram-sha-256,scram-sha-512,oauthbearer" later:"oauthbearer" doc:"Empty: none."`
	Username  string `yaml:"username" doc:"Required with a mechanism."`
	Password  Secret `yaml:"password" doc:"Required with a mechanism. Better as ${NAME} or ${file:PATH} than written here."`
}

// Offsets sizes the internal topics.
type Offsets struct {
	Partitions int32 `yaml:"partitions" doc:"Partitions of <name>-offsets and <name>-state. Fixed for life: accounts are mapped to them."`
}

// Limits bound the memory and the time that servers and brokers can make calcdc take.
type Limits struct {
	Uncommitted Size          `yaml:"uncommitted" doc:"Bytes of records that are made and not yet committed, over all sources, at most. While Kafka is slow, polls wait."`
	Ahead       Size          `yaml:"ahead" doc:"Bytes of calendar objects that are read from a CalDAV service before their turn to be published, at most. They take several times that of memory."`
	Body        Size          `yaml:"body" doc:"Bytes of one calendar object of a CalDAV server, at most. A longer one is published with parse_error, without what it says. An item of Google's may have 16 MiB."`
	Collections int           `yaml:"collections" doc:"Collections of one account, at most. Of an account with more none is read, and its state says so."`
	Silence     time.Duration `yaml:"silence" doc:"The longest that a calendar server may say nothing in the middle of a request."`
}

// State is the local cache of <name>-state.
type State struct {
	Dir   string `yaml:"dir" doc:"Where it is kept, about 1 KB a row; none: in memory, and read from Kafka at each start. Empty: $CACHE_DIRECTORY (systemd's CacheDirectory=), else calcdc in the user's cache directory; where there is neither, none. Relative paths start at the configuration file's folder."`
	Cache Size   `yaml:"cache" doc:"How much of what is read from it is kept in memory."`
}

// Events is the form of the records.
type Events struct {
	Format     string `yaml:"format" enum:"json,json_schemas" later:"json_schemas" doc:"json: the Debezium envelope without schema."`
	Before     string `yaml:"before" enum:"full,key,none" doc:"What an update or delete tells of the old row: the full row, its key fields, or nothing. full keeps every row in <name>-state."`
	Raw        bool   `yaml:"raw" doc:"Carry what the server sent, as the column raw."`
	MaxRaw     Size   `yaml:"max_raw" doc:"A longer raw is left out; raw_type then ends in ;omitted."`
	Tombstones bool   `yaml:"tombstones" doc:"Follow each delete with a tombstone, so that compaction removes the row."`
	Markers    string `yaml:"markers" enum:"headers,json,notifications" later:"json,notifications" doc:"How snapshot markers stand in the data topics."`
	Resnapshot string `yaml:"resnapshot" enum:"full,changes" doc:"What a reset publishes: every row again (r), or only what differs (c, u, d). After a loss every row is published in any case."`
}

// Deletes guards against a listing that lacks what is there.
type Deletes struct {
	MaxFraction  float64       `yaml:"max_fraction" doc:"A listing that would delete more than this part of a stream's rows at once is held: nothing is deleted until another full look comes to the same, or somebody decides (calcdc deletes). 1 turns it off."`
	AboveRows    int64         `yaml:"above_rows" doc:"Streams with so many rows, or fewer, are not guarded."`
	ConfirmAfter time.Duration `yaml:"confirm_after" doc:"How long after the first look another may confirm it."`
}

// HTTP is the admin server.
type HTTP struct {
	Listen string `yaml:"listen" doc:"Address as host:port, on loopback; empty: no server."`
}

// Log is logging.
type Log struct {
	Level  string `yaml:"level" enum:"trace,debug,info,warn,error" doc:"The least level that is written."`
	Format string `yaml:"format" enum:"text,json" doc:"Lines of text, or a JSON object each."`
}

// Source is one upstream: a CalDAV service, or a Google set-up.
type Source struct {
	Name              string        `yaml:"name" doc:"Required. Stands in keys, rows and topic names. It can't change later: another name is another source."`
	PollInterval      time.Duration `yaml:"poll_interval" doc:"How often each account is asked for changes."`
	ReconcileInterval time.Duration `yaml:"reconcile_interval" doc:"How often everything is compared, for servers that forget silently; 0 turns it off."`
	Collections       Collections   `yaml:"collections" doc:"Which collections to follow, by globs on their id or display name; * crosses /."`
	CalDAV            *CalDAV       `yaml:"caldav" doc:"A CalDAV service (this, or google)."`
	Google            *Google       `yaml:"google" doc:"Google Calendar (this, or caldav)."`
}

// CalDAV is a CalDAV service.
type CalDAV struct {
	URL         string    `yaml:"url" doc:"Required. The server, its DAV root or a user's principal: discovery does the rest."`
	Accounts    []Account `yaml:"accounts" doc:"Required. The users to follow. Names are unique within the source."`
	Components  []string  `yaml:"components" enum:"VEVENT,VTODO,VJOURNAL" later:"VJOURNAL" doc:"Kinds of entry to follow."`
	Concurrency int       `yaml:"concurrency" doc:"Calendars that are read at once, at most, and requests in flight for each account."`
	TLS         CalDAVTLS `yaml:"tls" doc:"TLS to the service."`
}

// Account is one user: a user name and password (Basic), or a token (Bearer) with a name.
type Account struct {
	Name     string `yaml:"name" doc:"Stands in keys and rows. The default is the user name; required with a token alone."`
	Username string `yaml:"username" doc:"For Basic authentication."`
	Password Secret `yaml:"password" doc:"For Basic authentication; many services want an app password. Better as ${NAME} or ${file:PATH} than written here."`
	Token    Secret `yaml:"token" doc:"For Bearer authentication, in place of user name and password."`
}

// CalDAVTLS is TLS to a CalDAV service.
type CalDAVTLS struct {
	CAFile             string `yaml:"ca_file" doc:"PEM file with the authorities to trust beside the system's. Relative paths start at the configuration file's folder."`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify" doc:"Trust any certificate. Whoever is between reads passwords: for tests only."`
}

// Default is the configuration of a file that says nothing. It is not valid: it names no broker and no source.
func Default() *Config {
	return &Config{
		Kafka: Kafka{
			Compression: "lz4",
			Group:       Group{SessionTimeout: 10 * time.Second},
			Transaction: Txn{MaxRecords: 5000, MaxBytes: 16 << 20},
			Topics: Topics{Partitions: 6, ReplicationFactor: 1, Config: map[string]string{
				"cleanup.policy":        "compact",
				"min.compaction.lag.ms": "604800000", // a week: consumers that were away still see every change
				"delete.retention.ms":   "604800000",
				"max.message.bytes":     "8388608",
			}},
		},
		Delivery: "exactly_once",
		Offsets:  Offsets{Partitions: 16},
		State:    State{Cache: 32 << 20},
		Events: Events{Format: "json", Before: "full", Raw: true, MaxRaw: 1 << 20, Tombstones: true,
			Markers: "headers", Resnapshot: "full"},
		Limits:  Limits{Uncommitted: 64 << 20, Ahead: 64 << 20, Body: 16 << 20, Collections: 10_000, Silence: 2 * time.Minute},
		Deletes: Deletes{MaxFraction: 0.5, AboveRows: 100, ConfirmAfter: 5 * time.Minute},
		HTTP:    HTTP{Listen: "127.0.0.1:8083"},
		Log:     Log{Level: "info", Format: "text"},
	}
}

// DefaultSource is a source that says nothing.
func DefaultSource() Source {
	return Source{PollInterval: 30 * time.Second, ReconcileInterval: 24 * time.Hour,
		Collections: Collections{Include: []string{"*"}}}
}

// DefaultCalDAV is a CalDAV service that says nothing.
func DefaultCalDAV() CalDAV { return CalDAV{Components: []string{"VEVENT"}, Concurrency: 8} }

// defaulter is a struct that has defaults wherever it occurs.
type defaulter interface{ setDefaults() }

func (s *Source) setDefaults() { *s = DefaultSource() }
func (c *CalDAV) setDefaults() { *c = DefaultCalDAV() }
