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

	"github.com/calcdc/calcdc/connector"
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
	askSnapshot(t, "http://"+at[1]+"/connectors/work/snapshot")
	awaitText(t, func() string { return page(t, "http://"+at[1]+"/metrics") }, `reason="requested"`)
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

// askSnapshot asks for a snapshot of a calendar.
func askSnapshot(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := client.Post(url, "application/json", strings.NewReader(`{"account": "alice", "collection": "/alice/calendars/work/"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusAccepted || !strings.Contains(string(body), `"signal":"`) {
		t.Errorf("%s %s, %v", resp.Status, body, err)
	}
}

func testConfig(brokers []string, url string) *config.Config {
	c := config.Default()
	c.Name, c.Kafka.Brokers, c.Kafka.TopicPrefix, c.Offsets.Partitions, c.HTTP.Listen = "team", brokers, "cal", 2, "127.0.0.1:0"
	s, dav := config.DefaultSource(), config.DefaultCalDAV()
	s.Name, s.PollInterval, s.CalDAV = "work", 100*time.Millisecond, &dav
	dav.URL, dav.Accounts = url, []config.Account{{Name: "alice", Username: "alice", Password: config.NewSecret("secret")}}
	c.Sources = []config.Source{s}
	c.State.Dir = "none"
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

// Two processes with one name and one file share the accounts; when one is stopped the other has them all.
func TestTwoWorkersShareTheAccounts(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	users := map[string]string{"alice": "secret", "bob": "secret", "carol": "secret", "dave": "secret", "eve": "secret", "frank": "secret"}
	dav := davserver.New(davserver.Options{Users: users})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all.Go(func() { _ = dav.Serve(ctx, ln) })
	c := testConfig(broker.ListenAddrs(), "http://"+ln.Addr().String()+"/")
	c.Offsets.Partitions, c.Sources[0].CalDAV.Accounts = 8, nil
	for name := range users {
		dav.MakeCalendar(name, "work", "Work")
		c.Sources[0].CalDAV.Accounts = append(c.Sources[0].CalDAV.Accounts, config.Account{Name: name, Username: name, Password: config.NewSecret("secret")})
	}
	work := func(ctx context.Context, log *logged, ended chan<- error) { ended <- follow(ctx, c, log) }
	oneEnded, twoEnded, oneLog, twoLog := make(chan error, 1), make(chan error, 1), &logged{}, &logged{}
	one, stopOne := context.WithCancel(ctx)
	go work(one, oneLog, oneEnded)
	awaitText(t, oneLog.String, "partitions=\"[0 1 2 3 4 5 6 7]\"")
	awaitText(t, oneLog.String, "well: account=work/frank")
	go work(ctx, twoLog, twoEnded)
	awaitText(t, twoLog.String, "gained=\"[4 5 6 7]\" lost=[]")
	awaitText(t, oneLog.String, "partitions=\"[0 1 2 3]\" gained=[] lost=\"[4 5 6 7]\"")
	if strings.Contains(oneLog.String(), "loading again") {
		t.Errorf("streams that did not move were disturbed:\n%s", oneLog)
	}
	at := "http://" + regexp.MustCompile(`http=(\S+)`).FindStringSubmatch(oneLog.String())[1]
	theirs := []string{}
	for name := range users {
		if connector.AccountPartition("work", name, 8) > 3 {
			theirs = append(theirs, `account="`+name+`"`)
		}
	}
	if len(theirs) == 0 || len(theirs) == len(users) {
		t.Fatalf("%d of %d accounts moved", len(theirs), len(users))
	}
	awaitText(t, func() string {
		metrics := page(t, at+"/metrics")
		for _, label := range theirs {
			if strings.Contains(metrics, label) {
				return label + " is still told of"
			}
		}
		return metrics
	}, `calcdc_partition_assigned{partition="3"} 1`)
	stopOne()
	if err := <-oneEnded; err != nil {
		t.Error(err)
	}
	left := time.Now()
	awaitText(t, twoLog.String, "gained=\"[0 1 2 3]\" lost=[]")
	if took := time.Since(left); took > 5*time.Second {
		t.Errorf("handed over after %v: as if it had been lost", took)
	}
	dav.Put("alice", "work", "x.ics", event("X"))
	dav.Put("bob", "work", "x.ics", event("X"))
	awaitText(t, func() string {
		return page(t, "http://"+regexp.MustCompile(`http=(\S+)`).FindStringSubmatch(twoLog.String())[1]+"/metrics")
	},
		`calcdc_records_total{account="bob",collection="/bob/calendars/work/",op="c"`)
	cancel()
	if err := <-twoEnded; err != nil {
		t.Error(err)
	}
}
