package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// guard holds deletions in some seeds.
var guard = connector.Guard{MaxFraction: 0.4, AboveRows: 2, ConfirmAfter: 20 * time.Second}

// signal writes a request for some streams, or all, into the signal topic.
func (w *world) signal(what connector.SignalType, r *rand.Rand) error {
	s := connector.Signal{ID: "1", Type: what, Topics: []string{`cal\.work\..*`}}
	if r != nil && r.IntN(3) > 0 {
		s.Topics = topics()[:1+r.IntN(4)]
		s.Account = []string{"", "alice", "bob"}[r.IntN(3)]
		s.Collection = []string{"", names[0], names[1]}[r.IntN(3)]
	}
	read, err := connector.ParseSignal(s.Value())
	if err != nil {
		return err
	}
	w.met.add(string(what))
	if what == connector.ExecuteSnapshot {
		if err := w.expect(&read); err != nil {
			return err
		}
	}
	h := w.net.host(func(int16, string) fate { return fate{wait: time.Millisecond, back: time.Millisecond} })
	defer h.kill()
	c, err := w.client(h, w.logger("asks"))
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if _, err = c.Append(ctx, connector.Record{Topic: w.config().SignalTopic(), Key: []byte(prefix), Value: s.Value()}); err == nil {
			break
		}
		if what == connector.ExecuteSnapshot { // it may have been written
			if err := w.expect(&read); err != nil {
				return err
			}
		}
	}
	w.note("signal %s %v %s %s: %v", what, s.Topics, s.Account, s.Collection, err)
	return err
}

// expect notes which streams a signal asks for a snapshot, of which one is to follow.
func (w *world) expect(s *connector.Signal) error {
	if err := w.judge.catchUp(); err != nil {
		return err
	}
	for _, a := range w.service.accounts {
		all := []connector.Stream{a.stream(connector.Calendars, ""), a.stream(connector.Settings, "")}
		for _, name := range names {
			all = append(all, a.stream(connector.Events, name), a.stream(connector.ACL, name))
		}
		for _, stream := range all {
			if !s.Selects(stream, w.config().DataTopic(stream)) {
				continue
			}
			w.asked[stream]++
			if m := w.judge.streams[stream]; m != nil {
				m.due = m.begins + 1
			}
		}
	}
	return nil
}

// decide approves of what is held, or refuses it.
func (w *world) decide(r *rand.Rand) error {
	what := connector.ApproveDeletes
	if r.IntN(2) == 0 {
		what, w.refused = connector.RefuseDeletes, true
	}
	return w.signal(what, r)
}

// relent approves of all that was refused.
func (w *world) relent() error {
	if !w.refused {
		return nil
	}
	w.refused = false
	if err := w.signal(connector.ApproveDeletes, nil); err != nil {
		return fmt.Errorf("approving of all deletions: %w", err)
	}
	return nil
}

// seldom looks at the signal topic less often than a worker asks it to: most of the looks find nothing.
type seldom struct {
	connector.SignalReader
	last time.Time
}

// looks is how much time lies between two looks at the signal topic.
const looks = 4 * time.Second

// End implements connector.SignalReader.
func (s *seldom) End(ctx context.Context, topic string, partition int32) (int64, error) {
	if wait := time.Until(s.last.Add(looks)); wait > 0 {
		if err := pause(ctx, wait); err != nil {
			return 0, err
		}
	}
	s.last = time.Now()
	return s.SignalReader.End(ctx, topic, partition)
}
