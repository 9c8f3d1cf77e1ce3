package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What names and figures may be. Kafka allows 249 characters in a topic's name; the columns of key fields that SQL
// sinks create are 64 (source) and 190 (account) long.
const (
	maxTopic       = 249
	maxSourceName  = 64
	maxAccountName = 190
	minPoll        = time.Second
	minReconcile   = time.Minute
	maxConcurrency = 256
	maxPartitions  = 10_000
	maxMaxRaw      = 64 << 20
	minUncommitted = 1 << 20
	maxUncommitted = 64 << 30
	minBody        = 64 << 10
	maxBody        = 64 << 20
	maxCollections = 1_000_000
	minSilence     = time.Second
	maxSilence     = time.Hour
	minStateCache  = 1 << 20
	maxStateCache  = 64 << 30
	minSession     = time.Second // what brokers take is theirs to say: 6 s, unless set otherwise
	maxSession     = 30 * time.Minute
	maxTxnRecords  = 100_000
	minTxnBytes    = 64 << 10
	maxTxnBytes    = 256 << 20 // what a transaction's 15 s can carry

	maxAboveRows    = 1_000_000_000
	maxConfirmAfter = 7 * 24 * time.Hour
)

var topicPart = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// Validate returns Faults, everything that is wrong, or nil.
func (c *Config) Validate() error { return c.faults().err() }

type checker struct {
	lines   map[string]int
	written map[string]string
	faults  Faults
}

// quote shows a value as it stands in the file: what a reference stood for may be a secret.
func (k *checker) quote(key, value string) string {
	if written, ok := k.written[key]; ok {
		value = written
	}
	return strconv.Quote(value)
}

// fail reports key, on its line or that of the nearest key around it.
func (k *checker) fail(key, format string, args ...any) {
	if len(k.faults) >= maxFaults {
		return
	}
	line := 0
	for at := key; at != "" && line == 0; {
		line = k.lines[at]
		at = at[:max(strings.LastIndexAny(at, ".["), 0)]
	}
	k.faults = append(k.faults, Fault{Line: line, Key: key, Message: fmt.Sprintf(format, args...)})
}

func (k *checker) between(key string, value, low, high int64) {
	if value < low || value > high {
		k.fail(key, "is %d; it must be between %d and %d", value, low, high)
	}
}

func (c *Config) faults() Faults {
	k := &checker{lines: c.lines, written: c.written}
	k.topicName("name", c.Name, maxTopic-len("-offsets"))
	if c.Kafka.TopicPrefix != c.Name {
		k.topicName("kafka.topic_prefix", c.Kafka.TopicPrefix, maxTopic-len(".notifications"))
	}
	k.kafka(c.Kafka)
	k.between("offsets.partitions", int64(c.Offsets.Partitions), 1, maxPartitions)
	k.between("state.cache", int64(c.State.Cache), minStateCache, maxStateCache)
	k.between("events.max_raw", int64(c.Events.MaxRaw), 0, maxMaxRaw)
	k.limits(c.Limits)
	k.deletes(c.Deletes)
	k.listen(c.HTTP.Listen)
	k.sources(c)
	return k.faults
}

func (k *checker) topicName(key, name string, longest int) {
	switch {
	case name == "":
		k.fail(key, "required; give it a short name, e.g. team-cal")
	case !topicPart.MatchString(name) || name == "." || name == "..":
		k.fail(key, "%s becomes part of topic names; use letters, digits, '.', '_' and '-' only", k.quote(key, name))
	case len(name) > longest:
		k.fail(key, "is %d characters long; at most %d fit a topic's name", len(name), longest)
	}
}

func (k *checker) kafka(c Kafka) {
	if len(c.Brokers) == 0 {
		k.fail("kafka.brokers", "required; name at least one broker, e.g. [127.0.0.1:9092]")
	}
	for i, b := range c.Brokers {
		k.hostPort(fmt.Sprintf("kafka.brokers[%d]", i), b)
	}
	if t := c.Group.SessionTimeout; t < minSession || t > maxSession {
		k.fail("kafka.group.session_timeout", "is %v; it must be between %v and %v", t, minSession, maxSession)
	}
	k.between("kafka.transaction.max_records", int64(c.Transaction.MaxRecords), 1, maxTxnRecords)
	k.between("kafka.transaction.max_bytes", int64(c.Transaction.MaxBytes), minTxnBytes, maxTxnBytes)
	k.between("kafka.topics.partitions", int64(c.Topics.Partitions), 1, maxPartitions)
	k.between("kafka.topics.replication_factor", int64(c.Topics.ReplicationFactor), 1, 100)
	k.kafkaTLS(c.TLS)
	k.sasl(c.SASL)
}

