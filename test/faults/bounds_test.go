//go:build integration

package faults

import (
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/rig"
)

// What calcdc may have resident at most, in MiB.
const (
	slowPeak  = 180 // with 8 MiB of records that wait for a slow Kafka
	largePeak = 450 // with resources of 10 MiB in each of 16 calendars that are read at once: one of them in work, a page at most of each of the others
)

// noise is text that no codec makes much smaller.
func noise(rng *rand.Rand, bytes int) string {
	b := make([]byte, bytes/2)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return hex.EncodeToString(b)
}

// large puts an event whose description has so many bytes.
func (c *calendars) large(rng *rand.Rand, user, calendar, name string, bytes int) {
	c.Put(user, calendar, name, []byte(strings.Replace(string(event(name, "large")), "END:VEVENT", "DESCRIPTION:"+noise(rng, bytes)+"\r\nEND:VEVENT", 1)))
}

// While each commit takes ten seconds and more, what has been read and waits for Kafka stays within limits.uncommitted: polls wait. When
// Kafka is fast again, they go on.
func TestSlowKafka(t *testing.T) {
	t.Parallel()
	const calendarsOfEach, events, size = 20, 50, 20 << 10
	relay := rig.NewRelay(t, nil)
	k := testenv.NewKafka(t, testenv.KafkaOptions{Properties: map[string]string{"advertised.listeners": "PLAINTEXT://" + relay.Addr()}})
	relay.To(k.Addr())
	users := []string{"alice", "bob"}
	cal := newCalendars(t, davserver.Options{}, users...)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, user := range users {
		for i := range calendarsOfEach {
			cal.MakeCalendar(user, fmt.Sprintf("c%d", i), "")
		}
	}
	in := newInstance(t, relay.Addr(), "limits: {uncommitted: 8MiB}\nevents: {before: key}\n", upstream{name: "work", cal: cal, users: users})
	in.start()
	in.settle()
	relay.Set(rig.Line{Delay: time.Second})
	for i := range events { // 40 MB
		for _, user := range users {
			for j := range calendarsOfEach {
				cal.large(rng, user, fmt.Sprintf("c%d", j), fmt.Sprintf("%d.ics", i), size)
			}
		}
	}
	time.Sleep(25 * time.Second) // of a slow Kafka
	in.run.Alive()
	slow, served := in.run.Peak(), cal.Traffic()[davserver.Multiget].Out
	relay.Set(rig.Line{})
	in.settle()
	t.Logf("%d MiB of bodies were read while Kafka was slow, %d MiB in all; %d MiB resident at most meanwhile, %d MiB afterwards",
		served>>20, cal.Traffic()[davserver.Multiget].Out>>20, slow, in.run.Peak())
	if peak := in.run.Peak(); peak > slowPeak {
		t.Errorf("%d MiB resident", peak)
	}
	if all := cal.Traffic()[davserver.Multiget].Out; served > all/2 {
		t.Errorf("%d of %d bytes were read while Kafka was slow", served, all)
	}
	in.run.Stop()
}

// Resources of 10 MiB, of many calendars at a time, are published without their raw; what calcdc needs is not a multiple of them all.
func TestLargeResources(t *testing.T) {
	t.Parallel()
	const size, calendarsOfAll, each = 10 << 20, 16, 3
	cal := newCalendars(t, davserver.Options{}, "alice")
	for i := range calendarsOfAll {
		name := fmt.Sprintf("c%d", i)
		cal.MakeCalendar("alice", name, "")
		for j := range each {
			cal.Put("alice", name, fmt.Sprintf("%d.ics", j), []byte(strings.Replace(string(event("large", name)), "END:VEVENT",
				"ATTACH;ENCODING=BASE64;VALUE=BINARY:"+strings.Repeat("QUJD", size/4)+"\r\nEND:VEVENT", 1)))
		}
		cal.write("alice", name, "small.ics")
	}
	in := newInstance(t, testenv.Env(t, testenv.EnvKafka), "", upstream{name: "work", cal: cal, users: []string{"alice"}, caldav: "concurrency: 16"})
	in.start()
	eventually(t, 2*time.Minute, "the resources are published", func() string {
		in.run.Alive()
		in.catchUp()
		for i := range calendarsOfAll {
			s := in.stream("work", "alice", cal.Path("alice", fmt.Sprintf("c%d", i)))
			if s == nil || len(s.Rows) != each+1 || len(s.Markers) != 2 {
				return fmt.Sprintf("c%d", i)
			}
		}
		return ""
	})
	in.sound()
	t.Logf("%d MiB resident at most", in.run.Peak())
	if peak := in.run.Peak(); peak > largePeak {
		t.Errorf("%d MiB resident", peak)
	}
	in.run.Stop()
}

// drips are answers that come for ever, a little at a time.
var drips = map[string]struct {
	says string
	drip func(w http.ResponseWriter) error
}{
	"headers":   {"did not answer in time", nil}, // interim answers without an end
	"body":      {"comes too slowly", func(w http.ResponseWriter) error { _, err := io.WriteString(w, " "); return err }},
	"responses": {"comes too slowly", func(w http.ResponseWriter) error { _, err := io.WriteString(w, "<response/>"); return err }},
}

// A server that keeps a request alive with a byte now and then is given up as a silent one is, and others go on.
func TestDrips(t *testing.T) {
	t.Parallel()
	cal := newCalendars(t, davserver.Options{}, "alice")
	cal.fill("alice", "witness", 2)
	for name := range drips {
		cal.fill("alice", name, 2)
	}
	var on atomic.Bool
	instead := func(w http.ResponseWriter, r *http.Request) bool {
		parts := strings.Split(r.URL.Path, "/")
		if !on.Load() || len(parts) < 5 || r.Method != "REPORT" {
			return false
		}
		d, ok := drips[parts[3]]
		if ok {
			dripOn(w, r, d.drip)
		}
		return ok
	}
	cal.instead.Store(&instead)
	in := newInstance(t, testenv.Env(t, testenv.EnvKafka), "log: {format: json}\nlimits: {silence: 3s}\n", upstream{name: "work", cal: cal, users: []string{"alice"}})
	in.start()
	in.settle()
	on.Store(true)
	for _, name := range cal.Calendars("alice") {
		cal.stir("alice", name)
	}
	eventually(t, inTime, "each is given up, and what is beside goes on", func() string {
		in.run.Alive()
		in.catchUp()
		for name, d := range drips {
			if !in.logged(cal.Path("alice", name), d.says) {
				return name
			}
		}
		return behind(in, cal, "alice", "witness")
	})
	on.Store(false)
	in.settle()
	in.quiet()
	in.run.Stop()
}

// dripOn sends a little, again and again; without drip, interim answers in place of an answer.
func dripOn(w http.ResponseWriter, r *http.Request, drip func(http.ResponseWriter) error) {
	if drip != nil {
		w.Header().Set("Content-Type", "application/xml; charset=utf-8")
		w.WriteHeader(http.StatusMultiStatus)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><multistatus xmlns="DAV:">`)
	}
	for r.Context().Err() == nil {
		if drip == nil {
			w.WriteHeader(http.StatusProcessing) // sent at once
		} else if drip(w) != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		time.Sleep(100 * time.Millisecond) // a byte now and then
	}
	panic(http.ErrAbortHandler)
}
