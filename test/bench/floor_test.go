//go:build integration

package bench

import (
	"bufio"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// floorOptions are what a floor is asked to do.
type floorOptions struct {
	Brokers string
	URL     string // the calendar server; "": nothing is downloaded
	Name    string // of its topics
	Records string // file of the records that it writes, for the transactional one
	Events  int
	Cut     bool   // search the answers for the server's marks instead of reading XML or JSON
	Token   string // of a Google server: its bearer token; "": it is a CalDAV server

	PerTransaction int // records; of writeFloor
}

// download reads the first calendar of the server: what it is given is called with the bodies as they come, perhaps from
// several goroutines at once.
func (o floorOptions) download() func(ctx context.Context, take func([]body) error) error {
	if o.Token != "" {
		return (&lister{url: o.URL, token: o.Token, cut: o.Cut}).run
	}
	return newDownloader(o.URL, o.Cut).run
}

// floorResult is when a floor began and ended, ns since 1970.
type floorResult struct {
	Began, Ended int64
	Bodies       int
	Transactions int
	CPU          int64 // ns on a processor, of the whole process where the floor does not say otherwise
}

func (r floorResult) took() time.Duration { return time.Duration(r.Ended - r.Began) }

// record is one of calcdc's, to be written again. Place is that of its topic in topics.
type record struct {
	Place      int
	Partition  int32
	Key, Value []byte
	Tombstone  bool
	Headers    []kgo.RecordHeader
}

func recordOf(place int, r *kgo.Record) record {
	return record{Place: place, Partition: r.Partition, Key: r.Key, Value: r.Value, Tombstone: r.Value == nil, Headers: r.Headers}
}

// records makes them kgo's, for the topics of name.
func kgoRecords(name string, from []record) []*kgo.Record {
	names := topics(name)
	out := make([]*kgo.Record, len(from))
	for i, r := range from {
		out[i] = &kgo.Record{Topic: names[r.Place], Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers}
		if !r.Tombstone && r.Value == nil {
			out[i].Value = []byte{}
		}
	}
	return out
}

// interleave mixes records of several topics as a snapshot writes them: evenly from begin to end.
func interleave(all []record) []record {
	byTopic := map[int][]record{}
	for _, r := range all {
		byTopic[r.Place] = append(byTopic[r.Place], r)
	}
	places := slices.Sorted(maps.Keys(byTopic))
	out := make([]record, 0, len(all))
	for i := range all {
		for _, place := range places {
			have := byTopic[place]
			for due := (i + 1) * len(have) / len(all); due > i*len(have)/len(all); due-- {
				out = append(out, have[due-1])
			}
		}
	}
	return out
}

func saveRecords(b *testing.B, path string, all []record) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = errors.Join(gob.NewEncoder(w).Encode(all), w.Flush(), f.Close())
	if err != nil {
		b.Fatal(err)
	}
}

// runFloor runs a floor as a child.
func runFloor(b *testing.B, task string, o floorOptions) floorResult {
	b.Helper()
	c := spawn(b, task, o)
	var r floorResult
	c.answer(b, &r)
	c.end(b)
	if r.Bodies != o.Events {
		b.Fatalf("the floor downloaded %d bodies of %d", r.Bodies, o.Events)
	}
	return r
}

func floorTask(run func(floorOptions) (floorResult, error)) error {
	var o floorOptions
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	r, err := run(o)
	if err != nil {
		return err
	}
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return err
	}
	if r.CPU == 0 {
		r.CPU = used.Utime.Nano() + used.Stime.Nano()
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func producer(o floorOptions, options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(o.Brokers, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.MaxBufferedRecords(20_000)}, options...)...)
}

// rawFloor downloads the bodies and produces them as they are, without transactions, to one partition.
func rawFloor(o floorOptions) (floorResult, error) {
	cl, err := producer(o)
	if err != nil {
		return floorResult{}, err
	}
	defer cl.Close()
	topic := topics(o.Name)[0]
	ctx := context.Background()
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte("connected")}).FirstErr(); err != nil {
		return floorResult{}, err
	}
	var mu sync.Mutex
	var failed error
	bodies := 0
	began := time.Now()
	err = o.download()(ctx, func(got []body) error {
		for _, x := range got {
			cl.Produce(ctx, &kgo.Record{Topic: topic, Key: x.href, Value: x.data}, func(_ *kgo.Record, err error) {
				if err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			})
		}
		mu.Lock()
		bodies += len(got)
		mu.Unlock()
		return nil
	})
	err = errors.Join(err, cl.Flush(ctx), failed)
	return floorResult{Began: began.UnixNano(), Ended: time.Now().UnixNano(), Bodies: bodies}, err
}

// perTransaction is how many records a transaction of the floor holds.
const perTransaction = 1000

// transactionalFloor downloads the bodies and writes calcdc's records, a thousand a transaction, each as soon as that part of the
// bodies is there.
func transactionalFloor(o floorOptions) (floorResult, error) {
	records, err := loadRecords(o)
	if err != nil {
		return floorResult{}, err
	}
	cl, err := producer(o, kgo.TransactionalID(o.Name), kgo.ProducerLinger(0))
	if err != nil {
		return floorResult{}, err
	}
	defer cl.Close()
	ctx := context.Background()
	if err := transact(ctx, cl, []*kgo.Record{{Topic: records[0].Topic, Key: []byte("connected")}}); err != nil {
		return floorResult{}, err
	}
	r := floorResult{Began: time.Now().UnixNano()}
	arrived := make(chan int, 64)
	down := make(chan error, 1)
	go func() {
		defer close(arrived)
		down <- o.download()(ctx, func(got []body) error { arrived <- len(got); return nil })
	}()
	for n := range arrived {
		r.Bodies += n
		for due := int(int64(r.Bodies) * int64(len(records)) / int64(o.Events)); (r.Transactions+1)*perTransaction <= due; r.Transactions++ {
			at := r.Transactions * perTransaction
			if err := transact(ctx, cl, records[at:at+perTransaction]); err != nil {
				return r, err
			}
		}
	}
	if rest := records[r.Transactions*perTransaction:]; len(rest) > 0 {
		r.Transactions++
		err = transact(ctx, cl, rest)
	}
	r.Ended = time.Now().UnixNano()
	return r, errors.Join(err, <-down)
}

func loadRecords(o floorOptions) ([]*kgo.Record, error) {
	all, err := readRecords(o)
	if err != nil {
		return nil, err
	}
	return kgoRecords(o.Name, all), nil
}

func readRecords(o floorOptions) ([]record, error) {
	f, err := os.Open(o.Records)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []record
	if err := gob.NewDecoder(bufio.NewReaderSize(f, 1<<20)).Decode(&all); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return all, nil
}

// transact writes records in one transaction.
func transact(ctx context.Context, cl *kgo.Client, records []*kgo.Record) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	var mu sync.Mutex
	var failed error
	for _, r := range records {
		cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	err := cl.Flush(ctx)
	mu.Lock()
	defer mu.Unlock()
	return errors.Join(err, failed, cl.EndTransaction(ctx, kgo.TryCommit))
}
