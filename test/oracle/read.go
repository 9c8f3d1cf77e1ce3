package oracle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Reader folds topics as a read_committed consumer sees them.
type Reader struct {
	Fold    *Fold
	topics  []string
	brokers []string
	client  *kgo.Client
	next    map[string]map[int32]int64 // position by topic and partition
	// Seen, where set, is told every record.
	Seen func(Record)
}

// NewReader reads topics, which need not exist yet, from their beginning.
func NewReader(brokers []string, topics ...string) (*Reader, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.MetadataMinAge(200*time.Millisecond), kgo.MetadataMaxAge(time.Second),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.RetryTimeout(15*time.Second), kgo.UnknownTopicRetries(-1))
	if err != nil {
		return nil, fmt.Errorf("making the oracle's client: %w", err)
	}
	return &Reader{Fold: NewFold(), brokers: brokers, topics: topics, client: cl, next: map[string]map[int32]int64{}}, nil
}

// Close ends the client.
func (r *Reader) Close() { r.client.Close() }

// CatchUp reads all that is committed now and returns how many records were new.
func (r *Reader) CatchUp(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	ends, err := r.ends(ctx)
	if err != nil {
		return 0, err
	}
	before := r.Fold.Records
	err = r.readTo(ctx, ends)
	return r.Fold.Records - before, err
}

// Broken returns the rules that were broken. A marker and its notification become visible together, but are read one after the other: what
// seems to lack is read on for.
func (r *Reader) Broken(ctx context.Context) []string {
	const rounds = 20
	for range rounds {
		if len(r.Fold.Notified()) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
		if _, err := r.CatchUp(ctx); err != nil {
			return []string{err.Error()}
		}
	}
	return slices.Concat(r.Fold.Faults, r.Fold.Notified())
}

// Stable reads what is committed and comes before the first open transaction, without waiting for that to end. open
// is how many records are in the log behind it.
func (r *Reader) Stable(ctx context.Context) (open int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	stable, err := r.offsets(ctx, 1)
	if err != nil {
		return 0, err
	}
	high, err := r.offsets(ctx, 0)
	if err != nil {
		return 0, err
	}
	for topic, partitions := range high {
		for p, end := range partitions {
			open += end - stable[topic][p]
		}
	}
	return open, r.readTo(ctx, stable)
}

func (r *Reader) readTo(ctx context.Context, ends map[string]map[int32]int64) error {
	for !r.reached(ends) {
		fetches := r.client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("reading up to %v, at %v: %w", ends, r.next, err)
		}
		fetches.EachRecord(r.add)
	}
	return nil
}

// Follow reads what is committed as it comes, until ctx ends. What a client says is lost is a fault.
func (r *Reader) Follow(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := r.client.PollFetches(ctx)
		fetches.EachError(func(topic string, p int32, err error) {
			var lost *kgo.ErrDataLoss
			if errors.As(err, &lost) {
				r.Fold.Faults = append(r.Fold.Faults, fmt.Sprintf("%s[%d]: %v", topic, p, err))
			}
		})
		fetches.EachRecord(r.add)
	}
}

// Arrivals waits until records have come to the log n times since the last CatchUp, committed or not, or ctx ends.
func (r *Reader) Arrivals(ctx context.Context, n int) error {
	from := map[string]map[int32]kgo.Offset{}
	existing, err := r.partitions(ctx)
	if err != nil {
		return err
	}
	for _, t := range existing {
		from[t.Topic] = map[int32]kgo.Offset{}
		for _, p := range t.Partitions {
			from[t.Topic][p.Partition] = kgo.NewOffset().At(r.next[t.Topic][p.Partition])
		}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.brokers...), kgo.ConsumePartitions(from), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	defer cl.Close()
	for ; n > 0; n-- {
		for cl.PollFetches(ctx).Empty() {
			if ctx.Err() != nil {
				return nil
			}
		}
	}
	return nil
}

func (r *Reader) add(rec *kgo.Record) {
	if r.next[rec.Topic] == nil {
		r.next[rec.Topic] = map[int32]int64{}
	}
	r.next[rec.Topic][rec.Partition] = rec.Offset + 1
	if rec.Attrs.IsControl() {
		return
	}
	out := Record{
		Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Key: rec.Key, Value: rec.Value,
		Headers: map[string]string{},
	}
	for _, h := range rec.Headers {
		out.Headers[h.Key] = string(h.Value)
	}
	r.Fold.Add(out)
	if r.Seen != nil {
		r.Seen(out)
	}
}

func (r *Reader) reached(ends map[string]map[int32]int64) bool {
	for topic, partitions := range ends {
		for p, end := range partitions {
			if r.next[topic][p] < end {
				return false
			}
		}
	}
	return true
}

// ends asks for the last stable offsets of the topics that exist. It waits while a transaction is open, so that
// what it hides is not taken for absent.
func (r *Reader) ends(ctx context.Context) (map[string]map[int32]int64, error) {
	for {
		stable, err := r.offsets(ctx, 1)
		if err != nil {
			return nil, err
		}
		high, err := r.offsets(ctx, 0)
		if err != nil {
			return nil, err
		}
		if equal(stable, high) {
			return stable, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for open transactions: stable %v, high %v: %w", stable, high, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func equal(stable, high map[string]map[int32]int64) bool {
	for topic, partitions := range high {
		for p, end := range partitions {
			if stable[topic][p] < end {
				return false
			}
		}
	}
	return true
}

// offsets lists the ends at an isolation level: 1 last stable, 0 high watermark.
func (r *Reader) offsets(ctx context.Context, isolation int8) (map[string]map[int32]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, isolation
	var err error
	if req.Topics, err = r.partitions(ctx); err != nil {
		return nil, err
	}
	ends := map[string]map[int32]int64{}
	for _, shard := range r.client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, fmt.Errorf("listing offsets: %w", shard.Err)
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			if ends[t.Topic] == nil {
				ends[t.Topic] = map[int32]int64{}
			}
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("listing offsets of %s: %w", t.Topic, err)
				}
				ends[t.Topic][p.Partition] = p.Offset
			}
		}
	}
	return ends, nil
}

// partitions returns those of the topics that exist, as a ListOffsets request wants them.
func (r *Reader) partitions(ctx context.Context) ([]kmsg.ListOffsetsRequestTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range r.topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, r.client)
	if err != nil {
		return nil, fmt.Errorf("asking for metadata: %w", err)
	}
	var out []kmsg.ListOffsetsRequestTopic
	for _, t := range resp.Topics {
		if t.ErrorCode != 0 {
			continue
		}
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = *t.Topic
		for _, p := range t.Partitions {
			partition := kmsg.NewListOffsetsRequestTopicPartition()
			partition.Partition, partition.Timestamp = p.Partition, -1
			topic.Partitions = append(topic.Partitions, partition)
		}
		out = append(out, topic)
	}
	return out, nil
}
