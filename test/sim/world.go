package sim

import (
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sinks/kafka"
)

const (
	name       = "sim"
	prefix     = "cal"
	source     = "work"
	partitions = 2 // of every topic

	metadataTTL = 4 * time.Second // four times what calcdc has: half of what a seed costs would be requests for metadata

	pollInterval   = 6 * time.Second
	reconcileEvery = 45 * time.Second // where there is one
)

// world is everything but calcdc: a cluster, a network, a calendar service, and what was noted of them.
type world struct {
	dice     *dice
	net      *network
	cluster  *kfake.Cluster
	brokers  []string
	overseer *host // a machine without trouble
	service  *service
	changes  bool // events.resnapshot: changes
	judge    *judge
	heals    time.Duration // the interval of reconciles; 0: there are none, which would heal what another rule should have seen to

	mu      sync.Mutex
	storm   storm
	deposed map[string]time.Time // brokers that answer from an old log, until when
	trace   io.Writer            // nil: only the hash is kept
	sum     hash.Hash64
	workers int

	machines   []*machine // none: workers keep no caches
	nameless   bool       // the brokers give topics no ids
	loses      loss       // what is lost now and then
	lost       bool       // something was, and not everybody has been started since
	running    []*worker
	fading     []*worker // crashed, and perhaps not at their end yet
	members    []*seat
	generation int // of the group

	asked   map[connector.Stream]int // how often a reset of the stream was asked for, by a tool or a signal
	guarded bool
	holds   int  // of deletions that were seen
	refused bool // deletions were, and not all approved since
	met     tally
}

// storm is how likely each kind of trouble is on the way to and from the brokers; 0 is fair.
type storm struct {
	lost, mute, silent, code float64
}

func topics() []string {
	return append(dataTopics(), prefix+".notifications", offsets.Topic(name), offsets.StateTopic(name))
}

func dataTopics() []string {
	return []string{prefix + "." + source + ".events", prefix + "." + source + ".calendars", prefix + "." + source + ".acl", prefix + "." + source + ".settings"}
}

func newWorld(seed uint64, trace io.Writer) (*world, error) {
	w := &world{dice: newDice(seed), net: newNetwork(), trace: trace, sum: fnv.New64a(), deposed: map[string]time.Time{}, asked: map[connector.Stream]int{}}
	var err error
	w.cluster, err = kfake.NewCluster(kfake.NumBrokers(2), kfake.ListenFn(w.net.Listen), kfake.SeedTopics(partitions, topics()...),
		kfake.SeedTopics(1, prefix+"-signal"))
	if err != nil {
		return nil, err
	}
	w.brokers = w.cluster.ListenAddrs()
	w.overseer = w.net.host(func(int16, string) fate { return fate{} })
	for _, topic := range topics() {
		for p := range int32(partitions) {
			if err := w.cluster.MoveTopicPartition(topic, p, int32(w.dice.roll("leader").IntN(2))); err != nil {
				return nil, err
			}
		}
	}
	if err := w.cluster.MoveTopicPartition(w.config().SignalTopic(), 0, int32(w.dice.roll("leader").IntN(2))); err != nil {
		return nil, err
	}
	w.cluster.Fault(w.faults()...)
	w.changes = w.dice.roll("changes").IntN(5) == 0
	if w.dice.roll("heals").IntN(2) == 0 {
		w.heals = reconcileEvery
	}
	w.guarded = w.dice.roll("guarded").IntN(3) == 0
	if r := w.dice.roll("cached"); r.IntN(4) == 0 {
		w.machines, w.nameless = newMachines(2), r.IntN(3) == 0
	}
	if r := w.dice.roll("loss"); r.IntN(6) < 2+min(len(w.machines), 1) {
		w.loses = losses[r.IntN(len(losses))]
	}
	w.service = newService(w.dice, w.note, w.heals > 0)
	w.net.met = &w.met
	w.judge = newJudge(w)
	return w, nil
}

// note adds to the trace of what happened.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	line := fmt.Sprintf("%s ", time.Now().UTC().Format("15:04:05.000000")) + fmt.Sprintf(format, args...) + "\n"
	_, _ = w.sum.Write([]byte(line))
	if w.trace != nil {
		_, _ = w.trace.Write([]byte(line))
	}
}

// codes are what a request may be answered with in place of its work. What may be done twice, or is answered after it was done, is
// none of them: that is the network's part.
var codes = []struct {
	key kmsg.Key
	err *kerr.Error
}{
	{kmsg.Produce, kerr.NotLeaderForPartition}, {kmsg.Produce, kerr.NotEnoughReplicas}, {kmsg.Produce, kerr.NotEnoughReplicasAfterAppend},
	{kmsg.Produce, kerr.RequestTimedOut},
	{kmsg.Fetch, kerr.NotLeaderForPartition}, {kmsg.ListOffsets, kerr.NotLeaderForPartition}, {kmsg.ListOffsets, kerr.LeaderNotAvailable},
	{kmsg.AddPartitionsToTxn, kerr.ConcurrentTransactions}, {kmsg.AddPartitionsToTxn, kerr.NotCoordinator},
	{kmsg.InitProducerID, kerr.ConcurrentTransactions}, {kmsg.InitProducerID, kerr.CoordinatorNotAvailable}, {kmsg.InitProducerID, kerr.NotCoordinator},
	{kmsg.EndTxn, kerr.NotCoordinator}, {kmsg.EndTxn, kerr.CoordinatorLoadInProgress},
	{kmsg.FindCoordinator, kerr.CoordinatorNotAvailable},
}

