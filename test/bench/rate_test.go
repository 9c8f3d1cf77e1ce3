//go:build integration

package bench

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	rateUsers    = 100
	ratePerHome  = 10
	rateEvents   = 30 // in each of the 1,000 calendars
	rateInterval = 5 * time.Second
	rateStep     = 30 * time.Second // at each rate, of which the first two intervals do not count
	rateWarm     = 2 * rateInterval
	rateBase     = 3000
	rateLate     = time.Second // what 99 of 100 changes must not exceed
)

// rates are tried one after another until one is not sustained.
var rates = []int{rateBase, 4000, 5000, 6000, 7000, 8000, 10_000, 12_000}

// BenchmarkRate changes events in 1,000 calendars of 100 users, evenly, so many a second, while calcdc polls every 5 s: how long it is
// from the end of the server's answer with a change to a consumer of committed records having its row, and the highest rate
// that lasts. The floor writes the same records, in transactions of the same size and under as many transactional ids, as fast as
// franz-go can.
func BenchmarkRate(b *testing.B) {
	for range b.N {
		s := startServer(b, serverOptions{Users: rateUsers, Calendars: ratePerHome, Events: rateEvents})
		cl := client(b)
		in := startServing(b, s, rateInterval)
		ended(b, in.name, rateUsers*ratePerHome)
		in.settle(b, s)
		w := watch(b, topics(in.name)[0])
		var base, best driven
		for _, rate := range rates {
			d := drive(b, in, s, w, rate)
			b.Logf("%v", d)
			if rate == rateBase {
				base = d
			}
			if !d.sustained() {
				break
			}
			best = d
		}
		floor := rateFloor(b, in, s, base.perTransaction)
		in.stop(b)
		w.stop()
		dropTopics(b, cl, in.name)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(base.quantile(0.5), "p50-ms")
		b.ReportMetric(base.quantile(0.99), "p99-ms")
		b.ReportMetric(base.perChange(), "cpu-µs/change")
		b.ReportMetric(float64(base.peak)/1e6, "RSS-MB")
		b.ReportMetric(float64(best.rate), "most-changes/s")
		b.ReportMetric(floor.perSecond(), "floor-changes/s")
		b.ReportMetric(floor.perChange(), "floor-cpu-µs/change")
		b.ReportMetric(base.perChange()/floor.perChange(), "×floor-cpu")
		if !base.sustained() {
			b.Errorf("%d changes a second are not sustained: %v", rateBase, base)
		}
	}
}

// driven is what became of a rate.
type driven struct {
	rate           int
	made, seen     int // changes of the part that counts, and rows of it that were visible
	took           []time.Duration
	cpu            time.Duration // of calcdc
	window         time.Duration
	perTransaction float64 // records
	transactions   float64 // a second
	peak           int64
}

func (d driven) quantile(q float64) float64 {
	if len(d.took) == 0 {
		return 0
	}
	return float64(d.took[int(q*float64(len(d.took)-1))].Microseconds()) / 1000
}

func (d driven) perChange() float64 { return float64(d.cpu.Microseconds()) / float64(max(1, d.seen)) }

// sustained: what was changed became visible as it was changed, in time.
func (d driven) sustained() bool {
	return d.seen >= d.made*97/100 && d.quantile(0.99) <= float64(rateLate.Milliseconds())
}

func (d driven) String() string {
	return fmt.Sprintf("%d changes/s: %d of %d visible, p50 %.0f ms, p99 %.0f ms, %.1f transactions/s of %.0f records, %.0f µs of processor time a change, %d MB",
		d.rate, d.seen, d.made, d.quantile(0.5), d.quantile(0.99), d.transactions, d.perTransaction, d.perChange(), d.peak/1e6)
}

