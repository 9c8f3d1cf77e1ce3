package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// record is a committed record.
type record struct {
	topic     string
	partition int32
	offset    int64
	key       []byte
	value     []byte
	headers   map[string]string
}

func (r record) String() string {
	return fmt.Sprintf("%s[%d]@%d %s", r.topic, r.partition, r.offset, r.key)
}

// tail reads what was committed, with nothing of calcdc's: it asks the leader for what stands below the last stable offset.
type tail struct {
	w     *world
	next  map[place]int64
	conns map[int]net.Conn // by broker
}

type place struct {
	topic     string
	partition int32
}

// read returns what was committed to a partition since the last call.
func (t *tail) read(p place) ([]record, error) {
	var out []record
	for {
		if t.w.cluster.LeaderFor(p.topic, p.partition) < 0 { // it is lost
			return out, nil
		}
		recs, next, end, err := t.fetch(p, t.next[p])
		if err != nil {
			return nil, err
		}
		out = append(out, recs...)
		if next == t.next[p] || next >= end {
			t.next[p] = next
			return out, nil
		}
		t.next[p] = next
	}
}

// tailBytes marks the requests of a tail: they meet no trouble.
const tailBytes = 1<<24 + 1

// fetch reads once, and returns where to read on, and the last stable offset.
func (t *tail) fetch(p place, from int64) (recs []record, next, end int64, err error) {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MinBytes, req.MaxBytes, req.IsolationLevel, req.SessionEpoch = 11, -1, 0, tailBytes, 1, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = p.topic
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes, part.CurrentLeaderEpoch = p.partition, from, 1<<24, -1
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	res := kmsg.NewPtrFetchResponse()
	if err := t.ask(int(t.w.cluster.LeaderFor(p.topic, p.partition)), req, res); err != nil {
		return nil, from, 0, err
	}
	got := res.Topics[0].Partitions[0]
	if got.ErrorCode != 0 {
		return nil, from, 0, fmt.Errorf("fetching %v: code %d", p, got.ErrorCode)
	}
	recs, next, err = decode(p, from, &got)
	return recs, next, got.LastStableOffset, err
}

// ask sends one request over the connection that is kept to the broker.
func (t *tail) ask(node int, req kmsg.Request, res kmsg.Response) error {
	conn := t.conns[node]
	if conn == nil {
		var err error
		if conn, err = t.w.overseer.Dial(context.Background(), "tcp", t.w.brokers[node]); err != nil {
			return err
		}
		t.conns[node] = conn
	}
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		return err
	}
	size := make([]byte, 4)
	if _, err := io.ReadFull(conn, size); err != nil {
		return err
	}
	body := make([]byte, binary.BigEndian.Uint32(size))
	if _, err := io.ReadFull(conn, body); err != nil {
		return err
	}
	res.SetVersion(req.GetVersion())
	return res.ReadFrom(body[4:])
}

// decode walks the batches of an answer (KIP-98): those of aborted transactions are passed over.
func decode(p place, from int64, got *kmsg.FetchResponseTopicPartition) ([]record, int64, error) {
	aborted := slices.Clone(got.AbortedTransactions)
	active := map[int64]bool{}
	var out []record
	next := from
	for b := got.RecordBatches; len(b) >= 61; {
		n := 12 + int(binary.BigEndian.Uint32(b[8:]))
		if len(b) < n {
			break
		}
		var batch kmsg.RecordBatch
		if err := batch.ReadFrom(b[:n]); err != nil {
			return nil, 0, err
		}
		b = b[n:]
		last := batch.FirstOffset + int64(batch.LastOffsetDelta)
		aborted = slices.DeleteFunc(aborted, func(a kmsg.FetchResponseTopicPartitionAbortedTransaction) bool {
			if a.FirstOffset <= last {
				active[a.ProducerID] = true
			}
			return a.FirstOffset <= last
		})
		switch control := batch.Attributes&0x20 != 0; {
		case control:
			delete(active, batch.ProducerID)
		case !active[batch.ProducerID]:
			recs, err := unpack(p, &batch)
			if err != nil {
				return nil, 0, err
			}
			for _, r := range recs {
				if r.offset >= from {
					out = append(out, r)
				}
			}
		}
		next = max(next, last+1)
	}
	return out, next, nil
}

func unpack(p place, batch *kmsg.RecordBatch) ([]record, error) {
	var out []record
	b := batch.Records
	for range batch.NumRecords {
		n, size := binary.Varint(b)
		if size <= 0 || len(b) < size+int(n) {
			return nil, fmt.Errorf("%v: a record is cut", p)
		}
		var kr kmsg.Record
		if err := kr.ReadFrom(b[:size+int(n)]); err != nil {
			return nil, err
		}
		b = b[size+int(n):]
		r := record{topic: p.topic, partition: p.partition, offset: batch.FirstOffset + int64(kr.OffsetDelta), key: kr.Key, value: kr.Value, headers: map[string]string{}}
		for _, h := range kr.Headers {
			r.headers[h.Key] = string(h.Value)
		}
		out = append(out, r)
	}
	return out, nil
}
