package admin

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/calcdc/calcdc/connector"
)

// The series of streams are written by hand: with 10,000 streams Prometheus's collectors take ten times the processor time, and 50 MB
// for each scrape.

// family is a metric of which each stream has a series.
type family struct {
	name, help, kind string
	// value of a stream; false where it has none.
	value func(seen) (float64, bool)
}

func always(value func(seen) float64) func(seen) (float64, bool) {
	return func(s seen) (float64, bool) { return value(s), s.Condition != "" }
}

// families are told of each stream when it is asked for.
var families = []family{
	{"calcdc_stream_seconds_since_good_poll", "Seconds since the last good poll; before the first, since the start.", "gauge", pollAge},
	{"calcdc_stream_rows", "Rows that the stream has.", "gauge", always(func(s seen) float64 { return float64(s.Rows) })},
	{"calcdc_stream_unread_resources", "Resources whose body could not be had.", "gauge", always(func(s seen) float64 { return float64(s.Unread) })},
	{"calcdc_stream_held_rows", "Rows that a listing would delete, and that are held back.", "gauge", always(func(s seen) float64 { return float64(s.Held) })},
	{"calcdc_stream_epoch", "The stream's snapshots so far.", "gauge", always(func(s seen) float64 { return float64(s.Epoch) })},
	{"calcdc_stream_failures_in_a_row", "Passes failed since the last good one.", "gauge", always(func(s seen) float64 { return float64(s.Failures) })},
}

// pollAge is the time since the last good poll. Streams that are gone have none: nobody polls them.
func pollAge(s seen) (float64, bool) {
	last := s.LastPoll
	if last.IsZero() {
		last = s.since
	}
	return time.Since(last).Seconds(), s.Condition != connector.Vanished && s.Condition != ""
}

// serveMetrics answers in Prometheus's text format.
func (a *Admin) serveMetrics(w http.ResponseWriter, r *http.Request) {
	all, err := a.registry.Gather()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	var to io.Writer = w
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
		defer z.Close()
		to = z
	}
	out := bufio.NewWriterSize(to, 64<<10)
	defer out.Flush() // a client that has gone sees an error of its own
	for _, f := range all {
		if _, err := expfmt.MetricFamilyToText(out, f); err != nil {
			return
		}
	}
	a.writeStreams(out)
}

// writeStreams writes the series of streams, each metric's together and in one order.
func (a *Admin) writeStreams(out *bufio.Writer) {
	a.mu.Lock()
	all := make([]seen, 0, len(a.streams))
	for _, s := range a.streams {
		all = append(all, *s)
	}
	a.mu.Unlock()
	slices.SortFunc(all, func(x, y seen) int {
		return cmp.Or(cmp.Compare(x.labels.account, y.labels.account), cmp.Compare(x.labels.source, y.labels.source), cmp.Compare(x.labels.stream, y.labels.stream))
	})
	w := seriesWriter{out: out}
	for _, f := range families {
		w.head(f.name, f.help, f.kind)
		for _, s := range all {
			if v, ok := f.value(s); ok {
				w.series(f.name, s.labels, "", "", v)
			}
		}
	}
	const state, records = "calcdc_stream_state", "calcdc_records_total"
	w.head(state, "1 for the state that the stream is in.", "gauge")
	for _, s := range all {
		if s.Condition != "" {
			w.series(state, s.labels, "", string(s.Condition), 1)
		}
	}
	w.head(records, "Committed records by op: c, u, d, r.", "counter")
	for _, s := range all {
		for i, n := range s.published {
			if n > 0 {
				w.series(records, s.labels, ops[i], "", float64(n))
			}
		}
	}
}

// labels are a stream's, as they stand in its series, in the order of their names: op would stand before source, state behind it.
type labels struct{ account, source, stream string }

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func labelsOf(s connector.Stream) labels {
	quote := func(text string) string { return `"` + escape.Replace(valid(text)) + `"` }
	return labels{"{account=" + quote(s.Account) + ",collection=" + quote(s.Collection) + ",", "source=" + quote(s.Source), `,stream="` + string(s.Kind) + `"} `}
}

// seriesWriter writes lines of the text format. Errors are the writer's, which keeps the first.
type seriesWriter struct {
	out    *bufio.Writer
	number []byte
}

func (w *seriesWriter) head(name, help, kind string) {
	_, _ = fmt.Fprintf(w.out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// series writes one: op and state are labels where they are not empty.
func (w *seriesWriter) series(name string, l labels, op, state string, v float64) {
	if op != "" {
		op = `op="` + op + `",`
	}
	if state != "" {
		state = `,state="` + state + `"`
	}
	for _, part := range [...]string{name, l.account, op, l.source, state, l.stream} {
		_, _ = w.out.WriteString(part)
	}
	w.number = append(strconv.AppendFloat(w.number[:0], v, 'g', -1, 64), '\n')
	_, _ = w.out.Write(w.number)
}
