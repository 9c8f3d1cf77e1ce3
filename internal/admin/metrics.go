package admin

import (
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/calcdc/calcdc/connector"
)

var streamLabelNames = []string{"source", "account", "collection", "stream"}

func streamLabels(s connector.Stream) []string {
	return []string{s.Source, valid(s.Account), valid(s.Collection), string(s.Kind)}
}

// valid is text as a label may hold it: the metrics panic at any other.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

func withLabels(more ...string) []string {
	return append(append([]string{}, streamLabelNames...), more...)
}

// metrics are what is counted as it happens.
type metrics struct {
	resets, failures, accountFailures    *prometheus.CounterVec
	transactions                         *prometheus.HistogramVec
	transactionRecords, transactionBytes prometheus.Counter
}

func newMetrics() metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return metrics{
		resets: counter("calcdc_resets_total", "Committed snapshot-resets by reason.", withLabels("reason")...),
		failures: counter("calcdc_stream_failures_total", "Passes over a stream that failed.",
			streamLabelNames...),
		accountFailures: counter("calcdc_account_failures_total", "Looks at an account's home that failed.", "source", "account"),
		transactions: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "calcdc_transaction_duration_seconds",
			Help:    "Time of a Kafka transaction from its first request to the end of its last, by result: committed, failed.",
			Buckets: []float64{.005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30}}, []string{"result"}),
		transactionRecords: prometheus.NewCounter(prometheus.CounterOpts{Name: "calcdc_transaction_records_total",
			Help: "Records in committed transactions, offsets and state included."}),
		transactionBytes: prometheus.NewCounter(prometheus.CounterOpts{Name: "calcdc_transaction_bytes_total",
			Help: "Bytes in committed transactions before compression."}),
	}
}

func (m metrics) register(r *prometheus.Registry, version string) {
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "calcdc_build_info", Help: "1, with the version.",
		ConstLabels: prometheus.Labels{"version": version}})
	info.Set(1)
	r.MustRegister(info, m.resets, m.failures, m.accountFailures, m.transactions, m.transactionRecords,
		m.transactionBytes, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// forget removes what was counted for an account.
func (m metrics) forget(source, name string) {
	labels := prometheus.Labels{"source": source, "account": name}
	for _, vec := range []*prometheus.CounterVec{m.resets, m.failures, m.accountFailures} {
		vec.DeletePartialMatch(labels)
	}
}

// What is told when it is asked for; text.go tells of streams.
var (
	up       = prometheus.NewDesc("calcdc_account_up", "1 where the last look at the account's home succeeded.", []string{"source", "account"}, nil)
	assigned = prometheus.NewDesc("calcdc_partition_assigned",
		"1 for each partition of <name>-offsets whose accounts are followed by this process.", []string{"partition"}, nil)
)

// told collects at scrape what Admin was last told.
type told struct{ *Admin }

// Describe implements prometheus.Collector.
func (told) Describe(ch chan<- *prometheus.Desc) {
	ch <- up
	ch <- assigned
}

// Collect implements prometheus.Collector.
func (c told) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for a, failure := range c.accounts {
		ok := 1.0
		if failure != "" {
			ok = 0
		}
		gauge(up, ok, a.source, a.name)
	}
	for _, p := range c.share {
		gauge(assigned, 1, strconv.Itoa(int(p)))
	}
}