func (k *checker) hostPort(key, address string) bool {
	host, port, err := net.SplitHostPort(address)
	n, numErr := strconv.ParseUint(port, 10, 16)
	if err != nil || numErr != nil || host == "" || (n == 0 && !strings.HasPrefix(key, "http")) {
		k.fail(key, "%s is not host:port, e.g. 127.0.0.1:9092", k.quote(key, address))
		return false
	}
	return true
}

func (k *checker) kafkaTLS(t KafkaTLS) {
	if !t.Enabled && (t.CAFile != "" || t.CertFile != "" || t.KeyFile != "") {
		k.fail("kafka.tls.enabled", "is false, but there are TLS files; set it to true, or remove them")
	}
	k.caFile("kafka.tls.ca_file", t.CAFile)
	if (t.CertFile == "") != (t.KeyFile == "") {
		k.fail("kafka.tls.cert_file", "belongs together with kafka.tls.key_file; give both or neither")
		return
	}
	if t.CertFile == "" {
		return
	}
	if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
		k.fail("kafka.tls.cert_file", "reading the client certificate and its key: %v", pathless(err))
	}
}

func (k *checker) caFile(key, path string) {
	if path == "" {
		return
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		k.fail(key, "reading %s: %v", k.quote(key, path), pathless(err))
	} else if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		k.fail(key, "%s holds no certificate in PEM form", k.quote(key, path))
	}
}

// pathless is the reason alone, e.g. "no such file or directory".
func pathless(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func (k *checker) sasl(s SASL) {
	if s.Mechanism == "" {
		if s.Username != "" || s.Password.Set() {
			k.fail("kafka.sasl.mechanism", "required with a user name or password: plain, scram-sha-256 or scram-sha-512")
		}
		return
	}
	if s.Username == "" {
		k.fail("kafka.sasl.username", "required with a mechanism")
	}
	if !s.Password.Set() {
		k.fail("kafka.sasl.password", "required with a mechanism")
	}
}

func (k *checker) deletes(d Deletes) {
	if d.MaxFraction < 0 || d.MaxFraction > 1 {
		k.fail("deletes.max_fraction", "is %v; it must be between 0 and 1, which turns the guard off", d.MaxFraction)
	}
	k.between("deletes.above_rows", d.AboveRows, 0, maxAboveRows)
	if d.ConfirmAfter < time.Second || d.ConfirmAfter > maxConfirmAfter {
		k.fail("deletes.confirm_after", "is %v; it must be between %v and %v", d.ConfirmAfter, time.Second, maxConfirmAfter)
	}
}

func (k *checker) limits(l Limits) {
	k.between("limits.uncommitted", int64(l.Uncommitted), minUncommitted, maxUncommitted)
	k.between("limits.ahead", int64(l.Ahead), minUncommitted, maxUncommitted)
	k.between("limits.body", int64(l.Body), minBody, maxBody)
	k.between("limits.collections", int64(l.Collections), 1, maxCollections)
	if l.Silence < minSilence || l.Silence > maxSilence {
		k.fail("limits.silence", "is %v; it must be between %v and %v", l.Silence, minSilence, maxSilence)
	}
}

func (k *checker) listen(address string) {
	if address == "" || !k.hostPort("http.listen", address) {
		return
	}
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !ip.IsLoopback()) {
		k.fail("http.listen", "%s: an address other than loopback is not in this version; use 127.0.0.1:8083, or \"\" for none", k.quote("http.listen", address))
	}
}

