package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// Connector is a source as the HTTP API names it.
type Connector struct {
	Accounts []string                  // nil: the source finds them
	Topics   map[connector.Kind]string // of the kinds of stream that it has
}

// Bounds of a request for a snapshot.
const (
	maxRequest = 16 << 10         // bytes of its body
	sending    = 20 * time.Second // that Kafka may take
)

// TakeSnapshots serves POST /connectors/{name}/snapshot, by sending signals. It must be called before Serve.
func (a *Admin) TakeSnapshots(connectors map[string]Connector, send func(context.Context, connector.Signal) error) {
	a.connectors, a.send = connectors, send
}

// snapshotRequest is the body of a request: what is left out is every one.
type snapshotRequest struct {
	Source     string         `json:"source"` // the connector, if it is named once more
	Account    string         `json:"account"`
	Collection string         `json:"collection"`
	Stream     connector.Kind `json:"stream"`
}

// snapshot asks for a snapshot as `calcdc snapshot --no-wait` does.
func (a *Admin) snapshot(w http.ResponseWriter, r *http.Request) {
	if !local(r.Host) {
		refuse(w, http.StatusForbidden, fmt.Errorf("the request is for the host %.100q: ask localhost, or the address itself", r.Host))
		return
	}
	name := r.PathValue("name")
	of, ok := a.connectors[name]
	if !ok {
		refuse(w, http.StatusNotFound, fmt.Errorf("connector %.100q not found: there are %s", name, strings.Join(slices.Sorted(maps.Keys(a.connectors)), ", ")))
		return
	}
	req, err := readRequest(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	signal, err := of.signal(name, req)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), sending)
	defer cancel()
	if err := a.send(ctx, signal); err != nil {
		refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	a.log.Info("a snapshot was asked for", "id", signal.ID, "topics", signal.Topics, "account", signal.Account, "collection", signal.Collection)
	reply(w, http.StatusAccepted, map[string]any{"signal": signal.ID, "topics": signal.Topics})
}

// local tells a host by which the server is asked, which listens on loopback alone, from a name of somebody's whose DNS answers with
// loopback too: to a browser a page from there is of the same origin.
func local(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	_, err := netip.ParseAddr(name)
	return err == nil || strings.EqualFold(name, "localhost")
}

// readRequest reads a body: one object or nothing.
func readRequest(body io.Reader) (req snapshotRequest, err error) {
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	if err = dec.Decode(&req); err == nil {
		if _, more := dec.Token(); more == nil {
			err = errors.New("something follows the object")
		} else if more != io.EOF {
			err = more
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return req, fmt.Errorf(`reading the body: %w; it is {"account": …, "collection": …, "stream": …}, each of which may be left out`, err)
	}
	return req, nil
}

// signal is what asks for the same.
func (c Connector) signal(name string, req snapshotRequest) (connector.Signal, error) {
	s := connector.Signal{ID: rand.Text(), Type: connector.ExecuteSnapshot, Account: req.Account, Collection: req.Collection}
	if req.Source != "" && req.Source != name {
		return s, fmt.Errorf("source %.100q is not this connector, %q", req.Source, name)
	}
	if req.Account != "" && c.Accounts != nil && !slices.Contains(c.Accounts, req.Account) {
		return s, fmt.Errorf("account %.100q is none of the connector's", req.Account)
	}
	kinds := slices.DeleteFunc(slices.Sorted(maps.Keys(c.Topics)), func(k connector.Kind) bool {
		return req.Collection != "" && k != connector.Events && k != connector.ACL
	})
	for _, k := range kinds {
		if req.Stream == "" || req.Stream == k {
			s.Topics = append(s.Topics, c.Topics[k])
		}
	}
	if len(s.Topics) == 0 {
		return s, fmt.Errorf("stream %.100q: of what is asked for there are %v", req.Stream, kinds)
	}
	_, err := connector.ParseSignal(s.Value()) // as whoever reads it will
	return s, err
}

// refuse answers with an error in Kafka Connect's form.
func refuse(w http.ResponseWriter, code int, err error) {
	reply(w, code, map[string]any{"error_code": code, "message": err.Error()})
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // a client that has gone sees an error of its own
}
