//go:build integration

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/internal/davserver"
)

// serialName is a property that numbers the changes of serveDrive.
const serialName = "X-SERIAL:"

// lastSerial is the last number of a change in text: in an envelope, that of after.raw.
func lastSerial(text []byte) (int, bool) {
	i := bytes.LastIndex(text, []byte(serialName))
	if i < 0 {
		return 0, false
	}
	return serialAt(text[i+len(serialName):])
}

func serialAt(text []byte) (int, bool) {
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(string(text[:end]))
	return n, err == nil
}

// serials notes the changes in an answer. A number that is cut by two writes is not found: the server writes whole elements.
type serials struct {
	http.ResponseWriter
	found []int
}

func (s *serials) Write(p []byte) (int, error) {
	for rest := p; ; {
		_, after, ok := bytes.Cut(rest, []byte(serialName))
		if !ok {
			break
		}
		if n, ok := serialAt(after); ok {
			s.found = append(s.found, n)
		}
		rest = after
	}
	return s.ResponseWriter.Write(p)
}

// serveDrive changes events, evenly in time and over all calendars, and answers at once with the first change's number.
func (s *served) serveDrive(w http.ResponseWriter, r *http.Request) {
	rate, _ := strconv.Atoi(r.FormValue("rate"))
	span, _ := time.ParseDuration(r.FormValue("for"))
	from, n := s.driven, int(float64(rate)*span.Seconds())
	s.driven += n
	go func() {
		began := time.Now()
		for i := range n {
			time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(rate))))
			s.changeOne(from + i)
		}
	}()
	_ = json.NewEncoder(w).Encode(map[string]int{"From": from})
}

// changeOne gives an event another text, with the change's number in it.
func (s *served) changeOne(serial int) {
	calendars := len(s.users) * s.options.Calendars
	calendar, event := serial%calendars, serial/calendars%s.events
	text := bytes.Replace(davserver.SampleEvent(1, event), []byte("BEGIN:VEVENT\r\n"), fmt.Appendf(nil, "BEGIN:VEVENT\r\n%s%d\r\n", serialName, serial), 1)
	s.dav.Put(s.users[calendar/s.options.Calendars], fmt.Sprintf("c%d", calendar%s.options.Calendars), davserver.SampleName(1, event), text)
}

func (s *served) serveAnswered(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	answered := s.answered
	s.answered = map[int]int64{}
	s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(answered) // a client that has gone sees an error of its own
}

// shareOf is the partition of the state that a record is written with.
func shareOf(r record) (int32, error) {
	if place := topics("dav-")[r.Place]; strings.HasSuffix(place, "-state") || strings.HasSuffix(place, "-offsets") {
		return r.Partition, nil
	}
	var key struct{ Source, Account string }
	if err := json.Unmarshal(r.Key, &key); err != nil {
		return 0, err
	}
	return connector.AccountPartition(key.Source, key.Account, internalPartitions), nil
}

// writeFloor writes calcdc's records in transactions of PerTransaction, those of each partition of the state under a transactional id
// of its own, all at the same time.
func writeFloor(o floorOptions) (floorResult, error) {
	all, err := readRecords(o)
	if err != nil {
		return floorResult{}, err
	}
	shares := map[int32][]record{}
	for _, r := range all {
		share, err := shareOf(r)
		if err != nil {
			return floorResult{}, err
		}
		shares[share] = append(shares[share], r)
	}
	ctx := context.Background()
	clients := map[int32]*kgo.Client{}
	for share := range shares {
		cl, err := producer(o, kgo.TransactionalID(fmt.Sprintf("%s-%d", o.Name, share)), kgo.ProducerLinger(0))
		if err != nil {
			return floorResult{}, err
		}
		defer cl.Close()
		clients[share] = cl
		if err := transact(ctx, cl, []*kgo.Record{{Topic: topics(o.Name)[0], Key: []byte("connected")}}); err != nil {
			return floorResult{}, err
		}
	}
	var g errgroup.Group
	r := floorResult{Began: time.Now().UnixNano(), Transactions: (len(all) + o.PerTransaction - 1) / o.PerTransaction}
	before := cpuTime()
	for share, records := range shares {
		g.Go(func() error {
			rest := kgoRecords(o.Name, records)
			for len(rest) > 0 {
				n := min(o.PerTransaction, len(rest))
				if err := transact(ctx, clients[share], rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
			}
			return nil
		})
	}
	err = g.Wait()
	r.Ended, r.CPU = time.Now().UnixNano(), cpuTime()-before
	return r, err
}