func (w *world) faults() []kfake.Fault {
	var out []kfake.Fault
	for i, c := range codes {
		out = append(out, kfake.Fault{Keys: []kmsg.Key{c.key}, Err: c.err, Count: -1, When: func(req kmsg.Request) bool {
			if f, ok := req.(*kmsg.FetchRequest); ok && f.MaxBytes == tailBytes {
				return false
			}
			w.mu.Lock()
			p := w.storm.code
			w.mu.Unlock()
			strikes := p > 0 && w.dice.roll(fmt.Sprint("code ", i)).Float64() < p
			if strikes {
				w.met.add("code")
			}
			return strikes
		}})
	}
	return out
}

// travel is what becomes of a request of a worker.
func (w *world) travel(from string) func(int16, string) fate {
	return func(api int16, broker string) fate {
		r := w.dice.roll(fmt.Sprintf("travel %s %d", from, api))
		f := fate{wait: time.Duration(r.Int64N(int64(2 * time.Millisecond))), back: time.Duration(r.Int64N(int64(2 * time.Millisecond)))}
		w.mu.Lock()
		s, until := w.storm, w.deposed[broker]
		w.mu.Unlock()
		switch x := r.Float64(); {
		case x < s.lost:
			f.lost = true
			w.met.add("request lost")
		case x < s.lost+s.mute:
			f.mute = true
			w.met.add("answer lost")
		case x < s.lost+s.mute+s.silent:
			f.silent = true
			w.met.add("no answer")
		case time.Now().Before(until):
			f.stale = true
		}
		if f != (fate{wait: f.wait, back: f.back}) && api != int16(kmsg.Metadata) {
			w.note("%s api %d %+v", from, api, f)
		}
		return f
	}
}

// resourceOf names the resource of a row.
func resourceOf(_ connector.Stream, _, id string, _ []byte) (resource, parent string) {
	resource, _, _ = strings.Cut(id, "#")
	return resource, ""
}

func (w *world) client(h *host, log hclog.Logger) (*kafka.Client, error) {
	return kafka.New(kafka.Config{
		Brokers: w.brokers, Compression: "none", Topics: append(topics(), w.config().SignalTopic()), MetadataTTL: metadataTTL, Dial: h.Dial,
	}, log)
}

func (w *world) config() connector.Config {
	c := connector.Config{Version: "sim", TopicPrefix: prefix, Before: connector.BeforeFull, Tombstones: true, Partitions: partitions, Changes: w.changes}
	if w.guarded {
		c.Guard = &guard
	}
	return c
}

func (w *world) sources() []connector.Source {
	s := connector.Source{Name: source, Connector: "sim", PollInterval: pollInterval, ReconcileInterval: w.heals,
		Streams: []connector.Kind{connector.Events, connector.Calendars, connector.ACL, connector.Settings}}
	for _, a := range w.service.accounts {
		s.Accounts = append(s.Accounts, a)
	}
	return []connector.Source{s}
}

func (w *world) ledger(c *kafka.Client, cache *offsets.Cache, p int32, log hclog.Logger) *offsets.Ledger {
	var reader offsets.Reader = c
	if cache != nil {
		reader = &folding{c, &w.met, -1}
	}
	return offsets.NewLedger(offsets.Config{
		Name: name, Partition: p, DataTopic: w.config().DataTopic,
		Missing: kafka.Missing, Partitions: w.Partitions, Ensure: w.ensure, Start: c.Start,
		Notifications: w.config().NotificationsTopic(), Count: partitions, Resource: resourceOf,
		Cache: cache, Identify: w.identify(c),
	}, c.NewProducer(fmt.Sprintf("%s-%d", name, p)), reader, log)
}

// logger writes what calcdc logs into the trace.
func (w *world) logger(who string) hclog.Logger {
	if w.trace == nil {
		return hclog.NewNullLogger()
	}
	return hclog.New(&hclog.LoggerOptions{Name: who, Level: hclog.Debug, Output: tracer{w}, DisableTime: true})
}

type tracer struct{ w *world }

func (t tracer) Write(b []byte) (int, error) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	_, _ = fmt.Fprintf(t.w.trace, "%s   %s", time.Now().UTC().Format("15:04:05.000000"), b)
	return len(b), nil
}

// quiet is an observer.
type quiet struct{}

func (quiet) Stream(connector.Status)                    {}
func (quiet) Published(connector.Stream, map[string]int) {}
func (quiet) Reset(connector.Stream, string)             {}
func (quiet) Account(source, account string, err error)  {}
func (quiet) Assigned([]int32)                           {}
func (quiet) Left(string, string)                        {}

// depose makes a broker answer for a second as one that has not heard yet that it leads no more.
func (w *world) depose() {
	r := w.dice.roll("depose")
	b := w.brokers[r.IntN(len(w.brokers))]
	w.note("%s is deposed", b)
	w.met.add("deposed")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deposed[b] = time.Now().Add(time.Duration(r.Int64N(int64(1200 * time.Millisecond))))
}

// sorted are streams in a fixed order.
func sorted[V any](m map[connector.Stream]V) []connector.Stream {
	return slices.SortedFunc(maps.Keys(m), func(a, b connector.Stream) int { return strings.Compare(a.String(), b.String()) })
}

// shuffle moves a leader, or the coordinators.
func (w *world) shuffle() error {
	r := w.dice.roll("shuffle")
	if r.IntN(3) == 0 {
		w.note("coordinators move")
		w.met.add("coordinators move")
		w.cluster.RehashCoordinators()
		return nil
	}
	all := topics()
	topic, p := all[r.IntN(len(all))], int32(r.IntN(partitions))
	if w.cluster.LeaderFor(topic, p) < 0 { // it is lost
		return nil
	}
	w.note("%s %d moves", topic, p)
	w.met.add("leader moves")
	return w.cluster.MoveTopicPartition(topic, p, 1-w.cluster.LeaderFor(topic, p))
}
