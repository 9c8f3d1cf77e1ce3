//go:build integration

package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/davserver"
)

const (
	fleetUsers    = 1000
	fleetPerHome  = 10
	fleetInterval = time.Minute
	fleetScrapes  = 4 // of /metrics, one after another
)

// BenchmarkFleet follows 1,000 users of 10 calendars each, polled once a minute, in which nothing happens: processor time, memory
// and requests of a round of polls, and what /metrics with 11,000 streams costs. The floor asks for each home at the same
// pace and reads the answers with encoding/xml.
func BenchmarkFleet(b *testing.B) {
	for range b.N {
		s := startServer(b, serverOptions{Users: fleetUsers, Calendars: fleetPerHome, Events: 1})
		is := idleFleet(b, s)
		c := spawn(b, "pace", paceOptions{URL: s.URL, Users: s.options.users(), Interval: fleetInterval})
		var floor paceResult
		c.answer(b, &floor)
		c.end(b)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(is.perSecond, "cpu-ms/s")
		b.ReportMetric(floor.perSecond(), "floor-cpu-ms/s")
		b.ReportMetric(is.perSecond/floor.perSecond(), "×floor")
		b.ReportMetric(float64(is.requests)/float64(is.homes), "requests/poll")
		b.ReportMetric(float64(is.resident)/1e6, "RSS-MB")
		b.ReportMetric(float64(is.scraped)/1e6, "RSS-MB-scraped")
		b.ReportMetric(float64(is.peak)/1e6, "peak-MB")
		b.ReportMetric(float64(is.scrape.Milliseconds()), "cpu-ms/scrape")
		if is.requests != is.homes {
			b.Errorf("%d requests in %d polls", is.requests, is.homes)
		}
	}
}

// fleetIdleness is what following many accounts took in which nothing happens.
type fleetIdleness struct {
	perSecond               float64 // ms of processor time
	requests, homes         int
	resident, peak, scraped int64         // bytes; scraped: resident after scrapes
	scrape                  time.Duration // processor time of one
}

func idleFleet(b *testing.B, s *server) fleetIdleness {
	b.Helper()
	in := startServing(b, s, fleetInterval)
	cl := client(b)
	at := ended(b, in.name, fleetUsers*fleetPerHome)
	b.Logf("%d calendars were published in %v, at most %d MB resident", fleetUsers*fleetPerHome,
		time.Duration(at.UnixNano()-s.account(b, false).FirstSync).Round(time.Millisecond), in.peak(b)/1e6)
	time.Sleep(2*fleetInterval + fleetInterval/10) // the looks that follow the snapshots are done, and the polls are spread
	first, cpu, began := s.account(b, false), in.cpu(b), time.Now()
	time.Sleep(fleetInterval)
	i := fleetIdleness{perSecond: float64((in.cpu(b) - cpu).Microseconds()) / 1000 / time.Since(began).Seconds()}
	last := s.account(b, false)
	i.requests, i.homes = total(last)-total(first), last.Requests[davserver.Home]-first.Requests[davserver.Home]
	i.resident, i.peak = in.resident(b), in.peak(b)
	cpu = in.cpu(b)
	for range fleetScrapes {
		b.Logf("/metrics has %d KB", len(in.metrics(b))>>10)
	}
	i.scrape = (in.cpu(b) - cpu) / fleetScrapes
	i.scraped = in.resident(b)
	in.stop(b)
	dropTopics(b, cl, in.name)
	return i
}

// metrics reads /metrics.
func (in *instance) metrics(b *testing.B) []byte {
	b.Helper()
	res, err := http.Get("http://" + in.http + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		b.Fatalf("/metrics: %s %v", res.Status, err)
	}
	return text
}

// paceOptions are what the floor of BenchmarkFleet does.
type paceOptions struct {
	URL      string
	Users    []string
	Interval time.Duration // in which each home is asked for once
}

// paceResult is the processor time that it took.
type paceResult struct{ CPU, Took int64 }

func (r paceResult) perSecond() float64 { return float64(r.CPU) / 1e6 / (float64(r.Took) / 1e9) }

const homeProps = xmlHead + `<d:propfind xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:cs="http://calendarserver.org/ns/" xmlns:a="http://apple.com/ns/ical/"><d:prop>` +
	`<d:resourcetype/><d:displayname/><d:sync-token/><cs:getctag/><d:supported-report-set/><d:current-user-privilege-set/><d:owner/>` +
	`<c:supported-calendar-component-set/><c:calendar-description/><c:calendar-timezone/><c:calendar-timezone-id/><a:calendar-color/></d:prop></d:propfind>`

// paceTask asks for half of the homes, one after another, evenly over half an interval.
func paceTask() error {
	var o paceOptions
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	gap := o.Interval / time.Duration(len(o.Users))
	before, began := cpuTime(), time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for i, name := range o.Users[:len(o.Users)/2] {
		time.Sleep(time.Until(began.Add(time.Duration(i) * gap)))
		wg.Go(func() {
			if err := askHome(o.URL, name); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	r := paceResult{CPU: cpuTime() - before, Took: time.Since(began).Nanoseconds()}
	return errors.Join(failed, json.NewEncoder(os.Stdout).Encode(r))
}

func askHome(root, name string) error {
	req, err := http.NewRequest("PROPFIND", strings.TrimSuffix(root, "/")+"/"+name+"/calendars/", strings.NewReader(homeProps))
	if err != nil {
		return err
	}
	req.SetBasicAuth(name, password)
	req.Header.Set("Depth", "1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	calendars := 0
	err = readXML(res.Body, func(element string, _ []byte) error {
		if element == "response" {
			calendars++
		}
		return nil
	})
	if err == nil && calendars != fleetPerHome+1 {
		err = fmt.Errorf("%d of %d responses", calendars, fleetPerHome+1)
	}
	return err
}

// cpuTime is what this process has spent on a processor, in ns.
func cpuTime() int64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return used.Utime.Nano() + used.Stime.Nano()
}
