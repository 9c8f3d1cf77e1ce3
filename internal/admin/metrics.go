package admin

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/calcdc/calcdc/connector"
)

var streamLabelNames = []string{"source", "account", "collection", "stream"}

func streamLabels(s connector.Stream) []string {
	return []string{s.Source, s.Account, s.Collection, string(s.Kind)}
}

func withLabels(more ...string) []string {
	return append(append([]string{}, streamLabelNames...), more...)
}

// metrics are what is counted as it happens.
type metrics struct {
	records, resets, failures, accountFailures *prometheus.CounterVec
	transactions                               *prometheus.HistogramVec
	transactionRecords, transactionBytes       prometheus.Counter
}

func newMetrics() metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return metrics{
		records: counter("calcdc_records_total", "Committed records by op: c, u, d, r.", withLabels("op")...),
		resets:  counter("calcdc_resets_total", "Committed snapshot-resets by reason.", withLabels("reason")...),
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
	r.MustRegister(info, m.records, m.resets, m.failures, m.accountFailures, m.transactions, m.transactionRecords,
		m.transactionBytes, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// forget removes what was counted for an account.
func (m metrics) forget(source, name string) {
	labels := prometheus.Labels{"source": source, "account": name}
	for _, vec := range []*prometheus.CounterVec{m.records, m.resets, m.failures, m.accountFailures} {
		vec.DeletePartialMatch(labels)
	}
}

// What is told of each stream when it is asked for.
var (
	pollAge = prometheus.NewDesc("calcdc_stream_seconds_since_good_poll",
		"Seconds since the last good poll; before the first, since the start.", streamLabelNames, nil)
	rows     = prometheus.NewDesc("calcdc_stream_rows", "Rows that the stream has.", streamLabelNames, nil)
	unread   = prometheus.NewDesc("calcdc_stream_unread_resources", "Resources whose body could not be had.", streamLabelNames, nil)
	epoch    = prometheus.NewDesc("calcdc_stream_epoch", "The stream's snapshots so far.", streamLabelNames, nil)
	inARow   = prometheus.NewDesc("calcdc_stream_failures_in_a_row", "Passes failed since the last good one.", streamLabelNames, nil)
	state    = prometheus.NewDesc("calcdc_stream_state", "1 for the state that the stream is in.", withLabels("state"), nil)
	up       = prometheus.NewDesc("calcdc_account_up", "1 where the last look at the account's home succeeded.", []string{"source", "account"}, nil)
	assigned = prometheus.NewDesc("calcdc_partition_assigned",
		"1 for each partition of <name>-offsets whose accounts are followed by this process.", []string{"partition"}, nil)
)

// streams collects at scrape what Admin was last told.
type streams struct{ *Admin }

// Describe implements prometheus.Collector.
func (streams) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{pollAge, rows, unread, epoch, inARow, state, up, assigned} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Streams that are gone have no age: nobody polls them.
func (c streams) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for s, st := range c.streams {
		labels := streamLabels(s)
		if st.Condition != connector.Vanished {
			last := st.LastPoll
			if last.IsZero() {
				last = st.since
			}
			gauge(pollAge, time.Since(last).Seconds(), labels...)
		}
		gauge(rows, float64(st.Rows), labels...)
		gauge(unread, float64(st.Unread), labels...)
		gauge(epoch, float64(st.Epoch), labels...)
		gauge(inARow, float64(st.Failures), labels...)
		gauge(state, 1, append(labels, string(st.Condition))...)
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