// drive has the server change events for a while.
func drive(b *testing.B, in *instance, s *server, w *watcher, rate int) driven {
	b.Helper()
	d := driven{rate: rate, window: rateStep - rateWarm}
	var begun struct{ From int }
	ask(b, fmt.Sprintf("%s/drive?rate=%d&for=%s", s.Edit, rate, rateStep), &begun)
	time.Sleep(rateWarm)
	cpu, seen, counted := in.cpu(b), w.count(), in.transactions(b)
	time.Sleep(d.window)
	d.cpu, d.seen = in.cpu(b)-cpu, w.count()-seen
	now := in.transactions(b)
	d.transactions = (now.count - counted.count) / d.window.Seconds()
	d.perTransaction = (now.records - counted.records) / (now.count - counted.count)
	d.made, d.peak = int(float64(rate)*d.window.Seconds()), in.resident(b)
	in.settle(b, s)
	var answered map[int]int64
	ask(b, s.Edit+"/answered", &answered)
	first := begun.From + int(float64(rate)*rateWarm.Seconds())
	for serial, at := range w.take() {
		if answer, ok := answered[serial]; ok && serial >= first {
			d.took = append(d.took, time.Duration(at-answer))
		}
	}
	slices.Sort(d.took)
	return d
}

// counted are calcdc's own counters.
type counted struct{ count, records float64 }

// transactions reads them from /metrics.
func (in *instance) transactions(b *testing.B) counted {
	b.Helper()
	text := in.metrics(b)
	value := func(name string) float64 {
		_, rest, _ := bytes.Cut(text, []byte("\n"+name+" "))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		v, err := strconv.ParseFloat(string(line), 64)
		if err != nil {
			b.Fatalf("%s: %v", name, err)
		}
		return v
	}
	return counted{value(`calcdc_transaction_duration_seconds_count{result="committed"}`), value("calcdc_transaction_records_total")}
}

// watcher reads committed rows and notes when each change was visible.
type watcher struct {
	cl   *kgo.Client
	done chan struct{}
	mu   sync.Mutex
	at   map[int]int64 // ns since 1970, by the change's serial number
	rows int
}

func watch(b *testing.B, topic string) *watcher {
	b.Helper()
	w := &watcher{cl: consumer(b, topic), done: make(chan struct{}), at: map[int]int64{}}
	go w.run(context.WithoutCancel(b.Context()))
	return w
}

func (w *watcher) run(ctx context.Context) {
	defer close(w.done)
	for {
		fetches := w.cl.PollFetches(ctx)
		if fetches.IsClientClosed() {
			return
		}
		at := time.Now().UnixNano()
		w.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			if serial, ok := lastSerial(r.Value); ok {
				w.at[serial] = at
				w.rows++
			}
		})
		w.mu.Unlock()
	}
}

func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rows
}

// take returns what has been seen since the last take.
func (w *watcher) take() map[int]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.at
	w.at = map[int]int64{}
	return at
}

func (w *watcher) stop() {
	w.cl.Close()
	<-w.done
}

// rateFloor has calcdc publish some seconds of the base rate, and franz-go write those very records.
func rateFloor(b *testing.B, in *instance, s *server, perTransaction float64) paceless {
	b.Helper()
	const seconds = 5
	all := newTail(b, in.name)
	ask(b, fmt.Sprintf("%s/drive?rate=%d&for=%ds", s.Edit, rateBase, seconds), nil)
	time.Sleep(seconds * time.Second)
	in.settle(b, s)
	o := floorOptions{Brokers: brokers(b), Name: newName(s.source(), "floor"), Records: filepath.Join(b.TempDir(), "records.gob"),
		PerTransaction: int(perTransaction)}
	records := all.take(b)
	saveRecords(b, o.Records, records)
	cl := client(b)
	makeTopics(b, cl, o.Name)
	defer dropTopics(b, cl, o.Name)
	c := spawn(b, "write", o)
	var r floorResult
	c.answer(b, &r)
	c.end(b)
	changes := 0
	for _, record := range records {
		if record.Place == 0 {
			changes++
		}
	}
	b.Logf("the floor wrote %d records, %d of them changes, in %d transactions and %v", len(records), changes, r.Transactions, r.took())
	return paceless{r, changes}
}

// paceless is a floor that goes as fast as it can.
type paceless struct {
	floorResult
	changes int
}

func (p paceless) perSecond() float64 { return float64(p.changes) / p.took().Seconds() }
func (p paceless) perChange() float64 { return float64(p.CPU) / 1000 / float64(p.changes) }
