package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// SignalType says what a signal asks for.
type SignalType string

// The types of signals.
const (
	ExecuteSnapshot SignalType = "execute-snapshot" // the streams are read anew, in their next epoch
	ApproveDeletes  SignalType = "approve-deletes"  // what is held of them is deleted
	RefuseDeletes   SignalType = "refuse-deletes"   // it is not, until a listing shows all again or it is approved
)

// Bounds of a signal: what is beyond them is no signal.
const (
	maxSignal         = 64 << 10 // bytes of the value
	maxSignalTopics   = 100
	maxSignalPattern  = 500
	maxSignalSelector = 4096
	maxSignalProgram  = 20_000 // instructions of all its patterns
	instruction       = 64     // bytes of memory that one takes, about
)

// Signal is a request that somebody has written into the signal topic, in Debezium's form:
//
//	{"id": "…", "type": "execute-snapshot", "data": {"type": "incremental",
//	 "data-collections": ["cal.work.events"], "account": "alice", "collection": "/alice/work/"}}
//
// A decision may name what it is about with "held-since-ms". The record's key is the topic prefix. A data-collection is the name of a data topic or, where it has characters that
// no name has, a regular expression that matches the whole of names. Account and collection, where they are given, narrow the choice to
// streams of that account and that collection.
type Signal struct {
	ID         string
	Type       SignalType
	Account    string // "": any
	Collection string // "": any, and the streams of accounts too
	Topics     []string
	Held       int64 // of a decision: the Hold.SinceMs of what it is about; 0: whatever is held
	At         Position

	patterns []*regexp.Regexp
	seq      int
	size     int // bytes that it takes, about
}

// Position is where a record stands in the signal topic. Offsets begin anew where the topic is made anew: then the time tells.
type Position struct {
	Offset int64 `json:"offset"`
	TimeMs int64 `json:"time_ms"` // the latest of the record's own and those before it
}

// beyond tells whether what stands at p is yet to be heeded by one who has heeded all up to and with heeded.
func (p Position) beyond(heeded *Position) bool {
	return heeded == nil || p.Offset > heeded.Offset || p.TimeMs > heeded.TimeMs
}

type signalJSON struct {
	ID   string          `json:"id"`
	Type SignalType      `json:"type"`
	Data json.RawMessage `json:"data"` // an object, or a string that holds it
}

type signalData struct {
	Type                 string            `json:"type,omitempty"`
	DataCollections      []string          `json:"data-collections"`
	Account              string            `json:"account,omitempty"`
	Collection           string            `json:"collection,omitempty"`
	HeldSinceMs          int64             `json:"held-since-ms,omitempty"`
	AdditionalConditions []json.RawMessage `json:"additional-conditions,omitempty"`
	AdditionalCondition  string            `json:"additional-condition,omitempty"`
}

// ParseSignal reads the value of a signal's record.
func ParseSignal(value []byte) (Signal, error) {
	var v signalJSON
	if len(value) > maxSignal {
		return Signal{}, fmt.Errorf("%d bytes are more than %d", len(value), maxSignal)
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return Signal{}, err
	}
	if !v.Type.known() {
		return Signal{}, fmt.Errorf("the type %.100q is none of %s", v.Type, strings.Join(signalTypes(), ", "))
	}
	var text string
	if json.Unmarshal(v.Data, &text) == nil {
		v.Data = json.RawMessage(text)
	}
	var d signalData
	if err := json.Unmarshal(v.Data, &d); err != nil {
		return Signal{}, fmt.Errorf("its data: %w", err)
	}
	if err := d.check(v.Type); err != nil {
		return Signal{}, err
	}
	s := Signal{ID: v.ID, Type: v.Type, Account: d.Account, Collection: d.Collection, Topics: d.DataCollections, Held: d.HeldSinceMs, size: len(value)}
	return s, s.compile()
}

func (t SignalType) known() bool { return slices.Contains(signalTypes(), string(t)) }

func signalTypes() []string {
	return []string{string(ExecuteSnapshot), string(ApproveDeletes), string(RefuseDeletes)}
}

// check refuses what would be carried out otherwise than it says.
func (d *signalData) check(t SignalType) error {
	kind := strings.ToLower(d.Type)
	switch {
	case t == ExecuteSnapshot && kind != "" && kind != "incremental" && kind != "blocking":
		return fmt.Errorf("the kind of snapshot %.100q is neither incremental nor blocking", d.Type)
	case t == ExecuteSnapshot && d.HeldSinceMs != 0:
		return errors.New("held-since-ms is for decisions about deletes")
	case len(d.AdditionalConditions) > 0 || d.AdditionalCondition != "":
		return errors.New("additional conditions cannot be met: account and collection choose streams")
	case len(d.DataCollections) == 0:
		return errors.New("it names no data-collections")
	case len(d.DataCollections) > maxSignalTopics:
		return fmt.Errorf("%d data-collections are more than %d", len(d.DataCollections), maxSignalTopics)
	case len(d.Account) > maxSignalSelector || len(d.Collection) > maxSignalSelector:
		return fmt.Errorf("an account or collection of more than %d bytes", maxSignalSelector)
	}
	return nil
}

var topicName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// compile makes the patterns of what is not the name of a topic.
func (s *Signal) compile() error {
	program := 0
	for _, text := range s.Topics {
		if text == "" || len(text) > maxSignalPattern {
			return fmt.Errorf("a data-collection of %d bytes; there must be 1 to %d", len(text), maxSignalPattern)
		}
		if topicName.MatchString(text) {
			continue
		}
		re, n, err := pattern(text)
		if err == nil && program+n > maxSignalProgram {
			err = errors.New("the patterns of the signal are too large together")
		}
		if err != nil {
			return fmt.Errorf("the data-collection %.100q: %w", text, err)
		}
		program += n
		s.size += n * instruction
		s.patterns = append(s.patterns, re)
	}
	return nil
}

// pattern makes a regular expression for the whole of names, and tells how many instructions it is. The text has to be one by itself: else it
// could close the group that keeps it whole.
func pattern(text string) (*regexp.Regexp, int, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > maxSignalProgram {
		return nil, maxSignalProgram + 1, err
	}
	re, err := regexp.Compile(`^(?:` + text + `)$`)
	return re, len(program.Inst), err
}

// Value is the value of a record that asks for the same.
func (s *Signal) Value() []byte {
	d := signalData{DataCollections: s.Topics, Account: s.Account, Collection: s.Collection, HeldSinceMs: s.Held}
	if s.Type == ExecuteSnapshot {
		d.Type = "incremental"
	}
	return appendJSON(nil, signalJSON{ID: s.ID, Type: s.Type, Data: appendJSON(nil, d)})
}

// Selects tells whether the signal is meant for a stream, whose rows are in topic.
func (s *Signal) Selects(stream Stream, topic string) bool {
	if s.Account != "" && s.Account != stream.Account || s.Collection != "" && s.Collection != stream.Collection {
		return false
	}
	return slices.Contains(s.Topics, topic) ||
		slices.ContainsFunc(s.patterns, func(re *regexp.Regexp) bool { return re.MatchString(topic) })
}

// same tells whether two signals ask for the same of the same streams.
func (s *Signal) same(o *Signal) bool {
	return s.Type == o.Type && s.Held == o.Held && s.Account == o.Account && s.Collection == o.Collection && slices.Equal(s.Topics, o.Topics)
}
