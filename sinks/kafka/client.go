package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
)

const (
	metadataTTL    = time.Second     // the default leaves requests with a deposed leader for 5 s
	dialTimeout    = 2 * time.Second // a hung broker accepts connections and never answers
	requestTimeout = 5 * time.Second
)

// Client is a connection to a cluster. It is safe for use by many goroutines.
type Client struct {
	cfg     Config
	codec   compress.Compression
	log     hclog.Logger
	addr    net.Addr
	slots   chan struct{} // the pool of connections has no bound of its own: one for each request in flight
	running chan struct{} // transactions of all producers

	mu        sync.Mutex
	transport *kafkago.Transport
	topics    []string // whose metadata the transport keeps
	limits    map[string]limit
	sec       security
	ctx       context.Context //nolint:containedctx // ends the transport's goroutines; never a request
	cancel    context.CancelFunc
}

// New makes a client. It does not connect: Ping does.
func New(cfg Config, log hclog.Logger) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring kafka: %w", err)
	}
	cfg = cfg.withDefaults()
	codec, _ := cfg.codec()  // validated
	sec, _ := cfg.security() // validated
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		cfg: cfg, codec: codec, log: log, sec: sec, ctx: ctx, cancel: cancel,
		addr:    kafkago.TCP(cfg.Brokers...),
		slots:   make(chan struct{}, cfg.MaxRequests),
		running: make(chan struct{}, transactions),
		topics:  append([]string{}, cfg.Topics...), // none is not nil, which would be all of the cluster
		limits:  map[string]limit{},
	}
	slices.Sort(c.topics)
	c.topics = slices.Compact(c.topics)
	c.transport = c.newTransport()
	return c, nil
}

// Close closes the connections. Requests in flight fail or finish.
func (c *Client) Close() {
	c.cancel()
	c.reconnect()
}

// Transactions of several producers at once make each slower, and a broker does no more of them: a few run while the others gather
// what is to go with them. Those that wait for long do not wait for ever, since what runs may hang with one broker of many.
const (
	transactions       = 4
	transactionsBehind = 500 * time.Millisecond
)

// enter waits for fewer transactions to run; what it returns ends the wait of another.
func (c *Client) enter() (leave func()) {
	timer := time.NewTimer(transactionsBehind)
	defer timer.Stop()
	select {
	case c.running <- struct{}{}:
		return func() { <-c.running }
	case <-timer.C:
		return func() {}
	}
}

// reconnect lets go of every connection and of what is known of the cluster.
func (c *Client) reconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transport.CloseIdleConnections()
}

func (c *Client) newTransport() *kafkago.Transport {
	return &kafkago.Transport{
		Dial:           c.cfg.Dial,
		ClientID:       c.cfg.ClientID,
		DialTimeout:    dialTimeout,
		MetadataTTL:    c.cfg.MetadataTTL,
		MetadataTopics: c.topics,
		TLS:            c.sec.tls,
		SASL:           c.sec.sasl,
		Context:        c.ctx,
	}
}

// know makes the transport keep the metadata of topics: of those alone, because a cluster may have thousands.
func (c *Client) know(topics ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var missing []string
	for _, t := range topics {
		if !slices.Contains(c.topics, t) {
			missing = append(missing, t)
		}
	}
	if len(missing) == 0 {
		return
	}
	c.topics = append(slices.Clone(c.topics), missing...)
	slices.Sort(c.topics)
	c.topics = slices.Compact(c.topics)
	c.transport.CloseIdleConnections() // what is in flight finishes
	c.transport = c.newTransport()
}

var errClosed = errors.New("the kafka client is closed")

// roundTrip sends one request within timeout to the cluster that addr belongs to.
func (c *Client) roundTrip(ctx context.Context, addr net.Addr, timeout time.Duration, req kafkago.Request) (kafkago.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c.ctx.Err() != nil {
		return nil, errClosed
	}
	c.mu.Lock()
	t := c.transport
	c.mu.Unlock()
	return c.send(ctx, t, addr, req)
}

func (c *Client) send(ctx context.Context, t *kafkago.Transport, addr net.Addr, req kafkago.Request) (kafkago.Response, error) {
	res, err := t.RoundTrip(ctx, addr, req)
	c.sweep(t)
	if errors.Is(err, os.ErrDeadlineExceeded) { // the connection's deadline is ctx's, and may strike a moment before ctx ends
		err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return res, err
}

// sweep closes what a request has connected anew on a transport that was let go between its choice and its use.
func (c *Client) sweep(t *kafkago.Transport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t != c.transport || c.ctx.Err() != nil {
		t.CloseIdleConnections()
	}
}

// ask sends one request and returns its answer as R.
func ask[R kafkago.Response](ctx context.Context, c *Client, timeout time.Duration, req kafkago.Request) (R, error) {
	var none R
	m, err := c.roundTrip(ctx, c.addr, timeout, req)
	if err != nil {
		return none, err
	}
	res, ok := m.(R)
	if !ok {
		return none, protocol.Errorf("an answer of type %T", m)
	}
	return res, nil
}

// code is the error that stands for a broker's code, nil for 0.
func code(c int16) error {
	if c == 0 {
		return nil
	}
	return kafkago.Error(c)
}

// warner returns a function that logs the failures of a series: one in ten seconds as a warning, the others for debugging.
func (c *Client) warner(msg string, args ...any) func(error) {
	last := time.Now()
	return func(err error) {
		if time.Since(last) < 10*time.Second {
			c.log.Debug(msg, append(args, "error", err)...)
			return
		}
		last = time.Now()
		c.log.Warn(msg, append(args, "error", explain(err))...)
	}
}
