package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/internal/davserver"
)

// logged is a log that can be read while it is written.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// TestRunServesMetrics runs the connector in this process, where goleak and the race detector see it.
func TestRunServesMetrics(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	dav := davserver.New(davserver.Options{Users: map[string]string{"alice": "secret"}})
	dav.MakeCalendar("alice", "work", "Work")
	dav.Put("alice", "work", "x.ics", event("X"))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- dav.Serve(ctx, ln) }()
	log := &logged{}
	go func() { ended <- follow(ctx, testConfig(broker.ListenAddrs(), "http://"+ln.Addr().String()+"/"), log) }()

	awaitText(t, log.String, "work/alice/events /alice/calendars/work/\" state=streaming epoch=1 rows=1")
	at := regexp.MustCompile(`http=(\S+)`).FindStringSubmatch(log.String())
	if at == nil {
		t.Fatalf("the log names no address:\n%s", log)
	}
	awaitText(t, func() string { return page(t, "http://"+at[1]+"/metrics") },
		`calcdc_records_total{account="alice",collection="/alice/calendars/work/",op="r",source="work",stream="events"} 1`)
	metrics := page(t, "http://"+at[1]+"/metrics")
	for _, want := range []string{`calcdc_stream_rows{account="alice",collection="/alice/calendars/work/"`,
		"calcdc_stream_seconds_since_good_poll{", `calcdc_transaction_duration_seconds_count{result="committed"}`, "calcdc_build_info{"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if health := page(t, "http://"+at[1]+"/healthz"); !strings.Contains(health, `"status":"ok"`) {
		t.Errorf("healthz: %s", health)
	}
	dav.InvalidateTokens("alice", "work")
	dav.Put("alice", "work", "y.ics", event("Y"))
	awaitText(t, func() string { return page(t, "http://"+at[1]+"/metrics") }, `reason="token-invalid"`)
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if strings.Contains(log.String(), "secret") {
		t.Error("the log holds the password")
	}
}

func testConfig(brokers []string, url string) *config.Config {
	c := config.Default()
	c.Name, c.Kafka.Brokers, c.Kafka.TopicPrefix, c.Offsets.Partitions, c.HTTP.Listen = "team", brokers, "cal", 2, "127.0.0.1:0"
	s, dav := config.DefaultSource(), config.DefaultCalDAV()
	s.Name, s.PollInterval, s.CalDAV = "work", 100*time.Millisecond, &dav
	dav.URL, dav.Accounts = url, []config.Account{{Name: "alice", Username: "alice", Password: config.NewSecret("secret")}}
	c.Sources = []config.Source{s}
	return c
}

func awaitText(t *testing.T, text func() string, want string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(text(), want) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come:\n%s", want, text())
		}
		pause(t.Context(), 20*time.Millisecond) // between two looks, not instead of one
	}
}

func page(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestTwoOfOneName: of two processes with one name one ends and says why; the other goes on.
func TestTwoOfOneName(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	dav := davserver.New(davserver.Options{Users: map[string]string{"alice": "secret"}})
	dav.MakeCalendar("alice", "work", "Work")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var others sync.WaitGroup
	others.Go(func() { _ = dav.Serve(ctx, ln) })
	others.Go(func() { churn(ctx, dav, "work") })
	defer others.Wait()
	defer cancel()
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			ended <- follow(ctx, testConfig(broker.ListenAddrs(), "http://"+ln.Addr().String()+"/"), &logged{})
		}()
	}
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "another process with this name is running") {
			t.Errorf("the one that ended: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("both go on")
		cancel()
		<-ended
	}
	cancel()
	if err := <-ended; err != nil && !strings.Contains(err.Error(), "another process") {
		t.Errorf("the other: %v", err)
	}
}
