package kafka

import (
	"context"
	"io"

	"github.com/segmentio/kafka-go/protocol"
)

// direct is a request that goes to a broker and whose answer comes back as it is. The transport would answer one for metadata from its
// cache, and after one that creates topics wait for them to appear, those that were only validated too.
type direct struct {
	req        protocol.Message
	controller bool // goes to the controller, else to any broker
	version    int16
	clientID   string
}

// ApiKey is that of the request.
func (d *direct) ApiKey() protocol.ApiKey { return d.req.ApiKey() }

// Broker is the request's way; the id -1 is any.
func (d *direct) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	if b, ok := cluster.Brokers[cluster.Controller]; ok && d.controller {
		return b, nil
	}
	return protocol.Broker{ID: -1}, nil
}

// Required takes the version that was agreed with the broker.
func (d *direct) Required(versions map[protocol.ApiKey]int16) bool {
	d.version = versions[d.req.ApiKey()]
	return true
}

// answer hides a response from the transport.
type answer struct{ protocol.Message }

// RawExchange sends the request and reads its answer.
func (d *direct) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	m, err := protocol.RoundTrip(rw, d.version, 1, d.clientID, d.req)
	if err != nil {
		return nil, err
	}
	return answer{m}, nil
}

// askDirectly sends a direct request and returns its answer as R.
func askDirectly[R protocol.Message](ctx context.Context, c *Client, req *direct) (R, error) {
	var none R
	req.clientID = c.cfg.ClientID
	a, err := ask[answer](ctx, c, requestTimeout, req)
	if err != nil {
		return none, err
	}
	res, ok := a.Message.(R)
	if !ok {
		return none, protocol.Errorf("an answer of type %T", a.Message)
	}
	return res, nil
}
