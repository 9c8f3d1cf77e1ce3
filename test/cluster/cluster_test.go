//go:build integration || soak

package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/oracle"
)

const (
	brokers    = 3
	accounts   = 12
	partitions = 8 // of the offsets
	// settleTime is enough for the session of a dead worker, a transaction that must time out, and a busy machine.
	settleTime = 150 * time.Second
)

// cluster is calendars, three brokers, workers between them that each have relays of their own before the brokers, and the oracle.
type cluster struct {
	t       testing.TB
	name    string
	dir     string // of the workers' configurations and logs
	began   time.Time
	sources *sources
	kafka   *testenv.Kafka
	lines   [][]*line    // by worker, and by broker
	nodes   []sync.Mutex // by broker, held by what befalls it
	workers []*worker
	reader  *oracle.Reader
	witness *witness
	sampler *sampler

	watching sync.WaitGroup // for workers that end by themselves
	early    atomic.Int64   // of those, before they had started: Kafka could not be had
	quiets   []time.Duration
}

// options say what a cluster is like.
type options struct {
	seed    uint64
	workers int
	most    int           // resources of an account
	pace    time.Duration // between two changes of all accounts
	level   string        // of the workers' logs
}

// newCluster starts brokers; workers come later.
func newCluster(t testing.TB, o options) *cluster {
	t.Helper()
	var id [4]byte
	_, _ = rand.Read(id[:])
	c := &cluster{t: t, name: "chaos-" + hex.EncodeToString(id[:]), dir: cmp.Or(os.Getenv("CALCDC_CHAOS_DIR"), t.TempDir()), began: time.Now(),
		nodes: make([]sync.Mutex, brokers)}
	var clients [][]string
	for n := range o.workers {
		var lines []*line
		var addrs []string
		for i := range brokers {
			l := newLine(t, o.seed+uint64(n*brokers+i))
			lines, addrs = append(lines, l), append(addrs, l.Addr())
		}
		c.lines, clients = append(c.lines, lines), append(clients, addrs)
	}
	c.kafka = testenv.NewKafka(t, testenv.KafkaOptions{Brokers: brokers, Clients: clients, Heap: "300m", Properties: map[string]string{
		"num.network.threads": "2", "num.io.threads": "4", "leader.imbalance.check.interval.seconds": "30",
	}})
	for n, lines := range c.lines {
		for i, l := range lines {
			l.To(c.kafka.ClientAddr(n, i))
		}
	}
	c.sources = newSources(t, o)
	c.witness = newWitness()
	c.read()
	t.Cleanup(c.watching.Wait)
	for n := range o.workers {
		c.workers = append(c.workers, c.newWorker(n, o.level))
	}
	c.sampler = newSampler(c.workers)
	c.note("three brokers run")
	return c
}

// configuration is that of worker n, with an address of its own for the admin server.
func (c *cluster) configuration(n int, admin, level string) string {
	var addrs []string
	for _, l := range c.lines[n] {
		addrs = append(addrs, l.Addr())
	}
	return fmt.Sprintf(`name: %[1]s
kafka: {brokers: [%[2]s], topic_prefix: %[1]s, topics: {partitions: 6, replication_factor: %[3]d}}
offsets: {partitions: %[4]d}
http: {listen: %[5]s}
log: {level: %[6]s}
`, c.name, strings.Join(addrs, ", "), brokers, partitions, admin, level) + c.sources.source()
}

func (c *cluster) topics() []string {
	return []string{c.name + ".work.events", c.name + ".work.calendars", c.name + ".notifications"}
}

// read begins the fold. The oracle asks the brokers themselves: no relay is between.
func (c *cluster) read() {
	c.t.Helper()
	reader, err := oracle.NewReader(strings.Split(c.kafka.Addr(), ","), c.topics()...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(reader.Close)
	c.reader = reader
	reader.Seen = c.witness.see
}

// note tells what happens when.
func (c *cluster) note(format string, args ...any) {
	c.t.Logf("%6.1f s  %s", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}

// phase lets histories go on while faults come as planned, and then a quiet moment.
func (c *cluster) phase(length time.Duration, plan []fault) {
	c.t.Helper()
	ctx, stop := context.WithCancel(c.t.Context())
	defer stop()
	c.witness.begin(c.sources.users)
	var living, reading, faults sync.WaitGroup
	living.Go(func() {
		if err := c.sources.live(ctx); err != nil {
			c.t.Error(err)
		}
	})
	reading.Go(func() { c.reader.Follow(ctx) })
	begin := time.Now()
	for _, f := range plan {
		wait(ctx, time.Until(begin.Add(f.at)))
		faults.Go(func() { c.carry(f) })
	}
	wait(ctx, time.Until(begin.Add(length)))
	faults.Wait()
	c.whole()
	wait(ctx, 2*time.Second) // histories go on for a moment with all in order
	stop()
	living.Wait()
	reading.Wait()
	c.quiet()
	if c.t.Failed() {
		c.t.FailNow()
	}
}

// whole waits until every broker has all it should.
func (c *cluster) whole() {
	c.t.Helper()
	if err := c.kafka.AwaitInSync(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.note("all brokers are in sync")
}

// quiet waits until the fold equals the calendars, and demands that no rule was broken and nothing comes any more.
func (c *cluster) quiet() {
	c.t.Helper()
	began := time.Now()
	for {
		found := c.differences()
		if len(found) == 0 {
			break
		}
		if time.Since(began) > settleTime {
			c.sound()
			c.t.Fatalf("after %v the topics still differ from the calendars:\n%s", settleTime, strings.Join(head(found), "\n"))
		}
		time.Sleep(200 * time.Millisecond) // between two looks
	}
	c.quiets = append(c.quiets, time.Since(began))
	c.witness.end()
	c.note("quiet: equal after %.1f s, %d records", time.Since(began).Seconds(), c.reader.Fold.Records)
	c.sound()
	time.Sleep(3 * time.Second) // three polls: that nothing comes takes time to see
	if n, err := c.reader.CatchUp(c.t.Context()); err != nil || n > 0 {
		c.t.Errorf("%d records were published though nothing changed (%v)", n, err)
	}
	c.sound()
}

// differences reads on and compares.
func (c *cluster) differences() []string {
	if _, err := c.reader.CatchUp(c.t.Context()); err != nil {
		return []string{err.Error()}
	}
	return c.sources.differences(c.reader.Fold)
}

// sound fails the test where a record broke a rule.
func (c *cluster) sound() {
	c.t.Helper()
	if faults := c.reader.Broken(c.t.Context()); len(faults) > 0 {
		c.t.Fatalf("%d rules broken:\n%s", len(faults), strings.Join(head(faults), "\n"))
	}
}

// start starts all workers.
func (c *cluster) start() {
	for _, w := range c.workers {
		w.mu.Lock()
		w.start()
		w.mu.Unlock()
	}
}

// stop ends all workers in order.
func (c *cluster) stop() {
	for _, w := range c.workers {
		w.mu.Lock()
		w.stop()
		w.mu.Unlock()
	}
}

func head(all []string) []string { return all[:min(len(all), 12)] }

// wait waits; less where ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
