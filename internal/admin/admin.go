// Package admin shows operators what a connector is doing: metrics for Prometheus, a health check, and a log line
// for every change of a stream's state; and takes their requests for snapshots.
//
// Admin is told by the connector (it is its Observer) and by the Kafka client; it asks nobody, so scraping it costs
// neither a calendar server nor a broker a request.
package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/calcdc/calcdc/connector"
)

// Admin observes a connector. Its methods may be called from many goroutines.
type Admin struct {
	version  string
	log      hclog.Logger
	registry *prometheus.Registry
	metrics  metrics

	connectors map[string]Connector
	send       func(context.Context, connector.Signal) error

	mu       sync.Mutex
	streams  map[connector.Stream]*seen
	accounts map[account]string // the error of the last look at the home; "" when well
	share    []int32            // the partitions of <name>-offsets that are followed here
}

type account struct{ source, name string }

// seen is a stream's last status, since when it has been observed, and what was published of it.
type seen struct {
	connector.Status
	since     time.Time
	labels    labels
	published [len(ops)]int64
}

// ops are those of published.
var ops = [...]string{"c", "u", "d", "r"}

// New makes an Admin of its own registry.
func New(version string, log hclog.Logger) *Admin {
	a := &Admin{version: version, log: log, registry: prometheus.NewRegistry(), metrics: newMetrics(),
		streams: map[connector.Stream]*seen{}, accounts: map[account]string{}}
	a.metrics.register(a.registry, version)
	a.registry.MustRegister(told{a})
	return a
}

// Stream implements connector.Observer.
func (a *Admin) Stream(s connector.Status) {
	a.mu.Lock()
	now := a.seen(s.Stream)
	before := now.Status
	now.Status = s
	a.mu.Unlock()
	if s.Failures > before.Failures {
		a.metrics.failures.WithLabelValues(streamLabels(s.Stream)...).Inc()
	}
	a.logStream(before, s)
}

// seen is what is known of a stream, to be changed. The caller holds mu.
func (a *Admin) seen(s connector.Stream) *seen {
	now := a.streams[s]
	if now == nil {
		now = &seen{since: time.Now(), labels: labelsOf(s)}
		a.streams[s] = now
	}
	return now
}

// logStream writes a line where something changed that an operator wants to know.
func (a *Admin) logStream(before, now connector.Status) {
	if before.Condition == now.Condition && before.Err == now.Err && before.Note == now.Note && before.Epoch == now.Epoch && before.Held == now.Held {
		return
	}
	args := []any{"stream", now.Stream.String(), "state", string(now.Condition), "epoch", now.Epoch, "rows", now.Rows}
	if before.Condition != "" && before.Condition != now.Condition {
		args = append(args, "was", string(before.Condition))
	}
	if now.Unread > 0 {
		args = append(args, "unread", now.Unread)
	}
	if now.Held > 0 {
		args = append(args, "held_rows", now.Held)
	}
	if now.Note != "" {
		args = append(args, "note", now.Note)
	}
	if now.Err == "" {
		a.log.Info("stream state", args...)
		return
	}
	args = append(args, "failures", now.Failures)
	if !now.RetryAt.IsZero() {
		args = append(args, "retry_in", time.Until(now.RetryAt).Round(time.Millisecond).String())
	}
	args = append(args, "error", now.Err)
	if now.Condition == connector.Refusing {
		a.log.Error("stream cannot go on", args...)
		return
	}
	a.log.Warn("stream state", args...)
}

// Published implements connector.Observer.
func (a *Admin) Published(s connector.Stream, records map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.seen(s)
	for i, op := range ops {
		now.published[i] += int64(records[op])
	}
}

// Reset implements connector.Observer.
func (a *Admin) Reset(s connector.Stream, reason string) {
	a.metrics.resets.WithLabelValues(append(streamLabels(s), reason)...).Inc()
	a.log.Warn("stream is reset: everything is read again", "stream", s.String(), "reason", reason)
}

// Account implements connector.Observer.
func (a *Admin) Account(source, name string, err error) {
	key, text := account{source, name}, ""
	if err != nil {
		text = err.Error()
		a.metrics.accountFailures.WithLabelValues(source, name).Inc()
	}
	a.mu.Lock()
	before, known := a.accounts[key]
	a.accounts[key] = text
	a.mu.Unlock()
	switch {
	case text != "" && text != before:
		a.log.Warn("account cannot be looked at", "account", source+"/"+name, "error", text)
	case text == "" && (before != "" || !known):
		a.log.Info("account is well", "account", source+"/"+name)
	}
}

// Assigned implements connector.Observer.
func (a *Admin) Assigned(partitions []int32) {
	now := append([]int32{}, partitions...)
	slices.Sort(now)
	a.mu.Lock()
	before := a.share
	a.share = now
	a.mu.Unlock()
	if before != nil && slices.Equal(now, before) {
		return
	}
	a.log.Info("partitions assigned", "partitions", fmt.Sprint(now), "gained", fmt.Sprint(without(now, before)),
		"lost", fmt.Sprint(without(before, now)))
}

// without is what of all is not among others.
func without(all, others []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(all), func(p int32) bool { return slices.Contains(others, p) })
}

// Left implements connector.Observer: whoever follows the account now tells of it.
func (a *Admin) Left(source, name string) {
	a.mu.Lock()
	delete(a.accounts, account{source, name})
	maps.DeleteFunc(a.streams, func(s connector.Stream, _ *seen) bool { return s.Source == source && s.Account == name })
	a.mu.Unlock()
	a.metrics.forget(source, name)
}

// Transaction tells of a transaction that was tried; it fits kafka.Config.OnTransaction.
func (a *Admin) Transaction(records, bytes int, took time.Duration, err error) {
	result := "committed"
	if err != nil {
		result = "failed"
	}
	a.metrics.transactions.WithLabelValues(result).Observe(took.Seconds())
	if err == nil {
		a.metrics.transactionRecords.Add(float64(records))
		a.metrics.transactionBytes.Add(float64(bytes))
	}
}

// Handler serves /metrics, /healthz and requests for snapshots, these to no page of another site in somebody's browser.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", a.serveMetrics)
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("POST /connectors/{name}/snapshot", a.snapshot)
	return http.NewCrossOriginProtection().Handler(mux)
}

// healthz says that the process lives and serves, and how many streams hold deletes, if any does; whether it does its work is in the metrics.
func (a *Admin) healthz(w http.ResponseWriter, _ *http.Request) {
	health := struct {
		Status  string `json:"status"`
		Version string `json:"version"`
		Holding int    `json:"streams_holding_deletes,omitempty"`
	}{Status: "ok", Version: a.version}
	a.mu.Lock()
	for _, s := range a.streams {
		if s.Held > 0 {
			health.Holding++
		}
	}
	a.mu.Unlock()
	reply(w, http.StatusOK, health)
}

// Serve answers on ln until ctx ends, and closes it.
func (a *Admin) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{Handler: a.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving http: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		_ = srv.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving http: %w", err)
	}
	return nil
}
