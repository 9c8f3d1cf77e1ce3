package kafka

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
)

// Identity tells a topic from another of the same name.
type Identity struct {
	Cluster string
	Topic   string        // the topic's id; "" from brokers before Kafka 2.8, which have none
	Deletes time.Duration // how long the topic keeps the deletes that compaction has seen: delete.retention.ms
}

// Identify asks which topic has the name.
func (c *Client) Identify(ctx context.Context, topic string) (Identity, error) {
	id, err := c.identify(ctx, topic)
	if err != nil {
		return Identity{}, fmt.Errorf("asking which topic %s is: %w", topic, explain(err))
	}
	settings, err := c.topicConfig(ctx, topic, deleteRetention)
	if err != nil {
		return Identity{}, err
	}
	ms, err := strconv.ParseInt(settings[deleteRetention], 10, 64)
	if err != nil {
		return Identity{}, fmt.Errorf("reading %s of topic %s: %w", deleteRetention, topic, err)
	}
	id.Deletes = time.Duration(min(ms, int64(maxDeletes/time.Millisecond))) * time.Millisecond
	return id, nil
}

const (
	deleteRetention = "delete.retention.ms"
	maxDeletes      = 100 * 365 * 24 * time.Hour // what is longer would not fit a Duration
)

func (c *Client) identify(ctx context.Context, topic string) (Identity, error) {
	var found *topicID
	err := retry(ctx, requestTimeout, func() (again bool, err error) {
		found, err = ask[*topicID](ctx, c, requestTimeout, &topicIDRequest{topic: topic, clientID: c.cfg.ClientID})
		return passes(err), err
	})
	if err != nil {
		return Identity{}, err
	}
	if !found.untold {
		return Identity{Cluster: found.cluster, Topic: found.id}, found.err
	}
	m, err := c.describe(ctx, topic)
	if err != nil {
		return Identity{}, err
	}
	return Identity{Cluster: m.ClusterID}, nil
}

// topicIDRequest is a metadata request of version 10, the first that tells topics' ids, for one topic; kafka-go speaks up to 8.
type topicIDRequest struct {
	topic    string
	clientID string
}

const metadataVersion = 10

// ApiKey makes it a message of kafka-go.
func (*topicIDRequest) ApiKey() protocol.ApiKey { return protocol.Metadata }

// Broker is any: the transport would answer from what it knows.
func (*topicIDRequest) Broker(protocol.Cluster) (protocol.Broker, error) {
	return protocol.Broker{ID: -1}, nil
}

// Required says that the exchange is ours.
func (*topicIDRequest) Required(map[protocol.ApiKey]int16) bool { return true }

// RawExchange sends the request and reads its answer, if this very broker speaks the version: one that does not would close the connection,
// as one does that is being restarted.
func (r *topicIDRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if speaks, err := r.speaks(rw); err != nil || !speaks {
		return &topicID{untold: true}, err
	}
	if _, err := rw.Write(r.encode()); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(rw, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > metadataLimit {
		return nil, fmt.Errorf("an answer of %d bytes is too large", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(rw, body); err != nil {
		return nil, err
	}
	return parseTopicID(body)
}

func (r *topicIDRequest) speaks(rw io.ReadWriter) (bool, error) {
	m, err := protocol.RoundTrip(rw, 0, 1, r.clientID, new(apiversions.Request))
	if err != nil {
		return false, err
	}
	versions, ok := m.(*apiversions.Response)
	if !ok {
		return false, protocol.Errorf("an answer of type %T", m)
	}
	return slices.ContainsFunc(versions.ApiKeys, func(k apiversions.ApiKeyResponse) bool {
		return k.ApiKey == int16(protocol.Metadata) && k.MinVersion <= metadataVersion && metadataVersion <= k.MaxVersion
	}), code(versions.ErrorCode)
}

const metadataLimit = 1 << 20 // of an answer about one topic

func (r *topicIDRequest) encode() []byte {
	b := make([]byte, 4, 64+len(r.clientID)+len(r.topic))
	b = binary.BigEndian.AppendUint16(b, uint16(protocol.Metadata))
	b = binary.BigEndian.AppendUint16(b, metadataVersion)
	b = binary.BigEndian.AppendUint32(b, 1) // correlation id
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.clientID)))
	b = append(append(b, r.clientID...), 0) // no tags
	b = append(b, 2)                        // one topic
	b = append(b, make([]byte, 16)...)      // by name, not by id
	b = binary.AppendUvarint(b, uint64(len(r.topic)+1))
	b = append(append(b, r.topic...), 0)
	b = append(b, 0, 0, 0, 0) // it is not to be created; no authorisations; no tags
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// topicID is the answer.
type topicID struct {
	err         error
	cluster, id string
	untold      bool // the broker knows of no ids
}

// ApiKey makes it a message of kafka-go.
func (*topicID) ApiKey() protocol.ApiKey { return protocol.Metadata }

// parseTopicID reads the body of a response, from its correlation id up to the topic's id.
func parseTopicID(body []byte) (*topicID, error) {
	p := parser{b: body}
	p.take(4) // correlation id
	p.tags()
	p.take(4) // throttle time
	for n := p.compact(); n > 0 && p.err == nil; n-- {
		p.take(4) // broker
		p.take(p.compact())
		p.take(4) // port
		p.take(p.compact())
		p.tags()
	}
	t := &topicID{cluster: string(p.take(p.compact()))}
	p.take(4) // controller
	if n := p.compact(); n != 1 && p.err == nil {
		return nil, fmt.Errorf("an answer of %d topics for one", n)
	}
	t.err = code(p.int16())
	p.take(p.compact()) // name
	if id := p.take(16); id != nil && [16]byte(id) != [16]byte{} {
		t.id = hex.EncodeToString(id)
	}
	if p.err != nil {
		return nil, fmt.Errorf("reading the answer: %w", p.err)
	}
	return t, nil
}

// compact takes a length as flexible versions write it; null counts as 0.
func (p *parser) compact() int {
	n := p.uvarint()
	if n > uint64(len(p.b))+1 {
		p.fail()
		return 0
	}
	return max(int(n)-1, 0)
}

// tags takes tagged fields.
func (p *parser) tags() {
	for n := p.uvarint(); n > 0 && p.err == nil; n-- {
		p.uvarint() // tag
		p.take(int(min(p.uvarint(), uint64(len(p.b)+1))))
	}
}

func (p *parser) uvarint() uint64 {
	n, size := binary.Uvarint(p.b)
	if size <= 0 {
		p.fail()
		return 0
	}
	p.b = p.b[size:]
	return n
}

var _ kafkago.Request = (*topicIDRequest)(nil)
