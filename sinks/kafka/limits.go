package kafka

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/calcdc/calcdc/connector"
)

const (
	limitAge = time.Minute     // how long a topic's limit is taken as it was
	doubtAge = 2 * time.Second // the same, before a record is refused for it: someone may just have raised it
)

// limit is a topic's max.message.bytes.
type limit struct {
	bytes int
	asked time.Time
}

// maxBatch is how large a batch the topic takes, as it was at most age ago, or as it was last known where it cannot be asked.
func (c *Client) maxBatch(ctx context.Context, topic string, age time.Duration) (int, error) {
	c.mu.Lock()
	l, known := c.limits[topic]
	c.mu.Unlock()
	if known && time.Since(l.asked) < age {
		return l.bytes, nil
	}
	n, err := c.askMaxBatch(ctx, topic)
	if err != nil && known {
		return l.bytes, nil
	}
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	c.limits[topic] = limit{n, time.Now()}
	c.mu.Unlock()
	return n, nil
}

func (c *Client) askMaxBatch(ctx context.Context, topic string) (int, error) {
	var cfg map[string]string
	err := retry(ctx, waitForTopic, func() (bool, error) {
		var err error
		cfg, err = c.topicConfig(ctx, topic, maxMessageBytes)
		return !refused(err), err
	})
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(cfg[maxMessageBytes])
	if err != nil {
		return 0, fmt.Errorf("reading %s of topic %s: %w", maxMessageBytes, topic, err)
	}
	return n, nil
}

func (c *Client) forgetLimit(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.limits, topic)
}

// limitsOf adds to limits those of the records' topics.
func (c *Client) limitsOf(ctx context.Context, recs []connector.Record, limits map[string]int) error {
	last := ""
	for i := range recs {
		topic := recs[i].Topic
		if topic == last {
			continue
		}
		last = topic
		if _, ok := limits[topic]; ok {
			continue
		}
		n, err := c.maxBatch(ctx, topic, limitAge)
		if err != nil {
			return err
		}
		limits[topic] = n
	}
	return nil
}

// checkSizes returns what the records take before compression, or a *connector.TooLargeError for the first that does not fit its topic
// even in a batch of its own.
func (c *Client) checkSizes(ctx context.Context, recs []connector.Record) (int, error) {
	limits := map[string]int{}
	if err := c.limitsOf(ctx, recs, limits); err != nil {
		return 0, fmt.Errorf("checking sizes: %w", err)
	}
	total := 0
	for i := range recs {
		rec := &recs[i]
		size := recordSize(rec)
		total += size
		if size <= room(limits[rec.Topic]) {
			continue
		}
		if err := c.fits(ctx, rec); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// room is how many bytes of records surely fit into a batch of at most limit bytes: codecs make what they cannot compress a little longer.
func room(limit int) int { return limit - headerSize - limit/64 - 64 }

// fits compares the compressed record with the limit of its topic.
func (c *Client) fits(ctx context.Context, rec *connector.Record) error {
	set, err := appendBatch(nil, []*connector.Record{rec}, c.codec, 0)
	if err != nil {
		return err
	}
	size := len(set) - sizePrefix
	n, err := c.maxBatch(ctx, rec.Topic, limitAge)
	if err == nil && size > n {
		n, err = c.maxBatch(ctx, rec.Topic, doubtAge)
	}
	if err != nil {
		return fmt.Errorf("checking sizes: %w", err)
	}
	if size > n {
		return &connector.TooLargeError{Topic: rec.Topic, Key: rec.Key, Size: size, Limit: n}
	}
	return nil
}