func (k *checker) sources(c *Config) {
	if len(c.Sources) == 0 {
		k.fail("sources", "required; name at least one, with caldav: {url: …, accounts: […]}, or google: {…}")
	}
	seen := map[string]string{}
	for i, s := range c.Sources {
		key := fmt.Sprintf("sources[%d]", i)
		k.topicName(key+".name", s.Name, min(maxSourceName, maxTopic-len(c.Kafka.TopicPrefix)-len("..calendars")))
		folded := strings.ReplaceAll(s.Name, "_", ".") // Kafka takes topics that differ in these for the same metric
		if first, again := seen[folded]; again && s.Name != "" {
			k.fail(key+".name", "%s is taken by %s ('.' and '_' count as the same); give each source a name of its own", k.quote(key+".name", s.Name), first)
		} else {
			seen[folded] = key
		}
		k.source(key, s)
	}
}

func (k *checker) source(key string, s Source) {
	if s.PollInterval < minPoll {
		k.fail(key+".poll_interval", "is %v; the least is %v", s.PollInterval, minPoll)
	}
	if s.ReconcileInterval != 0 && s.ReconcileInterval < minReconcile {
		k.fail(key+".reconcile_interval", "is %v; the least is %v, and 0 turns it off", s.ReconcileInterval, minReconcile)
	}
	if len(s.Collections.Include) == 0 {
		k.fail(key+".collections.include", `is empty, so nothing would be followed; write ["*"] for all`)
	}
	if s.CalDAV != nil {
		k.caldav(key+".caldav", *s.CalDAV)
	}
	if s.Google != nil {
		k.google(key+".google", s)
	}
	_, emptyGoogle := k.lines[key+".google"]
	switch {
	case s.CalDAV != nil && s.Google != nil:
		k.fail(key+".google", "stands beside caldav; a source is one of them: make two sources, each with a name")
	case s.CalDAV == nil && s.Google == nil && emptyGoogle:
		k.fail(key+".google", "is empty; write google: {} for the Application Default Credentials' own account")
	case s.CalDAV == nil && s.Google == nil:
		k.fail(key, "says not what it is; add caldav: {url: …, accounts: […]}, or google: {…}")
	}
}

func (k *checker) caldav(key string, c CalDAV) {
	k.davURL(key+".url", c.URL)
	k.between(key+".concurrency", int64(c.Concurrency), 1, maxConcurrency)
	k.caFile(key+".tls.ca_file", c.TLS.CAFile)
	if len(c.Components) == 0 {
		k.fail(key+".components", "is empty; name at least one of VEVENT, VTODO")
	}
	if len(c.Accounts) == 0 {
		k.fail(key+".accounts", "required; name at least one, e.g. [{username: alice, password: \"${DAV_PASSWORD}\"}]")
	}
	seen := map[string]int{}
	for i, a := range c.Accounts {
		at := fmt.Sprintf("%s.accounts[%d]", key, i)
		k.account(at, a)
		if first, again := seen[a.Name]; again && a.Name != "" {
			k.fail(at+".name", "is taken by accounts[%d]; give each account of a source a name of its own", first)
		}
		if _, again := seen[a.Name]; !again {
			seen[a.Name] = i
		}
	}
}

func (k *checker) account(key string, a Account) {
	switch {
	case a.Token.Set() && a.Password.Set():
		k.fail(key+".token", "stands beside a password; give one of them")
	case a.Token.Set() && a.Name == "":
		k.fail(key+".name", "required with a token: it stands in keys and rows")
	case a.Token.Set():
	case a.Username == "":
		k.fail(key+".username", "required (or a token: with a name:)")
	case !a.Password.Set():
		k.fail(key+".password", "required and not empty (or a token: with a name:)")
	}
	if len(a.Name) > maxAccountName {
		k.fail(key+".name", "is %d bytes long; at most %d fit a key column", len(a.Name), maxAccountName)
	}
}

func (k *checker) davURL(key, text string) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		k.fail(key, "required; the server's address, e.g. https://dav.example.org/")
	case err != nil: // the parser's error quotes the URL, which may hold a password
		k.fail(key, "is not a URL, e.g. https://dav.example.org/")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		k.fail(key, "must begin with https:// (or http://) and a host")
	case u.User != nil:
		k.fail(key, "holds a user name; put it under accounts")
	case u.RawQuery != "" || u.Fragment != "":
		k.fail(key, "must not have a query or a fragment")
	}
}
