package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/offsets"
)

// loss is what a seed's cluster loses, now and then.
type loss string

const (
	nothing     loss = ""
	stateLoss   loss = "state"   // <name>-state, or the beginning of a partition of it
	offsetsLoss loss = "offsets" // <name>-offsets
	bothLoss    loss = "both"    // both
	dataLoss    loss = "data"    // a data topic
)

var losses = []loss{stateLoss, stateLoss, offsetsLoss, bothLoss, dataLoss, dataLoss, dataLoss}

// mishap loses something, at a moment of chance, sometimes while nobody is there to notice.
func (w *world) mishap() error {
	r := w.dice.roll("mishap")
	if w.loses == nothing || r.IntN(5) > 0 {
		return nil
	}
	if r.IntN(2) == 0 {
		w.crashAll()
	}
	if err := w.lose(r); err != nil || len(w.running) > 0 || r.IntN(2) == 0 {
		return err
	}
	return w.start()
}

func (w *world) crashAll() {
	for _, k := range w.running {
		k.crash()
	}
	w.fading = append(w.fading, w.running...)
	w.running = nil
}

// lose loses what the seed loses.
func (w *world) lose(r *rand.Rand) error {
	var topics []string
	switch w.loses {
	case stateLoss:
		topics = []string{offsets.StateTopic(name)}
	case offsetsLoss:
		topics = []string{offsets.Topic(name)}
	case bothLoss:
		topics = []string{offsets.Topic(name), offsets.StateTopic(name)}
	case dataLoss:
		topics = []string{dataTopics()[r.IntN(4)]}
	case nothing:
	}
	synctest.Wait() // nothing is under way, and no time passes until all is read that is there
	if err := w.judge.catchUp(); err != nil {
		return err
	}
	if w.loses == dataLoss && w.open(topics[0]) {
		return nil // what is written and not committed would go with it
	}
	w.lost = true
	if w.loses == stateLoss && len(w.machines) == 0 && r.IntN(3) == 0 { // a cache would hide it, from the worker that has it
		return w.cutState(r)
	}
	for _, topic := range topics {
		w.note("%s is lost", topic)
		w.met.add("lost " + string(w.loses))
		if err := w.cluster.DeleteTopic(topic); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) { // it may be lost still
			return err
		}
		if w.loses == dataLoss {
			w.judge.topicLost(topic)
		}
	}
	if w.loses != dataLoss {
		w.judge.stateLost(w.loses, w.asleep())
	}
	w.net.forget()
	if r.IntN(3) == 0 { // whoever needs it makes it
		return nil
	}
	for _, topic := range topics {
		if err := w.anew(topic); err != nil {
			return err
		}
	}
	return nil
}

// cutState takes away the beginning of a partition of the state.
func (w *world) cutState(r *rand.Rand) error {
	p := int32(r.IntN(partitions))
	info := w.cluster.PartitionInfo(offsets.StateTopic(name), p)
	if info == nil {
		return nil
	}
	to := info.LogStartOffset + r.Int64N(info.LastStableOffset-info.LogStartOffset+1)
	w.note("the state of partition %d is cut at %d", p, to)
	w.met.add("state cut")
	w.judge.stateLost(w.loses, false)
	w.net.forget()
	return w.cluster.DeleteRecords(offsets.StateTopic(name), p, to)
}

// open tells whether a transaction is open in a topic, or the topic is not there.
func (w *world) open(topic string) bool {
	all := w.cluster.PartitionInfos(topic)
	for _, p := range all {
		if p.LastStableOffset != p.HighWatermark {
			return true
		}
	}
	return len(all) == 0
}

// asleep tells that no worker can write anything.
func (w *world) asleep() bool {
	for _, k := range append(w.running, w.fading...) {
		if !k.crashed && !k.ended() {
			return false
		}
	}
	return true
}

// anew makes a topic where it is missing.
func (w *world) anew(topic string) error {
	if w.cluster.LeaderFor(topic, 0) >= 0 {
		return nil
	}
	w.note("%s is made anew", topic)
	if err := w.cluster.CreateTopic(topic, partitions, nil); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return err
	}
	for p := range int32(partitions) {
		if err := w.cluster.MoveTopicPartition(topic, p, int32(w.dice.roll("leader anew").IntN(2))); err != nil {
			return err
		}
	}
	return nil
}

// Partitions implements connector.Topics.
func (w *world) Partitions(ctx context.Context, topic string) (int32, error) {
	if err := pause(ctx, time.Millisecond); err != nil {
		return 0, err
	}
	return partitions, w.anew(topic)
}

// ensure makes the internal topics where they are missing.
func (w *world) ensure(context.Context) error {
	for _, topic := range []string{offsets.Topic(name), offsets.StateTopic(name)} {
		if err := w.anew(topic); err != nil {
			return err
		}
	}
	return nil
}

// regain has all that was lost noticed that has not been: at its next start at the latest.
func (w *world) regain() {
	if w.lost {
		w.lost = false
		w.crashAll()
	}
}

// forget lets a broker that was deposed answer with nothing that is of a topic that is no more.
func (n *network) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.answers)
}

// lapse is what was lost of a stream.
type lapse struct {
	topics int            // how often its data topic was
	gone   int64          // how long its data partition was, which is shorter now; 0: no loss, or a reset has followed
	resets map[string]int // by reason
}

// stateLost notes that something of the state is lost, of the offsets, or of both. Where it was all, and nobody was there who knew it still, a reset
// must follow.
func (j *judge) stateLost(what loss, asleep bool) {
	if what != stateLoss { // as an offset tool would have it
		j.forgot++
	}
	if what == offsetsLoss {
		return
	}
	j.states++
	for _, m := range j.streams {
		if asleep {
			m.due = m.begins + 1
		}
	}
}

// topicLost notes that a data topic is lost.
func (j *judge) topicLost(topic string) {
	for s, m := range j.streams {
		if j.w.config().DataTopic(s) == topic {
			m.topics++
			m.gone = max(m.gone, m.length)
			m.length = 0
		}
	}
	for p := range int32(partitions) {
		delete(j.tail.next, place{topic, p})
	}
}

// reset judges a reset that follows a loss.
func (j *judge) reset(m *mirror, reason string) (ok bool) {
	m.gone = 0
	if m.resets == nil {
		m.resets = map[string]int{}
	}
	m.resets[reason]++
	switch reason {
	case connector.StateLost:
		return m.resets[reason] <= j.states
	case connector.TopicLost:
		return m.resets[reason] <= m.topics
	}
	return true
}

// missed tells that the stream's data topic is shorter than it was, and that no reset has followed.
func (j *judge) missed(s connector.Stream, m *mirror) bool {
	if m.gone == 0 || len(m.rows) == 0 {
		return false
	}
	info := j.w.cluster.PartitionInfo(j.w.config().DataTopic(s), s.Partition(partitions))
	return info == nil || info.HighWatermark < m.gone
}
