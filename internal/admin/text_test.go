package admin

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/calcdc/calcdc/connector"
)

func collection(i int) connector.Stream {
	return connector.Stream{Source: "work", Account: fmt.Sprintf("user%d", i/10), Collection: fmt.Sprintf("/user%d/calendars/c%d/", i/10, i%10), Kind: connector.Events}
}

// What is written by hand is read by Prometheus's own parser, whatever names there are.
func TestMetricsParse(t *testing.T) {
	a := New("x", hclog.NewNullLogger())
	for i := range 20 {
		a.Stream(connector.Status{Stream: collection(i), Condition: connector.Following, Rows: int64(i), LastPoll: time.Now()})
		a.Published(collection(i), map[string]int{"r": 1 + i})
	}
	odd := connector.Stream{Source: "work", Account: `a"b\c`, Collection: "line\nend \xff", Kind: connector.Events}
	a.Stream(connector.Status{Stream: odd, Condition: connector.Failing, Failures: 3})
	a.Published(connector.Stream{Source: "work", Account: "early", Kind: connector.Calendars}, map[string]int{"c": 1}) // before its status
	parser := expfmt.NewTextParser(model.UTF8Validation)
	found, err := parser.TextToMetricFamilies(strings.NewReader(scrape(t, a, "/metrics")))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"calcdc_stream_rows": 21, "calcdc_stream_state": 21, "calcdc_records_total": 21} {
		if got := len(found[name].GetMetric()); got != want {
			t.Errorf("%s has %d series, not %d", name, got, want)
		}
	}
	labels := map[string]bool{}
	for _, m := range found["calcdc_stream_failures_in_a_row"].GetMetric() {
		for _, l := range m.GetLabel() {
			labels[l.GetValue()] = true
		}
	}
	if !labels[`a"b\c`] || !labels["line\nend \uFFFD"] {
		t.Errorf("%v", labels)
	}
}

// BenchmarkScrape asks for the metrics of 10,000 streams.
func BenchmarkScrape(b *testing.B) {
	a := New("x", hclog.NewNullLogger())
	for i := range 10_000 {
		a.Stream(connector.Status{Stream: collection(i), Condition: connector.Following, LastPoll: time.Now()})
		a.Published(collection(i), map[string]int{"r": 1})
	}
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(discarding{w}, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	}
}

// discarding throws the body away.
type discarding struct{ http.ResponseWriter }

func (discarding) Write(p []byte) (int, error) { return io.Discard.Write(p) }
