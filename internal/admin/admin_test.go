package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/calcdc/calcdc/connector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var work = connector.Stream{Source: "work", Account: "alice", Collection: "/alice/work/", Kind: connector.Events}

const workLabels = `account="alice",collection="/alice/work/",`

func scrape(t *testing.T, a *Admin, path string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Serve(ctx, ln) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + ln.Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestMetrics(t *testing.T) {
	a := New("1.2.3", hclog.NewNullLogger())
	lost := connector.Stream{Source: "work", Account: "alice", Collection: "/alice/lost/", Kind: connector.Events}
	a.Stream(connector.Status{Stream: work, Condition: connector.Failing, Failures: 1, Err: "refused"})
	a.Stream(connector.Status{Stream: work, Condition: connector.Failing, Failures: 2, Err: "refused"})
	a.Stream(connector.Status{Stream: work, Condition: connector.Following, Epoch: 2, Rows: 7, Unread: 3, Held: 4, LastPoll: time.Now().Add(-time.Hour)})
	a.Stream(connector.Status{Stream: lost, Condition: connector.Vanished})
	a.Published(work, map[string]int{"c": 5, "d": 1})
	a.Published(work, map[string]int{"c": 1})
	a.Reset(work, "token-invalid")
	a.Account("work", "alice", errors.New("401"))
	a.Account("work", "bob", nil)
	a.Transaction(10, 1000, 30*time.Millisecond, nil)
	a.Transaction(10, 1000, 30*time.Millisecond, errors.New("lost"))
	text := scrape(t, a, "/metrics")
	for _, want := range []string{
		`calcdc_build_info{version="1.2.3"} 1`,
		`calcdc_records_total{` + workLabels + `op="c",source="work",stream="events"} 6`,
		`calcdc_records_total{` + workLabels + `op="d",source="work",stream="events"} 1`,
		`calcdc_resets_total{` + workLabels + `reason="token-invalid",source="work",stream="events"} 1`,
		`calcdc_stream_failures_total{` + workLabels + `source="work",stream="events"} 2`,
		`calcdc_stream_rows{` + workLabels + `source="work",stream="events"} 7`,
		`calcdc_stream_unread_resources{` + workLabels + `source="work",stream="events"} 3`,
		`calcdc_stream_held_rows{` + workLabels + `source="work",stream="events"} 4`,
		`calcdc_stream_epoch{` + workLabels + `source="work",stream="events"} 2`,
		`calcdc_stream_failures_in_a_row{` + workLabels + `source="work",stream="events"} 0`,
		`calcdc_stream_state{` + workLabels + `source="work",state="streaming",stream="events"} 1`,
		`calcdc_account_up{account="alice",source="work"} 0`,
		`calcdc_account_up{account="bob",source="work"} 1`,
		`calcdc_account_failures_total{account="alice",source="work"} 1`,
		`calcdc_transaction_duration_seconds_count{result="committed"} 1`,
		`calcdc_transaction_duration_seconds_count{result="failed"} 1`,
		`calcdc_transaction_records_total 10`,
		`calcdc_stream_seconds_since_good_poll{` + workLabels + `source="work",stream="events"} 3600.`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(text, `since_good_poll{account="alice",collection="/alice/lost/"`) {
		t.Error("a stream that is gone has an age")
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestAgeGrowsBeforeTheFirstGoodPoll(t *testing.T) {
	a := New("x", hclog.NewNullLogger())
	a.Stream(connector.Status{Stream: work, Condition: connector.Starting})
	a.mu.Lock()
	s := a.streams[work]
	s.since = s.since.Add(-time.Hour)
	a.mu.Unlock()
	a.Stream(connector.Status{Stream: work, Condition: connector.Failing, Failures: 1, Err: "x"})
	if text := scrape(t, a, "/metrics"); !strings.Contains(text, `since_good_poll{`+workLabels+`source="work",stream="events"} 3600.`) {
		t.Error(text)
	}
}

func TestHealth(t *testing.T) {
	if got := scrape(t, New("1.2.3", hclog.NewNullLogger()), "/healthz"); got != `{"status":"ok","version":"1.2.3"}`+"\n" {
		t.Error(got)
	}
	a := New("1.2.3", hclog.NewNullLogger())
	a.Stream(connector.Status{Stream: work, Condition: connector.Holding, Held: 600})
	if got := scrape(t, a, "/healthz"); !strings.Contains(got, `"streams_holding_deletes":1`) {
		t.Error(got)
	}
}

func TestOneLineForEachChange(t *testing.T) {
	var out bytes.Buffer
	a := New("x", hclog.New(&hclog.LoggerOptions{Output: &out, DisableTime: true}))
	lines := func() int { n := strings.Count(out.String(), "\n"); out.Reset(); return n }
	for i, c := range []struct {
		status connector.Status
		want   int
		has    string
	}{
		{connector.Status{Condition: connector.Starting}, 1, "state=starting"},
		{connector.Status{Condition: connector.Snapshotting, Epoch: 1}, 1, "was=starting"},
		{connector.Status{Condition: connector.Snapshotting, Epoch: 1, Rows: 100}, 0, ""},
		{connector.Status{Condition: connector.Following, Epoch: 1, Rows: 200}, 1, "rows=200"},
		{connector.Status{Condition: connector.Following, Epoch: 1, Rows: 201}, 0, ""},
		{connector.Status{Condition: connector.Failing, Epoch: 1, Rows: 201, Failures: 1, Err: "503"}, 1, "[WARN]"},
		{connector.Status{Condition: connector.Failing, Epoch: 1, Rows: 201, Failures: 2, Err: "503"}, 0, ""},
		{connector.Status{Condition: connector.Failing, Epoch: 1, Rows: 201, Failures: 3, Err: "401"}, 1, "error=401"},
		{connector.Status{Condition: connector.Following, Epoch: 1, Rows: 201}, 1, "was=failing"},
		{connector.Status{Condition: connector.Following, Epoch: 1, Note: "no tokens"}, 1, `note="no tokens"`},
		{connector.Status{Condition: connector.Refusing, Epoch: 1, Err: "run reset"}, 1, "[ERROR]"},
	} {
		c.status.Stream = work
		a.Stream(c.status)
		text := out.String()
		if n := lines(); n != c.want || !strings.Contains(text, c.has) {
			t.Errorf("change %d: %d lines: %s", i, n, text)
		}
	}
	for i, c := range []struct {
		err  error
		want int
	}{{nil, 1}, {nil, 0}, {errors.New("401"), 1}, {errors.New("401"), 0}, {errors.New("403"), 1}, {nil, 1}} {
		a.Account("work", "alice", c.err)
		if n := lines(); n != c.want {
			t.Errorf("look %d at the account: %d lines", i, n)
		}
	}
}

func TestServeEndsWithAnError(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if err := New("x", hclog.NewNullLogger()).Serve(t.Context(), ln); err == nil {
		t.Error("a dead listener is no error")
	}
}

func TestAssignment(t *testing.T) {
	var out bytes.Buffer
	a := New("x", hclog.New(&hclog.LoggerOptions{Output: &out, DisableTime: true}))
	for _, c := range []struct {
		share  []int32
		line   string
		metric string
		none   string
	}{
		{[]int32{}, `partitions=[] gained=[] lost=[]`, "", "calcdc_partition_assigned{"},
		{[]int32{7, 2}, `partitions="[2 7]" gained="[2 7]" lost=[]`, `calcdc_partition_assigned{partition="7"} 1`, ""},
		{[]int32{2, 7}, "", `calcdc_partition_assigned{partition="2"} 1`, ""},
		{[]int32{9, 2}, `partitions="[2 9]" gained=[9] lost=[7]`, `calcdc_partition_assigned{partition="9"} 1`, `partition="7"`},
	} {
		out.Reset()
		a.Assigned(c.share)
		if got := out.String(); (c.line == "") != (got == "") || !strings.Contains(got, c.line) {
			t.Errorf("%v: log %s", c.share, got)
		}
		text := scrape(t, a, "/metrics")
		if !strings.Contains(text, c.metric) || c.none != "" && strings.Contains(text, c.none) {
			t.Errorf("%v: %s", c.share, text)
		}
	}
}

// What moved to another worker is told of there, and no longer here.
func TestAccountThatLeft(t *testing.T) {
	a := New("x", hclog.NewNullLogger())
	bob := connector.Stream{Source: "work", Account: "bob", Collection: "/bob/work/", Kind: connector.Events}
	for _, s := range []connector.Stream{work, bob} {
		a.Stream(connector.Status{Stream: s, Condition: connector.Failing, Failures: 1, Err: "refused"})
		a.Published(s, map[string]int{"c": 5})
		a.Reset(s, "token-invalid")
		a.Account("work", s.Account, errors.New("401"))
	}
	a.Left("work", "alice")
	a.Left("home", "bob") // another source's
	text := scrape(t, a, "/metrics")
	if strings.Contains(text, `account="alice"`) {
		t.Error(text)
	}
	for _, name := range []string{"records_total", "resets_total", "stream_failures_total", "account_failures_total", "stream_rows", "account_up"} {
		if !strings.Contains(text, "calcdc_"+name+`{account="bob"`) {
			t.Errorf("%s of another account is gone", name)
		}
	}
}
